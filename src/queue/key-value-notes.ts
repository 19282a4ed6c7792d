import type { PgPool } from 'bullmq';
import type { Redis } from 'ioredis';

/**
 * Short texts that outlive a process, kept with the queue: what schedules and commands must remember from one run to the
 * next. They may be lost with the queue; whoever reads one must do without it.
 */
export interface KeyValueNotes {
  /** Keeps a text under a name for so long, in place of an earlier one. */
  note(name: string, text: string, keptMs: number): Promise<void>;
  /** The texts under these names, in their order; null where there is none. */
  noted(names: readonly string[]): Promise<readonly (string | null)[]>;
  /** Sets a field of a table that stays until its fields are removed; null removes the field. */
  setField(table: string, field: string, text: string | null): Promise<void>;
  /** All fields of a table. */
  fields(table: string): Promise<Readonly<Record<string, string>>>;
  /**
   * Claims a name for `holder`, so that one at a time does what it stands for: true when it was free, its claim had run out,
   * or it is the holder's already. Ends by itself after `keptMs`.
   */
  claim(name: string, holder: string, keptMs: number): Promise<boolean>;
  /** Gives a claim back; does nothing when another holds it. */
  release(name: string, holder: string): Promise<void>;
}

/** Notes as their storage keeps them. */
export interface StoredNotes extends KeyValueNotes {
  /** Sets a field unless it has a text already; answers the text that it has then. */
  settleField(table: string, field: string, text: string): Promise<string>;
}

/** KEYS: claim. ARGV: holder, kept ms. */
const CLAIM_LUA = `
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
`;

/** KEYS: claim. ARGV: holder. */
const RELEASE_LUA = `
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0
`;

/** Names asked for in one command. */
const NAMES_PER_COMMAND = 1_000;

/** Notes on a Redis or Valkey server, below `prefix`. */
export function openRedisNotes(connection: Redis, prefix: string): StoredNotes {
  const noteKey = (name: string): string => `${prefix}:notes:${name}`;
  const claimKey = (name: string): string => `${prefix}:claims:${name}`;
  const tableKey = (name: string): string => `${prefix}:tables:${name}`;
  return {
    async note(name, text, keptMs) {
      await connection.set(noteKey(name), text, 'PX', Math.ceil(keptMs));
    },
    async noted(names) {
      const found: (string | null)[] = [];
      for (let start = 0; start < names.length; start += NAMES_PER_COMMAND) {
        found.push(...(await connection.mget(names.slice(start, start + NAMES_PER_COMMAND).map(noteKey))));
      }
      return found;
    },
    async setField(table, field, text) {
      if (text === null) await connection.hdel(tableKey(table), field);
      else await connection.hset(tableKey(table), field, text);
    },
    async settleField(table, field, text) {
      await connection.hsetnx(tableKey(table), field, text);
      return (await connection.hget(tableKey(table), field)) ?? text;
    },
    fields: (table) => connection.hgetall(tableKey(table)),
    async claim(name, holder, keptMs) {
      return (await connection.eval(CLAIM_LUA, 1, claimKey(name), holder, String(Math.ceil(keptMs)))) === 1;
    },
    async release(name, holder) {
      await connection.eval(RELEASE_LUA, 1, claimKey(name), holder);
    },
  };
}

/**
 * Notes in the database of a queue that one process owns. Claims are kept in memory: they end with that process, which is
 * the only one that could hold any.
 */
export async function openEmbeddedNotes(
  pool: Pick<PgPool, 'query'>,
  now: () => Date = () => new Date(),
): Promise<StoredNotes> {
  await pool.query(
    `CREATE TABLE IF NOT EXISTS everlog_note (name text PRIMARY KEY, body text NOT NULL, until_ms bigint NOT NULL)`,
  );
  await pool.query(
    `CREATE TABLE IF NOT EXISTS everlog_field (name text, field text, body text NOT NULL, PRIMARY KEY (name, field))`,
  );
  const claims = new Map<string, { readonly holder: string; readonly untilMs: number }>();
  return {
    async note(name, text, keptMs) {
      const nowMs = now().getTime();
      await pool.query('DELETE FROM everlog_note WHERE until_ms <= $1', [nowMs]);
      await pool.query(
        `INSERT INTO everlog_note (name, body, until_ms) VALUES ($1, $2, $3)
         ON CONFLICT (name) DO UPDATE SET body = EXCLUDED.body, until_ms = EXCLUDED.until_ms`,
        [name, text, nowMs + Math.ceil(keptMs)],
      );
    },
    async noted(names) {
      if (names.length === 0) return [];
      const { rows } = await pool.query<{ name: string; body: string }>(
        'SELECT name, body FROM everlog_note WHERE name = ANY ($1) AND until_ms > $2',
        [names, now().getTime()],
      );
      const found = new Map(rows.map(({ name, body }) => [name, body]));
      return names.map((name) => found.get(name) ?? null);
    },
    async setField(table, field, text) {
      if (text === null) {
        await pool.query('DELETE FROM everlog_field WHERE name = $1 AND field = $2', [table, field]);
        return;
      }
      await pool.query(
        `INSERT INTO everlog_field (name, field, body) VALUES ($1, $2, $3)
         ON CONFLICT (name, field) DO UPDATE SET body = EXCLUDED.body`,
        [table, field, text],
      );
    },
    settleField: (table, field, text) => settleEmbedded(pool, table, field, text),
    async fields(table) {
      const { rows } = await pool.query<{ field: string; body: string }>(
        'SELECT field, body FROM everlog_field WHERE name = $1',
        [table],
      );
      return Object.fromEntries(rows.map(({ field, body }) => [field, body]));
    },
    claim(name, holder, keptMs) {
      const nowMs = now().getTime();
      const held = claims.get(name);
      const free = held === undefined || held.holder === holder || held.untilMs <= nowMs;
      if (free) claims.set(name, { holder, untilMs: nowMs + keptMs });
      return Promise.resolve(free);
    },
    release(name, holder) {
      if (claims.get(name)?.holder === holder) claims.delete(name);
      return Promise.resolve();
    },
  };
}

async function settleEmbedded(
  pool: Pick<PgPool, 'query'>,
  table: string,
  field: string,
  text: string,
): Promise<string> {
  await pool.query(
    'INSERT INTO everlog_field (name, field, body) VALUES ($1, $2, $3) ON CONFLICT (name, field) DO NOTHING',
    [table, field, text],
  );
  const { rows } = await pool.query<{ body: string }>(
    'SELECT body FROM everlog_field WHERE name = $1 AND field = $2',
    [table, field],
  );
  return rows[0]?.body ?? text;
}
