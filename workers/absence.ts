import type { Outcome } from '../src/archive/record.ts';
import { looksLikeCheckRun, neverRan, type GitHubJob } from '../src/github/job.ts';

/**
 * What log should exist, and what it means when it does not (DESIGN decision 6). Pure: the job's state and the clock in,
 * a decision out. Conclusions do not decide: a cancelled job can have a log, a successful one can lack it.
 */
export type LogExpectation =
  | { readonly kind: 'log' }
  | { readonly kind: 'absent'; readonly outcome: 'not_produced' | 'not_a_job'; readonly reason: string };

/** Of what a job's details are known: all that decides what is expected of it. */
export interface Known {
  readonly job: GitHubJob;
  /** The job endpoint's answer, null when it was not asked. */
  readonly apiStatus: number | null;
  /** GitHub itself described the job: by its endpoint or in a listing. */
  readonly byGitHub: boolean;
  /** GitHub lists the run's jobs, and this one is not among them; false where that was not asked. */
  readonly unlisted: boolean;
}

/** Whether a log should exist for a completed job. A delivery's word alone makes nothing absent (CONTRACT §5). */
export function expectationOf({ job, apiStatus, byGitHub, unlisted }: Known): LogExpectation {
  if (!neverRan(job) || !(byGitHub || unlisted)) return { kind: 'log' };
  if (
    looksLikeCheckRun(job) &&
    (apiStatus === 404 || job.conclusion === 'success' || job.conclusion === 'neutral')
  ) {
    const unknown = apiStatus === 404 ? ', and GitHub has no such job' : '';
    const reason = `a check run fired the event: it has no labels, no runner and no steps${unknown}`;
    return { kind: 'absent', outcome: 'not_a_job', reason };
  }
  if (!byGitHub) return { kind: 'log' };
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
  /** GitHub no longer knows the job itself. */
  readonly jobGone: boolean;
  /** The owner's IP allow list leaves this service out. */
  readonly byIpList: boolean;
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

/** A job this old has had its time: GitHub's own delays are minutes. */
const OLD_JOB_MS = 24 * 60 * 60_000;
/** For an old job that GitHub still knows, a second look only guards against a hiccup. */
const LOOKS_WITHOUT_HOPE = 2;

/** What to do after a log that should exist was not found. */
export function afterMiss(miss: Miss, rules: MissRules): AfterMiss {
  const { why, looks, now, endedAt, jobGone, byIpList } = miss;
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
  const patient = ageMs <= OLD_JOB_MS || jobGone || looks.count < LOOKS_WITHOUT_HOPE;
  if (waitMs !== undefined && patient) return { kind: 'look_again', at: new Date(now.getTime() + waitMs) };
  if (why === 'forbidden') {
    const reason = byIpList
      ? "GitHub gives no access to the log: the organisation's IP allow list does not have this service's address"
      : 'GitHub gives no access to the log';
    return { kind: 'absent', outcome: 'forbidden', reason };
  }
  const reason = jobGone
    ? 'the run was deleted before its log could be fetched'
    : 'the log should exist and was not found';
  return { kind: 'absent', outcome: 'unavailable', reason };
}

/** Fewer first looks than this say nothing about a host. */
const FIRST_LOOKS_MIN = 50;

/**
 * Whether a host looks broken rather than this log missing (CONTRACT §5): of at least 50 first looks at logs that should
 * exist, a fifth found nothing.
 */
export function looksBroken(firstLooks: Readonly<Record<string, number>>): boolean {
  const found = firstLooks['found'] ?? 0;
  const nothing = firstLooks['nothing'] ?? 0;
  return found + nothing >= FIRST_LOOKS_MIN && nothing * 5 >= found + nothing;
}

/**
 * The job of an earlier attempt that this one repeats without having run: "re-run failed jobs" gives the jobs that had
 * passed new ids and completed events, with the name and the times of the run that happened (github-facts §2).
 */
export function carriedFrom(job: GitHubJob, others: readonly GitHubJob[]): GitHubJob | null {
  const attempt = job.run_attempt ?? 1;
  const same = others.filter(
    (other) =>
      other.id !== job.id &&
      (other.run_attempt ?? 1) < attempt &&
      other.name === job.name &&
      other.started_at === job.started_at &&
      other.completed_at === job.completed_at &&
      (other.runner_id ?? 0) === (job.runner_id ?? 0),
  );
  // The copy of a copy points at the job that ran: the earliest.
  return same.sort((one, other) => one.id - other.id)[0] ?? null;
}
