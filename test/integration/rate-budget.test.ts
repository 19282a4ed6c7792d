import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { FaultEffect } from '../../src/simulator/faults.ts';
import type { RequestEntry } from '../../src/simulator/request-log.ts';
import type { Simulator, SimulatorOptions } from '../../src/simulator/simulator.ts';
import { expectArchived, folderArchive, type ArchiveUnderTest } from '../support/oracles/archive-oracle.ts';
import {
  archiveQueue,
  each,
  githubSettings,
  openStage,
  queueAtRest,
  until,
  type EverlogProcess,
} from '../support/harness/everlog-under-test.ts';
import { startRedis, type RedisServer } from '../support/servers/redis-server.ts';

/** One receiver and two workers with two slots each: what one worker is told, the other must know. */

const LIMITED = 1;
const FREE = 2;
const FURTHER = [3, 4];
const DONE_TIMEOUT_MS = 30_000;
const PAUSE_S = 4;
/** What the other worker had already sent may still arrive after the answer that asks for the pause. */
const UNDER_WAY_MS = 300;
/** Resuming is spread over two seconds, so that what waited does not start in the same instant. */
const RESUMED_WITHIN_MS = 5_000;

const stage = openStage();
const servers = openStage();
let redis: RedisServer;
let databases = 0;

beforeAll(async () => {
  redis = await startRedis();
  servers.defer(() => redis.stop());
});

afterEach(() => stage.close());
afterAll(() => servers.close());

interface Service {
  readonly simulator: Simulator;
  readonly serve: EverlogProcess;
  readonly archive: ArchiveUnderTest;
  add(installationId: number, count: number): number[];
  send(jobs: readonly number[]): Promise<void>;
}

async function start(
  options: SimulatorOptions = {},
  env: Record<string, string> = {},
  workers = 2,
): Promise<Service> {
  const simulator = await stage.simulator({ rateLimit: { limit: 1_000, windowMs: 3_600_000 }, ...options });
  const { world } = simulator;
  const repositories = new Map(
    [LIMITED, FREE, ...FURTHER].map((id) => [
      id,
      world.addRepository({
        name: 'app',
        installationId: world.addInstallation({ id, login: `org-${id}` }).id,
      }),
    ]),
  );
  const folder = stage.folder();
  const all = {
    ...githubSettings(simulator),
    EVERLOG_QUEUE_URL: `${redis.url}/${databases++}`,
    EVERLOG_ARCHIVE_URL: folder,
    EVERLOG_CONCURRENCY: '2',
    ...env,
  };
  const [serve] = await Promise.all([
    stage.everlog(['serve'], all),
    ...Array.from({ length: workers }, () => stage.everlog(['work'], all)),
  ]);
  simulator.deliveries.url = serve.webhooksUrl;
  return {
    simulator,
    serve,
    archive: folderArchive(folder),
    add: (installationId, count) =>
      Array.from({ length: count }, (_, index) => {
        const repositoryId = repositories.get(installationId)?.id ?? 0;
        const { id: runId } = world.run(world.addRun({ repositoryId }));
        return world.addJob({ runId, log: `${index}\n` }).facts.id;
      }),
    async send(jobs) {
      await each(jobs, 10, (id) => simulator.deliveries.completeJob(id));
    },
  };
}

/** The calls for an installation's jobs, tokens included. */
function callsFor({ simulator }: Service, installationId: number): RequestEntry[] {
  return simulator.requests.entries.filter(({ origin, path }) => {
    if (origin !== 'api') return false;
    return (
      path.startsWith(`/repos/org-${installationId}/`) || path.includes(`/installations/${installationId}/`)
    );
  });
}

function secondsFromNow(seconds: number): string {
  return String(Math.ceil(Date.now() / 1000) + seconds);
}

const LIMITS: readonly { readonly effect: () => FaultEffect }[] = [
  {
    effect: () => ({ kind: 'status', status: 403, headers: { 'retry-after': String(PAUSE_S) } }),
  },
  {
    effect: () => ({ kind: 'status', status: 429, headers: { 'retry-after': String(PAUSE_S) } }),
  },
  {
    effect: () => ({
      kind: 'status',
      status: 403,
      headers: {
        'x-ratelimit-limit': '1000',
        'x-ratelimit-remaining': '0',
        'x-ratelimit-reset': secondsFromNow(PAUSE_S),
      },
    }),
  },
];

describe('an installation that GitHub limits', () => {
  test('in any way is left alone by all workers, and nobody else waits', async () => {
    const service = await start();
    const { simulator, serve, archive } = service;
    const limited = LIMITS.map(({ effect }, index) => {
      const id = [LIMITED, ...FURTHER][index] ?? 0;
      const match = { route: 'job', installationId: id };
      const fault = simulator.faults.add({ match, times: 1, effect: effect() });
      return { id, fault, jobs: service.add(id, 8) };
    });
    await service.send(limited.flatMap(({ jobs }) => jobs));
    await until(
      'all are told to pause',
      () => limited.every(({ fault }) => fault.hits === 1),
      DONE_TIMEOUT_MS,
    );
    const paused = limited.map((one) => {
      const asked = callsFor(service, one.id).find(({ status }) => status >= 400);
      return { ...one, askedAtMs: asked?.atMs ?? Number.NaN };
    });
    // Those that came before a pause may be through; the others take no slot.
    await until(
      'the others are put off',
      async () => {
        const gauges = await archiveQueue(serve);
        return gauges !== null && gauges.waiting + gauges.active === 0 && gauges.delayed > LIMITS.length;
      },
      PAUSE_S * 1_000,
    );
    const free = service.add(FREE, 20);
    await service.send(free);
    for (const id of free) {
      await until(
        'the free installation’s jobs are archived',
        () => expectArchived(archive, simulator, id).catch(() => null),
        DONE_TIMEOUT_MS,
      );
    }
    expect(Date.now()).toBeLessThan(Math.max(...paused.map(({ askedAtMs }) => askedAtMs)) + PAUSE_S * 1_000);

    expect(await queueAtRest(serve, DONE_TIMEOUT_MS)).toMatchObject({ failed: 0 });
    for (const { id, askedAtMs, jobs } of paused) {
      for (const job of jobs) await expectArchived(archive, simulator, job);
      const after = callsFor(service, id)
        .map(({ atMs }) => atMs - askedAtMs)
        .filter((ms) => ms > UNDER_WAY_MS);
      const resumedMs = Math.min(...after);
      // A reset is told in whole seconds.
      expect(resumedMs).toBeGreaterThanOrEqual((PAUSE_S - 1) * 1_000);
      expect(resumedMs).toBeLessThan(PAUSE_S * 1_000 + RESUMED_WITHIN_MS);
    }
  });

  test('by the words of a secondary limit alone is left alone for a minute', async () => {
    const service = await start();
    const { simulator, serve } = service;
    const fault = simulator.faults.add({
      match: { route: 'logs', installationId: LIMITED },
      times: 1,
      effect: {
        kind: 'status',
        status: 403,
        body: '{"message":"You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}',
      },
    });
    await service.send(service.add(LIMITED, 8));
    await until('GitHub has asked for a pause', () => fault.hits === 1, DONE_TIMEOUT_MS);
    const parked = await until(
      'the others are put off',
      async () => {
        const gauges = await archiveQueue(serve);
        return gauges !== null && gauges.waiting + gauges.active === 0 && gauges.delayed > 0 ? gauges : null;
      },
      DONE_TIMEOUT_MS,
    );
    const calls = callsFor(service, LIMITED).length;
    await service.send(service.add(FREE, 10));
    await until(
      'the free installation’s jobs are done',
      async () => {
        const gauges = await archiveQueue(serve);
        return gauges !== null && gauges.waiting + gauges.active === 0;
      },
      DONE_TIMEOUT_MS,
    );
    await service.send(service.add(LIMITED, 3));
    await until(
      'what comes meanwhile is put off too',
      async () => (await archiveQueue(serve))?.delayed === parked.delayed + 3,
      DONE_TIMEOUT_MS,
    );
    expect(callsFor(service, LIMITED)).toHaveLength(calls);
    expect(callsFor(service, FREE).length).toBeGreaterThan(0);
  });

  test('by an hour that is spent makes no call that is sure to be refused', async () => {
    const windowMs = 4_000;
    const service = await start({ rateLimit: { limit: 10, windowMs } }, {}, 1);
    const jobs = service.add(LIMITED, 9);
    await service.send(jobs);
    expect(await queueAtRest(service.serve, DONE_TIMEOUT_MS)).toMatchObject({ failed: 0 });
    for (const id of jobs) await expectArchived(service.archive, service.simulator, id);
    // Two slots: each may have been under way when the last call of a window was spent.
    const refused = callsFor(service, LIMITED).filter(({ status }) => status === 403);
    expect(refused.length).toBeLessThanOrEqual(4);
  });
});

describe('a token for every call', () => {
  test('is one budget, whoever owns the repository', async () => {
    const token = 'github_pat_0123456789abcdef';
    const service = await start(
      { acceptToken: token },
      { EVERLOG_GITHUB_APP_ID: '', EVERLOG_GITHUB_PRIVATE_KEY: '', EVERLOG_GITHUB_TOKEN: token },
      1,
    );
    const { simulator, serve } = service;
    const fault = simulator.faults.add({
      match: { route: 'job' },
      times: 1,
      effect: { kind: 'status', status: 403, headers: { 'retry-after': String(PAUSE_S) } },
    });
    await service.send(service.add(LIMITED, 1));
    await until('GitHub has asked for a pause', () => fault.hits === 1, DONE_TIMEOUT_MS);
    const askedAtMs = Date.now();
    await until(
      'the job is put off',
      async () => (await archiveQueue(serve))?.delayed === 1,
      DONE_TIMEOUT_MS,
    );
    await service.send(service.add(FREE, 3));
    expect(await queueAtRest(serve, DONE_TIMEOUT_MS)).toMatchObject({ failed: 0 });
    const first = callsFor(service, FREE)[0]?.atMs ?? Number.NaN;
    expect(first - askedAtMs).toBeGreaterThanOrEqual((PAUSE_S - 1) * 1_000);
  });
});

describe('below half the budget', () => {
  test.each([
    { mode: 'auto', source: 'webhook', hash: null, asked: 1 },
    { mode: 'always', source: 'api', hash: expect.stringMatching(/^[0-9a-f]{64}$/), asked: 6 },
  ])('EVERLOG_JOB_DETAILS=$mode takes details from $source', async ({ mode, source, hash, asked }) => {
    const service = await start({}, { EVERLOG_JOB_DETAILS: mode }, 1);
    const { simulator, serve, archive } = service;
    simulator.rateLimits.setRemaining(LIMITED, 499);
    const [first = 0, ...others] = service.add(LIMITED, 6);
    await service.send([first]);
    await queueAtRest(serve, DONE_TIMEOUT_MS);
    // Nothing was known of the budget before the first answer.
    expect(await expectArchived(archive, simulator, first)).toMatchObject({ details_source: 'api' });
    await service.send(others);
    expect(await queueAtRest(serve, DONE_TIMEOUT_MS)).toMatchObject({ failed: 0 });
    for (const id of others) {
      const record = await expectArchived(archive, simulator, id);
      expect(record).toMatchObject({ details_source: source, job_sha256: hash });
    }
    expect(simulator.requests.count('job')).toBe(asked);
  });
});
