import { resolve } from 'node:path';
import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { afterEach, expect, test } from 'vitest';
import { queueIdOf } from '../../src/queue/catalog.ts';
import { openJobQueue, type JobQueue } from '../../src/queue/job-queue.ts';
import { STALLS_MAX } from '../../workers/run-workers.ts';
import { openStage, scaled, until } from '../support/harness/everlog-under-test.ts';
import { spawnManaged, type ManagedProcess } from '../support/processes/processes.ts';
import {
  archiveJob,
  closedGate,
  embeddedPlace,
  redisStorage,
  work,
  type ArchiveHandler,
} from '../support/harness/queue-under-test.ts';
import { startRedis } from '../support/servers/redis-server.ts';

const WORKER_PROCESS = resolve(import.meta.dirname, '../support/processes/worker-process.ts');
/** CONTRACT §1: after a crash, interrupted jobs run again within this. */
const RESUMED_WITHIN_MS = 30_000;
const START_TIMEOUT_MS = 30_000;
const ANSWERS_WITHIN_MS = 15_000;
const DRAIN_MS = 5_000;

let stage = openStage();

afterEach(async () => {
  await stage.close();
  stage = openStage();
});

/** A private queue server, and the queue on it once it answers. */
async function openQueue(): Promise<{ url: string; queue: JobQueue }> {
  const redis = await startRedis();
  stage.defer(() => redis.stop());
  const queue = openJobQueue(redisStorage(redis.url));
  stage.defer(() => queue.close());
  const pinged = (): Promise<boolean> =>
    queue.ping().then(
      () => true,
      () => false,
    );
  await until('the queue answers', pinged, ANSWERS_WITHIN_MS);
  return { url: redis.url, queue };
}

function workOn(
  url: string,
  handler: ArchiveHandler,
  onJob: (name: string, outcome: string) => void = () => undefined,
): void {
  const storage = redisStorage(url);
  const workers = work(storage, handler, { onJob });
  stage.defer(async () => {
    await workers.drain(DRAIN_MS);
    await storage.close();
  });
}

function workerProcess(url: string): ManagedProcess {
  const child = spawnManaged(process.execPath, ['--import', 'tsx', WORKER_PROCESS, url]);
  stage.defer(() => child.kill('SIGKILL'));
  return child;
}

test('a job whose process is killed runs again within 30 s, time and again, and that is no failure', async () => {
  const { url, queue } = await openQueue();
  const job = archiveJob(1);
  const id = queueIdOf(job);
  await queue.add(job);
  const kills = scaled(1, STALLS_MAX);
  let killedAtMs = 0;
  for (let kill = 0; kill < kills; kill += 1) {
    const child = workerProcess(url);
    await child.waitForLine((line) => line.json?.['running'] === 1, START_TIMEOUT_MS + RESUMED_WITHIN_MS);
    await child.kill('SIGKILL');
    killedAtMs = performance.now();
    expect((await queue.stateOf(id)).state).toBe('running');
  }
  const resumed = closedGate();
  workOn(url, (_, context) => {
    expect(context.attempts).toBe(kills + 1);
    resumed.open();
    return Promise.resolve();
  });
  await resumed.opened;
  expect(performance.now() - killedAtMs).toBeLessThan(RESUMED_WITHIN_MS);
  await until('it is done', async () => (await queue.stateOf(id)).state === 'done', ANSWERS_WITHIN_MS);
  expect(await queue.failed(10)).toEqual([]);
});

/** Locks fall at once and stalls are looked for at once: nothing of BullMQ but its pace is different. */
const HASTY = { prefix: 'everlog', autorun: false, lockDuration: 50, stalledInterval: 50 } as const;

/** Takes the only waiting job as a process would that dies at once, and waits until that is noticed. */
async function stall(connection: Redis, queue: JobQueue, id: string): Promise<void> {
  const dying = new Worker('archive', null, { ...HASTY, connection, maxStalledCount: STALLS_MAX });
  expect((await dying.getNextJob('token', { block: false }))?.id).toBe(id);
  await dying.close(true);
  await until(
    'the stall is noticed',
    async () => {
      const watch = new Worker('archive', null, { ...HASTY, connection, maxStalledCount: STALLS_MAX });
      await watch.startStalledCheckTimer();
      await watch.close(true);
      return (await queue.stateOf(id)).state === 'waiting';
    },
    ANSWERS_WITHIN_MS,
  );
}

test('fifty stalls are no failure; one more is, is counted, and an add revives the job', async () => {
  const { url, queue } = await openQueue();
  const job = archiveJob(2);
  const id = queueIdOf(job);
  await queue.add(job);
  const connection = new Redis(url, { maxRetriesPerRequest: null });
  stage.defer(() => Promise.resolve(connection.disconnect()));
  for (let stalls = 0; stalls < STALLS_MAX; stalls += 1) await stall(connection, queue, id);
  expect(await queue.failed(10)).toEqual([]);
  await stall(connection, queue, id);

  const outcomes: string[] = [];
  let runs = 0;
  workOn(
    url,
    () => Promise.resolve(void (runs += 1)),
    (_, outcome) => outcomes.push(outcome),
  );
  await until('it has failed', () => outcomes.length > 0, ANSWERS_WITHIN_MS);
  expect(outcomes).toEqual(['failed']);
  expect(await queue.stateOf(id)).toMatchObject({
    state: 'failed',
    reason: expect.stringContaining('stalled'),
  });
  expect(await queue.add(job)).toBe('queued');
  await until('it is done', async () => (await queue.stateOf(id)).state === 'done', ANSWERS_WITHIN_MS);
  expect(runs).toBe(1);
});

test('a job that is still running at the end of a drain is left to be resumed', async () => {
  const { url, queue } = await openQueue();
  const job = archiveJob(3);
  await queue.add(job);
  const storage = redisStorage(url);
  const running = closedGate();
  const workers = work(storage, async () => {
    running.open();
    await new Promise(() => undefined);
  });
  await running.opened;
  const beganMs = performance.now();
  await workers.drain(100);
  expect(performance.now() - beganMs).toBeLessThan(2_000);
  expect((await queue.stateOf(queueIdOf(job))).state).toBe('running');
  // As the end of the process would: it renews no lock any more.
  await storage.close();
  const resumed = closedGate();
  const leftAtMs = performance.now();
  workOn(url, () => Promise.resolve(resumed.open()));
  await resumed.opened;
  expect(performance.now() - leftAtMs).toBeLessThan(RESUMED_WITHIN_MS);
});

test('a drain waits for what ends in time, and takes nothing more', async () => {
  const { url, queue } = await openQueue();
  const jobs = [4, 5].map((id) => archiveJob(id));
  for (const job of jobs) await queue.add(job);
  const storage = redisStorage(url);
  const gate = closedGate();
  const running = closedGate();
  const done: number[] = [];
  const workers = work(
    storage,
    async (data) => {
      running.open();
      await gate.opened;
      done.push(data.job_id);
    },
    { concurrency: 1 },
  );
  await running.opened;
  const drained = workers.drain(DRAIN_MS);
  gate.open();
  await drained;
  expect(done).toEqual([4]);
  expect((await queue.counts()).archive).toEqual({ waiting: 1, active: 0, delayed: 0, failed: 0 });
  await storage.close();
});

test('jobs that ran when an embedded queue died run first at the next start, and have not failed', async () => {
  const place = await embeddedPlace();
  stage.defer(() => place.remove());
  const job = archiveJob(6);
  const deaths = scaled(2, STALLS_MAX);
  for (let death = 0; death < deaths; death += 1) {
    const storage = await place.open();
    const queue = openJobQueue(storage);
    expect(await queue.add(job)).toBe(death === 0 ? 'queued' : 'duplicate');
    const running = closedGate();
    const workers = work(storage, async () => {
      running.open();
      await new Promise(() => undefined);
    });
    await running.opened;
    await workers.drain(10);
    await storage.close();
  }
  const storage = await place.open();
  const queue = openJobQueue(storage);
  stage.defer(() => queue.close());
  await queue.add(archiveJob(7));
  const order: number[] = [];
  const workers = work(storage, (data) => Promise.resolve(void order.push(data.job_id)), { concurrency: 1 });
  await until('both are done', () => order.length === 2, ANSWERS_WITHIN_MS);
  expect(order).toEqual([6, 7]);
  expect(await queue.failed(10)).toEqual([]);
  await workers.drain(DRAIN_MS);
});
