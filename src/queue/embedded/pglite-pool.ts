import { EventEmitter } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { types, type PGlite, type Results } from '@electric-sql/pglite';
import type { PgNotification, PgPool, PgPoolClient, PgQueryResult } from 'bullmq';
import { giveUp, messageOf, type EverlogError } from '../../errors.ts';
import { ConnectionTurn } from './connection-turn.ts';

/** How PGlite is to read values so that BullMQ sees what node-postgres gives: 64-bit integers arrive as text. */
export const NODE_POSTGRES_PARSERS = { [types.INT8]: (text: string): string => text };

/**
 * JSON escapes that Postgres refuses to store and a queue server would take: NUL, and halves of surrogate pairs
 * (JSON.stringify escapes none but the lone ones). The backslash must not itself be escaped.
 */
const UNSTORABLE_JSON_ESCAPES = /(?<!\\)((?:\\\\)*)\\u(?:0000|d[89a-f][0-9a-f]{2})/g;
const JSON_DOCUMENT_START = /^["{[]/;

/** What ends the database for good, as opposed to refusing one statement. */
const FATAL_ERROR_NAMES = new Set(['RuntimeError', 'ExitStatus']);
const FATAL_SEVERITIES = new Set(['FATAL', 'PANIC']);

/**
 * How long an answer is held back when every repetition would fail alike. A BullMQ worker asks again at once and for
 * ever (measured: the event loop never turns again); once a second is often enough to find that it must end.
 */
const HOPELESS_ANSWER_DELAY_MS = 1000;
/** SQLSTATE classes of a machine in trouble rather than a wrong statement: resources, system, internal. */
const MACHINE_TROUBLE = /^(?:53|58|XX)/;

/** Matches what BullMQ sends: comments, then one LISTEN or UNLISTEN of a plain name. */
const LISTEN_STATEMENT = /^(?:\s*--[^\n]*\n)*\s*(LISTEN|UNLISTEN)\s+(\w+)\s*;?\s*$/i;

/** A `pg.Pool` of any number of clients over one PGlite connection, as BullMQ's Postgres backend needs it. */
export interface PglitePool extends PgPool {
  /** Statements run so far. */
  readonly statements: number;
  /** Resolves with the reason once every further query is refused, be it by `refuse` or because the database died. */
  readonly refused: Promise<EverlogError>;
  /** Refuses every further query with `reason`. One already running finishes. */
  refuse(reason: EverlogError): void;
}

/**
 * Makes one PGlite connection look like a pool. Statements run one after the other; a client that has begun a
 * transaction keeps everybody else waiting until it commits, rolls back or is released. Notifications reach the
 * clients that LISTEN. `end` waits for running queries and leaves the database open: its owner closes it.
 */
export function createPglitePool(database: PGlite): PglitePool {
  return new SingleConnectionPool(database);
}

class SingleConnectionPool extends EventEmitter implements PglitePool {
  readonly #database: PGlite;
  readonly #turn = new ConnectionTurn();
  readonly refused: Promise<EverlogError>;
  #tellRefused: (reason: EverlogError) => void = () => undefined;
  #refusal: Error | undefined;
  #statements = 0;

  constructor(database: PGlite) {
    super();
    // Every queue and worker adds its listeners to the one pool.
    this.setMaxListeners(0);
    this.#database = database;
    this.refused = new Promise((resolve) => {
      this.#tellRefused = resolve;
    });
  }

  get statements(): number {
    return this.#statements;
  }

  async query<R>(text: string, params?: readonly unknown[]): Promise<PgQueryResult<R>> {
    await this.#refuseSlowly();
    try {
      return await this.#inTurn<R>(text, params);
    } catch (error) {
      if (isMachineTrouble(error)) await pause(HOPELESS_ANSWER_DELAY_MS, undefined, { ref: false });
      throw error;
    }
  }

  async connect(): Promise<PgPoolClient> {
    await this.#refuseSlowly();
    const client = new PooledClient(this.#database, this.#turn, async (text, params) =>
      this.#run(text, params),
    );
    this.emit('connect', client);
    return client;
  }

  async end(): Promise<void> {
    this.#refusal ??= new Error('Cannot use a pool after calling end on the pool');
    await this.#turn.take();
    this.#turn.give();
  }

  refuse(reason: EverlogError): void {
    if (this.#refusal !== undefined) return;
    this.#refusal = reason;
    this.#tellRefused(reason);
  }

  async #inTurn<R>(text: string, params: readonly unknown[] | undefined): Promise<PgQueryResult<R>> {
    await this.#turn.take();
    try {
      return await this.#run<R>(text, params);
    } finally {
      this.#turn.give();
    }
  }

  async #refuseSlowly(): Promise<void> {
    if (this.#refusal === undefined) return;
    await pause(HOPELESS_ANSWER_DELAY_MS, undefined, { ref: false });
    throw this.#refusal;
  }

  async #run<R>(text: string, params: readonly unknown[] | undefined): Promise<PgQueryResult<R>> {
    if (this.#refusal !== undefined) throw this.#refusal;
    this.#statements += 1;
    try {
      return await runStatement<R>(this.#database, text, params);
    } catch (error) {
      if (isFatal(error)) {
        const message = `The embedded queue's database stopped: ${messageOf(error)}. Restart Everlog.`;
        this.refuse(giveUp('queue_unavailable', message, error));
      }
      throw error;
    }
  }
}

async function runStatement<R>(
  database: PGlite,
  text: string,
  params: readonly unknown[] | undefined,
): Promise<PgQueryResult<R>> {
  if (params !== undefined && params.length > 0) {
    return toPgResult(await database.query<R>(text, params.map(storable)));
  }
  // Without parameters node-postgres uses the simple protocol, which alone takes several statements (migrations).
  const results = await database.exec(text);
  const last = results.at(-1);
  // The caller names the row type, as with node-postgres.
  // eslint-disable-next-line typescript/no-unsafe-type-assertion
  return last === undefined ? { rows: [], rowCount: 0 } : toPgResult(last as Results<R>);
}

/** Replaces what Postgres cannot store in text: an error message that quotes a NUL must not block the job's failure. */
function storable(param: unknown): unknown {
  if (typeof param !== 'string') return param;
  const text = param.replaceAll('\0', '\uFFFD');
  return JSON_DOCUMENT_START.test(text) ? text.replace(UNSTORABLE_JSON_ESCAPES, String.raw`$1\ufffd`) : text;
}

function isMachineTrouble(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  return typeof error.code === 'string' && MACHINE_TROUBLE.test(error.code);
}

function isFatal(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (FATAL_ERROR_NAMES.has(error.name)) return true;
  return 'severity' in error && typeof error.severity === 'string' && FATAL_SEVERITIES.has(error.severity);
}

function toPgResult<R>(result: Results<R>): PgQueryResult<R> {
  const { rows } = result;
  return { rows, rowCount: rows.length > 0 ? rows.length : (result.affectedRows ?? 0) };
}

/** A database that has died is in no transaction, and cannot be asked. */
function isInTransaction(database: PGlite): boolean {
  try {
    return database.isInTransaction();
  } catch {
    return false;
  }
}

type RunQuery = <R>(text: string, params: readonly unknown[] | undefined) => Promise<PgQueryResult<R>>;

class PooledClient extends EventEmitter implements PgPoolClient {
  readonly #database: PGlite;
  readonly #turn: ConnectionTurn;
  readonly #run: RunQuery;
  readonly #subscriptions = new Map<string, () => Promise<void>>();
  #inTransaction = false;
  #released = false;

  constructor(database: PGlite, turn: ConnectionTurn, run: RunQuery) {
    super();
    this.#database = database;
    this.#turn = turn;
    this.#run = run;
  }

  async query<R>(text: string, params?: readonly unknown[]): Promise<PgQueryResult<R>> {
    if (this.#released) throw new Error('Client has been released and cannot be used anymore');
    if (!this.#inTransaction) await this.#turn.take();
    try {
      const listen = LISTEN_STATEMENT.exec(text);
      return listen === null ? await this.#run<R>(text, params) : await this.#listen(listen);
    } finally {
      this.#inTransaction = isInTransaction(this.#database);
      if (!this.#inTransaction) this.#turn.give();
    }
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    void this.#leave();
  }

  /** Ends what the borrower left behind: an open transaction and its subscriptions. */
  async #leave(): Promise<void> {
    if (!this.#inTransaction) await this.#turn.take();
    try {
      if (this.#inTransaction) await this.#run('ROLLBACK', undefined);
      for (const unsubscribe of this.#subscriptions.values()) await unsubscribe();
    } catch {
      // The pool refuses queries by now: whoever closes the database ends both.
    } finally {
      this.#inTransaction = false;
      this.#turn.give();
    }
  }

  async #listen(statement: RegExpExecArray): Promise<{ rows: never[]; rowCount: number }> {
    const [, verb = '', channel = ''] = statement;
    const subscribed = this.#subscriptions.get(channel);
    if (verb.toUpperCase() === 'LISTEN' && subscribed === undefined) {
      const unsubscribe = await this.#database.listen(channel, (payload) =>
        this.#notify({ channel, payload }),
      );
      this.#subscriptions.set(channel, async () => unsubscribe());
    }
    if (verb.toUpperCase() === 'UNLISTEN' && subscribed !== undefined) {
      this.#subscriptions.delete(channel);
      await subscribed();
    }
    return { rows: [], rowCount: 0 };
  }

  /** Told apart from the query whose answer carried it: a listener must not run inside the database. */
  #notify(notification: PgNotification): void {
    queueMicrotask(() => this.emit('notification', notification));
  }
}
