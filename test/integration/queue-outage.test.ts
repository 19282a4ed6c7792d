import { afterEach, expect, test } from 'vitest';
import { queueIdOf } from '../../src/queue/catalog.ts';
import { openJobQueue, type JobQueue } from '../../src/queue/job-queue.ts';
import type { RunningWorkers } from '../../workers/run-workers.ts';
import { openStage, scaled, until } from '../support/harness/everlog-under-test.ts';
import { freePort } from '../support/processes/processes.ts';
import { archiveJob, redisStorage, work, type ArchiveHandler } from '../support/harness/queue-under-test.ts';
import { startRedis } from '../support/servers/redis-server.ts';

/** The receiver's own two seconds and what the answer takes. */
const REFUSED_WITHIN_MS = 2_500;
/** Work goes on by itself this soon after the server's return. */
const RESUMED_WITHIN_MS = 10_000;
const ANSWERS_WITHIN_MS = 15_000;
/** A job that ran when the server died is found by its lock, within 30 s of the return. */
const ALL_DONE_WITHIN_MS = 35_000;
const DRAIN_MS = 5_000;
const TEST_TIMEOUT_MS = scaled(120_000, 600_000);
/** Deliveries arrive at this pace, also while the server is away. */
const ARRIVAL_MS = 20;

let stage = openStage();

afterEach(async () => {
  await stage.close();
  stage = openStage();
});

function openQueue(url: string): JobQueue {
  const queue = openJobQueue(redisStorage(url));
  stage.defer(() => queue.close());
  return queue;
}

async function answers(queue: JobQueue): Promise<void> {
  const pinged = (): Promise<boolean> =>
    queue.ping().then(
      () => true,
      () => false,
    );
  await until('the queue answers', pinged, ANSWERS_WITHIN_MS);
}

function startWork(url: string, handler: ArchiveHandler): RunningWorkers {
  const storage = redisStorage(url);
  const workers = work(storage, handler);
  stage.defer(async () => {
    await workers.drain(DRAIN_MS);
    await storage.close();
  });
  return workers;
}

interface Load {
  readonly acknowledged: ReadonlySet<number>;
  /** How long each refusal took, and whether it was the expected one. */
  readonly refusals: readonly { readonly tookMs: number; readonly code: unknown }[];
  stop(): Promise<void>;
}

/** Adds jobs without pause, as deliveries would, each on its own. */
function keepAdding(queue: JobQueue): Load {
  const acknowledged = new Set<number>();
  const refusals: { tookMs: number; code: unknown }[] = [];
  const underWay = new Set<Promise<void>>();
  let jobId = 0;
  const addOne = async (id: number): Promise<void> => {
    const beganMs = performance.now();
    try {
      await queue.add(archiveJob(id, { repository_id: (id % 7) + 1 }));
      acknowledged.add(id);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : null;
      refusals.push({ tookMs: performance.now() - beganMs, code });
    }
  };
  const timer = setInterval(() => {
    jobId += 1;
    const adding = addOne(jobId).finally(() => underWay.delete(adding));
    underWay.add(adding);
  }, ARRIVAL_MS);
  return {
    acknowledged,
    refusals,
    async stop() {
      clearInterval(timer);
      await Promise.all(underWay);
    },
  };
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

async function outage(outageMs: number, how: 'killed' | 'hanging'): Promise<void> {
  const redis = await startRedis({ appendfsync: 'always' });
  stage.defer(() => redis.stop());
  const queue = openQueue(redis.url);
  await answers(queue);
  const done = new Set<number>();
  startWork(redis.url, async (data) => {
    await delay(5);
    done.add(data.job_id);
  });
  const load = keepAdding(queue);
  await until('work is under way', () => done.size > 50, ANSWERS_WITHIN_MS);

  await redis.kill(how === 'killed' ? 'SIGKILL' : 'SIGSTOP');
  await delay(outageMs);
  if (how === 'killed') await redis.restart();
  else await redis.kill('SIGCONT');
  const backAtMs = performance.now();
  const doneBefore = done.size;
  await until('work goes on', () => done.size > doneBefore + 20, RESUMED_WITHIN_MS);
  const resumedAfterMs = performance.now() - backAtMs;
  await load.stop();

  const { acknowledged, refusals } = load;
  await until(
    'every acknowledged job is done',
    () => [...acknowledged].every((id) => done.has(id)),
    ALL_DONE_WITHIN_MS,
    () => `${[...acknowledged].filter((id) => !done.has(id)).length} of ${acknowledged.size} are missing`,
  );
  expect(resumedAfterMs).toBeLessThan(RESUMED_WITHIN_MS);
  expect(refusals.length).toBeGreaterThan(0);
  expect(new Set(refusals.map(({ code }) => code))).toEqual(new Set(['queue_unavailable']));
  expect(Math.max(...refusals.map(({ tookMs }) => tookMs))).toBeLessThan(REFUSED_WITHIN_MS);
  expect(await queue.failed(10)).toEqual([]);
}

test(
  'a server killed under load loses nothing acknowledged, and work goes on by itself, after 3 s',
  () => outage(3_000, 'killed'),
  TEST_TIMEOUT_MS,
);

test(
  `the same after a long time (20 s; five minutes in a soak)`,
  () => outage(scaled(20_000, 300_000), 'killed'),
  TEST_TIMEOUT_MS,
);

test('a server that hangs is the same as one that is gone', () => outage(4_000, 'hanging'), TEST_TIMEOUT_MS);

test(
  'workers and producers that start before their server use it when it comes',
  async () => {
    const port = await freePort();
    const url = `redis://127.0.0.1:${port}`;
    const queue = openQueue(url);
    const done = new Set<number>();
    startWork(url, (data) => Promise.resolve(void done.add(data.job_id)));
    const beganMs = performance.now();
    await expect(queue.add(archiveJob(1))).rejects.toMatchObject({ code: 'queue_unavailable' });
    await expect(queue.stateOf(queueIdOf(archiveJob(1)))).rejects.toMatchObject({
      code: 'queue_unavailable',
    });
    expect(performance.now() - beganMs).toBeLessThan(REFUSED_WITHIN_MS * 2);
    const redis = await startRedis({ port });
    stage.defer(() => redis.stop());
    const backAtMs = performance.now();
    await until(
      'a job is acknowledged',
      () =>
        queue.add(archiveJob(2)).then(
          () => true,
          () => false,
        ),
      RESUMED_WITHIN_MS,
    );
    await until('it is done', () => done.has(2), RESUMED_WITHIN_MS);
    expect(performance.now() - backAtMs).toBeLessThan(RESUMED_WITHIN_MS);
  },
  TEST_TIMEOUT_MS,
);

test(
  'a queue whose server is away can be closed, and its workers drained, in time',
  async () => {
    const redis = await startRedis();
    stage.defer(() => redis.stop());
    const storage = redisStorage(redis.url);
    const queue = openJobQueue(storage);
    await answers(queue);
    let done = 0;
    const workers = work(storage, () => Promise.resolve(void (done += 1)));
    await queue.add(archiveJob(1));
    await until('a job is done', () => done === 1, ANSWERS_WITHIN_MS);
    await redis.kill('SIGKILL');
    const beganMs = performance.now();
    await workers.drain(DRAIN_MS);
    await queue.close();
    expect(performance.now() - beganMs).toBeLessThan(DRAIN_MS + 3_000);
  },
  TEST_TIMEOUT_MS,
);
