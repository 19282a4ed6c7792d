import { performance } from 'node:perf_hooks';
import { z } from 'zod';
import type { JobQueue } from '../../../src/queue/job-queue.ts';
import { fillEverlog, fillPlain } from './jobs.ts';
import { cpuUsOf } from '../machine.ts';
import type { Queue, Started } from '../stage.ts';

/** A worker process at work on jobs that all wait when it begins. */

const POLL_MS = 10;
const DONE_TIMEOUT_MS = 180_000;
const commitsSchema = z.array(z.tuple([z.number(), z.number()]));

export interface Workplace {
  readonly queue: Queue;
  readonly everlogQueue: JobQueue;
  readonly githubOrigin: string;
  readonly storeOrigin: string;
}

export interface WorkSample {
  readonly perSecond: number;
  /** For a second of CPU time. */
  readonly perCpuSecond: number;
  readonly seconds: number;
}

/** What came into the store since it was last asked: job id and moment. */
export async function commitsOf(storeOrigin: string): Promise<[number, number][]> {
  const answer = await fetch(`${storeOrigin}/_commits`);
  return commitsSchema.parse(await answer.json());
}

let nextOffset = 0;

/** Ids that no other measurement has used. */
export function newIds(first: number, count: number): number {
  nextOffset += count;
  return first + nextOffset - count;
}

/** Has a worker do `count` jobs of a size. It stands still while they are queued. */
export async function work(
  place: Workplace,
  worker: Started,
  kind: 'everlog' | 'raw' | 'octokit',
  firstOfSize: number,
  count: number,
): Promise<WorkSample> {
  const first = newIds(firstOfSize, count);
  const { pid } = worker.process;
  await commitsOf(place.storeOrigin);
  await worker.process.kill('SIGSTOP');
  if (kind === 'everlog') await fillEverlog(place.everlogQueue, first, count);
  else await fillPlain(place.queue, kind, first, count);
  const cpuBeforeUs = cpuUsOf(pid);
  const startMs = performance.now();
  await worker.process.kill('SIGCONT');
  for (let done = 0; done < count;) {
    if (performance.now() - startMs > DONE_TIMEOUT_MS) {
      throw new Error(`${kind} stored ${done} of ${count} jobs within ${DONE_TIMEOUT_MS} ms`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    const commits = await commitsOf(place.storeOrigin);
    // A worker that was killed before may leave a job that is done again now.
    done += commits.filter(([id]) => id >= first && id < first + count).length;
  }
  const seconds = (performance.now() - startMs) / 1000;
  const cpuSeconds = (cpuUsOf(pid) - cpuBeforeUs) / 1_000_000;
  return { perSecond: count / seconds, perCpuSecond: count / cpuSeconds, seconds };
}
