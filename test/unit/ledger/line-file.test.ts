import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { PutBody } from '../../../src/store/object-store.ts';
import { openLineFile } from '../../../src/ledger/formats/line-file.ts';
import { linesOf } from '../../../src/ledger/formats/lines.ts';
import { testFolder } from '../../support/harness/sealing-under-test.ts';

async function bytesOf(body: PutBody): Promise<Buffer> {
  const opened = body.open();
  if (opened instanceof Uint8Array) return Buffer.from(opened);
  const chunks: Buffer[] = [];
  for await (const chunk of opened) {
    if (!(chunk instanceof Uint8Array)) throw new Error('not read as bytes');
    chunks.push(Buffer.from(chunk));
  }
  return Buffer.concat(chunks);
}

async function all(source: AsyncIterable<string>): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of source) lines.push(line);
  return lines;
}

describe('openLineFile', () => {
  it.each([
    ['compressed', true, 0],
    ['compressed', true, 1],
    ['compressed', true, 20_000],
    ['plain', false, 0],
    ['plain', false, 20_000],
  ])('holds %s lines: %s, %d of them', async (_, gzip, count) => {
    const folder = testFolder();
    const file = await openLineFile(folder, { name: 'x', gzip });
    const lines = Array.from({ length: count }, (__, index) => `${index} \u2028 ${'é'.repeat(index % 40)}`);
    for (const line of lines) await file.append(line);
    const finished = await file.finish();
    const text = lines.map((line) => `${line}\n`).join('');
    const stored = await bytesOf(finished.body);
    expect((gzip ? gunzipSync(stored) : stored).toString() === text).toBe(true);
    expect(finished).toMatchObject({
      count,
      bytes: Buffer.byteLength(text),
      sha256: sha256(Buffer.from(text)),
    });
    expect(finished.body).toMatchObject({ bytes: stored.length, sha256: sha256(stored) });
    expect(await all(finished.lines())).toEqual(lines);
    expect(readdirSync(folder)).toEqual([]);
    await file.close();
  });

  it('says which setting is wrong when it cannot be opened', async () => {
    const opened = openLineFile('/nowhere/at/all', { name: 'x', gzip: true });
    await expect(opened).rejects.toMatchObject({ code: 'spool_unavailable' });
  });
});

describe('linesOf', () => {
  it('joins what is cut anywhere', async () => {
    const bytes = Buffer.from('one\n\ntwo €\nthree');
    for (let at = 0; at <= bytes.length; at += 1) {
      const source = Readable.from([bytes.subarray(0, at), bytes.subarray(at)]);
      expect(await all(linesOf(source))).toEqual(['one', '', 'two €', 'three']);
    }
  });

  it('refuses a line without end', async () => {
    const endless = Readable.from(Array.from({ length: 3 }, () => Buffer.alloc(40_000, 'x')));
    await expect(all(linesOf(endless))).rejects.toThrow(/line of more than/);
  });
});

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
