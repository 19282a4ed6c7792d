import { createRedisBackend, Queue, Worker, type IQueueBackend } from 'bullmq';
import { Redis, type RedisOptions } from 'ioredis';
import { curable, EverlogError, messageOf } from '../../errors.ts';
import type { Log } from '../../logger.ts';
import { redisBacklog } from '../backlog.ts';
import { openRedisNotes } from '../key-value-notes.ts';
import { paceFailures } from '../health/paced-backend.ts';
import { openRedisPending } from '../pending-commits.ts';
import { DEFAULT_PREFIX } from '../queue-url.ts';
import {
  judgeServer,
  readServerFacts,
  requireDurable,
  tellDurability,
  type DurabilityJudgement,
} from './durability.ts';
import { openRedisOrder, openRedisRateLimiter } from './redis-state.ts';
import { requireInfo, tryRedisWork } from './redis-trial.ts';
import { explainTrouble } from './refusals.ts';
import {
  tracedBy,
  workerOptions,
  type BullWorker,
  type QueueStorage,
  type QueueTelemetry,
} from '../queue-storage.ts';

/** BullMQ on a Redis or Valkey server. */

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
  /** EVERLOG_QUEUE_PREFIX: every key of the deployment begins so; `everlog` when none is given. */
  readonly prefix?: string;
  /** EVERLOG_ALLOW_UNSAFE_QUEUE. */
  readonly allowUnsafe: boolean;
  readonly log: Log;
  /** The clock of budgets and counts; the system's when none is given. */
  readonly now?: () => Date;
  readonly telemetry?: QueueTelemetry | undefined;
  /** Most keys in the pending set; a million when none is given. */
  readonly pendingMax?: number;
}

/**
 * Connects to a queue server. Does not wait for it: a receiver answers 503 until it is there. The safety of the server
 * is checked by `requireSafeServer` as soon as it answers.
 */
export function openRedisStorage(options: RedisStorageOptions): QueueStorage & { check(): Promise<void> } {
  const { location, log, prefix = DEFAULT_PREFIX } = options;
  const producer = connect(
    { ...options.options, enableOfflineQueue: false, commandTimeout: COMMAND_TIMEOUT_MS },
    log,
  );
  const { explain, worked } = explainer(producer, location, prefix);
  const contact = firstContact(producer);
  const judge = durabilityOf(producer, options);
  const connectionsSoFar = countConnections(producer);
  const workers: Redis[] = [];
  return {
    kind: 'redis',
    location,
    get durability() {
      return judge.last().durability;
    },
    get weaknesses() {
      return judge.last().weaknesses;
    },
    check: () => judge.again(contact, explain),
    createQueue(name) {
      // Without `skipWaitingForReady` an add hangs while the server has never been reached (measured).
      const queue = new Queue<unknown, unknown, string, unknown, unknown, string, IQueueBackend>(name, {
        connection: producer,
        prefix,
        skipWaitingForReady: true,
        ...tracedBy(options.telemetry),
      });
      queue.on('error', (error: Error) =>
        log.debug({ queue: name, error: error.message }, 'queue connection'),
      );
      return queue;
    },
    createWorker(name, processor, settings) {
      const connection = connect({ ...options.options, maxRetriesPerRequest: null }, log);
      workers.push(connection);
      return createWorker(connection, prefix, options.telemetry, name, processor, settings);
    },
    orderOf: (queue) =>
      openRedisOrder(
        producer,
        (name) => queue.toKey(name),
        (error) => log.debug({ error: messageOf(error) }, 'the order of the queue was not noted'),
      ),
    rateLimiter: openRedisRateLimiter(producer, prefix, options.now ?? (() => new Date())),
    backlog: (queue) => redisBacklog(producer, (name) => queue.toKey(name)),
    notes: openRedisNotes(producer, prefix),
    pending: openRedisPending(producer, prefix, options.now, options.pendingMax),
    firstContact: contact,
    get connection() {
      return connectionsSoFar();
    },
    async ping() {
      await contact;
      await producer.ping();
    },
    async tryWork() {
      await tryRedisWork(producer, prefix, options.now);
      worked();
    },
    explain,
    async close() {
      for (const connection of [producer, ...workers]) connection.disconnect();
      await Promise.resolve();
    },
  };
}

function createWorker(
  connection: Redis,
  prefix: string,
  telemetry: QueueTelemetry | undefined,
  ...[name, processor, settings]: Parameters<QueueStorage['createWorker']>
): BullWorker {
  return new Worker<unknown, unknown, string, IQueueBackend>(
    name,
    processor,
    {
      connection,
      prefix,
      ...workerOptions(settings, telemetry),
    },
    (...given) => paceFailures(createRedisBackend(...given)),
  );
}

interface DurabilityJudge {
  /** What it found last; `unknown` before. */
  last(): Pick<DurabilityJudgement, 'durability' | 'weaknesses'>;
  /** Asks the server once it was reached, and tells what has changed. @throws as `requireSafeServer` does, else what `explain` makes of it */
  again(contact: Promise<void>, explain: (error: unknown) => EverlogError): Promise<void>;
}

function durabilityOf(connection: Redis, options: RedisStorageOptions): DurabilityJudge {
  let last: Pick<DurabilityJudgement, 'durability' | 'weaknesses'> = {
    durability: 'unknown',
    weaknesses: [],
  };
  let told = '';
  return {
    last: () => last,
    async again(contact, explain) {
      await contact;
      const judgement = await requireSafeServer(connection, options).catch((error: unknown) => {
        throw error instanceof EverlogError ? error : explain(error);
      });
      last = judgement;
      const words = JSON.stringify(judgement);
      if (words !== told) tellDurability(judgement, options);
      told = words;
    },
  };
}

function countConnections(connection: Redis): () => number {
  let connections = 0;
  connection.on('ready', () => {
    connections += 1;
  });
  return () => connections;
}

/** @throws EverlogError `queue_unsafe` or `queue_unsuitable` (give up), and what the server says. */
async function requireSafeServer(
  connection: Redis,
  options: RedisStorageOptions,
): Promise<DurabilityJudgement> {
  await requireInfo(connection);
  const facts = await readServerFacts(connection, options.options.sentinels !== undefined);
  const judgement = judgeServer(facts);
  requireDurable(judgement, options);
  return judgement;
}

/** What ioredis says of a command while there is no connection, for which Everlog does not line up. */
const NOT_CONNECTED = /^Stream isn't writeable|^Connection is closed/;

/** Tells trouble in the server's own words; while there is no connection, in those of the last try to make one. */
function explainer(
  connection: Redis,
  location: string,
  prefix: string,
): { explain: (error: unknown) => EverlogError; worked: () => void } {
  let lastTrouble: string | null = null;
  // A refusal that makes a new connection, as READONLY does, is what there is to tell until that one is there.
  let lastRefusal: string | null = null;
  connection.on('error', (error: Error) => {
    lastTrouble = failureWords(error);
  });
  connection.on('ready', () => {
    lastTrouble = null;
  });
  return {
    explain(error) {
      const words = failureWords(error);
      const isAway = NOT_CONNECTED.test(words);
      if (!isAway) lastRefusal = words;
      const said = isAway ? (lastTrouble ?? lastRefusal ?? 'there is no connection') : words;
      const { what, cure } = explainTrouble(location, prefix, said);
      return curable('queue_unavailable', 'retry', what, cure, error);
    },
    worked() {
      lastRefusal = null;
    },
  };
}

/** Several addresses of one host fail together: their words are those of its parts. */
function failureWords(error: unknown): string {
  const parts: readonly unknown[] = error instanceof AggregateError ? error.errors : [];
  const [first] = parts;
  return first === undefined ? messageOf(error) : messageOf(first);
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
