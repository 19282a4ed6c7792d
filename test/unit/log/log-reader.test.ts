import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { readLog } from '../../../src/log/log-reader.ts';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import type { RecordedLog } from '../../../src/archive/record.ts';
import { describeLog, collect, makeArchive, put } from '../../support/oracles/archived-jobs.ts';

const KEY = 'v1/logs/host=github.com/owner=o/repo=r/dt=2020-01-20/1-1-2.log.gz';

async function readWholeLog(store: ObjectStore, log: RecordedLog): Promise<Buffer> {
  return Buffer.concat(await collect(readLog(store, log)));
}

test.each([
  ['an empty log', Buffer.alloc(0)],
  ['a short log', Buffer.from('\ufeff2020-01-20T17:42:40.0000000Z hello\r\n')],
  ['bytes that are not text', Buffer.from([0, 0xff, 0xfe, 0x1b])],
  ['a long log', Buffer.alloc(3_000_000, 'line of text\n')],
])('%s comes back byte for byte', async (_name, bytes) => {
  const store = await makeArchive();
  const stored = gzipSync(bytes);
  await put(store, KEY, stored);
  expect((await readWholeLog(store, describeLog(KEY, bytes, stored))).equals(bytes)).toBe(true);
});

const GOOD = Buffer.alloc(200_000, 'line of text\n');

test.each<[string, Buffer, Partial<RecordedLog>]>([
  ['is missing', Buffer.alloc(0), { key: `${KEY}.gone` }],
  ['is cut', gzipSync(GOOD).subarray(0, -9), {}],
  ['is no gzip', Buffer.from('plain text'), {}],
  ['is longer', gzipSync(Buffer.concat([GOOD, Buffer.from('x')])), {}],
  ['is shorter', gzipSync(GOOD.subarray(1)), {}],
  ['differs', gzipSync(Buffer.concat([GOOD.subarray(1), Buffer.from('x')])), {}],
  ['is encoded otherwise', gzipSync(GOOD), { encoding: 'zstd' }],
])('a log that %s is corrupt, and the message names its key', async (_name, stored, changes) => {
  const store = await makeArchive();
  await put(store, KEY, stored);
  const log = { ...describeLog(KEY, GOOD, stored), ...changes };
  await expect(readWholeLog(store, log)).rejects.toMatchObject({
    code: 'object_corrupt',
    remedy: { kind: 'give_up' },
    message: expect.stringContaining(log.key),
  });
});

test('a log that inflates without end is stopped at the recorded size', async () => {
  const store = await makeArchive();
  const bomb = gzipSync(Buffer.alloc(50_000_000));
  await put(store, KEY, bomb);
  let bytes = 0;
  const reading = async (): Promise<void> => {
    for await (const chunk of readLog(store, describeLog(KEY, GOOD, bomb))) bytes += chunk.length;
  };
  await expect(reading()).rejects.toMatchObject({ code: 'object_corrupt' });
  expect(bytes).toBeLessThanOrEqual(GOOD.length);
});

test('a reader that stops early leaves nothing open', async () => {
  const store = await makeArchive();
  const stored = gzipSync(GOOD);
  await put(store, KEY, stored);
  const bodies: { destroyed: boolean }[] = [];
  const watched: ObjectStore = {
    ...store,
    async read(key) {
      const found = await store.read(key);
      if (found !== null) bodies.push(found.body);
      return found;
    },
  };
  for await (const chunk of readLog(watched, describeLog(KEY, GOOD, stored))) if (chunk.length > 0) break;
  expect(bodies.map(({ destroyed }) => destroyed)).toEqual([true]);
});
