import { Queue, Worker, type IQueueBackend } from 'bullmq';
import { Redis, type RedisOptions } from 'ioredis';
import { giveUp, messageOf, retryable } from '../../errors.ts';
import type { Log } from '../../logger.ts';
import { redisCensus } from '../census.ts';
import { openRedisNotes } from '../notes.ts';
import { openRedisPending } from '../pending-commits.ts';
import { openRedisOrder, openRedisState } from './redis-state.ts';
import type { QueueDurability, QueueStorage } from '../queue-storage.ts';

/** BullMQ on a Redis or Valkey server. */

/** Every key of a deployment begins so. */
const PREFIX = 'everlog';
/** A producer waits this long for one command; the receiver has two seconds in all. */
const COMMAND_TIMEOUT_MS = 2_000;
const CONNECT_TIMEOUT_MS = 5_000;
/** Reconnecting is tried at this pace at most, so that work resumes within seconds of the server's return. */
const RECONNECT_MS_MAX = 1_000;
/** A connection that has heard nothing for this long is probed by TCP, so that a silent network cut is noticed. */
const KEEP_ALIVE_MS = 10_000;

export interface RedisStorageOptions {
  readonly options: RedisOptions;
  readonly location: string;
  /** EVERLOG_ALLOW_UNSAFE_QUEUE. */
  readonly allowUnsafe: boolean;
  readonly log: Log;
  /** The clock of budgets and counts; the system's when none is given. */
  readonly now?: () => Date;
  /** Most keys in the pending set; a million when none is given. */
  readonly pendingMax?: number;
}

/**
 * Connects to a queue server. Does not wait for it: a receiver answers 503 until it is there. The safety of the server
 * is judged by `checkRedisSafety` as soon as it answers.
 */
export function openRedisStorage(options: RedisStorageOptions): QueueStorage & { check(): Promise<void> } {
  let durability: QueueDurability = 'unknown';
  const producer = connect(
    { ...options.options, enableOfflineQueue: false, commandTimeout: COMMAND_TIMEOUT_MS },
    options.log,
  );
  const contact = firstContact(producer);
  const workers: Redis[] = [];
  return {
    kind: 'redis',
    location: options.location,
    get durability() {
      return durability;
    },
    async check() {
      await contact;
      durability = await judgeDurability(producer, options);
    },
    createQueue(name) {
      // Without `skipWaitingForReady` an add hangs while the server has never been reached (measured).
      const queue = new Queue<unknown, unknown, string, unknown, unknown, string, IQueueBackend>(name, {
        connection: producer,
        prefix: PREFIX,
        skipWaitingForReady: true,
      });
      queue.on('error', (error: Error) =>
        options.log.debug({ queue: name, error: error.message }, 'queue connection'),
      );
      return queue;
    },
    createWorker(name, processor, settings) {
      const connection = connect({ ...options.options, maxRetriesPerRequest: null }, options.log);
      workers.push(connection);
      return new Worker<unknown, unknown, string, IQueueBackend>(name, processor, {
        connection,
        prefix: PREFIX,
        autorun: false,
        concurrency: settings.concurrency,
        lockDuration: settings.lockDurationMs,
        stalledInterval: settings.stalledIntervalMs,
        maxStalledCount: settings.stallsMax,
        settings: { backoffStrategy: settings.backoffMs },
      });
    },
    orderOf: (queue) =>
      openRedisOrder(
        producer,
        (name) => queue.toKey(name),
        (error) => options.log.debug({ error: messageOf(error) }, 'the order of the queue was not noted'),
      ),
    state: openRedisState(producer, PREFIX, options.now ?? (() => new Date())),
    census: (queue) => redisCensus(producer, (name) => queue.toKey(name)),
    notes: openRedisNotes(producer, PREFIX),
    pending: openRedisPending(producer, PREFIX, options.now, options.pendingMax),
    firstContact: contact,
    async ping() {
      await contact;
      await producer.ping();
    },
    async close() {
      for (const connection of [producer, ...workers]) connection.disconnect();
      await Promise.resolve();
    },
  };
}

/** A connection takes its first milliseconds: who asks in them is better served by waiting than by a refusal. */
function firstContact(connection: Redis): Promise<void> {
  return new Promise((resolve) => {
    connection.once('ready', resolve);
    connection.once('end', resolve);
    setTimeout(resolve, COMMAND_TIMEOUT_MS).unref();
  });
}

function connect(options: RedisOptions, log: Log): Redis {
  const connection = new Redis({
    connectTimeout: CONNECT_TIMEOUT_MS,
    keepAlive: KEEP_ALIVE_MS,
    retryStrategy: (tries) => Math.min(50 * tries, RECONNECT_MS_MAX),
    sentinelRetryStrategy: (tries) => Math.min(50 * tries, RECONNECT_MS_MAX),
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
    ...options,
  });
  connection.on('error', (error: Error) => log.debug({ error: error.message }, 'queue server connection'));
  return connection;
}

/**
 * Refuses a server that may lose jobs (DESIGN decision 11): one that evicts keys or keeps nothing on disk.
 * @throws EverlogError `queue_unsafe` (give up) or `queue_unavailable` (retry).
 */
async function judgeDurability(connection: Redis, options: RedisStorageOptions): Promise<QueueDurability> {
  const policy = await setting(connection, 'maxmemory-policy');
  const appendOnly = await setting(connection, 'appendonly');
  const save = await setting(connection, 'save');
  if (policy === null || appendOnly === null) {
    options.log.warn(
      { queue: options.location },
      'the queue server does not tell whether it evicts or persists: jobs may be lost with it, and reconcile is what finds them again',
    );
    return 'unknown';
  }
  const problems: string[] = [];
  if (policy !== 'noeviction')
    problems.push(`maxmemory-policy is ${policy}: it may evict jobs; set it to noeviction`);
  if (appendOnly !== 'yes') {
    const snapshots =
      save === null || save === '' ? 'nothing is kept on disk' : 'only snapshots are kept on disk';
    problems.push(
      `appendonly is ${appendOnly} and ${snapshots}: a restart loses jobs; set appendonly to yes`,
    );
  }
  if (problems.length === 0) return 'persistent';
  const message = `the queue server ${options.location} may lose jobs: ${problems.join(' · ')}`;
  if (!options.allowUnsafe) {
    throw giveUp(
      'queue_unsafe',
      `${message}. Mend it, or set EVERLOG_ALLOW_UNSAFE_QUEUE=true to start all the same.`,
    );
  }
  options.log.warn(
    { queue: options.location, problems },
    'the queue server may lose jobs: allowed by EVERLOG_ALLOW_UNSAFE_QUEUE',
  );
  return 'unsafe';
}

/** A server setting; null where CONFIG is forbidden, as on managed servers. */
async function setting(connection: Redis, name: string): Promise<string | null> {
  try {
    const answer: unknown = await connection.config('GET', name);
    const value: unknown = Array.isArray(answer) ? answer[1] : null;
    return typeof value === 'string' ? value : null;
  } catch (error) {
    if (/unknown command|NOPERM|not allowed|disabled/i.test(messageOf(error))) return null;
    throw retryable('queue_unavailable', `the queue server does not answer: ${messageOf(error)}`, error);
  }
}
