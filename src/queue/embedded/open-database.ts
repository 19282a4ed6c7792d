import { setFlagsFromString } from 'node:v8';
import { PGlite } from '@electric-sql/pglite';
import { DEFAULT_SCHEMA, runMigrations, SchemaVersionMismatchError, type PgPool } from 'bullmq';
import { codeOf, EverlogError, giveUp, messageOf } from '../../errors.ts';
import { createPglitePool, NODE_POSTGRES_PARSERS } from './pglite-pool.ts';

/**
 * Settings for one connection and small tables. The library's 128 MB of shared buffers buy nothing here, and a queue's
 * tables swing between empty and full, so that a plan made for the empty one must not scan the full one.
 */
const POSTGRES_SETTINGS = [
  'shared_buffers=16MB',
  'max_wal_size=48MB',
  'min_wal_size=32MB',
  'enable_seqscan=off',
  'jit=off',
];

/** The engine compiles Postgres on one thread: each more keeps tens of megabytes for good (measured: 25 to 40 MB less, and no slower). */
const ONE_COMPILER = '--wasm-num-compilation-tasks=1';

/** Lines of what Postgres says before it fails that are kept, and how much of each: the last ones name the cause. */
const SAID_LINES_MAX = 6;
const SAID_LINE_CHARS_MAX = 300;
/** What stands before the words of a line of Postgres' log: a time and a process, which is always the same. */
const LINE_HEAD = /^\d[^[]*\[\d+\] /;
const SQL_STATE = /^[0-9A-Z]{5}$/;
/** Lines that say nothing of a cause. */
const NO_CAUSE = /^(Aborted\(|LOG: {2}(shutting down|database system))/;

/** A database that does not open. `message` has the words of Postgres itself, where it said any: its own error says nothing. */
export class DatabaseRefusal extends Error {
  /** The SQLSTATE of a statement that failed; empty where the database failed as a whole. */
  readonly sqlState: string;

  constructor(said: readonly string[], cause: unknown) {
    const code = codeOf(cause) ?? '';
    const sqlState = SQL_STATE.test(code) ? code : '';
    const own = said.length > 0 && sqlState === '' ? [] : [messageOf(cause)];
    super([...said, ...own].join(' · '), { cause });
    this.name = 'DatabaseRefusal';
    this.sqlState = sqlState;
  }
}

/**
 * Opens the database in `data` and brings its tables to this version's form.
 * @throws DatabaseRefusal with what Postgres says; EverlogError `queue_unavailable` (give up) for a queue of a newer version
 */
export async function openDatabase(data: string): Promise<PGlite> {
  const said: string[] = [];
  setFlagsFromString(ONE_COMPILER);
  try {
    const database = await PGlite.create(data, {
      relaxedDurability: true,
      startParams: [...PGlite.defaultStartParams, ...POSTGRES_SETTINGS.flatMap((setting) => ['-c', setting])],
      parsers: NODE_POSTGRES_PARSERS,
      onStderr: (line) => keep(said, line),
    });
    try {
      const pool = createPglitePool(database);
      const client = await pool.connect();
      await migrate(client, data);
      client.release();
      // BullMQ's statements name no schema; a pool that is handed to it must select it.
      await pool.query(`SET search_path TO ${DEFAULT_SCHEMA}`);
      await pool.end();
      return database;
    } catch (error) {
      // One that has died cannot be closed; why is what counts.
      await database.close().catch(() => undefined);
      throw error;
    }
  } catch (error) {
    if (error instanceof EverlogError) throw error;
    throw new DatabaseRefusal(said, error);
  }
}

/** Answers whether PGlite is to print the line too: never. */
function keep(said: string[], line: string): boolean {
  const words = line.replace(LINE_HEAD, '').trim().slice(0, SAID_LINE_CHARS_MAX);
  if (words === '' || NO_CAUSE.test(words)) return false;
  said.push(words);
  if (said.length > SAID_LINES_MAX) said.shift();
  return false;
}

/** Of a sound database only that of a newer BullMQ is refused. */
async function migrate(client: Awaited<ReturnType<PgPool['connect']>>, data: string): Promise<void> {
  try {
    await runMigrations(client);
  } catch (error) {
    if (!(error instanceof SchemaVersionMismatchError)) throw error;
    throw giveUp(
      'queue_unavailable',
      `The queue in ${data} was made by a newer version of Everlog: go on with that one, or name another folder in EVERLOG_QUEUE_URL.`,
      error,
    );
  }
}
