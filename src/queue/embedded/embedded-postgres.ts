import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { PGlite } from '@electric-sql/pglite';
import { dataDir as pristineDatabase } from '@electric-sql/pglite-prepopulatedfs';
import type { PgPool } from 'bullmq';
import { EverlogError, giveUp, messageOf, retryable } from '../../errors.ts';
import type { Log } from '../../logger.ts';
import { lockFolder, type FolderLock } from './folder-lock.ts';
import { DATA_FOLDER } from './queue-folder.ts';
import { lackOf, requireGrowth, requireRoom } from './machine-lacks.ts';
import { openDatabase } from './open-database.ts';
import { demandRuined, majorOf, setAside } from './set-aside.ts';
import { createPglitePool, type PglitePool } from './pglite-pool.ts';
import { unpackDatabase } from './unpack-database.ts';

/** BullMQ's storage in a folder, inside this process. */
export interface EmbeddedPostgres {
  /** To be given to BullMQ as `connection`, with `createPostgresBackend`. */
  readonly pool: PgPool;
  /**
   * Resolves when the queue has ended by itself: another process may have taken the folder, or the database died.
   * By then the pool refuses every query, and only a new process can go on: end this one.
   */
  readonly lost: Promise<void>;
  /**
   * Hands jobs that were running when the last process died back to the head of their queues, at once. Safe only
   * before the first worker starts. Each counts as a stall, so that a job which kills its process fails for good
   * after `maxStalledCount` of them, as it would on a queue server. Returns how many were handed back.
   */
  recoverInterrupted(options: { maxStalledCount: number }): Promise<number>;
  /** Finishes running queries, closes the database and frees the folder. Close queues and workers first. */
  close(): Promise<void>;
}

/** The major version that PGlite's Postgres writes into a folder's PG_VERSION. */
export const EMBEDDED_POSTGRES_MAJOR = '18';
/**
 * Nobody else tidies: PGlite has no background processes. After this many statements (some seconds of full load)
 * dead rows are swept and the write-ahead log is cut, both in tens of milliseconds; left alone, both grow for ever.
 */
const STATEMENTS_PER_UPKEEP = 5000;
/** How often the count is looked at. */
const UPKEEP_CHECK_INTERVAL_MS = 5000;
/** Tables with fewer dead rows are left alone. */
const DEAD_ROWS_WORTH_A_SWEEP = 500;

/** Stands beside a database that is being made: found at a start, that one never held an acknowledged job. */
const UNFINISHED_MARKER = 'postgres.unfinished';

/**
 * Opens the embedded queue in `folder` (made when missing, 0700), alone: a second process is refused.
 *
 * What was acknowledged survives the death of this process, not that of the machine: PGlite never calls fsync.
 * A database of another Postgres major, or one that is ruined, is set aside beside it and a fresh one begun.
 *
 * Throws `queue_locked` and `queue_unavailable`.
 */
export async function openEmbeddedPostgres(options: { folder: string; log: Log }): Promise<EmbeddedPostgres> {
  const folder = resolve(options.folder);
  const lock = await lockFolder(folder);
  try {
    await requireRoom(folder);
    await requireGrowth(folder);
    const database = await openOrBegin(folder, options.log);
    return embeddedPostgres(database, lock, options.log);
  } catch (error) {
    await lock.release();
    throw error;
  }
}

function embeddedPostgres(database: PGlite, lock: FolderLock, log: Log): EmbeddedPostgres {
  const pool = createPglitePool(database);
  void refuseWhenLost(pool, lock);
  const upkeep = startUpkeep(pool, log);
  let closing: Promise<void> | undefined;
  return {
    pool,
    lost: reportEnd(pool, log),
    recoverInterrupted: async ({ maxStalledCount }) => recoverInterrupted(pool, maxStalledCount),
    close: async () => {
      upkeep.stop();
      closing ??= close(pool, database, lock);
      await closing;
    },
  };
}

async function refuseWhenLost(pool: PglitePool, lock: FolderLock): Promise<void> {
  await lock.lost;
  pool.refuse(giveUp('queue_locked', 'The lock on the queue folder was lost: its holder was ended.'));
}

async function reportEnd(pool: PglitePool, log: Log): Promise<void> {
  const reason = await pool.refused;
  log.error({ code: reason.code, reason: reason.message }, 'the embedded queue stopped');
}

/** Frees the folder even when the database is past closing, because only then another process can recover it. */
async function close(pool: PglitePool, database: PGlite, lock: FolderLock): Promise<void> {
  try {
    await pool.end();
    await database.close();
  } finally {
    await lock.release();
  }
}

/** Sweeps dead rows and cuts the write-ahead log when enough was written. Never more than one round at a time. */
function startUpkeep(pool: PglitePool, log: Log): { stop(): void } {
  let doneAtStatement = 0;
  let running = false;
  let stopped = false;
  const round = async (): Promise<void> => {
    if (running || pool.statements - doneAtStatement < STATEMENTS_PER_UPKEEP) return;
    running = true;
    doneAtStatement = pool.statements;
    try {
      await vacuum(pool);
    } catch (error) {
      if (!stopped) log.warn({ reason: messageOf(error) }, 'the embedded queue could not be tidied');
    } finally {
      running = false;
    }
  };
  const timer = setInterval(() => void round(), UPKEEP_CHECK_INTERVAL_MS).unref();
  return {
    stop: () => {
      stopped = true;
      clearInterval(timer);
    },
  };
}

async function vacuum(pool: PgPool): Promise<void> {
  const { rows } = await pool.query<{ name: string }>(
    `SELECT format('%I.%I', schemaname, relname) AS name FROM pg_stat_user_tables WHERE n_dead_tup >= $1`,
    [DEAD_ROWS_WORTH_A_SWEEP],
  );
  for (const { name } of rows) await pool.query(`VACUUM ${name}`);
  await pool.query('CHECKPOINT');
}

async function openOrBegin(folder: string, log: Log): Promise<PGlite> {
  const data = join(folder, DATA_FOLDER);
  const found = await inspect(folder);
  if (found === 'unfinished') await rm(data, { recursive: true, force: true });
  if (found === 'database') {
    try {
      return await openDatabase(data);
    } catch (error) {
      await demandRuined(data, error);
      await setAside(folder, `it cannot be opened: ${messageOf(error)}`, log);
    }
  }
  if (typeof found === 'object') {
    await setAside(folder, `its Postgres version is ${found.major}, this is ${EMBEDDED_POSTGRES_MAJOR}`, log);
  }
  try {
    return await begin(folder, data);
  } catch (error) {
    if (error instanceof EverlogError) throw error;
    throw (
      lackOf(folder, messageOf(error), error) ??
      retryable('queue_unavailable', `The queue in ${folder} cannot be begun: ${messageOf(error)}.`, error)
    );
  }
}

async function begin(folder: string, data: string): Promise<PGlite> {
  const marker = join(folder, UNFINISHED_MARKER);
  await writeFile(marker, '');
  await mkdir(data, { mode: 0o700 });
  // Unpacking one takes a second, making one four.
  await unpackDatabase(await pristineDatabase(), data);
  const database = await openDatabase(data);
  await rm(marker);
  return database;
}

/** What lies in the folder. Only what an interrupted start left behind may be removed; anything else is kept. */
async function inspect(folder: string): Promise<'nothing' | 'unfinished' | 'database' | { major: string }> {
  const names = await readdir(folder);
  if (names.includes(UNFINISHED_MARKER)) return 'unfinished';
  if (!names.includes(DATA_FOLDER)) return 'nothing';
  const major = await majorOf(join(folder, DATA_FOLDER));
  return major === EMBEDDED_POSTGRES_MAJOR ? 'database' : { major };
}

/**
 * Lets BullMQ's own stalled check do the moving and counting: the locks are declared expired, which the lock on the
 * folder proves, and its two-pass caution is skipped for the same reason. BullMQ moves to the tail; the head is right.
 */
async function recoverInterrupted(pool: PgPool, maxStalledCount: number): Promise<number> {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    // Each goes before those moved earlier, so the one that started first is moved last.
    const { rows } = await client.query<{ queue: string; id: string; priority: number }>(
      `SELECT queue, id, priority FROM job WHERE state = 'active' ORDER BY processed_at_ms DESC, seq DESC`,
    );
    await client.query(`UPDATE job SET locked_until_ms = 0, stalled_marked = true WHERE state = 'active'`);
    for (const queue of new Set(rows.map((row) => row.queue))) {
      await client.query(`DELETE FROM meta WHERE queue = $1 AND field = 'stalled-check'`, [queue]);
      await client.query('SELECT move_stalled_jobs_to_wait($1, $2, $3, $4)', [
        queue,
        maxStalledCount,
        Date.now(),
        0,
      ]);
    }
    for (const { queue, id, priority } of rows) {
      await client.query('SELECT change_priority($1, $2, $3, true)', [queue, id, priority]);
    }
    await client.query('COMMIT');
    return rows.length;
  } finally {
    client.release();
  }
}
