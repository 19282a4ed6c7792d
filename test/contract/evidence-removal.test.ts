import { randomBytes, randomUUID } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { commitLog } from '../../src/archive/commit.ts';
import { bytesBody } from '../../src/store/put-body.ts';
import { parseCustody } from '../../src/archive/custody/custody-format.ts';
import { expire, type ExpiryOptions } from '../../src/archive/custody/expiry.ts';
import { openFolderStore } from '../../src/store/folder/folder-object-store.ts';
import { addHold, releaseHold, type HoldOrder } from '../../src/archive/custody/hold-jobs.ts';
import { readHolds } from '../../src/archive/custody/holds.ts';
import { readWhole, type ObjectStore } from '../../src/store/object-store.ts';
import {
  hasWork,
  planPurge,
  purge,
  type PurgeOptions,
  type PurgeResult,
} from '../../src/archive/custody/purge.ts';
import { parseRecord, type JobRecord } from '../../src/archive/record.ts';
import type { RemovalDeps } from '../../src/archive/custody/removal.ts';
import { openS3Store, type S3StoreOptions } from '../../src/store/s3/s3-object-store.ts';
import {
  collect,
  makeAbsence,
  makeRecord,
  put,
  storeJob,
  storeName,
  storeRecord,
} from '../support/oracles/archived-jobs.ts';
import { atTime } from '../support/harness/sealing-under-test.ts';
import { removeTemporaryFolder, temporaryFolder } from '../support/processes/processes.ts';
import type { S3Server } from '../support/servers/s3-connection.ts';
import { startS3Fake } from '../support/servers/s3-fake/s3-fake.ts';
import { runS3 } from '../support/servers/services.ts';

const NOW = new Date('2026-11-21T12:00:00Z');
const DAY_MS = 86_400_000;
const fake = await startS3Fake();
const real = await runS3();
const folders: string[] = [];
const opened: ObjectStore[] = [];

afterAll(async () => {
  await Promise.all(opened.map((store) => store.close()));
  await fake.stop();
  for (const folder of folders) removeTemporaryFolder(folder);
});

type Lock = Pick<S3StoreOptions, 'lockMode' | 'retentionDays'>;

/** A new archive in a bucket with Object Lock on. */
async function inBucket(server: S3Server, lock: Lock = {}): Promise<ObjectStore> {
  const bucket = `removal-${randomUUID()}`;
  await server.createBucket(bucket, { objectLock: true });
  const { accessKeyId, secretAccessKey, endpoint } = server;
  const store = openS3Store({
    bucket,
    prefix: 'archive',
    forcePathStyle: true,
    endpoint,
    credentials: { accessKeyId, secretAccessKey },
    ...lock,
  });
  opened.push(store);
  return store;
}

async function inFolder(): Promise<ObjectStore> {
  const folder = temporaryFolder();
  folders.push(folder);
  const store = await openFolderStore({ folder: `${folder}/archive` });
  opened.push(store);
  return store;
}

const PLACES = [
  { name: 'a folder', hasLocks: false, open: inFolder },
  { name: 'the S3 fake', hasLocks: true, open: () => inBucket(fake) },
  { name: `the S3 server of this run (${real.kind})`, hasLocks: true, open: () => inBucket(real) },
];

function depsOn(store: ObjectStore): RemovalDeps {
  return {
    store: atTime(store, () => NOW),
    who: { name: 'ada', known_by: 'os_user', authenticated: false },
    version: '1.2.3',
    now: () => NOW,
    randomHex: () => randomBytes(8).toString('hex'),
  };
}

const quiet = {
  onProblem: (key: string, problem: string): void => {
    throw new Error(`${key}: ${problem}`);
  },
};

const PURGE: PurgeOptions = { reason: 'a token leaked', record: false, bypassGovernance: false };

async function purgeJob(
  store: ObjectStore,
  jobId: number,
  options: Partial<PurgeOptions> = {},
): Promise<PurgeResult | null> {
  const all = { ...PURGE, ...options };
  const holds = await readHolds(store, quiet.onProblem);
  const plan = await planPurge(store, { kind: 'id', host: null, id: jobId }, null, holds, all, NOW, quiet);
  if (plan === null || plan.heldBy.length > 0 || !hasWork(plan)) return null;
  return purge(depsOn(store), plan, all);
}

async function keysBelow(store: ObjectStore, prefix: string): Promise<string[]> {
  return (await collect(store.listVersions(prefix))).map(({ key }) => key);
}

async function recordAt(store: ObjectStore, key: string | undefined): Promise<JobRecord> {
  const parsed = parseRecord((await readWhole(store, key ?? ''))?.bytes ?? new Uint8Array());
  if (!parsed.ok) throw new Error(`${key}: ${parsed.problem}`);
  return parsed.record;
}

async function custodyAt(store: ObjectStore, key: string | undefined) {
  const read = parseCustody((await readWhole(store, key ?? ''))?.bytes ?? new Uint8Array(), key ?? '');
  if (!read.ok) throw new Error(`${key} is no custody object: ${read.problem}`);
  return read.custody;
}

function killed(): never {
  throw new Error('killed');
}

const order = (name: string, filters: HoldOrder['filters'] = {}): HoldOrder => ({
  case: name,
  reason: 'litigation',
  filters,
  scope: { branch: 'main' },
});

describe.each(PLACES)('on $name', ({ hasLocks, open }) => {
  test('a purge removes every version of the log, says so, and leaves a record that says erased', async () => {
    const store = await open();
    const job = await storeJob(store, makeRecord({ job_id: 1 }), 'the token is hunter2\n');
    await storeJob(store, makeRecord({ job_id: 2 }), 'another job\n');
    const result = await purgeJob(store, 1);
    expect(result).toMatchObject({ removed: 1, locked: [] });
    expect(await keysBelow(store, job.log?.key ?? '')).toEqual([]);
    expect(await keysBelow(store, 'v1/logs/')).toHaveLength(1);
    const erased = await recordAt(store, result?.erased[0]);
    expect(erased).toMatchObject({ outcome: 'erased', revision: 2, log: null, job_name: 'build' });
    expect(erased.absence?.reason).toContain(result?.custody[0]);
    const custody = await custodyAt(store, result?.custody[0]);
    expect(custody).toMatchObject({
      action: 'purge',
      at: NOW.toISOString(),
      reason: 'a token leaked',
      who: { name: 'ada', known_by: 'os_user', authenticated: false },
    });
    expect(custody.objects).toMatchObject([{ key: job.log?.key, sha256: job.log?.stored_sha256 }]);
    expect(await purgeJob(store, 1)).toBeNull();
  });

  test('a purge with its records leaves nothing that tells of people, in any version', async () => {
    const store = await open();
    const people = {
      job_name: 'deploy for Ada',
      workflow_name: 'Ada’s workflow',
      head_branch: 'ada/secret-branch',
      runner_name: 'adas-laptop',
      labels: ['adas-pool'],
      sender: 'ada-lovelace',
      deployment: { creator: 'ada-lovelace' },
      job: { steps: [], actor: 'ada-lovelace' },
    };
    await storeRecord(store, makeAbsence('unavailable', { job_id: 1, ...people }));
    await storeJobRevision(store, makeRecord({ job_id: 1, revision: 2, ...people }));
    // Twice: what a purge without --record left behind must go too.
    await purgeJob(store, 1);
    const result = await purgeJob(store, 1, { record: true });
    expect(result?.erased).toHaveLength(1);
    const left = await collect(store.listVersions('v1/records/'));
    expect(left.map(({ key }) => key)).toEqual(result?.erased);
    const bytes = (await readWhole(store, result?.erased[0] ?? ''))?.bytes.toString() ?? '';
    expect(bytes).not.toMatch(/ada|Ada/);
    expect(JSON.parse(bytes)).toMatchObject({
      outcome: 'erased',
      head_sha: makeRecord().head_sha,
      job_id: 1,
    });
    expect((await custodyAt(store, result?.custody[0])).objects).toHaveLength(3);
    expect(await purgeJob(store, 1, { record: true })).toBeNull();
  });

  test('a purge with its records takes people and the runner out of the run’s object too, in any version', async () => {
    const store = await open();
    const record = await storeJob(store, makeRecord({ job_id: 1, run_id: 7 }), 'the log');
    const ada = { login: 'ada', name: 'Ada', email: 'ada@example.org' };
    const place = `host=github.com/owner=${record.owner}/repo=${record.repo.toLowerCase()}`;
    const run = {
      schema: 'everlog.run/v1',
      outcome: 'accounted',
      revision: 1,
      supersedes: null,
      host: 'github.com',
      owner: record.owner,
      repo: record.repo,
      repository_id: 1,
      run_id: 7,
      run_attempt: 1,
      run: { id: 7, head_sha: 'f83a', actor: ada, display_title: 'by Ada', head_commit: { author: ada } },
      jobs: [
        { id: 1, name: 'for Ada', runner_name: 'adas-laptop', steps: [], conclusion: 'success' },
        { id: 2, name: 'other', runner_name: 'shared' },
      ],
      expected: [1, 2],
      archived: [1],
      absent: [{ job_id: 2, outcome: 'expired' }],
      complete: true,
      recorded_at: '2020-01-20T18:00:00Z',
    };
    await put(store, `v1/runs/${place}/7/1.json`, Buffer.from(JSON.stringify(run)));
    const result = await purgeJob(store, 1, { record: true });
    const keys = await keysBelow(store, 'v1/runs/');
    expect(keys).toEqual([`v1/runs/${place}/7/1.r2.json`]);
    const bytes = (await readWhole(store, keys[0] ?? ''))?.bytes.toString() ?? '';
    expect(bytes).not.toMatch(/ada|Ada/);
    expect(JSON.parse(bytes)).toMatchObject({
      revision: 2,
      supersedes: `v1/runs/${place}/7/1.json`,
      run: { id: 7, head_sha: 'f83a' },
      jobs: [
        { id: 1, conclusion: 'success' },
        { id: 2, name: 'other', runner_name: 'shared' },
      ],
      expected: [1, 2],
      archived: [1],
    });
    const claims = await Promise.all((result?.custody ?? []).map((key) => custodyAt(store, key)));
    const named = claims.flatMap(({ objects }) => objects.map(({ key }) => key));
    expect(named).toContain(`v1/runs/${place}/7/1.json`);
    expect(await purgeJob(store, 1, { record: true })).toBeNull();
  });

  test('a purge that dies after its claim, or between two removals, is completed by the next', async () => {
    const store = await open();
    const job = await storeJob(store, makeRecord({ job_id: 1 }), 'the token is hunter2\n');
    for (const step of ['remove', 'putIfAbsent'] as const) {
      const holds = await readHolds(store, quiet.onProblem);
      const plan = await planPurge(store, { kind: 'id', host: null, id: 1 }, null, holds, PURGE, NOW, quiet);
      if (plan === null) throw new Error('the job is not known');
      const dying: ObjectStore = {
        ...store,
        remove: async (...args) => (step === 'remove' ? killed() : store.remove(...args)),
        putIfAbsent: async (key, ...rest) =>
          step === 'putIfAbsent' && key.startsWith('v1/records/')
            ? killed()
            : store.putIfAbsent(key, ...rest),
      };
      await expect(purge(depsOn(dying), plan, PURGE)).rejects.toThrow('killed');
    }
    expect(await keysBelow(store, job.log?.key ?? '')).toEqual([]);
    const result = await purgeJob(store, 1);
    expect((await recordAt(store, result?.erased[0])).outcome).toBe('erased');
  });

  test('a log that is fetched while its job is erased brings nothing back, and goes with the next purge', async () => {
    const store = await open();
    const absent = makeAbsence('unavailable', { job_id: 1 });
    const key = await storeRecord(store, absent);
    const address = {
      host: 'github.com',
      owner: 'octo-org',
      repo: 'octo-repo',
      runId: absent.run_id,
      runAttempt: 1,
      jobId: 1,
    };
    const prior = { key, address, revision: 1, record: absent };
    expect(await purgeJob(store, 1)).toMatchObject({
      removed: 0,
      erased: [expect.stringContaining('.r2.json')],
    });
    const stored = gzipSync('the token is hunter2\n');
    const { revision: _revision, supersedes: _supersedes, log: _log, ...draft } = makeRecord({ job_id: 1 });
    const ready = { body: bytesBody(stored), sha256: 'a'.repeat(64), bytes: 21, lines: 1, points: null };
    const late = await commitLog(store, { address, dt: '2020-01-20', draft, prior }, ready, ready.bytes);
    expect(late).toMatchObject({ written: false, record: { outcome: 'erased', revision: 2 } });
    expect(await keysBelow(store, 'v1/logs/')).toHaveLength(1);
    expect(await purgeJob(store, 1)).toMatchObject({ removed: 1, erased: [] });
    expect(await keysBelow(store, 'v1/logs/')).toEqual([]);
  });

  test('a job seen under two names and attempts is erased everywhere', async () => {
    const store = await open();
    await storeName(store, 7, 'octo-org', 'old');
    await storeName(store, 7, 'octo-org', 'new');
    await storeJob(store, makeRecord({ job_id: 1, repo: 'old', repository_id: 7 }), 'secret\n');
    await storeJob(
      store,
      makeRecord({ job_id: 1, repo: 'new', repository_id: 7, run_attempt: 2 }),
      'secret\n',
    );
    const result = await purgeJob(store, 1);
    expect(result?.erased).toHaveLength(2);
    expect(await keysBelow(store, 'v1/logs/')).toEqual([]);
  });

  test('cases hold jobs, each until it releases them, and a purge leaves them alone', async () => {
    const store = await open();
    const job = await storeJob(store, makeRecord({ job_id: 1, head_branch: 'main' }), 'held\n');
    await storeJob(store, makeRecord({ job_id: 2, head_branch: 'other' }), 'not held\n');
    const deps = depsOn(store);
    const first = await addHold(deps, order('A', { branch: 'main' }), quiet);
    expect(first).toMatchObject({ jobs: 1, objects: 2, unchanged: 0, locks: hasLocks ? 'store' : 'none' });
    expect(await addHold(deps, order('A', { branch: 'main' }), quiet)).toMatchObject({
      jobs: 0,
      unchanged: 1,
    });
    expect(await addHold(deps, order('B'), quiet)).toMatchObject({ jobs: 2 });
    const isHeld = async (): Promise<boolean | undefined> =>
      (await store.lockOf(job.log?.key ?? ''))?.legalHold;
    expect(await isHeld()).toBe(hasLocks ? true : undefined);
    const held = await readHolds(store, quiet.onProblem);
    expect([...held.cases.keys()].toSorted()).toEqual(['A', 'B']);
    expect(held.cases.get('B')).toMatchObject({ jobs: 2, by: 'ada', authenticated: false });
    expect(await purgeJob(store, 1)).toBeNull();
    expect(await releaseHold(deps, order('B', { branch: 'main' }), quiet)).toMatchObject({
      jobs: 1,
      unchanged: 1,
    });
    expect(await isHeld()).toBe(hasLocks ? true : undefined);
    expect(await releaseHold(deps, order('A'), quiet)).toMatchObject({ jobs: 1, unchanged: 0 });
    expect(await isHeld()).toBeUndefined();
    expect([...(await readHolds(store, quiet.onProblem)).cases.keys()]).toEqual(['B']);
    expect(await purgeJob(store, 1)).toMatchObject({ removed: 1 });
    expect(await purgeJob(store, 2)).toBeNull();
    expect(await releaseHold(deps, order('never placed'), quiet)).toMatchObject({ jobs: 0, unchanged: 0 });
  });

  test('a custody object that cannot be read is told, releases nothing, and what it holds counts as held', async () => {
    const store = await open();
    const deps = depsOn(store);
    const job = await storeJob(store, makeRecord({ job_id: 1, head_branch: 'main' }), 'one\n');
    const other = await storeJob(store, makeRecord({ job_id: 2, head_branch: 'other' }), 'two\n');
    await addHold(deps, order('A', { branch: 'other' }), quiet);
    const named = (jobKey: string | undefined): object[] => [{ key: jobKey, version_id: null, sha256: null }];
    const keyOf = (id: string): string => `v1/custody/dt=2026-11-21/20261121T000000000Z-${id}.json`;
    const [held, released, garbage] = [keyOf('held'), keyOf('released'), keyOf('garbage')];
    const hold = { action: 'hold_added', case: 'torn', objects: named(job.log?.key) };
    await put(store, held, Buffer.from(JSON.stringify(hold)));
    const release = { action: 'hold_removed', case: 'A', objects: named(other.log?.key) };
    await put(store, released, Buffer.from(JSON.stringify(release)));
    await put(store, garbage, Buffer.from('\u0000'));
    const problems: string[] = [];
    const holds = await readHolds(store, (key) => void problems.push(key));
    expect(problems.toSorted()).toEqual([garbage, held, released].toSorted());
    expect([...holds.cases.keys()].toSorted()).toEqual(['A', 'torn']);
    const casesOf = ({ host, run_id, job_id }: JobRecord): readonly string[] =>
      holds.casesOf({ host, runId: run_id, jobId: job_id });
    expect([casesOf(job), casesOf(other)]).toEqual([['torn'], ['A']]);
  });

  test('rules expire what is past them: the closest holds, other names of a repository included', async () => {
    const store = await open();
    const old = { completed_at: '2024-01-01T00:00:00Z' };
    await storeName(store, 7, 'octo-org', 'kept-old-name');
    await storeName(store, 7, 'octo-org', 'kept');
    await storeJob(store, makeRecord({ job_id: 1, repo: 'kept-old-name', repository_id: 7, ...old }), '1');
    await storeJob(store, makeRecord({ job_id: 2, repo: 'kept', repository_id: 7, ...old }), '2');
    await storeJob(store, makeRecord({ job_id: 3, repo: 'other', repository_id: 8, ...old }), '3');
    await storeJob(store, makeRecord({ job_id: 4, owner: 'acme', repo: 'x', ...old }), '4');
    await storeJob(
      store,
      makeRecord({ job_id: 5, repo: 'other', completed_at: '2026-11-01T00:00:00Z' }),
      '5',
    );
    await storeJob(store, makeRecord({ job_id: 6, host: 'ghe.example', repo: 'other', ...old }), '6');
    await storeRecord(store, makeAbsence('unavailable', { job_id: 8, repo: 'other', ...old }));
    await storeRun(store, 'other', 1, '2024-01-01T00:00:00Z');
    await storeRun(store, 'other', 2, '2026-11-01T00:00:00Z');
    await storeRun(store, 'kept', 3, '2024-01-01T00:00:00Z');
    const rule = { host: null, owner: null, repo: null };
    const rules = [
      { ...rule, host: 'github.com', keepMs: 400 * DAY_MS },
      { ...rule, owner: 'ACME', keepMs: 2_000 * DAY_MS },
      { ...rule, owner: 'octo-org', repo: 'Kept', keepMs: null },
    ];
    const dry = await expireBy(store, { rules, dryRun: true });
    expect(dry).toMatchObject({ jobs: 2, runs: 1, objects: 4, held: 0, lockedCount: 0, custody: [] });
    const report = await expireBy(store, { rules });
    expect(report).toMatchObject({ jobs: 2, runs: 1, objects: 4, held: 0, lockedCount: 0 });
    const records = await keysBelow(store, 'v1/records/');
    const left = records.map((key) => Number(/(\d+)\.json$/.exec(key)?.[1])).toSorted((a, b) => a - b);
    expect(left).toEqual([1, 2, 4, 5, 6]);
    expect(await keysBelow(store, 'v1/logs/')).toHaveLength(5);
    expect((await keysBelow(store, 'v1/runs/')).filter((key) => key.includes('/1/1.json'))).toEqual([]);
    expect(await keysBelow(store, 'v1/runs/')).toHaveLength(2);
    const named = await Promise.all(report.custody.map(async (key) => custodyAt(store, key)));
    expect(named.flatMap(({ objects }) => objects)).toHaveLength(4);
    expect(named[0]).toMatchObject({ action: 'expiry', scope: { rules: 'as given' } });
    expect(named.flatMap(({ objects }) => objects.map(({ sha256 }) => sha256))).not.toContain(null);
  });

  test('an expiry leaves what a case holds, with its run, and what dies in between is found again', async () => {
    const store = await open();
    const old = { completed_at: '2024-01-01T00:00:00Z' };
    await storeJob(store, makeRecord({ job_id: 1, run_id: 1, head_branch: 'main', ...old }), '1');
    await storeJob(store, makeRecord({ job_id: 2, run_id: 2, head_branch: 'other', ...old }), '2');
    await storeRun(store, 'Octo-Repo', 1, old.completed_at);
    await addHold(depsOn(store), order('A', { branch: 'main' }), quiet);
    const rules = [{ host: null, owner: null, repo: null, keepMs: 400 * DAY_MS }];
    let removals = 0;
    const dying: ObjectStore = {
      ...store,
      remove: async (...args) => {
        if ((removals += 1) > 1) throw new Error('killed');
        return store.remove(...args);
      },
    };
    await expect(expireBy(dying, { rules })).rejects.toThrow('killed');
    expect(await keysBelow(store, 'v1/records/')).toHaveLength(2);
    expect(await expireBy(store, { rules })).toMatchObject({ jobs: 1, runs: 0, objects: 1, held: 2 });
    expect(await keysBelow(store, 'v1/records/')).toHaveLength(1);
    expect(await keysBelow(store, 'v1/runs/')).toHaveLength(1);
  });

  test('an expiry leaves what a case takes hold of while it is under way', async () => {
    const store = await open();
    const old = { completed_at: '2024-01-01T00:00:00Z' };
    await storeJob(store, makeRecord({ job_id: 1, run_id: 1, head_branch: 'main', ...old }), '1');
    await storeJob(store, makeRecord({ job_id: 2, run_id: 2, head_branch: 'other', ...old }), '2');
    await storeRun(store, 'Octo-Repo', 1, old.completed_at);
    const rules = [{ host: null, owner: null, repo: null, keepMs: 400 * DAY_MS }];
    let isHeld = false;
    const holding: ObjectStore = {
      ...store,
      // Each version is looked up after the holds were read and before anything goes.
      lockOf: async (key, version) => {
        const lock = await store.lockOf(key, version);
        if (!isHeld) {
          isHeld = true;
          await addHold(depsOn(store), order('A', { branch: 'main' }), quiet);
        }
        return lock;
      },
    };
    expect(await expireBy(holding, { rules })).toMatchObject({ jobs: 1, runs: 0, objects: 2, held: 2 });
    const records = await keysBelow(store, 'v1/records/');
    expect(records).toEqual([expect.stringContaining('/1/1/1.json')]);
  });

  test('an expiry by a clock that is not the store’s is refused', async () => {
    const store = await open();
    const expired = expire(
      { ...depsOn(store), store, now: () => new Date(Date.now() + 400 * DAY_MS) },
      { rules: [], filters: {}, host: null, bypassGovernance: false, dryRun: false, scope: {} },
      quiet,
      () => undefined,
    );
    await expect(expired).rejects.toMatchObject({ code: 'clock_differs' });
  });
});

describe.each([
  ['the S3 fake', fake],
  [`the S3 server of this run (${real.kind})`, real],
])('locked objects on %s', (_name, server) => {
  test('COMPLIANCE: nothing goes, whoever asks, and it is told until when', async () => {
    const store = await inBucket(server, { lockMode: 'COMPLIANCE', retentionDays: 3000 });
    const job = await storeJob(store, makeRecord({ job_id: 1, completed_at: '2024-01-01T00:00:00Z' }), '1');
    const holds = await readHolds(store, quiet.onProblem);
    const options = { ...PURGE, bypassGovernance: true };
    const plan = await planPurge(store, { kind: 'id', host: null, id: 1 }, null, holds, options, NOW, quiet);
    expect(plan?.copies).toMatchObject([{ free: [], keepsLog: true }]);
    expect(plan?.copies[0]?.locked).toMatchObject([
      { key: job.log?.key, lock: { mode: 'COMPLIANCE', legalHold: false } },
    ]);
    expect(plan?.copies[0]?.locked[0]?.lock?.retainUntil?.getTime()).toBeGreaterThan(NOW.getTime());
    expect(plan !== null && hasWork(plan)).toBe(false);
    const rules = [{ host: null, owner: null, repo: null, keepMs: 400 * DAY_MS }];
    const report = await expireBy(store, { rules, bypassGovernance: true });
    expect(report).toMatchObject({ jobs: 0, objects: 0, lockedCount: 1, custody: [] });
    expect(report.locked).toHaveLength(2);
  });

  test('GOVERNANCE: nothing goes unless the bypass is asked for', async () => {
    const store = await inBucket(server, { lockMode: 'GOVERNANCE', retentionDays: 3000 });
    await storeJob(store, makeRecord({ job_id: 1 }), '1');
    expect(await purgeJob(store, 1)).toBeNull();
    const result = await purgeJob(store, 1, { bypassGovernance: true, record: true });
    expect(result).toMatchObject({ removed: 2, locked: [] });
    expect(await keysBelow(store, 'v1/records/')).toEqual(result?.erased);
    expect((await custodyAt(store, result?.custody[0])).scope).toMatchObject({ bypass_governance: 'true' });
  });

  test('a legal hold from elsewhere is a lock like any other', async () => {
    const store = await inBucket(server);
    const job = await storeJob(store, makeRecord({ job_id: 1 }), '1');
    await store.setLegalHold(job.log?.key ?? '', null, true);
    expect(await purgeJob(store, 1, { bypassGovernance: true })).toBeNull();
    const kept = await purgeJob(store, 1, { bypassGovernance: true, record: true });
    expect(kept).toMatchObject({ removed: 0, erased: [] });
  });
});

async function expireBy(store: ObjectStore, options: Partial<ExpiryOptions>) {
  const all: ExpiryOptions = {
    rules: [],
    filters: {},
    host: null,
    bypassGovernance: false,
    dryRun: false,
    scope: { rules: 'as given' },
    ...options,
  };
  return expire(depsOn(store), all, quiet, () => undefined);
}

async function storeRun(store: ObjectStore, repo: string, runId: number, updatedAt: string): Promise<void> {
  const run = {
    schema: 'everlog.run/v1',
    host: 'github.com',
    owner: 'octo-org',
    repo,
    repository_id: 1,
    recorded_at: updatedAt,
    run: { updated_at: updatedAt },
  };
  const key = `v1/runs/host=github.com/owner=octo-org/repo=${repo.toLowerCase()}/${runId}/1.json`;
  await put(store, key, Buffer.from(JSON.stringify(run)));
}

async function storeJobRevision(store: ObjectStore, record: JobRecord): Promise<void> {
  await storeJob(store, record, 'the log\n');
}
