import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { addHold } from '../../src/archive/custody/hold-jobs.ts';
import { expire } from '../../src/archive/custody/expiry.ts';
import { readHolds } from '../../src/archive/custody/holds.ts';
import { planPurge, purge } from '../../src/archive/custody/purge.ts';
import type { RemovalDeps } from '../../src/archive/custody/removal.ts';
import { commitLog, draftFrom } from '../../src/archive/commit.ts';
import { logKey, recordKey } from '../../src/archive/keys.ts';
import { runCat } from '../../src/cli/read/cat.ts';
import { runLs } from '../../src/cli/read/ls.ts';
import { runFailures } from '../../src/cli/search/failures.ts';
import { runGrep } from '../../src/cli/search/grep.ts';
import type { ReadingDeps } from '../../src/cli/read/reading-session.ts';
import { openJobIndex } from '../../src/index/job-index.ts';
import { indexLedger, type IndexerDeps } from '../../src/index/write/indexer.ts';
import { seal, type SealDeps } from '../../src/ledger/seal/seal.ts';
import { openLog } from '../../src/logger.ts';
import { listenHttp } from '../../src/receiver/serve.ts';
import { openFolderStore } from '../../src/store/folder/folder-object-store.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { bytesBody } from '../../src/store/put-body.ts';
import { openS3Store } from '../../src/store/s3/s3-object-store.ts';
import { createWeb } from '../../src/web/app.ts';
import {
  exportTo,
  makeToolFolder,
  runVerify,
  runVerifyScript,
} from '../support/harness/bundle-under-test.ts';
import { indexerDeps, noProblem } from '../support/harness/index-under-test.ts';
import { memoryQueue, sealerOf, type MemoryQueue } from '../support/harness/sealing-under-test.ts';
import { captureStream, PIPE, type CapturedStream } from '../support/harness/terminal-under-test.ts';
import { findingsOf, verifyStore } from '../support/harness/verify-under-test.ts';
import { collect, makeRecord, put } from '../support/oracles/archived-jobs.ts';
import { removeTemporaryFolder, temporaryFolder } from '../support/processes/processes.ts';
import { startS3Fake } from '../support/servers/s3-fake/s3-fake.ts';
import { webDeps } from '../support/web/web-under-test.ts';

/**
 * A job whose first log does not stand under the plain name, as something else stood there: everything finds it where its
 * record says that it is.
 */
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const fake = await startS3Fake();
const folders: string[] = [];
const opened: ObjectStore[] = [];

afterAll(async () => {
  await Promise.all(opened.map((store) => store.close()));
  await fake.stop();
  for (const folder of folders) removeTemporaryFolder(folder);
});

function newFolder(): string {
  const folder = temporaryFolder();
  folders.push(folder);
  return folder;
}

async function inFolder(): Promise<ObjectStore> {
  return openFolderStore({ folder: join(newFolder(), 'archive') });
}

async function inBucket(): Promise<ObjectStore> {
  const bucket = `displaced-${randomUUID()}`;
  await fake.createBucket(bucket, { objectLock: true });
  const { accessKeyId, secretAccessKey, endpoint } = fake;
  const credentials = { accessKeyId, secretAccessKey };
  return openS3Store({ bucket, prefix: 'archive', forcePathStyle: true, endpoint, credentials });
}

const GARBAGE = Buffer.from('planted');
const DT = '2020-01-20';
const DAY_MS = 86_400_000;
const quiet = { onProblem: noProblem };
/** Kept to the end, removed by hand, and expired. */
const JOBS = [
  { jobId: 11, garbage: 1, text: 'first line\nthe needle of 11\n' },
  { jobId: 12, garbage: 2, text: 'first line\nthe needle of 12\n' },
  { jobId: 13, garbage: 1, text: 'first line\nthe needle of 13\n' },
] as const;
const [KEPT, PURGED, EXPIRED] = JOBS;

function placeOf({ jobId, garbage }: (typeof JOBS)[number]) {
  const address = {
    host: 'github.com',
    owner: 'octo-org',
    repo: 'octo-repo',
    runId: jobId,
    runAttempt: 1,
    jobId,
  };
  const plain = Array.from({ length: garbage }, (_, index) => logKey(address, DT, index + 1));
  return { address, plain, log: logKey(address, DT, garbage + 1), record: recordKey(address, 1) };
}

describe.each([
  ['a folder', inFolder],
  ['a bucket with locks', inBucket],
])('in %s', (_name, open) => {
  let store: ObjectStore;
  let sealer: SealDeps;
  let queue: MemoryQueue;
  let indexer: IndexerDeps;
  let web: { readonly url: string; close(graceMs: number): Promise<void> };

  beforeAll(async () => {
    store = await open();
    opened.push(store);
    queue = memoryQueue();
    sealer = sealerOf(store, queue);
    for (const job of JOBS) {
      const { address, plain, log } = placeOf(job);
      for (const key of plain) await put(store, key, GARBAGE);
      const record = makeRecord({
        job_id: job.jobId,
        run_id: job.jobId,
        conclusion: 'failure',
        recorded_at: new Date().toISOString(),
      });
      const bytes = Buffer.from(job.text);
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      const ready = { body: bytesBody(gzipSync(bytes)), sha256, bytes: bytes.length, lines: 2, points: null };
      const commit = { address, dt: DT, draft: draftFrom(record), prior: null };
      const committed = await commitLog(store, commit, ready, 1_000);
      if (committed.record.log?.key !== log)
        throw new Error(`${committed.key} names another log than ${log}`);
      await queue.pending.add([committed.key]);
    }
    const index = await inFolder();
    opened.push(index);
    indexer = await indexerDeps(store, index);
    const deps = webDeps(store, { log: openLog('silent', { write: () => undefined }) });
    web = await listenHttp({ app: createWeb(deps), host: '127.0.0.1', port: 0 });
  });

  afterAll(() => web.close(0));

  function deps(
    isIndexed = false,
  ): ReadingDeps & { readonly stdout: CapturedStream; readonly stderr: CapturedStream } {
    const plain = {
      store,
      terminal: PIPE,
      stdout: captureStream(),
      stderr: captureStream(),
      now: () => new Date('2020-06-01T12:00:00Z'),
    };
    const openIndex = (): ReturnType<typeof openJobIndex> =>
      openJobIndex({ archive: store, index: indexer.index, onProblem: noProblem });
    return isIndexed ? { ...plain, openIndex } : plain;
  }

  const ids = (stdout: CapturedStream): number[] =>
    [...stdout.text().matchAll(/"job_id":(\d+)/g)].map(([, id]) => Number(id)).sort((a, b) => a - b);
  const ALL = JOBS.map(({ jobId }) => jobId);

  const removal = (): RemovalDeps => ({
    store,
    who: { name: 'ada', known_by: 'os_user', authenticated: false },
    version: '0.0.0',
    now: () => new Date(),
    randomHex: () => randomBytes(8).toString('hex'),
  });

  test('it is sealed with its record', async () => {
    expect(await seal(sealer, { final: false })).toMatchObject({ sequence: 1, entries: 4, findingCount: 0 });
  });

  test.each([false, true])('ls, cat, grep and failures read it, with an index: %s', async (isIndexed) => {
    if (isIndexed) await indexLedger(indexer);
    const listed = deps(isIndexed);
    expect(await runLs(listed, { json: true })).toBe(0);
    expect(ids(listed.stdout)).toEqual(ALL);
    for (const { jobId, text } of JOBS) {
      const cat = deps(isIndexed);
      expect([await runCat(cat, String(jobId), { raw: true }), cat.stdout.text()]).toEqual([0, text]);
    }
    const found = deps(isIndexed);
    expect(await runGrep(found, 'the needle', { json: true, yes: true })).toBe(0);
    expect(ids(found.stdout)).toEqual(ALL);
    const failed = deps(isIndexed);
    expect(await runFailures(failed, { since: '2020-01-01', json: true })).toBe(0);
    expect(ids(failed.stdout)).toEqual(ALL);
  });

  test('verify reads it', async () => {
    const verified = await verifyStore(store);
    expect(findingsOf(verified)).toEqual([]);
    const changed: ObjectStore = {
      ...store,
      read: (key) => store.read(key === placeOf(KEPT).log ? placeOf(EXPIRED).log : key),
    };
    expect(findingsOf(await verifyStore(changed))).toEqual([`MODIFIED ${placeOf(KEPT).log}`]);
  });

  test('a bundle has it, and both ways to check the bundle read it', async () => {
    const out = join(newFolder(), 'bundle');
    const { report, problems } = await exportTo(store, out, { madeAt: new Date() });
    expect([report, problems]).toMatchObject([{ jobs: 3, logs: 3 }, []]);
    const tools = await makeToolFolder(join(newFolder(), 'tools'));
    const [byScript, byVerify] = [
      await runVerifyScript(out, tools, null),
      await runVerify(out, newFolder(), null),
    ];
    expect([byScript, byVerify]).toMatchObject([{ code: 0 }, { code: 0 }]);
    const bundle = await openFolderStore({ folder: out });
    opened.push(bundle);
    const logs = (await collect(bundle.list('v1/logs/'))).map(({ key }) => key);
    expect(logs).toEqual(JOBS.map((job) => placeOf(job).log).sort());
  });

  test('the web page shows it, raw and to download', async () => {
    const { jobId, text } = KEPT;
    const page = `${web.url}/octo-org/octo-repo/actions/runs/${jobId}/job/${jobId}`;
    for (const view of ['raw', 'download']) {
      const answer = await fetch(`${page}/${view}`);
      expect([view, answer.status, await answer.text()]).toEqual([view, 200, text]);
    }
    const shown = await fetch(page);
    expect([shown.status, await shown.text()]).toEqual([
      200,
      expect.stringContaining(`the needle of ${jobId}`),
    ]);
  });

  test('a hold keeps it, wherever the store can', async () => {
    const order = { case: 'C', reason: 'a suit', filters: {}, scope: {} };
    const { log, record } = placeOf(KEPT);
    const added = await addHold(removal(), { ...order, filters: { runId: KEPT.jobId } }, quiet);
    expect(added).toMatchObject({ jobs: 1, objects: 3 });
    const held = await Promise.all([log, record].map(async (key) => (await store.lockOf(key))?.legalHold));
    expect(held).toEqual(added.locks === 'store' ? [true, true] : [undefined, undefined]);
  });

  test('a purge with its record leaves nothing of it', async () => {
    const { log, record } = placeOf(PURGED);
    const options = { reason: 'a token leaked', record: true, bypassGovernance: false };
    const holds = await readHolds(store, noProblem);
    const reference = { kind: 'id', host: null, id: PURGED.jobId } as const;
    const plan = await planPurge(store, reference, null, holds, options, new Date(), quiet);
    if (plan === null) throw new Error('no such job');
    expect(await purge(removal(), plan, options)).toMatchObject({ locked: [], erased: [expect.any(String)] });
    expect([await store.head(log), await store.head(record)]).toEqual([null, null]);
    const cat = deps();
    expect([await runCat(cat, String(PURGED.jobId), { raw: true }), cat.stdout.text()]).toEqual([3, '']);
  });

  test('it expires like any other, but for what a case holds', async () => {
    const rules = [{ host: null, owner: null, repo: null, keepMs: 400 * DAY_MS }];
    const options = {
      rules,
      filters: {},
      host: null,
      bypassGovernance: false,
      dryRun: false,
      scope: { rules: 'old' },
    };
    const report = await expire(removal(), options, quiet, () => undefined);
    expect(report).toMatchObject({ held: 1, locked: [] });
    expect([await store.head(placeOf(EXPIRED).log), await store.head(placeOf(EXPIRED).record)]).toEqual([
      null,
      null,
    ]);
    const cat = deps();
    expect([await runCat(cat, String(KEPT.jobId), { raw: true }), cat.stdout.text()]).toEqual([0, KEPT.text]);
  });

  test('what was removed is sealed and verified as removed, and nothing more is found', async () => {
    const written = [store.list('v1/custody/'), store.list('v1/records/')];
    for (const listing of written) for await (const { key } of listing) await queue.pending.add([key]);
    expect(await seal(sealer, { final: false })).toMatchObject({ outcome: 'sealed', findings: [] });
    const verified = await verifyStore(store);
    expect(findingsOf(verified)).toEqual([]);
  });
});
