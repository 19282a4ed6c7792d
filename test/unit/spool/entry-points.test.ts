import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { constants, gunzipSync, inflateRawSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { EntryPoints, type EntryPoint } from '../../../src/spool/entry-points.ts';
import { spoolLog, type SpooledLog } from '../../../src/spool/spool.ts';

const MIB = 1024 * 1024;
const NO_LIMIT = { grow: () => undefined, release: () => undefined };
const limits = {
  folder: tmpdir(),
  logBytesMax: 2 ** 30,
  storedBytesMax: 2 ** 30,
  temporaryName: () => `points-${process.pid}`,
};

/** Lines as GitHub serves them, of lengths that a seed decides, one second apart every hundred lines. */
function logOf(bytes: number, seed: number): Buffer {
  const lines: string[] = ['\uFEFF'];
  let length = 3;
  let state = seed;
  for (let line = 0; length < bytes; line += 1) {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    const stamp = new Date(1_600_000_000_000 + Math.floor(line / 100) * 1_000).toISOString();
    const text = `${stamp.replace('Z', '0000Z')} ${'x'.repeat(state % 97)}${state}\n`;
    lines.push(text);
    length += text.length;
  }
  return Buffer.from(lines.join(''));
}

async function spooled(log: Buffer, chunkBytes: number): Promise<SpooledLog> {
  async function* chunks(): AsyncGenerator<Buffer> {
    for (let at = 0; at < log.byteLength; at += chunkBytes) yield log.subarray(at, at + chunkBytes);
  }
  const result = await spoolLog(chunks(), NO_LIMIT, limits);
  if (result.kind !== 'spooled') throw new Error(result.kind);
  return result.log;
}

async function storedBytes(log: SpooledLog): Promise<Buffer> {
  const body = log.body.open();
  if (body instanceof Uint8Array) return Buffer.from(body);
  const parts: Buffer[] = [];
  for await (const part of body) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}

function inflated(stored: Buffer, from: number, to: number): Buffer {
  return inflateRawSync(stored.subarray(from, to), { finishFlush: constants.Z_SYNC_FLUSH });
}

function expectEntered(log: Buffer, stored: Buffer, points: readonly EntryPoint[]): void {
  for (const [index, [byte, storedByte, line, second, sha256]] of points.entries()) {
    const next = points[index + 1];
    const block = inflated(stored, storedByte, next?.[1] ?? stored.byteLength - 8);
    expect(block.equals(log.subarray(byte, next?.[0] ?? log.byteLength))).toBe(true);
    expect(createHash('sha256').update(block).digest('hex')).toBe(sha256);
    const before = log.subarray(0, byte).toString();
    expect(line).toBe(before.split('\n').length);
    const stamp = block.toString().replace('\uFEFF', '').slice(0, 19);
    expect(second).toBe(Date.parse(`${stamp}Z`) / 1000);
  }
}

test.each([
  { bytes: MIB, chunkBytes: 16 * 1024 },
  { bytes: 3 * MIB + 7, chunkBytes: 65_521 },
  { bytes: 9 * MIB, chunkBytes: 4 * MIB + 1 },
  { bytes: 5 * MIB, chunkBytes: 1_000 },
])('each block of a log of $bytes bytes can be read by itself', async ({ bytes, chunkBytes }) => {
  const log = logOf(bytes, bytes);
  const result = await spooled(log, chunkBytes);
  const stored = await storedBytes(result);
  expect(gunzipSync(stored).equals(log)).toBe(true);
  const points = result.points ?? [];
  expect(points.length).toBeGreaterThanOrEqual(Math.floor(bytes / (MIB + 200)));
  expectEntered(log, stored, points);
  await result.release();
});

test('a log below 1 MiB, and one without a line end, are read from the beginning', async () => {
  const small = await spooled(logOf(MIB - 4_096, 1), 64 * 1024);
  expect(small.points).toBeNull();
  const single = await spooled(Buffer.alloc(3 * MIB, 'x'), 64 * 1024);
  expect(single.points).toMatchObject([[0, 10, 1, null, expect.any(String)]]);
  for (const log of [small, single]) await log.release();
});

test('blocks grow, so that the points of a large log stay few', () => {
  const points = new EntryPoints();
  const line = Buffer.alloc(MIB, 'x');
  line[MIB - 1] = 0x0a;
  for (let mib = 0; mib < 2 * 1024; mib += 1) {
    if (points.endIn(line) === MIB) {
      points.add(line);
      points.cut()(mib);
    } else points.add(line);
  }
  const found = points.finish() ?? [];
  expect(found.length).toBeLessThan(3 * 256 + 64);
  expect(JSON.stringify(found).length).toBeLessThan(100 * 1024);
});
