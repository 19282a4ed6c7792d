import type { PgPool } from 'bullmq';
import type { Redis } from 'ioredis';
import type { CommitsToSeal } from '../ledger/ports.ts';

/**
 * Keys of the archive that were committed and that no digest has sealed yet, kept with the queue, so that the sealer need not
 * list an archive of 10⁹ objects. Every method takes a key more than once. The set may be lost with the queue: its mark goes with
 * it, and a sealer that finds no mark lists the archive instead.
 */
export interface PendingCommits extends CommitsToSeal {
  /** Says that these keys are about to be written, so that a crash between the object and `add` loses none of them. */
  announce(keys: readonly string[]): Promise<void>;
  /** Keys that were announced before `moment` and neither added nor removed since: whoever wrote them may have died. */
  announcedBefore(moment: Date, limit: number): Promise<readonly string[]>;
}

/**
 * More keys than this are dropped with the mark, and the archive is listed instead: where nobody seals, the queue server's
 * memory is bounded. A key takes about 250 bytes.
 */
const PENDING_MAX = 1_000_000;
/** Keys in one command, so that no command holds up the server for long. */
const KEYS_PER_COMMAND = 1_000;
/** Counting a large table takes time: the bound is looked at once in so many added keys. */
const KEYS_PER_COUNT = 1_000;

/** Drops all when there is too much. */
const BOUND_LUA = `
if redis.call('ZCARD', KEYS[1]) + redis.call('ZCARD', KEYS[2]) > tonumber(ARGV[1]) then
  redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
end
return 0
`;

/** KEYS: pending, announced, mark. ARGV: most keys, now in ms, key… */
const ANNOUNCE_LUA = `
for i = 3, #ARGV do redis.call('ZADD', KEYS[2], ARGV[2], ARGV[i]) end
${BOUND_LUA}`;

/** KEYS: pending, announced, mark. ARGV: most keys, key… */
const ADD_LUA = `
for i = 2, #ARGV do
  redis.call('ZADD', KEYS[1], 0, ARGV[i])
  redis.call('ZREM', KEYS[2], ARGV[i])
end
${BOUND_LUA}`;

/** The pending set on a Redis or Valkey server, below `prefix`. `keysMax` is for tests. */
export function openRedisPending(
  connection: Redis,
  prefix: string,
  now: () => Date = () => new Date(),
  keysMax = PENDING_MAX,
): PendingCommits {
  const pending = `${prefix}:pending:keys`;
  const announced = `${prefix}:pending:announced`;
  const mark = `${prefix}:pending:mark`;
  return {
    async announce(keys) {
      const ms = String(now().getTime());
      for (const part of parts(keys))
        await connection.eval(ANNOUNCE_LUA, 3, pending, announced, mark, String(keysMax), ms, ...part);
    },
    async add(keys) {
      for (const part of parts(keys))
        await connection.eval(ADD_LUA, 3, pending, announced, mark, String(keysMax), ...part);
    },
    page: (after, limit) =>
      connection.zrangebylex(pending, after === null ? '-' : `(${after}`, '+', 'LIMIT', 0, limit),
    async remove(keys) {
      for (const part of parts(keys))
        await connection
          .multi()
          .zrem(pending, ...part)
          .zrem(announced, ...part)
          .exec();
    },
    count: () => connection.zcard(pending),
    announcedBefore: (moment, limit) =>
      connection.zrangebyscore(announced, '-inf', `(${moment.getTime()}`, 'LIMIT', 0, limit),
    async mark() {
      const found = await connection.get(mark);
      return found === null ? null : Number(found);
    },
    async setMark(sequence) {
      await connection.set(mark, String(sequence));
    },
  };
}

/** The pending set in the database of a queue that one process owns. `keysMax` is for tests. */
export async function openEmbeddedPending(
  pool: Pick<PgPool, 'query'>,
  now: () => Date = () => new Date(),
  keysMax = PENDING_MAX,
): Promise<PendingCommits> {
  await pool.query(`CREATE TABLE IF NOT EXISTS everlog_pending (key text COLLATE "C" PRIMARY KEY)`);
  await pool.query(
    `CREATE TABLE IF NOT EXISTS everlog_announced (key text COLLATE "C" PRIMARY KEY, at_ms bigint NOT NULL)`,
  );
  await pool.query(
    'CREATE TABLE IF NOT EXISTS everlog_pending_mark (one boolean PRIMARY KEY CHECK (one), sequence bigint NOT NULL)',
  );
  const keepBounded = bound(pool, keysMax);
  return {
    async announce(keys) {
      for (const part of parts(keys)) await pool.query(ANNOUNCE_SQL, [part, now().getTime()]);
      await keepBounded(keys.length);
    },
    async add(keys) {
      for (const part of parts(keys)) await pool.query(ADD_SQL, [part]);
      await keepBounded(keys.length);
    },
    async page(after, limit) {
      const sql = 'SELECT key FROM everlog_pending WHERE key > $1 ORDER BY key LIMIT $2';
      return keysOf(await pool.query<{ key: string }>(sql, [after ?? '', limit]));
    },
    async remove(keys) {
      for (const part of parts(keys)) await pool.query(REMOVE_SQL, [part]);
    },
    count: () => rowCount(pool, 'everlog_pending'),
    async announcedBefore(moment, limit) {
      const sql = 'SELECT key FROM everlog_announced WHERE at_ms < $1 ORDER BY at_ms LIMIT $2';
      return keysOf(await pool.query<{ key: string }>(sql, [moment.getTime(), limit]));
    },
    async mark() {
      const { rows } = await pool.query<{ sequence: string }>('SELECT sequence FROM everlog_pending_mark');
      return rows[0] === undefined ? null : Number(rows[0].sequence);
    },
    async setMark(sequence) {
      await pool.query(
        `INSERT INTO everlog_pending_mark (one, sequence) VALUES (true, $1)
         ON CONFLICT (one) DO UPDATE SET sequence = EXCLUDED.sequence`,
        [sequence],
      );
    },
  };
}

const ANNOUNCE_SQL = `INSERT INTO everlog_announced (key, at_ms) SELECT unnest($1::text[]), $2
  ON CONFLICT (key) DO UPDATE SET at_ms = EXCLUDED.at_ms`;
const ADD_SQL = `WITH settled AS (DELETE FROM everlog_announced WHERE key = ANY ($1::text[]))
  INSERT INTO everlog_pending (key) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING`;
const REMOVE_SQL = `WITH settled AS (DELETE FROM everlog_announced WHERE key = ANY ($1::text[]))
  DELETE FROM everlog_pending WHERE key = ANY ($1::text[])`;

/** Drops all when there is too much; looks once in so many keys, and at the first. */
function bound(pool: Pick<PgPool, 'query'>, keysMax: number): (more: number) => Promise<void> {
  const every = Math.min(KEYS_PER_COUNT, keysMax);
  let uncounted = every;
  return async (more) => {
    uncounted += more;
    if (uncounted < every) return;
    uncounted = 0;
    const keys = (await rowCount(pool, 'everlog_pending')) + (await rowCount(pool, 'everlog_announced'));
    if (keys > keysMax) await pool.query('TRUNCATE everlog_pending, everlog_announced, everlog_pending_mark');
  };
}

async function rowCount(
  pool: Pick<PgPool, 'query'>,
  table: 'everlog_pending' | 'everlog_announced',
): Promise<number> {
  const { rows } = await pool.query<{ count: string }>(`SELECT count(*) AS count FROM ${table}`);
  return Number(rows[0]?.count ?? 0);
}

function keysOf({ rows }: { rows: readonly { key: string }[] }): readonly string[] {
  return rows.map(({ key }) => key);
}

function parts(keys: readonly string[]): readonly (readonly string[])[] {
  const count = Math.ceil(keys.length / KEYS_PER_COMMAND);
  return Array.from({ length: count }, (_, index) =>
    keys.slice(index * KEYS_PER_COMMAND, (index + 1) * KEYS_PER_COMMAND),
  );
}
