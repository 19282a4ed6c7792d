import type { IQueueBackend, Job, Queue, Telemetry, Worker } from 'bullmq';
import type { EverlogError } from '../errors.ts';
import type { BacklogStatistics } from './backlog.ts';
import type { FairOrder } from './fair-order.ts';
import type { StoredNotes } from './key-value-notes.ts';
import type { PendingCommits } from './pending-commits.ts';
import type { RateLimiter } from './rate-limiter.ts';

/** BullMQ's classes without the type of the connection that a storage hides. */
export type BullQueue = Pick<
  Queue<unknown, unknown, string, unknown, unknown, string, IQueueBackend>,
  | 'add'
  | 'getJob'
  | 'getJobs'
  | 'getJobCounts'
  | 'getJobState'
  | 'getWaiting'
  | 'toKey'
  | 'waitUntilReady'
  | 'close'
  | 'name'
  | 'exportPrometheusMetrics'
  | 'getJobSchedulers'
  | 'upsertJobScheduler'
  | 'removeJobScheduler'
>;
export type BullWorker = Pick<
  Worker<unknown, unknown, string, IQueueBackend>,
  'run' | 'close' | 'isRunning'
> & {
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'failed', listener: (job: BullJob | undefined, error: Error) => void): unknown;
};
export type BullJob = Job<unknown, unknown>;
/** What carries a trace through the queue. */
export type QueueTelemetry = Telemetry;

/** What a queue server promises of what it has acknowledged (`queue_durability` in digests). */
export type QueueDurability =
  /** Written to an append-only file within a second, nothing evicted. */
  | 'persistent'
  /** Survives the death of the process, not of the machine. */
  | 'embedded'
  /** The server does not tell. */
  | 'unknown'
  /** It may lose jobs: the operator allowed that, or has it leave writing to its machine (`appendfsync no`). */
  | 'unsafe';

/** What a queue server does not promise though it is used. */
export interface Weakness {
  readonly what: string;
  readonly cure: string;
}

/** How a worker takes jobs. Times in milliseconds. */
export interface WorkerSettings {
  readonly concurrency: number;
  readonly lockDurationMs: number;
  readonly stalledIntervalMs: number;
  readonly stallsMax: number;
  /** Wait before a counted try, by the tries made so far. */
  readonly backoffMs: (attemptsMade: number) => number;
}

/** Where BullMQ keeps its queues: a Redis or Valkey server, or a folder of this process. */
export interface QueueStorage {
  readonly kind: 'redis' | 'embedded';
  readonly durability: QueueDurability;
  /** For people, without credentials. */
  readonly location: string;
  /** What else there is to say of the durability, such as that a failover may forget; empty before it was judged. */
  readonly weaknesses: readonly Weakness[];
  createQueue(name: string): BullQueue;
  createWorker(
    name: string,
    processor: (job: BullJob, token: string | undefined) => Promise<unknown>,
    settings: WorkerSettings,
  ): BullWorker;
  /** In which order the jobs of a queue are taken. */
  orderOf(queue: BullQueue): FairOrder;
  /** What all workers agree on. */
  readonly rateLimiter: RateLimiter;
  /** Who waits in a queue, since when and why. */
  backlog(queue: BullQueue): Promise<BacklogStatistics>;
  /** What is remembered from one run to the next. */
  readonly notes: StoredNotes;
  /** What was committed and is not sealed yet. */
  readonly pending: PendingCommits;
  /** Resolves when the server has been reached once, or has had its time for that: what is asked before is refused. */
  readonly firstContact: Promise<void>;
  /** How many connections there have been: each may lead to another server, or to the same one without its data. */
  readonly connection: number;
  /** Rejects unless the server answers. */
  ping(): Promise<void>;
  /** Runs what adding and taking a job needs, and leaves nothing; rejects with the storage's own error. */
  tryWork(): Promise<void>;
  /** An error of the storage as `queue_unavailable` (retry): in its own words, with what mends it. */
  explain(error: unknown): EverlogError;
  close(): Promise<void>;
}

/** What BullMQ makes a worker with, on any storage. It runs when it is told to. */
export function workerOptions(settings: WorkerSettings, telemetry: QueueTelemetry | undefined) {
  return {
    autorun: false,
    concurrency: settings.concurrency,
    lockDuration: settings.lockDurationMs,
    stalledInterval: settings.stalledIntervalMs,
    maxStalledCount: settings.stallsMax,
    settings: { backoffStrategy: settings.backoffMs },
    ...tracedBy(telemetry),
  };
}

/** The option of a queue or worker by which a trace is carried on; none where nobody traces. */
export function tracedBy(telemetry: QueueTelemetry | undefined): { telemetry?: QueueTelemetry } {
  return telemetry === undefined ? {} : { telemetry };
}
