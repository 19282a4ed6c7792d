import { randomUUID } from 'node:crypto';
import { createRedisBackend, Queue, type IQueueBackend } from 'bullmq';
import type { Redis } from 'ioredis';
import { curable, messageOf } from '../../errors.ts';
import { QUEUE_NAMES } from '../catalog.ts';
import { URGENCIES } from '../fair-order.ts';
import { OWNER_TABLE } from '../health/belonging.ts';
import { openRedisNotes } from '../key-value-notes.ts';
import { openRedisOrder } from './redis-state.ts';

/** How long the trial's job would be locked for whoever takes it. */
const LOCK_MS = 10_000;
/** A marker stands already when it is waited for; seconds. */
const MARKER_WAIT_S = 0.05;
/** What BullMQ and the fair order keep for a trial's queue and its job. */
const QUEUE_KEYS = [
  '',
  'meta',
  'id',
  'wait',
  'paused',
  'active',
  'prioritized',
  'pc',
  'delayed',
  'completed',
  'failed',
  'marker',
  'events',
  'stalled',
  'stalled-check',
  'limiter',
  ...URGENCIES.map((urgency) => `fair:${urgency}`),
  'probe',
  'probe:lock',
];
/** Where a mark is set on trial. */
const MARK_TABLE = 'probe';
/** Names of trials that have not removed their keys yet, by when they began. */
const REGISTER = 'probes';
/** A trial takes milliseconds; clocks of two machines may differ by far more. */
const LEFT_AFTER_MS = 60 * 60_000;
/** Leftovers removed by one trial; the next goes on. */
const LEFTOVERS_MAX = 100;

/**
 * Runs what adding and taking a job needs, on a queue of its own below `prefix`, and leaves nothing: a server that answers PING
 * may still refuse scripts, keys, writes or memory. Rejects with the server's own error.
 */
export async function tryRedisWork(
  connection: Redis,
  prefix: string,
  now: () => Date = () => new Date(),
): Promise<void> {
  await tryKeys(connection, prefix);
  const register = `${prefix}:${REGISTER}`;
  await removeLeftovers(connection, prefix, register, now().getTime() - LEFT_AFTER_MS);
  const name = `probe-${randomUUID()}`;
  // A process that is killed in its trial leaves its keys: their name stands first, for a later trial to remove them.
  await connection.zadd(register, now().getTime(), name);
  const queue = new Queue<unknown, unknown, string, unknown, unknown, string, IQueueBackend>(name, {
    connection,
    prefix,
    skipWaitingForReady: true,
  });
  queue.on('error', () => undefined);
  const taking = { connection, prefix, skipWaitingForReady: true, lockDuration: LOCK_MS };
  const backend = createRedisBackend(name, taking);
  backend.on('error', () => undefined);
  try {
    await tryMark(connection, prefix, name);
    const order = openRedisOrder(
      connection,
      (key) => queue.toKey(key),
      () => undefined,
    );
    const tag = await order.admit('probe', 'live', 'probe/');
    await queue.add('probe', {}, { jobId: 'probe', priority: tag ?? 1 });
    await connection.bzpopmin(queue.toKey('marker'), MARKER_WAIT_S);
    await backend.waitUntilReady();
    const [taken] = await backend.moveToActive('probe:0');
    if (!taken) throw new Error('the job that was added was not there to be taken');
  } finally {
    await remove(connection, prefix, register, name).catch(() => undefined);
    await Promise.allSettled([queue.close(), backend.close()]);
  }
}

/** Removes what trials that began before a moment have left. */
async function removeLeftovers(
  connection: Redis,
  prefix: string,
  register: string,
  beforeMs: number,
): Promise<void> {
  const names = await connection.zrangebyscore(register, '-inf', beforeMs, 'LIMIT', 0, LEFTOVERS_MAX);
  for (const name of names) await remove(connection, prefix, register, name);
}

async function remove(connection: Redis, prefix: string, register: string, name: string): Promise<void> {
  await connection.del(...QUEUE_KEYS.map((key) => `${prefix}:${name}:${key}`));
  await openRedisNotes(connection, prefix).setField(MARK_TABLE, name, null);
  await connection.zrem(register, name);
}

/**
 * Refuses a server whose user may not run INFO.
 * @throws EverlogError `queue_unsuitable` (give up)
 */
export async function requireInfo(connection: Redis): Promise<void> {
  try {
    await connection.info('server');
  } catch (error) {
    if (!/NOPERM|unknown command/i.test(messageOf(error))) throw error;
    throw curable(
      'queue_unsuitable',
      'give_up',
      `the queue server does not let its user run INFO, without which no queue works: ${messageOf(error)}`,
      'give it the permission +info (ACL SETUSER name +info)',
      error,
    );
  }
}

/** The mark by which a queue belongs to an archive is set and read as this one is. */
async function tryMark(connection: Redis, prefix: string, name: string): Promise<void> {
  const notes = openRedisNotes(connection, prefix);
  await notes.settleField(MARK_TABLE, name, 'probe');
  await notes.fields(MARK_TABLE);
}

/** A script that names keys of every kind must be let: a user whose pattern is narrow, and a cluster, refuse it. */
async function tryKeys(connection: Redis, prefix: string): Promise<void> {
  const kinds = [
    'shared:spent:probe',
    'notes:probe',
    'claims:probe',
    'tables:probe',
    `tables:${OWNER_TABLE}`,
    'pending:keys',
  ];
  const queues = QUEUE_NAMES.flatMap((name) => [`${name}:prioritized`, `${name}:marker`, `${name}:probe`]);
  const keys = [...kinds, ...queues].map((key) => `${prefix}:${key}`);
  await connection.eval('return 0', keys.length, ...keys);
}
