import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { adoptLog, commitLog, draftFrom, type Commit, type ReadyLog } from '../../../src/archive/commit.ts';
import { logKey, recordKey } from '../../../src/archive/keys.ts';
import { readWhole, type ObjectStore } from '../../../src/store/object-store.ts';
import { bytesBody } from '../../../src/store/put-body.ts';
import { addressOf, makeArchive, makeRecord, put } from '../../support/oracles/archived-jobs.ts';

/** What stands in a log's place and is none costs the job neither its log nor its tries. */

const RECORD = makeRecord();
const ADDRESS = addressOf(RECORD);
const COMMIT: Commit = { address: ADDRESS, dt: '2020-01-20', draft: draftFrom(RECORD), prior: null };
const LOG_BYTES_MAX = 1_000_000;
const TEXT = Buffer.from('one\ntwo\n');
const LOG: ReadyLog = {
  body: bytesBody(gzipSync(TEXT)),
  sha256: createHash('sha256').update(TEXT).digest('hex'),
  bytes: TEXT.length,
  lines: 2,
  points: null,
};

const GARBAGE = [
  ['text', Buffer.from('no gzip at all')],
  ['nothing', Buffer.alloc(0)],
  ['a gzip that is cut', gzipSync(Buffer.from('x'.repeat(10_000))).subarray(0, 20)],
  ['a gzip with a wrong sum', gzipSync(TEXT).fill(0, gzipSync(TEXT).length - 8)],
] as const;

async function planted(bytes: Buffer): Promise<ObjectStore> {
  const store = await makeArchive();
  await put(store, logKey(ADDRESS, '2020-01-20', 1), bytes);
  return store;
}

test.each(GARBAGE)('%s in its place: the log is stored beside it, and recorded', async (_name, bytes) => {
  const store = await planted(bytes);
  const committed = await commitLog(store, COMMIT, LOG, LOG_BYTES_MAX);
  expect(committed).toMatchObject({ key: recordKey(ADDRESS, 1), revision: 1, written: true });
  expect(committed.record.log).toMatchObject({ key: logKey(ADDRESS, '2020-01-20', 2), sha256: LOG.sha256 });
  const stored = await readWhole(store, committed.record.log?.key ?? '');
  expect(stored?.bytes).toEqual(LOG.body.open());
  // The same again, as after a crash, says the same.
  expect((await commitLog(store, COMMIT, LOG, LOG_BYTES_MAX)).written).toBe(false);
});

test.each(GARBAGE)('%s is not adopted for a log that GitHub no longer has', async (_name, bytes) => {
  expect(await adoptLog(await planted(bytes), COMMIT, LOG_BYTES_MAX)).toEqual({
    outcome: 'nothing',
    tooLargeKey: null,
  });
});

test('a store that breaks off says so: nothing is concluded from half of a log', async () => {
  const store = await planted(gzipSync(TEXT));
  const broken: ObjectStore = {
    ...store,
    read: async (key) => {
      const found = await store.read(key);
      found?.body.destroy(new Error('the store broke off'));
      return found;
    },
  };
  await expect(commitLog(broken, COMMIT, LOG, LOG_BYTES_MAX)).rejects.toThrow('the store broke off');
});
