import { performance } from 'node:perf_hooks';
import { Queue as BullQueue } from 'bullmq';
import { atMost, compared, plain, type Area, type Finding } from '../findings.ts';
import { everlogQueue, fillEverlog, fillPlain } from './jobs.ts';
import { firstIdOf } from './log-sizes.ts';
import { cpuUsOf } from '../machine.ts';
import { interleaved, type Extent } from '../rounds.ts';
import { openStage, type Queue, type Started } from '../stage.ts';
import { newIds } from './work.ts';

/** What a job costs between the queue and the work itself, and what it takes up while it waits. */

const POLL_MS = 5;
const DONE_TIMEOUT_MS = 120_000;
const CONCURRENCY = '50';

export async function queue(extent: Extent): Promise<Area> {
  const stage = openStage();
  try {
    const redis = await stage.redis();
    const waiting = await memoryPerJob(redis, extent);
    const everlog = await stage.script('measured', 'job-path-process.ts', [redis.url, CONCURRENCY]);
    const nothing = await stage.script('measured', 'worker-process.ts', [
      'nothing',
      redis.url,
      'http://127.0.0.1:1',
      'http://127.0.0.1:1',
      CONCURRENCY,
    ]);
    const jobs = extent.scaled(2_000, 800);
    const mine = everlogQueue(redis);
    const contestants = {
      everlog: () => drained(redis, everlog, 'everlog:archive', jobs, (id) => fillEverlog(mine, id, jobs)),
      nothing: () =>
        drained(redis, nothing, 'bull:nothing', jobs, (id) => fillPlain(redis, 'nothing', id, jobs)),
    };
    await interleaved(1, contestants);
    const of = await interleaved(extent.rounds, contestants);
    await mine.close();
    return {
      name: 'queue',
      title: 'Queue: Everlog’s path of a job, with a GitHub and a store that are function calls; 50 at once',
      findings: [
        compared({
          what: 'jobs done',
          unit: 'jobs/s per core',
          against: 'limit',
          name: 'BullMQ, handler does nothing',
          everlog: of('everlog'),
          theirs: of('nothing'),
        }),
        waiting,
      ],
      notes: [],
    };
  } finally {
    await stage.close();
  }
}

/** Jobs that a worker does in a second of its CPU time. */
async function drained(
  redis: Queue,
  worker: Started,
  prefix: string,
  jobs: number,
  fill: (first: number) => Promise<void>,
): Promise<number> {
  const { pid } = worker.process;
  await worker.process.kill('SIGSTOP');
  await fill(newIds(firstIdOf(10_000), jobs));
  const cpuBeforeUs = cpuUsOf(pid);
  const startMs = performance.now();
  await worker.process.kill('SIGCONT');
  for (let left = jobs; left > 0;) {
    if (performance.now() - startMs > DONE_TIMEOUT_MS) throw new Error(`${left} jobs of ${prefix} are left`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    const { client } = redis;
    const counts = [
      client.llen(`${prefix}:wait`),
      client.zcard(`${prefix}:prioritized`),
      client.llen(`${prefix}:active`),
    ];
    left = (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
  }
  return jobs / ((cpuUsOf(pid) - cpuBeforeUs) / 1_000_000);
}

async function memoryPerJob(redis: Queue, extent: Extent): Promise<Finding> {
  const count = extent.scaled(5_000, 4_000);
  const mine = everlogQueue(redis);
  // What the first job brings for all, such as the stream of events, is no cost of a job.
  await fillEverlog(mine, newIds(firstIdOf(10_000), count), count);
  const before = await usedBytes(redis);
  await fillEverlog(mine, newIds(firstIdOf(10_000), count), count);
  const each = ((await usedBytes(redis)) - before) / count / 1000;
  await mine.close();
  const bull = new BullQueue('archive', { connection: redis.client, prefix: 'everlog' });
  await bull.obliterate({ force: true });
  return plain('Redis memory for a waiting job of 30 steps', 'KB', [each], atMost(2.5));
}

async function usedBytes(redis: Queue): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await redis.client.info('memory'))?.[1]);
}
