import { createPostgresBackend, Queue, type IQueueBackend, type PgPool } from 'bullmq';

/** How long the trial's job would be locked for whoever takes it. */
const LOCK_MS = 10_000;

/** One process has the folder, so that one name is enough: what a trial that was killed has left goes with the next. */
const NAME = 'probe';

/**
 * Tries the work of a queue; a trial that is under way serves whoever asks meanwhile. Each adds a job to a queue of its own, takes
 * it, and leaves nothing; it rejects with the database's own error.
 */
export function openEmbeddedTrial(pool: PgPool): () => Promise<void> {
  let running: Promise<void> | null = null;
  return () => {
    running ??= tryWork(pool).finally(() => {
      running = null;
    });
    return running;
  };
}

async function tryWork(pool: PgPool): Promise<void> {
  const queue = new Queue<unknown, unknown, string, unknown, unknown, string, IQueueBackend, PgPool>(
    NAME,
    { connection: pool },
    createPostgresBackend,
  );
  queue.on('error', () => undefined);
  const taking = { connection: pool, lockDuration: LOCK_MS };
  const backend = createPostgresBackend(NAME, taking);
  backend.on('error', () => undefined);
  try {
    await queue.obliterate({ force: true });
    await queue.add('probe', {}, { jobId: 'probe' });
    const [taken] = await backend.moveToActive('probe:0');
    if (!taken) throw new Error('the job that was added was not there to be taken');
  } finally {
    await queue.obliterate({ force: true }).catch(() => undefined);
    await Promise.allSettled([queue.close(), backend.close()]);
  }
}
