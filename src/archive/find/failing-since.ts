import { isFailed } from './conclusion.ts';
import type { JobRecord } from '../record.ts';

/** Where a job that fails now began to fail: the first of its failures with no success since. */
export interface FailingSince {
  readonly head_sha: string | null;
  readonly run_id: number;
  readonly run_attempt: number | null;
  readonly at: string | null;
  /** Failures since then, this one included. */
  readonly failures: number;
}

/** How a job ended, as a record or the query index tells it. */
export interface EndedJob extends Pick<
  JobRecord,
  | 'host'
  | 'owner'
  | 'repo'
  | 'repository_id'
  | 'workflow_name'
  | 'job_name'
  | 'head_branch'
  | 'head_sha'
  | 'run_id'
  | 'run_attempt'
  | 'job_id'
  | 'conclusion'
  | 'completed_at'
> {
  /** Milliseconds since 1970: its end, else the best time known of it. */
  readonly momentMs: number;
}

interface Ended {
  readonly atMs: number;
  readonly runAttempt: number;
  readonly jobId: number;
  readonly failed: boolean;
  readonly since: Omit<FailingSince, 'failures'>;
}

/** Different jobs whose ends are kept; of more, the first failure is not told. */
const JOBS_MAX = 50_000;
/** Ends kept of one job, the newest: a job that has failed more often has failed for long enough. */
const ENDS_MAX = 500;

/** Follows how the jobs of the same name, workflow and branch ended, to say since when one fails. Records may come in any order. */
export class FailureHistory {
  readonly #ends = new Map<string, Ended[]>();

  see(job: EndedJob): void {
    const isSuccess = job.conclusion === 'success';
    if (!isSuccess && !isFailed(job.conclusion)) return;
    const name = jobIdentity(job);
    const ends = this.#ends.get(name) ?? [];
    if (ends.length === 0) {
      if (this.#ends.size >= JOBS_MAX) return;
      this.#ends.set(name, ends);
    }
    const { head_sha, run_id, run_attempt, completed_at, job_id, momentMs } = job;
    ends.push({
      atMs: momentMs,
      runAttempt: run_attempt ?? 1,
      jobId: job_id,
      failed: !isSuccess,
      since: { head_sha, run_id, run_attempt, at: completed_at },
    });
    if (ends.length >= 2 * ENDS_MAX) ends.sort(inTime).splice(0, ENDS_MAX);
  }

  /** Since when the job of a record fails; null where too many jobs were seen to know. */
  of(record: JobRecord): FailingSince | null {
    const ends = (this.#ends.get(jobIdentity(record)) ?? []).toSorted(inTime);
    const at = ends.findIndex(({ jobId }) => jobId === record.job_id);
    if (at === -1) return null;
    let first = at;
    while (ends[first - 1]?.failed === true) first -= 1;
    const since = ends[first]?.since;
    return since === undefined ? null : { ...since, failures: at - first + 1 };
  }
}

function inTime(a: Ended, b: Ended): number {
  return a.atMs - b.atMs || a.runAttempt - b.runAttempt || a.jobId - b.jobId;
}

function jobIdentity({
  host,
  repository_id,
  owner,
  repo,
  workflow_name,
  job_name,
  head_branch,
}: Omit<EndedJob, 'momentMs'>): string {
  const repository = repository_id ?? `${owner}/${repo}`.toLowerCase();
  return JSON.stringify([host, repository, workflow_name, job_name, head_branch]);
}
