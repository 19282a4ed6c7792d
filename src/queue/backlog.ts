import type { PgPool } from 'bullmq';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { priorityOf, URGENCIES } from './fair-order.ts';

/** Who waits in a queue, since when and why: what a number per state does not say. */
export interface BacklogStatistics {
  /** When the oldest job that has not ended well was queued, failed ones included; null when there is none. */
  readonly oldestAt: Date | null;
  /** Jobs that are put off, by why. Adds up to all that are. */
  readonly putOff: Readonly<Record<PutOffReason, number>>;
}

export const PUT_OFF_REASONS = [
  'log_not_yet',
  'rate_limited',
  'suspended',
  'host_broken',
  'spool_full',
  'not_finished',
  /** Older workers leave it to a newer Everlog. */
  'newer_version',
  /** After a failed try. */
  'retry',
  'other',
  /** Beyond those that are looked at. */
  'not_looked_at',
] as const;
export type PutOffReason = (typeof PUT_OFF_REASONS)[number];

/** Jobs looked at in each state: those due first, failed first, or with the first turns. Beyond it the oldest is an estimate. */
const LOOKED_AT_MAX = 1_000;
/** The first turns of an urgency hold the oldest job of every repository; this many are read of each. */
const HEADS_MAX = 200;
/** A note on a job belongs to its present wait when the two end together; a try in between leaves it behind. */
const SAME_WAIT_MS = 1_000;
/** In Redis a delayed job's score is its moment, times this, plus a counter. */
const DELAYED_SCORE_PER_MS = 4_096;
/** In Redis a waiting job's score is its priority, times this, plus a counter. */
const SCORE_PER_PRIORITY = 2 ** 32;

const noteSchema = z.object({ put_off_until: z.iso.datetime(), code: z.string() });

const REASONS: Readonly<Record<string, PutOffReason>> = {
  log_not_yet: 'log_not_yet',
  github_rate_limited: 'rate_limited',
  installation_suspended: 'suspended',
  host_looks_broken: 'host_broken',
  spool_full: 'spool_full',
  job_not_finished: 'not_finished',
  newer_version: 'newer_version',
};

/** Why a job waits until `dueMs`, by the note that the worker left on it. */
export function putOffReason(progress: unknown, dueMs: number): PutOffReason {
  const note = noteSchema.safeParse(progress);
  if (!note.success || Math.abs(Date.parse(note.data.put_off_until) - dueMs) > SAME_WAIT_MS) return 'retry';
  return REASONS[note.data.code] ?? 'other';
}

/** A queue's key of this name. */
type ToKey = (name: string) => string;

/** Backlog statistics of a queue on a Redis or Valkey server: a few hundred small reads. */
export async function redisBacklog(connection: Redis, toKey: ToKey): Promise<BacklogStatistics> {
  const [delayed, failed, heads, delayedCount] = await Promise.all([
    connection.zrange(toKey('delayed'), 0, LOOKED_AT_MAX - 1, 'WITHSCORES'),
    connection.zrange(toKey('failed'), 0, LOOKED_AT_MAX - 1),
    Promise.all(URGENCIES.map((urgency) => headsOf(connection, toKey, priorityOf(urgency, 0)))),
    connection.zcard(toKey('delayed')),
  ]);
  const waits = new Map<string, number>();
  for (let index = 0; index + 1 < delayed.length; index += 2) {
    waits.set(delayed[index] ?? '', Number(delayed[index + 1]) / DELAYED_SCORE_PER_MS);
  }
  const found = await jobFields(connection, toKey, [...waits.keys(), ...failed, ...heads.flat()]);
  const reasons = [...waits].map(([id, dueMs]) =>
    putOffReason(JSON.parse(found.get(id)?.progress ?? 'null'), dueMs),
  );
  return statisticsOf(
    [...found.values()].map(({ queuedMs }) => queuedMs),
    reasons,
    delayedCount,
  );
}

function headsOf(connection: Redis, toKey: ToKey, priority: number): Promise<string[]> {
  const from = priority * SCORE_PER_PRIORITY;
  return connection.zrangebyscore(toKey('prioritized'), from, '+inf', 'LIMIT', 0, HEADS_MAX);
}

async function jobFields(
  connection: Redis,
  toKey: ToKey,
  ids: readonly string[],
): Promise<ReadonlyMap<string, { queuedMs: number; progress: string | null }>> {
  const answers = await Promise.all(ids.map((id) => connection.hmget(toKey(id), 'timestamp', 'progress')));
  const found = new Map<string, { queuedMs: number; progress: string | null }>();
  for (const [index, [timestamp, progress]] of answers.entries()) {
    // A job may have ended since it was listed.
    if (typeof timestamp === 'string')
      found.set(ids[index] ?? '', { queuedMs: Number(timestamp), progress: progress ?? null });
  }
  return found;
}

/** Backlog statistics of a queue in the database that this process owns. */
export async function embeddedBacklog(
  pool: Pick<PgPool, 'query'>,
  queue: string,
): Promise<BacklogStatistics> {
  const oldest: number[] = [];
  for (const state of ['waiting', 'delayed', 'failed']) {
    const { rows } = await pool.query<{ oldest: string | null }>(
      `SELECT min(added_at_ms) AS oldest FROM job WHERE queue = $1 AND state = '${state}'`,
      [queue],
    );
    const first = rows[0]?.oldest ?? null;
    if (first !== null) oldest.push(Number(first));
  }
  const counted = await pool.query<{ count: string }>(
    `SELECT count(*) AS count FROM job WHERE queue = $1 AND state = 'delayed'`,
    [queue],
  );
  const { rows } = await pool.query<{ progress: unknown; due: string }>(
    `SELECT progress, process_at_ms AS due FROM job WHERE queue = $1 AND state = 'delayed'
     ORDER BY process_at_ms LIMIT ${LOOKED_AT_MAX}`,
    [queue],
  );
  const reasons = rows.map(({ progress, due }) => putOffReason(progress, Number(due)));
  return statisticsOf(oldest, reasons, Number(counted.rows[0]?.count ?? 0));
}

function statisticsOf(
  queuedMs: readonly number[],
  reasons: readonly PutOffReason[],
  delayed: number,
): BacklogStatistics {
  const putOff: Record<PutOffReason, number> = {
    log_not_yet: 0,
    rate_limited: 0,
    suspended: 0,
    host_broken: 0,
    spool_full: 0,
    not_finished: 0,
    newer_version: 0,
    retry: 0,
    other: 0,
    not_looked_at: Math.max(0, delayed - reasons.length),
  };
  for (const reason of reasons) putOff[reason] += 1;
  const oldestMs = Math.min(...queuedMs);
  return { oldestAt: Number.isFinite(oldestMs) ? new Date(oldestMs) : null, putOff };
}
