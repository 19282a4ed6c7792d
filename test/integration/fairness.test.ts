import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { Redis } from 'ioredis';
import type { ArchiveJob } from '../../src/queue/catalog.ts';
import { openJobQueue, type JobQueue } from '../../src/queue/job-queue.ts';
import type { Pace } from '../../src/queue/rate-limiter.ts';
import type { QueueStorage } from '../../src/queue/queue-storage.ts';
import { budgetSpent } from '../../src/budget/budget.ts';
import type { RunningWorkers } from '../../workers/run-workers.ts';
import { each, until } from '../support/harness/everlog-under-test.ts';
import { archiveJob, redisStorage, work, type ArchiveHandler } from '../support/harness/queue-under-test.ts';
import { startRedis, type RedisServer } from '../support/servers/redis-server.ts';

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

const LIMITED = 1;

/** What a worker does with a job of an installation that is out of budget: it takes a place in the line and waits. */
async function inTurn(budget: string, pace: Pace, slots: Map<number, number>, id: number): Promise<void> {
  const slot = slots.get(id);
  const due = slot !== undefined && slot <= Date.now() + 5;
  const atMs = due ? 0 : await storage.rateLimiter.reserve(budget, 1, pace);
  slots.set(id, due ? 0 : atMs);
  if (atMs > Date.now() + 5) throw budgetSpent(budget, new Date(atMs));
}

/** Jobs of a limited installation return this fast: 50 in a second. */
const PACE: Pace = { pointMs: 20, burstPoints: 10 };
const HOUR_MS = 3_600_000;

test('one of twenty installations without budget: each of its jobs is looked at once, and the others are done meanwhile', async () => {
  const installations = 20;
  // More than there are slots: held in one for its hour, they would leave none for the others.
  const jobsEach = CONCURRENCY * 4;
  await storage.rateLimiter.pause('hour', Date.now() + HOUR_MS);
  const lookedAt: number[] = [];
  const done: number[] = [];
  const slots = new Map<number, number>();
  start(async (data) => {
    if (data.installation_id === LIMITED) {
      lookedAt.push(data.job_id);
      await inTurn('hour', PACE, slots, data.job_id);
    }
    done.push(data.installation_id ?? 0);
  });
  const limited: number[] = [];
  for (let turn = 0; turn < jobsEach; turn += 1) {
    for (let installation = 1; installation <= installations; installation += 1) {
      const id = await add({ installation_id: installation, repository_id: installation });
      if (installation === LIMITED) limited.push(id);
    }
  }
  await until(
    'all of the others are done, and all of its jobs were looked at',
    () => done.length >= (installations - 1) * jobsEach && lookedAt.length >= jobsEach,
    DONE_WITHIN_MS,
    () => `${done.length} are done, ${lookedAt.length} were looked at`,
  );
  expect(done).not.toContain(LIMITED);
  expect(lookedAt.toSorted((one, other) => one - other)).toEqual(limited);
});

test('the jobs of an installation whose budget returns come back one after another', async () => {
  const jobs = 40;
  const pausedUntilMs = Date.now() + 2_000;
  await storage.rateLimiter.pause('second', pausedUntilMs);
  const slots = new Map<number, number>();
  const places = new Map<number, number>();
  const earlyMs: number[] = [];
  start(async (data) => {
    await inTurn('second', PACE, slots, data.job_id).catch((error: unknown) => {
      places.set(data.job_id, slots.get(data.job_id) ?? 0);
      throw error;
    });
    earlyMs.push((places.get(data.job_id) ?? Number.NaN) - Date.now());
  });
  for (let index = 0; index < jobs; index += 1) await add({ installation_id: LIMITED });
  await until('all are done', () => earlyMs.length === jobs, DONE_WITHIN_MS);
  expect(places.size).toBe(jobs);
  expect(Math.max(...earlyMs)).toBeLessThanOrEqual(5);
  const atMs = [...places.values()].toSorted((one, other) => one - other);
  for (const [index, placeMs] of atMs.entries()) {
    const behind = Math.max(0, index - PACE.burstPoints);
    expect(placeMs).toBeGreaterThanOrEqual(pausedUntilMs + behind * PACE.pointMs - 1);
  }
});
