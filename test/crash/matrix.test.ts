import { randomFillSync } from 'node:crypto';
import { afterAll, describe, expect, test } from 'vitest';
import type { Simulator } from '../../src/simulator/simulator.ts';
import {
  deliverUntilAccepted,
  openCrashSite,
  PREFIX,
  secondsSince,
  tellFigures,
  type CrashSite,
} from '../support/harness/crash-site.ts';
import { startCommandTap } from '../support/harness/command-tap.ts';
import { openEffectGate, type EffectGate } from '../support/harness/effect-gate.ts';
import { endState, expectLogsBehindRecords } from '../support/oracles/end-state.ts';
import {
  archiveQueue,
  each,
  openStage,
  queueAtRest,
  scaled,
  until,
  type Environment,
  type EverlogProcess,
  type Stage,
  holdSchedules,
} from '../support/harness/everlog-under-test.ts';
import { sampleLog } from '../support/github/sample-jobs.ts';

/**
 * The crash matrix (reliability P6): the worker is killed after each effect that a job has on the store and each call that it
 * makes to GitHub, started again, and must leave what an undisturbed run leaves. One process carries all rows of a group: each
 * repository is cut off after another effect, and the process dies when all of them are.
 */
const FREEZE_TIMEOUT_MS = 120_000;
/** A killed worker's jobs run again within 30 s; a sweep that had just begun then waits for its jobs twice. */
const DONE_TIMEOUT_MS = 120_000;
const DELIVERIES_AT_ONCE = 16;
/** How much of a worker's last words a failure quotes. */
const EXPLAINED_CHARS = 4_000;
/** Whole minutes of waiting for schedules and second looks are for a soak. */
const IS_SOAK = scaled(0, 1) === 1;
/** The row that nobody disturbs. */
const UNDISTURBED = Number.POSITIVE_INFINITY;

/** The same for all rows, and not long ago: what is old is looked for less patiently. */
const COMPLETED_AT_MS = Date.now() - 10 * 60_000;
const CREATED_AT = `${new Date(COMPLETED_AT_MS - 5 * 60_000).toISOString().slice(0, 19)}Z`;
/** More than the spool keeps in memory, of bytes that no compression makes fewer. */
const SPOOL_FILE_LOG = randomFillSync(Buffer.allocUnsafe(3 * 1024 * 1024));
const LOG_BYTES_MAX = 4 * 1024 * 1024;
const TOO_LARGE_LOG = Buffer.alloc(LOG_BYTES_MAX + 1, 'x\n');

/** One way that jobs can go, repeated for every effect it has. */
interface Story {
  readonly name: string;
  /** At least as many rows as the story has effects; the test says when they no longer suffice. */
  readonly effectsMax: number;
  readonly jobs: readonly StoryJob[];
  /** Whether its jobs' deliveries arrive, only that of the run's end, or none at all. */
  readonly delivers: 'jobs' | 'run' | 'nothing';
  /** Recorded as `unavailable` before the story begins: the log was late. */
  readonly isRecordedBefore?: true;
  /** Key endings of the last object of a story. */
  readonly lastKeys: (row: Row) => readonly string[];
}

interface StoryJob {
  readonly name: string;
  readonly log: Buffer | null;
  readonly conclusion?: string;
}

interface Row {
  readonly story: Story;
  readonly stopAfter: number;
  readonly name: string;
  readonly repositoryId: number;
  readonly installationId: number;
  readonly accountId: number;
  readonly runId: number;
  readonly jobIds: readonly number[];
}

const recordOf =
  (revision: '' | '.r2') =>
  (row: Row): string[] =>
    row.jobIds.map((id) => `/1/${id}${revision}.json`);

const WITH_LOGS: readonly Story[] = [
  {
    name: 'small',
    effectsMax: 14,
    jobs: [{ name: 'build', log: sampleLog(1_000, 1) }],
    delivers: 'jobs',
    lastKeys: recordOf(''),
  },
  {
    name: 'spool-file',
    effectsMax: 14,
    jobs: [{ name: 'build', log: SPOOL_FILE_LOG }],
    delivers: 'jobs',
    lastKeys: recordOf(''),
  },
  {
    name: 'too-large',
    effectsMax: 13,
    jobs: [{ name: 'build', log: TOO_LARGE_LOG }],
    delivers: 'jobs',
    lastKeys: recordOf(''),
  },
  {
    name: 'revision',
    effectsMax: 13,
    jobs: [{ name: 'build', log: sampleLog(2_000, 2) }],
    delivers: 'jobs',
    isRecordedBefore: true,
    lastKeys: recordOf('.r2'),
  },
  {
    name: 'sweep',
    effectsMax: 40,
    jobs: [
      { name: 'build', log: sampleLog(3_000, 3) },
      { name: 'skipped', log: null, conclusion: 'skipped' },
    ],
    delivers: 'run',
    lastKeys: (row) => [...recordOf('')(row), `/${row.runId}/1.json`],
  },
];

const WITHOUT_LOGS: readonly Story[] = [
  {
    name: 'looks',
    effectsMax: 24,
    jobs: [{ name: 'build', log: null }],
    delivers: 'jobs',
    lastKeys: recordOf(''),
  },
  {
    name: 'never-ran',
    effectsMax: 10,
    jobs: [{ name: 'skipped', log: null, conclusion: 'skipped' }],
    delivers: 'jobs',
    lastKeys: recordOf(''),
  },
];

const UNANNOUNCED: readonly Story[] = [
  {
    name: 'reconciled',
    effectsMax: 32,
    jobs: [{ name: 'build', log: sampleLog(3_000, 4) }],
    delivers: 'nothing',
    lastKeys: (row) => [...recordOf('')(row), `/${row.runId}/1.json`],
  },
];
/** What is asked once for all repositories, with the token of whichever comes first, no single one of them may stop. */
const SHARED_ROUTES = ['versions'];
/** A pass of reconcile lists all repositories. */
const LISTING_ROUTES = [...SHARED_ROUTES, 'token', 'installation_repositories'];

describe.concurrent(
  'killed after any effect, a worker that starts again leaves what an undisturbed one leaves',
  () => {
    const stage = openStage();
    afterAll(() => stage.close());

    async function run(title: string, stories: readonly Story[], env: Environment): Promise<void> {
      const startedMs = performance.now();
      const gate = openEffectGate();
      const site = await openCrashSite(stage, {
        fake: { around: gate.around },
        env: { ...SETTINGS, ...env },
      });
      const isReconciled = stories === UNANNOUNCED;
      if (isReconciled) site.allowReconcile();
      const [serve, worker] = await Promise.all([site.serve(), site.work()]);
      gate.watch(site.simulator.faults, isReconciled ? LISTING_ROUTES : SHARED_ROUTES);
      const rows = stories.flatMap((story) => addRows(site.simulator, story));
      const earlier = rows.filter(({ story }) => story.isRecordedBefore);
      if (earlier.length > 0) {
        for (const { jobIds } of earlier) for (const id of jobIds) site.simulator.world.setLog(id, null);
        await deliver(site, earlier);
        await stored(site, earlier, recordOf(''));
        for (const row of earlier) setLogs(site.simulator, row);
        await queueAtRest(serve, DONE_TIMEOUT_MS);
        await site.forgetQueue();
      }

      for (const row of rows) gate.arm(row, row.stopAfter);
      await deliver(site, rows);
      await until(
        'every row was cut off or has ended',
        () => rows.every((row) => gate.isStopped(row.name) || hasEnded(site, row)),
        FREEZE_TIMEOUT_MS,
        () => waiting(site, gate, rows, worker),
      );
      const cutOff = rows.filter((row) => gate.isStopped(row.name));
      await worker.process.kill('SIGKILL');
      gate.open();
      const second = await site.work();
      const swept = rows.filter(({ story }) => story.delivers === 'run');
      await stored(site, swept, recordOf(''));
      // A sweep that met jobs without a record waits a minute; news of the run's end bring it forward.
      await deliver(site, swept);
      await until(
        'every row has ended',
        () => rows.every((row) => hasEnded(site, row)),
        DONE_TIMEOUT_MS,
        () => waiting(site, gate, rows, second),
      );
      expect((await queueAtRest(serve, DONE_TIMEOUT_MS)).failed).toBe(0);

      for (const story of stories) {
        const undisturbed = rows.find((row) => row.story === story);
        await compareRows(site, gate.effects(undisturbed?.name ?? ''), story, rows);
      }
      await expectLogsBehindRecords(site.fake, site.bucket);
      const cutOffIn = (story: Story): number => cutOff.filter((row) => row.story === story).length;
      tellFigures(title, {
        'kill points': cutOff.length,
        [`of ${stories.map((story) => `${story.name} ${cutOffIn(story)}`).join(', ')}`]: '',
        s: secondsSince(startedMs),
      });
    }

    test('jobs with logs, and a sweep that finds them', () => run('crash matrix, logs', WITH_LOGS, {}));

    test('jobs without logs', () =>
      run('crash matrix, absences', WITHOUT_LOGS, { EVERLOG_MISSING_LOG_RETRIES: '300ms,300ms' }));

    // A first pass comes after up to a minute, and the next must find what the first has queued.
    if (IS_SOAK) {
      test('jobs that nobody told of', () =>
        run('crash matrix, reconcile', UNANNOUNCED, { EVERLOG_RECONCILE_INTERVAL: '20s' }));
    }
  },
);

const LATE_LOG: Story = {
  name: 'late-log',
  // Looks at the wait list of their own come between, more of them on a busy machine.
  effectsMax: 45,
  jobs: [{ name: 'build', log: sampleLog(5_000, 5) }],
  delivers: 'jobs',
  lastKeys: recordOf(''),
};
const SWEPT: Story = {
  name: 'swept',
  effectsMax: 90,
  jobs: [{ name: 'build', log: sampleLog(5_000, 6) }],
  delivers: 'run',
  lastKeys: (row) => [...recordOf('')(row), `/${row.runId}/1.json`],
};
const QUEUE_STORIES = IS_SOAK ? [LATE_LOG, SWEPT] : [LATE_LOG];

describe.concurrent('killed after any change to its queue', () => {
  const stage = openStage();
  afterAll(() => stage.close());

  for (const story of QUEUE_STORIES) {
    test(`a service that starts again leaves what an undisturbed one leaves: ${story.name}`, async () => {
      const startedMs = performance.now();
      const site = await openCrashSite(stage, {
        redis: { extraArgs: ['--databases', String(story.effectsMax + 1)] },
        env: { ...SETTINGS, EVERLOG_MISSING_LOG_RETRIES: '1500ms,1500ms' },
      });
      // A pass over the repositories of all rows would change the queue of each a hundred times.
      holdSchedules(site.simulator);
      const rows = addRows(site.simulator, story).filter((_, at) => at % EACH_QUEUE_ROW === 0);
      const counts = await each([...rows.entries()], SERVICES_AT_ONCE, ([database, row]) =>
        runCutOff(site, stage, row, database),
      );
      await compareRows(site, counts[0] ?? [], story, rows);
      await expectLogsBehindRecords(site.fake, site.bucket);
      const killed = counts.filter((commands, index) => commands.length === rows[index]?.stopAfter).length;
      tellFigures(`crash matrix, queue, ${story.name}`, {
        'kill points': killed,
        s: secondsSince(startedMs),
      });
    });
  }
});

const SERVICES_AT_ONCE = 12;
/** The first is the one that nobody disturbs. Two processes for each change to a queue are what a soak has time for. */
const EACH_QUEUE_ROW = scaled(3, 1);
/** What is done to the queue's jobs, to budgets and counts; not the look for stalled jobs and what
 * schedules do, which keep their own time. */
const ARCHIVE_KEYS = /^(everlog:(archive|pending):(?!stalled)|everlog:shared:(?!spent:[^/]+\/app$))|^$/;
const UPKEEP_KEYS = /^everlog:upkeep:(?!stalled|repeat)/;

/** One service on a database of its own, killed after a command and started again; answers the commands counted. */
async function runCutOff(
  site: CrashSite,
  stage: Stage,
  row: Row,
  database: number,
): Promise<readonly string[]> {
  const { simulator, redis } = site;
  const isLate = row.story === LATE_LOG;
  const tap = await startCommandTap(
    redis.port,
    (key) => ARCHIVE_KEYS.test(key) || (!isLate && UPKEEP_KEYS.test(key)),
  );
  const up = (port: number): Promise<EverlogProcess> =>
    stage.everlog(['up'], { ...site.env, EVERLOG_QUEUE_URL: `redis://127.0.0.1:${port}/${database}` });
  let service = await up(tap.port);
  const [jobId = 0] = row.jobIds;
  if (isLate) simulator.world.setLog(jobId, null);
  const restarts: Promise<void>[] = [];
  const restart = async (): Promise<void> => {
    await service.process.kill('SIGKILL');
    service = await up(redis.port);
  };
  void tap.cutAfter(row.stopAfter).then(() => restarts.push(restart()));
  await deliverUntilAccepted(() => {
    const url = `${service.webhooksUrl}/simulated`;
    return isLate
      ? simulator.deliveries.completeJob(jobId, { url })
      : simulator.deliveries.run(row.runId, 'completed', { url });
  });
  await until(
    `${row.name} has ended`,
    () => {
      const isMissed = simulator.requests.entries.some(
        (entry) => entry.jobId === jobId && entry.route === 'blob',
      );
      if (isLate && isMissed) setLogs(simulator, row);
      return hasEnded(site, row);
    },
    DONE_TIMEOUT_MS,
    () => `after ${tap.counted.join(', ')}\n${service.process.stderr().slice(-2_000)}`,
  );
  const gauges = await until(
    `${row.name} is at rest`,
    // The service that is asked may be the one that is killed a moment later.
    async () => {
      const found = await archiveQueue(service);
      return found !== null && found.waiting + found.active + found.delayed === 0 ? found : null;
    },
    DONE_TIMEOUT_MS,
  );
  expect(gauges.failed).toBe(0);
  await Promise.all(restarts);
  await service.process.kill('SIGKILL');
  await tap.close();
  return [...tap.counted];
}

const SETTINGS = {
  EVERLOG_MISSING_LOG_RETRIES: '100ms',
  EVERLOG_CONCURRENCY: '400',
  // A row that is cut off holds what it reserved.
  EVERLOG_SPOOL_MAX_BYTES: '64GiB',
  EVERLOG_JOB_LOG_MAX_BYTES: String(LOG_BYTES_MAX),
};

/** A repository and an installation for each row, the same in all but ids. */
function addRows(simulator: Simulator, story: Story): Row[] {
  const { world } = simulator;
  const stops = [UNDISTURBED, ...Array.from({ length: story.effectsMax }, (_, index) => index + 1)];
  return stops.map((stopAfter) => {
    const name = `${story.name}-${stopAfter === UNDISTURBED ? 'undisturbed' : stopAfter}`;
    const installation = world.addInstallation({ id: nextId(), login: `of-${name}` });
    const { id: installationId, account } = installation;
    account.id = nextId();
    const repository = world.addRepository({ id: nextId(), name, installationId });
    const { id: repositoryId } = repository;
    repository.createdAt = CREATED_AT;
    const run = world.addRun({
      id: nextId(),
      repositoryId,
      run_number: 1,
      head_sha: 'f83a356604ae3c5d03e1b46ef4d1ca77d64a90b0',
      created_at: CREATED_AT,
    });
    const { id: runId } = world.run(run);
    const jobIds = story.jobs.map(({ name: jobName, conclusion = 'success' }) => {
      const id = nextId();
      const runner = { id: 7, name: 'runner-7' };
      const completedAtMs = COMPLETED_AT_MS;
      world.addJob({ id, runId, name: jobName, conclusion, completedAtMs, runner });
      return id;
    });
    const row = {
      story,
      stopAfter,
      name,
      repositoryId,
      installationId,
      accountId: account.id,
      runId,
      jobIds,
    };
    setLogs(simulator, row);
    return row;
  });
}

let lastId = 771_000_000;

/** Ids that no number of a record is like. */
function nextId(): number {
  lastId += 1;
  return lastId;
}

function setLogs({ world }: Simulator, { story, jobIds }: Row): void {
  for (const [index, id] of jobIds.entries()) world.setLog(id, story.jobs[index]?.log ?? null);
}

async function deliver({ simulator }: CrashSite, rows: readonly Row[]): Promise<void> {
  await each(rows, DELIVERIES_AT_ONCE, async ({ story, runId, jobIds }) => {
    if (story.delivers === 'nothing') return;
    if (story.delivers === 'run')
      await deliverUntilAccepted(() => simulator.deliveries.run(runId, 'completed'));
    else for (const id of jobIds) await deliverUntilAccepted(() => simulator.deliveries.completeJob(id));
  });
}

async function stored(
  site: CrashSite,
  rows: readonly Row[],
  keys: (row: Row) => readonly string[],
): Promise<void> {
  await until(
    'the rows were recorded',
    () => rows.every((row) => hasKeys(site, row, keys(row))),
    DONE_TIMEOUT_MS,
  );
}

function hasEnded(site: CrashSite, row: Row): boolean {
  return hasKeys(site, row, row.story.lastKeys(row));
}

function hasKeys({ fake, bucket }: CrashSite, row: Row, endings: readonly string[]): boolean {
  const keys = fake
    .objects(bucket)
    .map(({ key }) => key)
    .filter((key) => key.includes(`/repo=${row.name}/`));
  return endings.every((ending) => keys.some((key) => key.endsWith(ending)));
}

function waiting(
  site: CrashSite,
  gate: EffectGate,
  rows: readonly Row[],
  { process: worker }: EverlogProcess,
): string {
  const open = rows.filter((row) => !gate.isStopped(row.name) && !hasEnded(site, row));
  const told = open.map((row) => `${row.name}: ${gate.effects(row.name).join(', ')}`);
  const output = worker.stderr().slice(-EXPLAINED_CHARS);
  return [...told, worker.running ? 'the worker runs' : 'the worker has ended', output].join('\n');
}

async function compareRows(
  site: CrashSite,
  effects: readonly string[],
  story: Story,
  rows: readonly Row[],
): Promise<void> {
  const own = rows.filter((row) => row.story === story);
  const [undisturbed, ...disturbed] = own;
  if (undisturbed === undefined) throw new Error(`story ${story.name} has no rows`);
  const toLastWrite = effects.slice(0, effects.findLastIndex((effect) => !/^(GET|github)/.test(effect)) + 1);
  expect(toLastWrite.length, `effects of ${story.name}:\n${toLastWrite.join('\n')}`).toBeLessThanOrEqual(
    story.effectsMax,
  );
  const expected = await stateOf(site, undisturbed);
  for (const row of disturbed) {
    const told = `${row.name}: killed after effect ${row.stopAfter}, like ${effects[row.stopAfter - 1] ?? 'none'}`;
    expect({ told, state: await stateOf(site, row) }).toEqual({ told, state: expected });
  }
}

function stateOf({ fake, bucket }: CrashSite, row: Row): Promise<readonly unknown[]> {
  const own = new Map([
    [`of-${row.name}`, 'OWNER'],
    [row.name, 'REPO'],
    [String(row.installationId), 'INSTALLATION'],
    [String(row.accountId), 'ACCOUNT'],
    [String(row.repositoryId + 1), 'WORKFLOW'],
    [String(row.runId), 'RUN'],
    [String(row.repositoryId), 'REPOSITORY'],
    [String(row.runId + 7_000_000), 'SUITE'],
    ...row.jobIds.map((id, index): [string, string] => [String(id), `JOB${index}`]),
  ]);
  const isOwn = (key: string): boolean =>
    key.startsWith(`${PREFIX}/v1/`) &&
    (key.includes(`/repo=${row.name}/`) || key.includes(`/id=${row.repositoryId}/`));
  return endState(fake, bucket, isOwn, own);
}
