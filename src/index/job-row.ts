import { z } from 'zod';
import type { RunOrigin } from '../archive/find/run-facts.ts';
import type { JobAddress } from '../archive/keys.ts';
import type { JobRecord } from '../archive/record.ts';
import type { JsonText } from '../json-text.ts';
import type { CommitRow, JobRow } from './parquet/columns.ts';

const steps = z.array(z.looseObject({ name: z.string(), conclusion: z.string().nullish() }));

/** A record as a row; `run` is null where no object of its run is known. */
export function jobRow(
  stored: { readonly record: JobRecord; readonly address: JobAddress },
  run: RunOrigin | null,
): JobRow {
  const { record, address } = stored;
  return {
    repository: `${address.owner}/${address.repo}`,
    conclusion: record.conclusion,
    outcome: record.outcome,
    completed_at: timeOf(record.completed_at),
    started_at: timeOf(record.started_at),
    run_id: record.run_id,
    job_id: record.job_id,
    log_bytes: record.log?.bytes ?? null,
    run_attempt: address.runAttempt,
    revision: record.revision,
    workflow_name: record.workflow_name,
    job_name: record.job_name,
    head_branch: record.head_branch,
    head_sha: record.head_sha,
    failed_step: failedStep(record.job),
    host: record.host,
    owner: record.owner,
    repo: record.repo,
    repository_id: record.repository_id,
    sender: record.sender,
    event: run?.event ?? null,
    pr_numbers: run?.pullRequests ?? [],
    environment: environmentOf(record),
    runner_name: record.runner_name,
    labels: record.labels ?? [],
    absence_reason: record.absence?.reason ?? null,
    created_at: timeOf(record.created_at),
    recorded_at: timeOf(record.recorded_at),
    log_lines: record.log?.lines ?? null,
    stored_bytes: record.log?.stored_bytes ?? null,
    log_key: record.log?.key ?? null,
    log_sha256: record.log?.sha256 ?? null,
  };
}

/** The first step that failed; where none did, the first that ran out of time. Null where no step says so. */
export function failedStep(job: JsonText): string | null {
  const parsed = steps.safeParse(job.member('steps')?.value());
  if (!parsed.success) return null;
  const first = (conclusion: string): string | undefined =>
    parsed.data.find((step) => step.conclusion === conclusion)?.name;
  return first('failure') ?? first('timed_out') ?? null;
}

function environmentOf({ deployment }: JobRecord): string | null {
  const environment = deployment?.member('environment')?.value();
  return typeof environment === 'string' ? environment : null;
}

/** The moment a row is sorted and filtered by, in milliseconds since 1970: its end, else the best time known of it. */
export function momentMsOfRow(
  row: Pick<JobRow, 'completed_at' | 'started_at' | 'created_at' | 'recorded_at'>,
): number {
  return row.completed_at ?? row.started_at ?? row.created_at ?? row.recorded_at ?? 0;
}

/** The UTC day of a moment, `YYYY-MM-DD`. */
export function dayOf(momentMs: number): string {
  return new Date(momentMs).toISOString().slice(0, 10);
}

/** Order of rows in a jobs file; revisions of one job that ended at one moment are neighbours. */
export function compareJobRows(a: JobRow, b: JobRow): number {
  return (
    compareText(a.host, b.host) ||
    compareText(a.repository, b.repository) ||
    (a.completed_at ?? -1) - (b.completed_at ?? -1) ||
    a.job_id - b.job_id ||
    a.revision - b.revision
  );
}

/** Order of rows in a commits file. */
export function compareCommitRows(a: CommitRow, b: CommitRow): number {
  return (
    compareText(a.head_sha, b.head_sha) ||
    compareText(a.host, b.host) ||
    compareText(a.owner, b.owner) ||
    compareText(a.repo, b.repo) ||
    a.run_id - b.run_id ||
    a.run_attempt - b.run_attempt ||
    compareText(a.dt, b.dt)
  );
}

/** Whether two rows that are neighbours by `compareJobRows` are one revision of one job. */
export function isSameRevision(a: JobRow, b: JobRow): boolean {
  return a.host === b.host && a.job_id === b.job_id && a.revision === b.revision;
}

/** Of two rows of one revision the one that knows more: a run's object may have come later. */
export function fullerRow(a: JobRow, b: JobRow): JobRow {
  return a.event === null && b.event !== null ? b : a;
}

/** What jobs are known by: one host's ids say nothing of another's. */
export function jobIdOf(row: Pick<JobRow, 'host' | 'job_id'>): string {
  return `${row.host}/${row.job_id}`;
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function timeOf(text: string | null): number | null {
  const ms = Date.parse(text ?? '');
  return Number.isNaN(ms) ? null : ms;
}
