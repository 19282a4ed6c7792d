import { expect, test } from 'vitest';
import { openKnownNames } from '../../../src/archive/known-names.ts';
import { readRecord } from '../../../src/archive/find/find-records.ts';
import { parseKey, recordKey } from '../../../src/archive/keys.ts';
import { EverlogError, giveUp } from '../../../src/errors.ts';
import type { GitHubApi } from '../../../src/github/api.ts';
import type { NewJob, SweepRun } from '../../../src/queue/catalog.ts';
import { openLocalRateLimiter } from '../../../src/queue/rate-limiter.ts';
import { openSpool } from '../../../src/spool/spool-space.ts';
import { archiveJob } from '../../../workers/handlers/archive-job.ts';
import { sweepRun } from '../../../workers/handlers/sweep-run.ts';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import { bytesBody } from '../../../src/store/put-body.ts';
import {
  makeAbsence,
  makeArchive,
  makeRecord,
  storeJob,
  storeRecord,
} from '../../support/oracles/archived-jobs.ts';

/** What a sweep says is deleted, and which absences its listing opens again. */

const RUN = 29_679_449;
const JOB = 399_444_496;
const NEIGHBOUR = 77;
const HOUR_MS = 3_600_000;
const WAITS_MS = [10_000, 60_000];

type Answer = readonly [status: number, body?: unknown];
/** What GitHub answers, by the end of the path. */
type Answers = Record<string, Answer>;

const RUNS = 'actions/runs?per_page=3&exclude_pull_requests=true';
/** The run is gone and all else of its repository is there. */
const DELETED: Answers = {
  'repos/octo-org/Octo-Repo': [200, {}],
  [RUNS]: [200, { workflow_runs: [{ id: NEIGHBOUR }] }],
  [`actions/runs/${NEIGHBOUR}`]: [200, {}],
};

interface Scene {
  readonly store: ObjectStore;
  readonly answers: Answers;
  readonly queued: NewJob[];
  /** One look; answers when the next is, in milliseconds from now, or null where there is none. */
  look(): Promise<number | null>;
  /** Works off what was queued of a job. */
  archive(): Promise<void>;
  runObjects(): Promise<readonly unknown[]>;
}

async function openScene(answers: Answers): Promise<Scene> {
  const store = await makeArchive();
  let nowMs = Date.parse('2020-01-20T18:00:00Z');
  const now = (): Date => new Date(nowMs);
  const api: GitHubApi = {
    host: {
      name: 'github.com',
      host: 'github.com',
      product: 'github.com',
      apiUrl: 'https://api.github.com',
      logHosts: [],
      privateCidrs: [],
      maxConcurrency: 1,
    },
    rateState: () => Promise.resolve(null),
    get(path) {
      const [, [status, body] = [404, { message: 'Not Found' }]] =
        Object.entries(answers).find(([end]) => path.endsWith(end)) ?? [];
      return Promise.resolve({ status, headers: {}, bytes: Buffer.from(JSON.stringify(body ?? {})), path });
    },
  };
  const answer = {
    apiStatus: 302,
    logHost: 'logs.example.com',
    httpStatus: 200,
    etag: null,
    contentMd5: null,
    requestId: null,
    possiblyTruncated: false,
    requestedAt: now(),
    body: (async function* () {
      yield await Promise.resolve(Buffer.from('it ran all the same\n'));
    })(),
  };
  const queued: NewJob[] = [];
  const deps = {
    store,
    names: openKnownNames(store, now),
    hosts: new Map([
      ['github.com', { api, lookUpLog: () => Promise.resolve({ kind: 'found' as const, answer }) }],
    ]),
    rateLimiter: openLocalRateLimiter(now),
    now,
    random: () => 0,
    enqueue: (job: NewJob) => {
      queued.push(job);
      return Promise.resolve('queued' as const);
    },
    version: '0.0.0',
    addPending: () => Promise.resolve(),
    missRules: { waitsMs: WAITS_MS, retentionMs: 90 * 24 * HOUR_MS },
    spool: openSpool(64 * 1024 * 1024),
    spoolLimits: { folder: '/tmp', logBytesMax: 1_000, storedBytesMax: 1_000, temporaryName: () => 'x' },
    jobDetails: 'always' as const,
    wasAskedFor: () => Promise.resolve(false),
    onRecorded: () => undefined,
  };
  let data: SweepRun = {
    host: 'github.com',
    owner: 'octo-org',
    repo: 'Octo-Repo',
    repository_id: 1_296_269,
    installation_id: 1,
    run_id: RUN,
    run_attempt: 1,
    rounds: 0,
    requested_at: now().toISOString(),
  };
  return {
    store,
    answers,
    queued,
    async look() {
      const context = {
        id: 'sweep',
        attempts: 1,
        update: (next: SweepRun) => {
          data = next;
          return Promise.resolve();
        },
      };
      try {
        await sweepRun(deps, data, context);
        return null;
      } catch (error) {
        if (!(error instanceof EverlogError) || error.remedy.kind !== 'wait') throw error;
        const waitMs = error.remedy.until.getTime() - nowMs;
        nowMs += waitMs;
        return waitMs;
      }
    },
    async archive() {
      for (const job of queued.splice(0)) {
        if (job.name !== 'archive-job') throw new Error(`${job.name} was queued`);
        await archiveJob(deps, job.data, { id: 'job', attempts: 1, update: () => Promise.resolve() });
      }
    },
    async runObjects() {
      const objects: unknown[] = [];
      for await (const { key } of store.list('v1/runs/')) {
        const chunks: Buffer[] = [];
        for await (const chunk of (await store.read(key))?.body ?? []) chunks.push(Buffer.from(chunk));
        objects.push(JSON.parse(Buffer.concat(chunks).toString()));
      }
      return objects;
    },
  };
}

test('a run that is gone is deleted only after all its waits, and with its neighbours as witnesses', async () => {
  const scene = await openScene({ ...DELETED });
  expect([await scene.look(), await scene.look()]).toEqual(WAITS_MS);
  expect(await scene.runObjects()).toEqual([]);
  expect(await scene.look()).toBeNull();
  expect(await scene.runObjects()).toEqual([
    expect.objectContaining({ run_id: RUN, outcome: 'deleted', complete: false }),
  ]);
});

test.each([
  ['its neighbours are as gone as it is', { [`actions/runs/${NEIGHBOUR}`]: [404] }],
  ['the list of runs does not answer', { [RUNS]: [404] }],
  ['the list of runs still has it', { [RUNS]: [200, { workflow_runs: [{ id: RUN }] }] }],
  ['the list of runs is no such list', { [RUNS]: [200, { message: 'ok' }] }],
  ['the run itself answers, and only its attempt does not', { [`actions/runs/${RUN}`]: [200, {}] }],
] satisfies readonly (readonly [string, Answers])[])(
  'nothing is deleted while %s',
  async (_name, changed) => {
    const scene = await openScene({ ...DELETED, ...changed });
    for (let looks = 0; looks < 8; looks += 1) expect(await scene.look()).toBeGreaterThan(0);
    expect(await scene.runObjects()).toEqual([]);
  },
);

test('a repository that cannot be seen says nothing of its runs', async () => {
  const scene = await openScene({ ...DELETED, 'repos/octo-org/Octo-Repo': [404] });
  for (let looks = 0; looks < 5; looks += 1) expect(await scene.look()).toBeGreaterThan(0);
  await expect(scene.look()).rejects.toThrow('gives no access');
  expect(await scene.runObjects()).toEqual([]);
});

test('a run that was found in between has all of its waits before it once more', async () => {
  const scene = await openScene({ ...DELETED });
  expect([await scene.look(), await scene.look()]).toEqual(WAITS_MS);
  const attempt = `actions/runs/${RUN}/attempts/1`;
  scene.answers[attempt] = [200, { id: RUN, status: 'in_progress' }];
  scene.answers[`${attempt}/jobs?per_page=100`] = [200, { total_count: 0, jobs: [] }];
  expect(await scene.look()).toBeGreaterThan(HOUR_MS);
  delete scene.answers[attempt];
  expect([await scene.look(), await scene.look()]).toEqual(WAITS_MS);
  expect(await scene.runObjects()).toEqual([]);
  expect(await scene.look()).toBeNull();
});

const LISTED_AS_RUN = {
  id: JOB,
  run_id: RUN,
  run_attempt: 1,
  status: 'completed',
  conclusion: 'cancelled',
  runner_id: 5,
  steps: [{ name: 'Set up job', number: 1 }],
};

function listed(job: object): Answers {
  const attempt = `actions/runs/${RUN}/attempts/1`;
  return {
    [attempt]: [200, { id: RUN, status: 'completed' }],
    [`${attempt}/jobs?per_page=100`]: [200, { total_count: 1, jobs: [job] }],
    // The job itself goes on being shown as one that never ran.
    [`actions/jobs/${JOB}`]: [200, { ...LISTED_AS_RUN, runner_id: 0, steps: [] }],
  };
}

async function newestOf(store: ObjectStore): Promise<Record<string, unknown> | null> {
  let newest: { key: string; revision: number; bytes: number } | null = null;
  for await (const { key, bytes } of store.list('v1/records/')) {
    const parsed = parseKey(key);
    if (parsed?.type !== 'record' || parsed.revision < (newest?.revision ?? 0)) continue;
    newest = { key, revision: parsed.revision, bytes };
  }
  const parsed = newest === null ? null : parseKey(newest.key);
  if (newest === null || parsed?.type !== 'record') return null;
  const read = await readRecord(store, { ...newest, address: parsed.address });
  return read.ok ? { ...read.stored.record } : null;
}

test.each(
  ['not_produced', 'not_a_job'].flatMap((outcome) =>
    ['webhook', 'api', 'list'].map((details) => [outcome, details] as const),
  ),
)(
  '%s by the word of %s is opened again by a listing that shows that the job ran',
  async (outcome, details) => {
    const scene = await openScene(listed(LISTED_AS_RUN));
    await storeRecord(scene.store, makeAbsence(outcome, { details_source: details }));
    expect(await scene.look()).toBeGreaterThan(0);
    expect(scene.queued).toHaveLength(1);
    await scene.archive();
    expect(await newestOf(scene.store)).toMatchObject({
      outcome: 'archived',
      revision: 2,
      details_source: 'list',
    });
    expect(await scene.look()).toBeNull();
    expect(await scene.runObjects()).toEqual([expect.objectContaining({ archived: [JOB], absent: [] })]);
  },
);

test.each([
  ['expired', 'api'],
  ['too_large', 'api'],
  ['carried_over', 'api'],
  ['erased', 'api'],
  // A listing would bring back the names that were erased.
  ['erased', 'webhook'],
])('%s by the word of %s stays, whatever a listing shows', async (outcome, details) => {
  const scene = await openScene(listed(LISTED_AS_RUN));
  await storeRecord(scene.store, makeAbsence(outcome, { details_source: details }));
  expect(await scene.look()).toBeNull();
  expect(scene.queued).toEqual([]);
  expect(await newestOf(scene.store)).toMatchObject({ outcome, revision: 1 });
});

test('a listing confirms what a delivery said, and corrects it by the next revision', async () => {
  const scene = await openScene(listed({ ...LISTED_AS_RUN, name: 'as listed' }));
  const said = { job_id: JOB, run_id: RUN, details_source: 'webhook', job_name: 'as delivered' };
  const { log } = await storeJob(scene.store, makeRecord(said), 'its log\n');
  expect(await scene.look()).toBeNull();
  expect(await newestOf(scene.store)).toMatchObject({
    outcome: 'archived',
    revision: 2,
    supersedes: expect.stringMatching(/\/399444496\.json$/),
    details_source: 'list',
    job_name: 'as listed',
    log,
  });
});

test.each(['gone since it was listed', 'refused'])(
  'while the store does not give a record (%s), nothing is decided of its job',
  async (how) => {
    const scene = await openScene(listed(LISTED_AS_RUN));
    await storeRecord(scene.store, makeAbsence('erased', {}));
    const read = scene.store.read.bind(scene.store);
    scene.store.read = (key, versionId) => {
      if (!key.startsWith('v1/records/')) return read(key, versionId);
      return how === 'refused' ? Promise.reject(giveUp('store_refused', 'no')) : Promise.resolve(null);
    };
    await expect(scene.look()).rejects.toThrow(how === 'refused' ? 'no' : 'gone since it was listed');
    expect(scene.queued).toEqual([]);
  },
);

async function openUnreadable(revisions: number): Promise<Scene> {
  const scene = await openScene(listed(LISTED_AS_RUN));
  const { owner, repo } = makeRecord();
  const address = {
    host: 'github.com',
    owner,
    repo: repo.toLowerCase(),
    runId: RUN,
    runAttempt: 1,
    jobId: JOB,
  };
  for (let revision = 1; revision <= revisions; revision += 1) {
    const options = { contentType: 'application/json', kind: 'record' } as const;
    await scene.store.putIfAbsent(recordKey(address, revision), bytesBody(Buffer.from('{')), options);
  }
  expect(await scene.look()).toBeGreaterThan(0);
  expect(scene.queued).toHaveLength(1);
  return scene;
}

test('a job whose only record cannot be read is brought to its next revision', async () => {
  const scene = await openUnreadable(1);
  await scene.archive();
  expect(await newestOf(scene.store)).toMatchObject({ outcome: 'archived', revision: 2 });
});

test('a job of whose revisions none can be read is not fetched again: one may have said that it was erased', async () => {
  const scene = await openUnreadable(2);
  await expect(scene.archive()).rejects.toThrow('no revision of the record');
});
