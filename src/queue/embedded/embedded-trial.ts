import { randomUUID } from 'node:crypto';
import { createPostgresBackend, Queue, type IQueueBackend, type PgPool } from 'bullmq';

/** How long the trial's job would be locked for whoever takes it. */
const LOCK_MS = 10_000;

/** Adds a job to a queue of its own, takes it, and leaves nothing; rejects with the database's own error. */
export async function tryEmbeddedWork(pool: PgPool): Promise<void> {
  const name = `probe-${randomUUID()}`;
  const queue = new Queue<unknown, unknown, string, unknown, unknown, string, IQueueBackend, PgPool>(
    name,
    { connection: pool },
    createPostgresBackend,
  );
  queue.on('error', () => undefined);
  const taking = { connection: pool, lockDuration: LOCK_MS };
  const backend = createPostgresBackend(name, taking);
  backend.on('error', () => undefined);
  try {
    await queue.add('probe', {}, { jobId: 'probe' });
    const [taken] = await backend.moveToActive('probe:0');
    if (!taken) throw new Error('the job that was added was not there to be taken');
  } finally {
    await queue.obliterate({ force: true }).catch(() => undefined);
    await Promise.allSettled([queue.close(), backend.close()]);
  }
}
