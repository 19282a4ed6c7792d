import { ErrorCode } from 'bullmq';
import { retryable } from '../errors.ts';
import { CATALOG, queueIdOf, SWEEP_SOON_MS, type NewJob } from './catalog.ts';
import { priorityOf, type FairOrder, type Urgency } from './fair-order.ts';
import type { BullJob, BullQueue } from './queue-storage.ts';

/** Finished jobs are kept so long that a redelivery soon after is known as a duplicate; the archive is the real memory. */
const FINISHED_KEPT = { age: 3600, count: 100_000 } as const;
/** An add that races with whatever moves the same job is tried again this often. */
const RACES_MAX = 3;

/** Adds a job to its queue, in its place of the order; see `JobQueue.add` for what it answers. */
export async function addToQueue(
  queue: BullQueue,
  order: FairOrder,
  job: NewJob,
): Promise<'queued' | 'duplicate'> {
  const id = queueIdOf(job);
  const urgency = urgencyOf(job);
  for (let race = 0; race < RACES_MAX; race += 1) {
    const tag = await order.admit(id, urgency, flowOf(job));
    if (tag !== null) {
      await queue.add(job.name, job.data, { ...jobOptions(job, id), priority: priorityOf(urgency, tag) });
      return 'queued';
    }
    const state = await queue.getJobState(id);
    if (state === 'unknown') continue;
    if (state !== 'failed' && state !== 'delayed' && !(state === 'completed' && comesFromArchive(job)))
      return 'duplicate';
    const standing = await queue.getJob(id);
    if (standing === undefined) continue;
    if (state === 'completed') {
      await unlessOthersWereFaster(() => standing.remove());
      continue;
    }
    if (state === 'delayed') {
      // News of a run's start, late, must not postpone the look at its end.
      if (job.name !== 'sweep-run' || job.delayMs > SWEEP_SOON_MS) return 'duplicate';
      if (await unlessOthersWereFaster(() => standing.changeDelay(job.delayMs))) return 'queued';
    } else if (await revive(standing)) {
      return 'queued';
    }
  }
  throw retryable('queue_unavailable', `the queue cannot settle job ${id}`);
}

/** Has a failed job tried again from the start; false when it is no longer a failed one. */
export function revive(job: BullJob): Promise<boolean> {
  return unlessOthersWereFaster(() => job.retry('failed', { resetAttemptsMade: true }));
}

/** Does something to a job that needs its state; false when the job has left that state meanwhile. */
async function unlessOthersWereFaster(act: () => Promise<void>): Promise<boolean> {
  try {
    await act();
    return true;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null;
    if (code === ErrorCode.JobNotInState || code === ErrorCode.JobNotExist) return false;
    throw error;
  }
}

/** What GitHub has just told of goes before what Everlog found by itself, and both before the past. */
function urgencyOf(job: NewJob): Urgency {
  if (isReconcile(job)) return 'sweep';
  if (job.name !== 'archive-job') return 'live';
  switch (job.data.source) {
    case 'webhook':
    case 'redelivery':
      return 'live';
    case 'sweep':
    case 'reconcile':
    case 'adopted':
      return 'sweep';
    case 'backfill':
      return 'backfill';
  }
}

/** Jobs of one repository are one flow. */
function flowOf(job: NewJob): string {
  if (job.name === 'reconcile-hosts' || job.name === 'seal') return 'hosts/';
  if (!('repo' in job.data)) return `${job.data.host}/`;
  const { host, repository_id, owner, repo } = job.data;
  return `${host}/${repository_id ?? `${owner}/${repo}`.toLowerCase()}`;
}

function jobOptions(job: NewJob, id: string): Parameters<BullQueue['add']>[2] {
  return {
    jobId: id,
    attempts: CATALOG[job.name].attempts,
    backoff: { type: 'capped' },
    // What is done at every interval must not be taken for a duplicate of the last time.
    removeOnComplete: isPeriodic(job) ? true : FINISHED_KEPT,
    removeOnFail: false,
    stackTraceLimit: 0,
    ...(job.name === 'sweep-run' ? { delay: job.delayMs } : {}),
  };
}

/** Whoever has looked into the archive knows better than the queue, which only remembers that it once had the job. */
function comesFromArchive(job: NewJob): boolean {
  if (job.name !== 'archive-job') return false;
  const { source } = job.data;
  return source === 'sweep' || source === 'reconcile' || source === 'backfill';
}

const PERIODIC: readonly NewJob['name'][] = [
  'redeliver',
  'poll-installations',
  'seal',
  'update-index',
  'compact-index',
];

function isPeriodic(job: NewJob): boolean {
  return isReconcile(job) || PERIODIC.some((name) => name === job.name);
}

function isReconcile(job: NewJob): boolean {
  return job.name === 'reconcile-hosts' || job.name === 'reconcile-repository';
}
