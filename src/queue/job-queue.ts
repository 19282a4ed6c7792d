import { EverlogError } from '../errors.ts';
import { CATALOG, queueIdOf, QUEUE_NAMES, type NewJob, type QueueName } from './catalog.ts';
import { addToQueue, revive } from './adding.ts';
import { gapOfWork, noteGap } from './gap-note.ts';
import type { KeyValueNotes, StoredNotes } from './key-value-notes.ts';
import type { PendingCommits } from './pending-commits.ts';
import type { BacklogStatistics } from './backlog.ts';
import { promoteRateLimited } from './rate-limited-jobs.ts';
import { applySchedules, type Schedule } from './schedules.ts';
import { stateIn, type QueuedState } from './queued-state.ts';
import { queueConnections } from './queue-connections.ts';
import type { BullJob, BullQueue, QueueDurability, QueueStorage } from './queue-storage.ts';

/** The queue as receivers, schedules and commands use it. Failures are `queue_unavailable` (retry). */
export interface JobQueue {
  readonly durability: QueueDurability;
  readonly location: string;
  readonly notes: StoredNotes;
  /** What was committed and is not sealed yet. */
  readonly pending: PendingCommits;
  /**
   * Makes a job durable in the queue. `duplicate`: the queue holds it already (waiting, running, recently done); one that had
   * failed is revived and answers `queued`. Two that race for the same job may both be told `queued`.
   */
  add(job: NewJob): Promise<'queued' | 'duplicate'>;
  counts(): Promise<Record<QueueName, QueueCounts>>;
  /** Who waits in the archive queue, since when and why. */
  backlog(): Promise<BacklogStatistics>;
  /** Jobs whose retries ran out, newest first. */
  failed(limit: number): Promise<readonly FailedJob[]>;
  /** All of them, oldest first in each queue, read as they are asked for. */
  allFailed(): AsyncIterable<FailedJob>;
  /** Jobs of the archive queue that wait, are put off or have failed, at most so many of each, read as they are asked for. */
  heldArchiveJobs(limit: number): AsyncIterable<QueuedJob>;
  /** Has a failed job tried again from the start; false when there is no such failed job. */
  retryFailed(id: string): Promise<boolean>;
  /** Takes a failed job out of the queue, and notes it as a gap; false when there is no such failed job. */
  dropFailed(id: string, reason: string): Promise<boolean>;
  /** Lets an installation's jobs that wait for its budget run now, a page at a time; answers how many. */
  promoteRateLimited(host: string, installationId: number): Promise<number>;
  /** Makes the schedules of a queue those that are wanted, and no others. */
  schedule(name: QueueName, wanted: readonly Schedule[]): Promise<void>;
  /** Where a job stands now. */
  stateOf(id: string): Promise<QueuedState>;
  /** Rejects unless the queue answers now. */
  ping(): Promise<void>;
  /** Adds a job to a queue of its own, takes it, and leaves nothing: rejects, in the server's own words, where that fails. */
  tryWork(): Promise<void>;
  close(): Promise<void>;
}

export interface QueueCounts {
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  readonly failed: number;
}

/** A job of the queue with the data it was added with, which another version may have written. */
export interface QueuedJob {
  readonly id: string;
  readonly data: unknown;
}

export interface FailedJob {
  readonly id: string;
  readonly name: string;
  readonly data: unknown;
  readonly reason: string;
  readonly attempts: number;
  readonly failedAt: Date | null;
}

/** Jobs read at once. */
const PAGE_JOBS = 500;
const HELD_STATES = ['waiting', 'prioritized', 'delayed', 'failed'] as const;

/** Opens the queues of a storage. */
export function openJobQueue(storage: QueueStorage): JobQueue {
  const { queueOf, orderOf, close } = queueConnections(storage);
  const answering = answeringAfter(storage);

  const add = addOnce((job) =>
    addToQueue(queueOf(CATALOG[job.name].queue), orderOf(CATALOG[job.name].queue), job),
  );

  return {
    get durability() {
      return storage.durability;
    },
    location: storage.location,
    notes: answeringEach(storage.notes, answering),
    pending: answeringEach(storage.pending, answering),
    add: (job) => answering(() => add(job)),
    counts: () => answering(() => stateCounts(queueOf)),
    backlog: () => answering(() => storage.backlog(queueOf('archive'))),
    failed: (limit) =>
      answering(async () => {
        const lists = await Promise.all(
          QUEUE_NAMES.map((name) => queueOf(name).getJobs('failed', 0, limit - 1)),
        );
        const jobs = lists.flat().map(failedJob);
        return jobs.sort((one, other) => failedMs(other) - failedMs(one)).slice(0, limit);
      }),
    retryFailed: (id) => answering(() => withFailed(queueOf, id, revive)),
    allFailed: () => allFailed(queueOf, answering),
    heldArchiveJobs: (limit) => heldJobs(queueOf('archive'), limit, answering),
    dropFailed: (id, reason) =>
      answering(() => withFailed(queueOf, id, (job) => dropFailedJob(storage.notes, id, job, reason))),
    promoteRateLimited: (host, installationId) =>
      answering(() => promoteRateLimited(queueOf('archive'), host, installationId)),
    schedule: (name, wanted) => answering(() => applySchedules(queueOf(name), name, wanted)),
    stateOf: (id) => answering(() => stateIn(queueOf, id)),
    ping: () => answering(() => storage.ping()),
    tryWork: () => answering(() => storage.tryWork()),
    async close() {
      await close();
      await storage.close();
    },
  };
}

type Add = (job: NewJob) => Promise<'queued' | 'duplicate'>;

/** Of several that add the same job at once in this process, one does and the others wait for it. */
function addOnce(add: Add): Add {
  const adding = new Map<string, Promise<unknown>>();
  return async (job) => {
    const id = queueIdOf(job);
    const underWay = adding.get(id);
    if (underWay !== undefined && job.name !== 'sweep-run') {
      await underWay;
      return 'duplicate';
    }
    const added = add(job);
    adding.set(id, added);
    try {
      return await added;
    } finally {
      if (adding.get(id) === added) adding.delete(id);
    }
  };
}

async function stateCounts(queueOf: (name: QueueName) => BullQueue): Promise<Record<QueueName, QueueCounts>> {
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
  act: (job: BullJob) => Promise<boolean>,
): Promise<boolean> {
  for (const name of QUEUE_NAMES) {
    const queue = queueOf(name);
    if ((await queue.getJobState(id)) !== 'failed') continue;
    const job = await queue.getJob(id);
    if (job !== undefined) return act(job);
  }
  return false;
}

/** Noted first: a crash in between leaves a failed job, which is told of once all the same. */
async function dropFailedJob(
  notes: KeyValueNotes,
  id: string,
  job: BullJob,
  reason: string,
): Promise<boolean> {
  const gap = gapOfWork(job);
  const since = failedJob(job).failedAt ?? new Date();
  if (gap !== null)
    await noteGap(notes, id, { ...gap, reason: `dropped: ${reason}`, since: since.toISOString() });
  await job.remove();
  return true;
}

async function* allFailed(
  queueOf: (name: QueueName) => BullQueue,
  answering: Answering,
): AsyncGenerator<FailedJob> {
  for (const name of QUEUE_NAMES) {
    for (let from = 0; ; from += PAGE_JOBS) {
      const to = from + PAGE_JOBS - 1;
      const page = await answering(() => queueOf(name).getJobs('failed', from, to, true));
      yield* page.map(failedJob);
      if (page.length < PAGE_JOBS) break;
    }
  }
}

async function* heldJobs(queue: BullQueue, limit: number, answering: Answering): AsyncGenerator<QueuedJob> {
  for (const state of HELD_STATES) {
    for (let from = 0; from < limit; from += PAGE_JOBS) {
      const to = Math.min(from + PAGE_JOBS, limit) - 1;
      const page = await answering(() => queue.getJobs(state, from, to, true));
      yield* page.map(({ id, data }) => ({ id: id ?? '', data }));
      if (page.length < PAGE_JOBS) break;
    }
  }
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

function failedMs(job: FailedJob): number {
  return job.failedAt?.getTime() ?? 0;
}

type Answering = <T>(ask: () => Promise<T>) => Promise<T>;

/** The methods of an object, each asked through `answering`. */
function answeringEach<T extends object>(methods: T, answering: Answering): T {
  return new Proxy(methods, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name);
      if (typeof method !== 'function') return method;
      return (...args: unknown[]) => answering<unknown>(async () => Reflect.apply(method, target, args));
    },
  });
}

/** Asks nothing before the first contact, and says of every failure what it is. */
function answeringAfter(storage: QueueStorage): Answering {
  return async (ask) => {
    try {
      await storage.firstContact;
      return await ask();
    } catch (error) {
      if (error instanceof EverlogError) throw error;
      throw storage.explain(error);
    }
  };
}
