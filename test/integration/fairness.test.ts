import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { Redis } from 'ioredis';
import type { ArchiveJob } from '../../src/queue/catalog.ts';
import { openJobQueue, type JobQueue } from '../../src/queue/job-queue.ts';
import type { Pace } from '../../src/queue/shared-state.ts';
import type { QueueStorage } from '../../src/queue/queue-storage.ts';
import { notYourTurn } from '../../workers/budget.ts';
import type { RunningWorkers } from '../../workers/run-workers.ts';
import { each, until } from '../support/everlog-under-test.ts';
import { archiveJob, redisStorage, work, type ArchiveHandler } from '../support/queue-under-test.ts';
import { startRedis, type RedisServer } from '../support/redis-server.ts';

const CONCURRENCY = 10;
const DRAIN_MS = 5_000;
const ANSWERS_WITHIN_MS = 15_000;
const DONE_WITHIN_MS = 45_000;
/** "By seconds, not hours". */
const NEWCOMER_WITHIN_MS = 3_000;

let redis: RedisServer;
let storage: QueueStorage;
let queue: JobQueue;
let workers: RunningWorkers | undefined;
let lastJobId = 0;

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(() => redis.stop());

beforeEach(async () => {
  const connection = new Redis(redis.url);
  await connection.flushall();
  connection.disconnect();
  storage = redisStorage(redis.url);
  queue = openJobQueue(storage);
  const pinged = (): Promise<boolean> =>
    queue.ping().then(
      () => true,
      () => false,
    );
  await until('the queue answers', pinged, ANSWERS_WITHIN_MS);
});

afterEach(async () => {
  await workers?.drain(DRAIN_MS);
  workers = undefined;
  await queue.close();
});

function start(handler: ArchiveHandler): void {
  workers = work(storage, handler, { concurrency: CONCURRENCY });
}

async function add(changes: Partial<ArchiveJob>): Promise<number> {
  lastJobId += 1;
  await queue.add(archiveJob(lastJobId, changes));
  return lastJobId;
}

/** Handles a job in this time, which others use. */
function nap(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

test('20,000 jobs of one repository delay the first of another repository or installation by seconds at most', async () => {
  const numbers = Array.from({ length: 20_000 }, (_, index) => index);
  await each(numbers, 100, () => add({ repository_id: 1, installation_id: 1 }));
  const doneAtMs = new Map<number, number>();
  start(async (data) => {
    await nap(1);
    doneAtMs.set(data.job_id, performance.now());
  });
  await until('work has begun', () => doneAtMs.size > 50, DONE_WITHIN_MS);
  const addedAtMs = performance.now();
  const newcomers = [
    await add({ repository_id: 2, installation_id: 1 }),
    await add({ repository_id: 3, installation_id: 2 }),
  ];
  await until(
    'the newcomers are done',
    () => newcomers.every((id) => doneAtMs.has(id)),
    DONE_WITHIN_MS,
    () => `${doneAtMs.size} others are done`,
  );
  const delaysMs = newcomers.map((id) => (doneAtMs.get(id) ?? Number.POSITIVE_INFINITY) - addedAtMs);
  expect(Math.max(...delaysMs)).toBeLessThan(NEWCOMER_WITHIN_MS);
  // They were not merely fast: the backlog still stands.
  expect(doneAtMs.size).toBeLessThan(10_000);
});

test('within a repository the oldest goes first, also while new ones keep arriving', async () => {
  const flows = [1, 2, 3];
  for (let index = 0; index < 300; index += 1) {
    for (const repository_id of flows) await add({ repository_id });
  }
  const begun: ArchiveJob[] = [];
  start(async (data) => {
    begun.push(data);
    await nap(1);
  });
  for (let index = 0; index < 300; index += 1) {
    for (const repository_id of flows) await add({ repository_id });
  }
  await until('all are done', () => begun.length === 1_800, DONE_WITHIN_MS);
  for (const repository of flows) {
    const ids = begun.filter((job) => job.repository_id === repository).map((job) => job.job_id);
    const ranks = new Map(ids.toSorted((one, other) => one - other).map((id, rank) => [id, rank]));
    const displaced = ids.map((id, place) => Math.abs((ranks.get(id) ?? Number.NaN) - place));
    // Several are begun at once, so a few may pass each other.
    expect(Math.max(...displaced)).toBeLessThan(CONCURRENCY);
  }
  // And in turn: among the first, each repository has its share.
  const shares = flows.map(
    (repository) => begun.slice(0, 300).filter((job) => job.repository_id === repository).length,
  );
  expect(Math.min(...shares)).toBeGreaterThan(80);
});

test('sweep and backfill never delay live work', async () => {
  for (let index = 0; index < 500; index += 1) await add({ repository_id: 1, source: 'backfill' });
  for (let index = 0; index < 500; index += 1) await add({ repository_id: 1, source: 'sweep' });
  const begun: ArchiveJob['source'][] = [];
  let gateMs = 1;
  start(async (data) => {
    begun.push(data.source);
    await nap(gateMs);
  });
  await until('work has begun', () => begun.length > 100, DONE_WITHIN_MS);
  expect(begun.slice(0, 100)).not.toContain('backfill');
  // While live work waits, nothing else is begun but what was taken already.
  gateMs = 20;
  const live = await each(
    Array.from({ length: 200 }, (_, index) => index),
    50,
    () => add({ repository_id: 1 }),
  );
  const from = begun.length;
  await until(
    'the live work is begun',
    () => begun.filter((source) => source === 'webhook').length === live.length,
    DONE_WITHIN_MS,
  );
  const last = begun.lastIndexOf('webhook');
  expect(begun.slice(from, last).filter((source) => source !== 'webhook').length).toBeLessThanOrEqual(
    CONCURRENCY,
  );
  gateMs = 1;
  await until('all are done', () => begun.length === 1_200, DONE_WITHIN_MS);
  expect(begun.indexOf('backfill')).toBeGreaterThan(begun.lastIndexOf('sweep') - CONCURRENCY);
});

const INSTALLATIONS = 20;
const JOBS_EACH = 40;
const LIMITED = 1;
const LIMIT_MS = 2_000;
/** Half of what ten at once can do. */
const ARRIVAL_MS = 2;
const HANDLED_MS = 10;
/** Jobs of a limited installation return this fast: 50 in a second. */
const PACE: Pace = { pointMs: 20, burstPoints: 10 };
const ROUNDS = 5;
/** What timers and a busy machine add to a delay of a few milliseconds, in the median of the rounds. */
const NOISE_MS = 2;

interface Round {
  /** 95th percentile of the delay of the jobs of the others. */
  readonly p95Ms: number;
  /** When the limited installation's jobs were let through, after its pause had ended. */
  readonly returnedMs: readonly number[];
}

/** Jobs of twenty installations arrive in turn; one of them may be out of budget for its whole window. */
async function round(budget: string, limited: boolean): Promise<Round> {
  const addedAtMs = new Map<number, number>();
  const delaysMs: number[] = [];
  const returnedMs: number[] = [];
  const slots = new Map<number, number>();
  const pausedUntilMs = Date.now() + LIMIT_MS;
  if (limited) await storage.state.pause(budget, pausedUntilMs);
  start(async (data) => {
    const mine = data.installation_id === LIMITED;
    if (limited && mine) {
      const slot = slots.get(data.job_id);
      const due = slot !== undefined && slot <= Date.now() + 5;
      const atMs = due ? 0 : await storage.state.reserve(budget, 1, PACE);
      slots.set(data.job_id, due ? 0 : atMs);
      if (atMs > Date.now() + 5) throw notYourTurn(budget, new Date(atMs));
      returnedMs.push(Date.now() - pausedUntilMs);
    }
    await nap(HANDLED_MS);
    if (!mine) delaysMs.push(performance.now() - (addedAtMs.get(data.job_id) ?? 0));
  });
  for (let turn = 0; turn < JOBS_EACH; turn += 1) {
    for (let installation = 1; installation <= INSTALLATIONS; installation += 1) {
      const beganMs = performance.now();
      addedAtMs.set(
        await add({ installation_id: installation, repository_id: installation }),
        performance.now(),
      );
      const restMs = ARRIVAL_MS - (performance.now() - beganMs);
      if (restMs > 0) await nap(restMs);
    }
  }
  await until(
    'all are done',
    () =>
      delaysMs.length === (INSTALLATIONS - 1) * JOBS_EACH && (!limited || returnedMs.length === JOBS_EACH),
    DONE_WITHIN_MS,
  );
  await workers?.drain(DRAIN_MS);
  delaysMs.sort((one, other) => one - other);
  return { p95Ms: delaysMs[Math.floor(delaysMs.length * 0.95)] ?? Number.NaN, returnedMs };
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN;
}

test('one of twenty installations without budget does not delay the others, and its jobs return one after another', async () => {
  const free: number[] = [];
  const limited: number[] = [];
  for (let index = 0; index < ROUNDS; index += 1) {
    // In turn, so that a busy spell of the machine meets both.
    free.push((await round(`free-${index}`, false)).p95Ms);
    const { p95Ms, returnedMs } = await round(`limited-${index}`, true);
    limited.push(p95Ms);
    expect(Math.min(...returnedMs)).toBeGreaterThanOrEqual(-5);
    for (const atMs of returnedMs) {
      const together = returnedMs.filter((other) => other >= atMs && other < atMs + 200).length;
      expect(together).toBeLessThanOrEqual(200 / PACE.pointMs + CONCURRENCY + PACE.burstPoints);
    }
  }
  const figures = JSON.stringify({ free, limited });
  expect(median(limited), `p95 of the others in ms: ${figures}`).toBeLessThanOrEqual(
    median(free) * 1.1 + NOISE_MS,
  );
});
