import { z } from 'zod';
import { EverlogError, messageOf, retryable } from '../errors.ts';
import { CATALOG, queueIdOf, QUEUE_NAMES, type NewJob, type QueueName } from './catalog.ts';
import { priorityOf, type FairOrder, type Urgency } from './fair-order.ts';
import type { BullJob, BullQueue, QueueDurability, QueueStorage } from './queue-storage.ts';

/** The queue as receivers, schedules and commands use it. Failures are `queue_unavailable` (retry). */
export interface JobQueue {
  readonly durability: QueueDurability;
  readonly location: string;
  /**
   * Makes a job durable in the queue. `duplicate`: the queue holds it already (waiting, running, recently done); one that had
   * failed is revived and answers `queued`. Two that race for the same job may both be told `queued`.
   */
  add(job: NewJob): Promise<'queued' | 'duplicate'>;
  counts(): Promise<Record<QueueName, QueueCounts>>;
  /** Jobs whose retries ran out, newest first. */
  failed(limit: number): Promise<readonly FailedJob[]>;
  /** Has a failed job tried again from the start; false when there is no such failed job. */
  retryFailed(id: string): Promise<boolean>;
  /** Takes a failed job out of the queue; false when there is no such failed job. */
  dropFailed(id: string): Promise<boolean>;
  /** Where a job stands now. */
  stateOf(id: string): Promise<QueuedState>;
  /** Rejects unless the queue answers now. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

export interface QueueCounts {
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  readonly failed: number;
}

export interface FailedJob {
  readonly id: string;
  readonly name: string;
  readonly data: unknown;
  readonly reason: string;
  readonly attempts: number;
  readonly failedAt: Date | null;
}

/** Where a queued job stands. */
export interface QueuedState {
  /** `gone`: finished long ago, dropped, or never queued. */
  readonly state: 'waiting' | 'running' | 'put_off' | 'failed' | 'done' | 'gone';
  /** Why it was put off or failed. */
  readonly reason: string | null;
  /** When a job that was put off runs again, where that is known. */
  readonly nextAt: Date | null;
}

/** What a worker notes on a job that it puts off. */
export const putOffSchema = z.object({ put_off_until: z.iso.datetime(), reason: z.string() });

/** Finished jobs are kept so long that a redelivery soon after is known as a duplicate; the archive is the real memory. */
const FINISHED_KEPT = { age: 3600, count: 100_000 } as const;
/** An add that races with the removal of an old finished job is tried again this often. */
const RACES_MAX = 3;

/** Opens the queues of a storage. */
export function openJobQueue(storage: QueueStorage): JobQueue {
  const queues = new Map<QueueName, BullQueue>();
  const orders = new Map<QueueName, FairOrder>();
  const adding = new Map<string, Promise<unknown>>();

  function queueOf(name: QueueName): BullQueue {
    let queue = queues.get(name);
    if (queue === undefined) {
      queue = storage.createQueue(name);
      queues.set(name, queue);
    }
    return queue;
  }

  function orderOf(name: QueueName): FairOrder {
    let order = orders.get(name);
    if (order === undefined) {
      order = storage.orderOf(queueOf(name));
      orders.set(name, order);
    }
    return order;
  }

  /** Of several that add the same job at once in this process, one does and the others wait for it. */
  async function addOnce(job: NewJob): Promise<'queued' | 'duplicate'> {
    const id = queueIdOf(job);
    const underWay = adding.get(id);
    if (underWay !== undefined) {
      await underWay;
      return 'duplicate';
    }
    const { queue } = CATALOG[job.name];
    const added = addTo(queueOf(queue), orderOf(queue), job);
    adding.set(id, added);
    try {
      return await added;
    } finally {
      adding.delete(id);
    }
  }

  return {
    get durability() {
      return storage.durability;
    },
    location: storage.location,
    add: (job) => answering(() => addOnce(job)),
    counts: () => answering(() => countsOf(queueOf)),
    failed: (limit) =>
      answering(async () => {
        const lists = await Promise.all(
          QUEUE_NAMES.map((name) => queueOf(name).getJobs('failed', 0, limit - 1)),
        );
        const jobs = lists.flat().map(failedJob);
        return jobs.sort((one, other) => timeOf(other) - timeOf(one)).slice(0, limit);
      }),
    retryFailed: (id) =>
      answering(() => withFailed(queueOf, id, (job) => job.retry('failed', { resetAttemptsMade: true }))),
    dropFailed: (id) => answering(() => withFailed(queueOf, id, (job) => job.remove())),
    stateOf: (id) => answering(() => stateIn(queueOf, id)),
    ping: () => answering(() => storage.ping()),
    async close() {
      await Promise.all([...queues.values()].map((queue) => queue.close()));
      await storage.close();
    },
  };
}

async function addTo(queue: BullQueue, order: FairOrder, job: NewJob): Promise<'queued' | 'duplicate'> {
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
    if (state !== 'failed') return 'duplicate';
    const standing = await queue.getJob(id);
    if (standing === undefined) continue;
    await standing.retry('failed', { resetAttemptsMade: true });
    return 'queued';
  }
  throw retryable('queue_unavailable', `the queue cannot settle job ${id}`);
}

/** What GitHub has just told of goes before what Everlog found by itself, and both before the past. */
function urgencyOf(job: NewJob): Urgency {
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
  if (job.name === 'installation-changed') return `${job.data.host}/`;
  const { host, repository_id, owner, repo } = job.data;
  return `${host}/${repository_id ?? `${owner}/${repo}`.toLowerCase()}`;
}

function jobOptions(job: NewJob, id: string): Parameters<BullQueue['add']>[2] {
  return {
    jobId: id,
    attempts: CATALOG[job.name].attempts,
    backoff: { type: 'capped' },
    removeOnComplete: FINISHED_KEPT,
    removeOnFail: false,
    stackTraceLimit: 0,
  };
}

async function countsOf(queueOf: (name: QueueName) => BullQueue): Promise<Record<QueueName, QueueCounts>> {
  const count = async (name: QueueName): Promise<QueueCounts> => {
    const found = await queueOf(name).getJobCounts('waiting', 'prioritized', 'active', 'delayed', 'failed');
    const of = (state: string): number => found[state] ?? 0;
    return {
      waiting: of('waiting') + of('prioritized'),
      active: of('active'),
      delayed: of('delayed'),
      failed: of('failed'),
    };
  };
  const [archive, upkeep, seal] = await Promise.all([count('archive'), count('upkeep'), count('seal')]);
  return { archive, upkeep, seal };
}

async function withFailed(
  queueOf: (name: QueueName) => BullQueue,
  id: string,
  act: (job: BullJob) => Promise<unknown>,
): Promise<boolean> {
  for (const name of QUEUE_NAMES) {
    const queue = queueOf(name);
    if ((await queue.getJobState(id)) !== 'failed') continue;
    const job = await queue.getJob(id);
    if (job === undefined) continue;
    await act(job);
    return true;
  }
  return false;
}

async function stateIn(queueOf: (name: QueueName) => BullQueue, id: string): Promise<QueuedState> {
  for (const name of QUEUE_NAMES) {
    const queue = queueOf(name);
    const found = await queue.getJobState(id);
    if (found === 'unknown') continue;
    const job = await queue.getJob(id);
    if (job === undefined) continue;
    const note = putOffSchema.safeParse(job.progress);
    switch (found) {
      case 'active':
        return { state: 'running', reason: null, nextAt: null };
      case 'completed':
        return { state: 'done', reason: null, nextAt: null };
      case 'failed':
        return { state: 'failed', reason: job.failedReason, nextAt: null };
      case 'delayed':
        return note.success && Date.parse(note.data.put_off_until) > Date.now()
          ? { state: 'put_off', reason: note.data.reason, nextAt: new Date(note.data.put_off_until) }
          : { state: 'put_off', reason: job.failedReason ?? null, nextAt: null };
      case 'waiting':
      case 'prioritized':
      case 'waiting-children':
        return { state: 'waiting', reason: null, nextAt: null };
    }
  }
  return { state: 'gone', reason: null, nextAt: null };
}

function failedJob(job: BullJob): FailedJob {
  return {
    id: job.id ?? '',
    name: job.name,
    data: job.data,
    reason: job.failedReason,
    attempts: job.attemptsMade,
    failedAt: job.finishedOn === undefined ? null : new Date(job.finishedOn),
  };
}

function timeOf(job: FailedJob): number {
  return job.failedAt?.getTime() ?? 0;
}

async function answering<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof EverlogError) throw error;
    throw retryable('queue_unavailable', `the queue does not answer: ${messageOf(error)}`, error);
  }
}
