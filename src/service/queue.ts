import { STALLS_MAX } from '../../workers/run-workers.ts';
import type { Config } from '../config.ts';
import type { Log } from '../logger.ts';
import { refuseForeignQueue, requireOwnQueue, type OwnArchive } from '../queue/health/belonging.ts';
import { openJobQueue, type JobQueue } from '../queue/job-queue.ts';
import type { QueueStorage, QueueTelemetry } from '../queue/queue-storage.ts';
import type { KeyValueNotes } from '../queue/key-value-notes.ts';
import { openRedisStorage } from '../queue/redis/redis-storage.ts';
import { ownArchive } from './own-archive.ts';

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
 * Marks the queue as the one of the archive, unless it bears a mark already.
 * @throws EverlogError `queue_foreign` (give up) when it belongs to another archive, `queue_unavailable` while that is not known
 */
export function requireOwnQueueOf(config: Config, archive: OwnArchive, queue: JobQueue): Promise<void> {
  return requireOwnQueue(queue.notes, archive, placeOf(config));
}

/**
 * Looks whether a queue, held or reached through the service that owns it, is marked as the configured archive's; marks nothing.
 * @throws EverlogError `queue_foreign` (give up) when it belongs to another archive, `queue_unavailable` while that is not known
 */
export function refuseForeignQueueOf(
  config: Config,
  { notes }: { readonly notes: Pick<KeyValueNotes, 'fields'> },
): Promise<'own' | 'unmarked'> {
  return refuseForeignQueue(notes, ownArchive(config, { reads: true }), placeOf(config));
}

function placeOf({ queue, queuePrefix }: Config): { location: string; prefix: string | null } {
  return queue.kind === 'embedded'
    ? { location: `embedded:${queue.folder}`, prefix: null }
    : { location: queue.location, prefix: queuePrefix };
}
