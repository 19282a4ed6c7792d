import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import {
  commitAbsence,
  commitLog,
  draftFrom,
  type Commit,
  type Committed,
  type ReadyLog,
} from '../../../src/archive/commit.ts';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import { bytesBody } from '../../../src/store/put-body.ts';
import { makeAbsence, makeArchive, makeRecord, storeRecord } from '../../support/oracles/archived-jobs.ts';

/** What stands at a log's key, and what is said of a log that GitHub serves differently another time. */

const ADDRESS = {
  host: 'github.com',
  owner: 'octo-org',
  repo: 'octo-repo',
  runId: 29_679_449,
  runAttempt: 1,
  jobId: 399_444_496,
};
const LOG_BYTES_MAX = 1_000_000;

function ready(text: string, level = 6): ReadyLog {
  const bytes = Buffer.from(text);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const body = bytesBody(gzipSync(bytes, { level }));
  return { body, sha256, bytes: bytes.length, lines: text.split('\n').length - 1, points: null };
}

function commit(store: ObjectStore, log: ReadyLog, prior: Commit['prior'] = null): Promise<Committed> {
  return commitLog(
    store,
    { address: ADDRESS, dt: '2020-01-20', draft: draftFrom(makeRecord()), prior },
    log,
    LOG_BYTES_MAX,
  );
}

async function keysOf(store: ObjectStore): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list('v1/')) keys.push(key.slice(key.lastIndexOf('/') + 1));
  return keys.sort();
}

test('the same log is there already, however it was compressed', async () => {
  const store = await makeArchive();
  const text = 'a line\n'.repeat(100);
  const first = await commit(store, ready(text));
  const again = await commit(store, ready(text, 1));
  expect([first.written, again.written]).toEqual([true, false]);
  expect(again.record.log).toEqual(first.record.log);
  expect(await keysOf(store)).toEqual(['29679449-1-399444496.log.gz', '399444496.json']);
});

test('a second log that differs is another one: both stay, each with its revision', async () => {
  const store = await makeArchive();
  const [one, other] = [ready('first\n'), ready('second\n')];
  const first = await commit(store, one);
  const prior = { key: first.key, address: ADDRESS, revision: 1, record: first.record };
  const second = await commit(store, other, prior);
  expect(second).toMatchObject({ written: true, revision: 2 });
  expect(second.record).toMatchObject({ supersedes: first.key, log: { sha256: other.sha256 } });
  expect(second.record.log?.key).toMatch(/399444496\.r2\.log\.gz$/);
  expect(first.record.log?.sha256).toBe(one.sha256);
});

test('a log that a crash left without a record is evidence too, beside what GitHub serves now', async () => {
  const store = await makeArchive();
  const [left, served] = [ready('left\n'), ready('served now\n')];
  const key =
    'v1/logs/host=github.com/owner=octo-org/repo=octo-repo/dt=2020-01-20/29679449-1-399444496.log.gz';
  await store.putIfAbsent(key, left.body, { contentType: 'application/gzip', kind: 'log' });
  const committed = await commit(store, served);
  expect(committed.record).toMatchObject({ revision: 2, log: { sha256: served.sha256 } });
  expect(await keysOf(store)).toEqual([
    '29679449-1-399444496.log.gz',
    '29679449-1-399444496.r2.log.gz',
    '399444496.json',
    '399444496.r2.json',
  ]);
});

test('a job that was erased while its log was fetched stays erased', async () => {
  const store = await makeArchive();
  const first = await commit(store, ready('first\n'));
  const prior = { key: first.key, address: ADDRESS, revision: 1, record: first.record };
  const erased = makeAbsence('erased', { revision: 2, supersedes: first.key });
  await storeRecord(store, erased);
  expect(await commit(store, ready('fetched meanwhile\n'), prior)).toMatchObject({
    written: false,
    revision: 2,
    record: { outcome: 'erased' },
  });
});

test('no absence follows a log that another process archived meanwhile', async () => {
  const store = await makeArchive();
  await commit(store, ready('a log\n'));
  const draft = draftFrom(makeAbsence('unavailable', {}));
  const absent = await commitAbsence(store, { address: ADDRESS, dt: '2020-01-20', draft, prior: null });
  expect(absent).toMatchObject({ written: false, revision: 1, record: { outcome: 'archived' } });
});

test('a later finding bears the name under which the job was first filed', async () => {
  const store = await makeArchive();
  const first = await commit(store, ready('first\n'));
  const prior = { key: first.key, address: ADDRESS, revision: 1, record: first.record };
  const draft = { ...draftFrom(makeRecord()), owner: 'new-owner', repo: 'renamed', run_attempt: 2 };
  const log = ready('second\n');
  const second = await commitLog(
    store,
    { address: ADDRESS, dt: '2020-01-20', draft, prior },
    log,
    LOG_BYTES_MAX,
  );
  const { owner, repo, run_attempt } = first.record;
  expect(second.record).toMatchObject({ revision: 2, owner, repo, run_attempt });
});
