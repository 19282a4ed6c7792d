import { momentMsOfRow } from './job-row.ts';
import type { JobRow } from './parquet/columns.ts';
import { numberOrNull, textOrNull } from './parquet/values.ts';

/** Columns that a search reads and answers with: they stand together in the files. */
export const HIT_COLUMNS = [
  'repository',
  'conclusion',
  'outcome',
  'completed_at',
  'started_at',
  'run_id',
  'job_id',
  'log_bytes',
  'run_attempt',
  'revision',
  'workflow_name',
  'job_name',
  'head_branch',
  'head_sha',
  'failed_step',
] as const satisfies readonly (keyof JobRow)[];

/** Columns that stand apart, and are read where a search asks for them; else they are null in hits. */
export type FurtherColumn = 'stored_bytes' | 'repository_id';

/** A job that was found: what lists show of it. The rest is in its record (`recordKey` of these). */
export interface JobHit extends Pick<JobRow, (typeof HIT_COLUMNS)[number] | 'host' | FurtherColumn> {
  /** Milliseconds since 1970: the job's end, else the best time known of it. */
  readonly momentMs: number;
}

/** A hit of the values of `HIT_COLUMNS`, and host, repository id, creation and record time, and stored bytes. */
export function hitFrom(
  values: readonly unknown[],
  [host, repositoryId, created, recorded, storedBytes]: readonly unknown[],
): JobHit {
  const text = (at: number): string | null => textOrNull(values[at]);
  const number = (at: number): number | null => numberOrNull(values[at]);
  const completed_at = number(3);
  const started_at = number(4);
  const times = {
    completed_at,
    started_at,
    created_at: numberOrNull(created),
    recorded_at: numberOrNull(recorded),
  };
  return {
    repository: text(0) ?? '',
    conclusion: text(1),
    outcome: text(2) ?? '',
    completed_at,
    started_at,
    run_id: number(5) ?? 0,
    job_id: number(6) ?? 0,
    log_bytes: number(7),
    run_attempt: number(8) ?? 1,
    revision: number(9) ?? 1,
    workflow_name: text(10),
    job_name: text(11),
    head_branch: text(12),
    head_sha: text(13),
    failed_step: text(14),
    host: textOrNull(host) ?? '',
    repository_id: numberOrNull(repositoryId),
    stored_bytes: numberOrNull(storedBytes),
    momentMs: momentMsOfRow(times),
  };
}

/** A whole row as a hit. */
export function hitOf(row: JobRow): JobHit {
  return { ...row, momentMs: momentMsOfRow(row) };
}

/** A value as it was read: integers of 64 bits come as bigints. */
export function plain(value: unknown): unknown {
  return typeof value === 'bigint' ? Number(value) : (value ?? null);
}
