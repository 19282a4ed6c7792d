import type { Outcome } from '../src/archive/record.ts';
import { looksLikeCheckRun, neverRan, type GitHubJob } from '../src/github/job.ts';

/**
 * What log should exist, and what it means when it does not (DESIGN decision 6). Pure: the job's state and the clock in,
 * a decision out. Conclusions do not decide: a cancelled job can have a log, a successful one can lack it.
 */
export type Expectation =
  | { readonly kind: 'log' }
  | { readonly kind: 'absent'; readonly outcome: 'not_produced' | 'not_a_job'; readonly reason: string };

/** Whether a log should exist for a completed job. `apiStatus` is the job endpoint's answer, null when it was not asked. */
export function expectationOf(job: GitHubJob, apiStatus: number | null): Expectation {
  if (!neverRan(job)) return { kind: 'log' };
  if (
    looksLikeCheckRun(job) &&
    (apiStatus === 404 || job.conclusion === 'success' || job.conclusion === 'neutral')
  ) {
    const reason =
      'a check run fired the event: it has no labels, no runner and no steps, and GitHub has no such job';
    return { kind: 'absent', outcome: 'not_a_job', reason };
  }
  const reason = `the job never ran: no runner and no steps, conclusion ${job.conclusion ?? 'unknown'}`;
  return { kind: 'absent', outcome: 'not_produced', reason };
}

/** Looks at a log that should exist and was not found, the newest included. */
export interface Looks {
  readonly count: number;
  readonly first_at: string;
  readonly last_at: string;
}

export interface Miss {
  readonly why: 'missing' | 'expired' | 'forbidden';
  readonly looks: Looks;
  /** When the job ended, as well as it is known. */
  readonly endedAt: Date;
  readonly now: Date;
}

export interface MissRules {
  /** Waits between looks (EVERLOG_MISSING_LOG_RETRIES), in milliseconds. */
  readonly waitsMs: readonly number[];
  /** After this a missing log counts as expired (EVERLOG_GITHUB_LOG_RETENTION), in milliseconds. */
  readonly retentionMs: number;
}

export type AfterMiss =
  | { readonly kind: 'look_again'; readonly at: Date }
  | {
      readonly kind: 'absent';
      readonly outcome: Extract<Outcome, 'unavailable' | 'expired' | 'forbidden'>;
      readonly reason: string;
    };

/** A job this old has had its time: GitHub's own delays are minutes, so a second look is the last. */
const OLD_JOB_MS = 24 * 60 * 60_000;
const LOOKS_AT_AN_OLD_JOB = 2;

/** What to do after a log that should exist was not found. */
export function afterMiss(miss: Miss, rules: MissRules): AfterMiss {
  const { why, looks, now, endedAt } = miss;
  const ageMs = now.getTime() - endedAt.getTime();
  if (why === 'expired') {
    return {
      kind: 'absent',
      outcome: 'expired',
      reason: 'GitHub answers 410: the log was deleted or has expired',
    };
  }
  if (why === 'missing' && ageMs > rules.retentionMs) {
    const reason =
      'not found, and the job is older than the retention of GitHub logs (EVERLOG_GITHUB_LOG_RETENTION)';
    return { kind: 'absent', outcome: 'expired', reason };
  }
  const waitMs = rules.waitsMs[looks.count - 1];
  const patient = ageMs <= OLD_JOB_MS || looks.count < LOOKS_AT_AN_OLD_JOB;
  if (waitMs !== undefined && patient) return { kind: 'look_again', at: new Date(now.getTime() + waitMs) };
  return why === 'forbidden'
    ? { kind: 'absent', outcome: 'forbidden', reason: 'GitHub refuses access to the log' }
    : { kind: 'absent', outcome: 'unavailable', reason: 'the log should exist and was not found' };
}
