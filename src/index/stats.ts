import { isFailed } from '../archive/find/conclusion.ts';
import type { JobHit } from './job-hit.ts';

/** What jobs of one repository and UTC day add up to. */
export interface DayStats {
  readonly host: string;
  /** `owner/repo` in lower case. */
  readonly repository: string;
  /** `YYYY-MM-DD`. */
  readonly dt: string;
  jobs: number;
  /** Failed, out of time, or not started. */
  failed: number;
  /** Jobs by how they ended in the archive. */
  readonly outcomes: Map<string, number>;
  /** Jobs by GitHub's conclusion; those without one under an empty name. */
  readonly conclusions: Map<string, number>;
  /** Of all logs, as GitHub served them. */
  logBytes: number;
  /** Jobs that have a log, and the bytes that are stored of them. */
  logs: number;
  storedBytes: number;
  /** From start to end, of the jobs that have both, in this order. */
  durationMs: number;
  timed: number;
  longestMs: number;
}

/** Adds a job to what its repository has so far. */
export function addToStats(sums: Map<string, DayStats>, dt: string, hit: JobHit): void {
  const { host, repository } = hit;
  const id = `${host}/${repository}`;
  let sum = sums.get(id);
  if (sum === undefined) {
    sum = {
      host,
      repository,
      dt,
      jobs: 0,
      failed: 0,
      outcomes: new Map(),
      conclusions: new Map(),
      logBytes: 0,
      logs: 0,
      storedBytes: 0,
      durationMs: 0,
      timed: 0,
      longestMs: 0,
    };
    sums.set(id, sum);
  }
  const conclusion = hit.conclusion ?? '';
  sum.jobs += 1;
  if (isFailed(hit.conclusion)) sum.failed += 1;
  sum.outcomes.set(hit.outcome, (sum.outcomes.get(hit.outcome) ?? 0) + 1);
  sum.conclusions.set(conclusion, (sum.conclusions.get(conclusion) ?? 0) + 1);
  sum.logBytes += hit.log_bytes ?? 0;
  sum.logs += hit.log_bytes === null ? 0 : 1;
  sum.storedBytes += hit.stored_bytes ?? 0;
  if (hit.started_at === null || hit.completed_at === null) return;
  // A job that was cancelled before it ran may have ended before it started: it took no time that is known.
  const durationMs = hit.completed_at - hit.started_at;
  if (durationMs < 0) return;
  sum.durationMs += durationMs;
  sum.timed += 1;
  sum.longestMs = Math.max(sum.longestMs, durationMs);
}
