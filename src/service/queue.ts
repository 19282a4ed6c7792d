import { STALLS_MAX } from '../../workers/run-workers.ts';
import type { Config } from '../config.ts';
import { archiveIdentity } from '../config/archive-url.ts';
import type { Log } from '../logger.ts';
import { refuseForeignQueue, requireOwnQueue } from '../queue/health/belonging.ts';
import { openJobQueue, type JobQueue } from '../queue/job-queue.ts';
import type { QueueStorage, QueueTelemetry } from '../queue/queue-storage.ts';
import { openRedisStorage } from '../queue/redis/redis-storage.ts';

/** The queue as a process holds it. */
export interface OpenQueue {
  readonly queue: JobQueue;
  readonly storage: QueueStorage;
  /** Judges whether the server may lose jobs; rejects with `queue_unsafe` or, while it does not answer, `queue_unavailable`. */
  readonly check: () => Promise<void>;
  /** Resolves if the embedded queue's folder was lost to another process. */
  readonly lost: Promise<void>;
}

/** Opens the queue: connects to the server without waiting for it, or takes the embedded one's folder. */
export async function openQueue(config: Config, log: Log, telemetry?: QueueTelemetry): Promise<OpenQueue> {
  if (config.queue.kind === 'embedded') {
    const { openEmbeddedStorage } = await import('../queue/embedded/embedded-storage.ts');
    const storage = await openEmbeddedStorage(config.queue.folder, STALLS_MAX, log, undefined, telemetry);
    return { queue: openJobQueue(storage), storage, check: () => Promise.resolve(), lost: storage.lost };
  }
  const { options, location } = config.queue;
  const storage = openRedisStorage({
    options,
    location,
    prefix: config.queuePrefix,
    allowUnsafe: config.allowUnsafeQueue,
    log,
    telemetry,
  });
  const never = new Promise<void>(() => undefined);
  return { queue: openJobQueue(storage), storage, check: () => storage.check(), lost: never };
}

/**
 * Marks the queue as the one of the configured archive, unless it bears a mark already.
 * @throws EverlogError `queue_foreign` (give up) when it belongs to another archive
 */
export function requireOwnQueueOf(config: Config, queue: JobQueue): Promise<void> {
  return requireOwnQueue(queue.notes, archiveIdentity(config.archive), queuePlace(config, queue));
}

/**
 * Looks whether the queue is marked as the one of the configured archive, and marks nothing.
 * @throws EverlogError `queue_foreign` (give up) when it belongs to another archive
 */
export function refuseForeignQueueOf(config: Config, queue: JobQueue): Promise<'own' | 'unmarked'> {
  return refuseForeignQueue(queue.notes, archiveIdentity(config.archive), queuePlace(config, queue));
}

function queuePlace(config: Config, queue: JobQueue): { location: string; prefix: string | null } {
  const prefix = config.queue.kind === 'embedded' ? null : config.queuePrefix;
  return { location: queue.location, prefix };
}
