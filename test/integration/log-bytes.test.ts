import { createHash } from 'node:crypto';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FaultEffect } from '../../src/simulator/faults.ts';
import type { LogSource } from '../../src/simulator/logs/log-source.ts';
import { seededRandom } from '../../src/simulator/random.ts';
import { readRecord, tallyOf } from '../support/oracles/archive-oracle.ts';
import { each, openStage, scaled, until } from '../support/harness/everlog-under-test.ts';
import {
  hostConfig,
  placesOn,
  startFetchPath,
  startHost,
  type HostUnderTest,
} from '../support/github/fetch-path.ts';
import { startRedis } from '../support/servers/redis-server.ts';
import { Scene } from '../support/github/scene.ts';

/** Whatever bytes a log has, the archive gives them back: through receiver, queue, worker and store. */
const stage = openStage();
const LOGS = scaled(200, 1_000);
const LOG_BYTES_MAX = 2_000_000;
const HUGE_LOGS = scaled(0, 3);
const HUGE_LOG_BYTES = 500_000_000;
/** 150 MB to be read, hashed and compressed on a machine that is busy. */
const DONE_TIMEOUT_MS = scaled(150_000, 1_800_000);

let host: HostUnderTest;
let scene: Scene;

beforeAll(async () => {
  const redis = await startRedis();
  stage.defer(() => redis.stop());
  host = await startHost(stage, 'ghes');
  const config = hostConfig(host, { maxConcurrency: 60 });
  const service = await startFetchPath(stage, redis.url, [config], { EVERLOG_LOG_LEVEL: 'info' });
  const links = { origin: '', answers: new Map<string, Buffer>(), targets: [] };
  scene = new Scene(host, service, links, 'octo-org');
}, DONE_TIMEOUT_MS);

afterAll(() => stage.close());

/** Pieces of which fuzzed logs are made: what breaks readers that take bytes for text, or text for lines. */
const PIECES: readonly ((random: () => number) => Buffer)[] = [
  () => Buffer.from('2026-11-20T10:11:12.1234567Z ##[group]Run npm test\r\n'),
  () => Buffer.from('\uFEFF'),
  () => Buffer.from('a byte order mark \uFEFF in a line\n'),
  () => Buffer.from([0]),
  () => Buffer.alloc(300),
  () => Buffer.from([0xff, 0xfe, 0xc3, 0x28, 0xed, 0xa0, 0x80, 0xf5, 0x80]),
  () => Buffer.from('\r\n\r\n\n\r\r'),
  () => Buffer.from('\n'),
  () => Buffer.from('héllo wörld № 🚀 \u2028 \u0085 \u001B[31mred\u001B[0m\n'),
  () => Buffer.from('🚀').subarray(0, 2),
  () => Buffer.from([0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0]),
  (random) => Buffer.alloc(Math.floor(random() * 20_000), 'a line that does not end '),
  (random) =>
    Buffer.from(Array.from({ length: 1 + Math.floor(random() * 200) }, () => Math.floor(random() * 256))),
];

/** Sizes by order of magnitude, so that small and large ones are as frequent. */
function fuzzedLog(random: () => number, index: number): Buffer {
  if (index % 50 === 0) return Buffer.alloc(0);
  const bytes = Math.floor(LOG_BYTES_MAX ** random());
  const parts: Buffer[] = [];
  for (let length = 0; length < bytes;) {
    const part = PIECES[Math.floor(random() * PIECES.length)]?.(random) ?? Buffer.from('x');
    const times = random() < 0.2 ? 1 + Math.floor(random() * 500) : 1;
    for (let time = 0; time < times && length < bytes; time += 1) {
      parts.push(part);
      length += part.length;
    }
  }
  return Buffer.concat(parts).subarray(0, bytes);
}

const FRAMINGS: readonly (FaultEffect | null)[] = [null, { kind: 'chunked' }, { kind: 'gzip' }];

test(
  `${LOGS} fuzzed logs are kept byte for byte, however they are framed`,
  async () => {
    const random = seededRandom(20_261_120);
    const ids = Array.from({ length: LOGS }, (_, index) => {
      const id = scene.job({ log: fuzzedLog(random, index) });
      const framing = FRAMINGS[index % FRAMINGS.length] ?? null;
      if (framing !== null) scene.fault('blob', id, framing);
      return id;
    });
    await archiveAll(ids);
    const differing: unknown[] = [];
    let bytes = 0;
    for (const id of ids) {
      const source = scene.bytesOf(id);
      bytes += source.length;
      const served = tallyOf(source);
      const { log } = await readRecord(scene.service.archive, placesOn(host, id).record);
      const kept = await tallyOfStored(id);
      const said = { sha256: log?.['sha256'], bytes: log?.['bytes'], lines: log?.['lines'] };
      if (!same(kept, served) || !same(said, served)) differing.push({ id, served, kept, said });
    }
    process.stdout.write(`${ids.length} fuzzed logs, ${bytes} bytes, ${differing.length} differ\n`);
    expect(differing).toEqual([]);
  },
  DONE_TIMEOUT_MS,
);

test.each(Array.from({ length: HUGE_LOGS }, (_, index) => index))(
  `a log of ${HUGE_LOG_BYTES} bytes, number %i, is kept byte for byte`,
  async (index) => {
    const log = hugeLog(index);
    const id = scene.job({ log });
    await archiveAll([id]);
    const sha256 = createHash('sha256');
    for (const chunk of log.chunks()) sha256.update(chunk);
    expect(await tallyOfStored(id)).toMatchObject({ sha256: sha256.digest('hex'), bytes: HUGE_LOG_BYTES });
  },
  DONE_TIMEOUT_MS,
);

async function archiveAll(ids: readonly number[]): Promise<void> {
  const answers = await each(ids, 16, (id) => scene.send(scene.payload(id)));
  expect([...new Set(answers)]).toEqual(['202 {"outcome":"queued"}']);
  let last: unknown;
  await until(
    'no job waits or runs',
    async () => {
      const counts = await scene.service.counts();
      last = counts;
      return counts.waiting + counts.active + counts.delayed === 0;
    },
    DONE_TIMEOUT_MS,
    () => JSON.stringify(last) + scene.service.lines.slice(-10).join(''),
  );
}

/** Hash, length and lines of the stored log, unpacked piece by piece. */
async function tallyOfStored(id: number): Promise<ReturnType<typeof tallyOf>> {
  const { bytes: stored } = await scene.service.archive.read(placesOn(host, id).log);
  const sha256 = createHash('sha256');
  let bytes = 0;
  let lines = 0;
  let last = 10;
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      sha256.update(chunk);
      bytes += chunk.length;
      for (const byte of chunk) if (byte === 10) lines += 1;
      last = chunk[chunk.length - 1] ?? last;
      done();
    },
  });
  await pipeline(Readable.from([stored]), createGunzip(), sink);
  return { sha256: sha256.digest('hex'), bytes, lines: lines + (last === 10 ? 0 : 1) };
}

function same(one: object, other: object): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** A block of noise and lines, each time with another beginning. */
function hugeLog(seed: number): LogSource {
  const random = seededRandom(seed + 1);
  const block = Buffer.concat(
    Array.from({ length: 400 }, (_, index) => fuzzedLog(random, index + 1)),
  ).subarray(0, 1_000_000);
  const times = HUGE_LOG_BYTES / block.length;
  return {
    bytes: HUGE_LOG_BYTES,
    *chunks() {
      for (let time = 0; time < times; time += 1) yield block;
    },
  };
}
