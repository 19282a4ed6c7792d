import { createPostgresBackend, Queue, Worker, type IQueueBackend, type PgPool } from 'bullmq';
import type { Log } from '../../logger.ts';
import { messageOf, retryable } from '../../errors.ts';
import { paceFailures } from '../health/paced-backend.ts';
import { embeddedBacklog } from '../backlog.ts';
import { openEmbeddedPostgres } from './embedded-postgres.ts';
import { requireRoom } from './machine-lacks.ts';
import { openEmbeddedTrial } from './embedded-trial.ts';
import { TAGS_MAX, type FairOrder } from '../fair-order.ts';
import { openLocalOrder, WAITING_FLOWS_SQL, waitingFlowsSchema, type WaitingFlow } from './local-order.ts';
import { openEmbeddedNotes } from '../key-value-notes.ts';
import { openEmbeddedPending } from '../pending-commits.ts';
import { openLocalRateLimiter } from '../rate-limiter.ts';
import {
  tracedBy,
  workerOptions,
  type BullWorker,
  type QueueStorage,
  type QueueTelemetry,
} from '../queue-storage.ts';

/** BullMQ in a folder of this process. */
export interface EmbeddedStorage extends QueueStorage {
  /** Resolves if another process may have taken the folder: end the process. */
  readonly lost: Promise<void>;
}

/** Opens the embedded queue; see `openEmbeddedPostgres` for what it promises and throws. `pendingMax`: most keys in the pending set. */
export async function openEmbeddedStorage(
  folder: string,
  stallsMax: number,
  log: Log,
  pendingMax?: number,
  telemetry?: QueueTelemetry,
): Promise<EmbeddedStorage> {
  const postgres = await openEmbeddedPostgres({ folder, log });
  const resumed = await postgres.recoverInterrupted({ maxStalledCount: stallsMax });
  if (resumed > 0) log.info({ resumed }, 'jobs that were running when the last process ended will run again');
  log.info({ folder }, 'the embedded queue survives the death of this process, not that of the machine');
  const notes = await openEmbeddedNotes(postgres.pool);
  const pending = await openEmbeddedPending(postgres.pool, () => new Date(), pendingMax);
  const orders = new Map<string, FairOrder>();
  const tryWork = openEmbeddedTrial(postgres.pool);
  return {
    kind: 'embedded',
    durability: 'embedded',
    weaknesses: [],
    location: `embedded:${folder}`,
    lost: postgres.lost,
    createQueue(name) {
      const queue = new Queue<unknown, unknown, string, unknown, unknown, string, IQueueBackend, PgPool>(
        name,
        { connection: postgres.pool, ...tracedBy(telemetry) },
        createPostgresBackend,
      );
      queue.on('error', (error: Error) => log.debug({ queue: name, error: error.message }, 'embedded queue'));
      return queue;
    },
    createWorker: (...given) => createWorker(postgres.pool, telemetry, ...given),
    orderOf(queue) {
      // Whoever adds and whoever works must see one order.
      const waiting = async (): Promise<readonly WaitingFlow[]> => {
        const { rows } = await postgres.pool.query(WAITING_FLOWS_SQL, [queue.name, TAGS_MAX]);
        return waitingFlowsSchema.parse(rows);
      };
      const order = orders.get(queue.name) ?? openLocalOrder(queue, waiting);
      orders.set(queue.name, order);
      return order;
    },
    rateLimiter: openLocalRateLimiter(() => new Date()),
    backlog: (queue) => embeddedBacklog(postgres.pool, queue.name),
    notes,
    pending,
    firstContact: Promise.resolve(),
    connection: 1,
    async ping() {
      await postgres.pool.query('SELECT 1');
    },
    async tryWork() {
      await requireRoom(folder);
      await tryWork();
    },
    explain: (error) =>
      retryable(
        'queue_unavailable',
        `the queue embedded:${folder} does not answer: ${messageOf(error)}`,
        error,
      ),
    close: () => postgres.close(),
  };
}

function createWorker(
  connection: PgPool,
  telemetry: QueueTelemetry | undefined,
  ...[name, processor, settings]: Parameters<QueueStorage['createWorker']>
): BullWorker {
  return new Worker<unknown, unknown, string, IQueueBackend, number, PgPool>(
    name,
    processor,
    {
      connection,
      ...workerOptions(settings, telemetry),
    },
    (...given) => paceFailures(createPostgresBackend(...given)),
  );
}
