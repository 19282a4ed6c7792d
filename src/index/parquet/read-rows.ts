import { COMMIT_COLUMNS, JOB_COLUMNS, type CommitRow, type JobRow } from './columns.ts';
import type { ParquetFile } from './read-file.ts';
import { listOrEmpty, numberOrNull, textOrNull } from './values.ts';

/** Every row of a jobs file, in its order; one row group is held at a time, as it is stored. */
export async function* readJobRows(file: ParquetFile): AsyncGenerator<JobRow> {
  for await (const value of readRows(file, JOB_COLUMNS)) yield jobRowOf(value);
}

/** Every row of a commits file, in its order; one row group is held at a time, as it is stored. */
export async function* readCommitRows(file: ParquetFile): AsyncGenerator<CommitRow> {
  for await (const value of readRows(file, COMMIT_COLUMNS)) yield commitRowOf(value);
}

/** Rows decoded at once: of dozens of files that are merged, whole row groups would not fit into memory. */
const ROWS_DECODED_MAX = 4_096;

/** The value of a column in one row. */
export type RowValue = (column: string) => unknown;

async function* readRows(
  file: ParquetFile,
  columns: readonly { readonly name: string }[],
): AsyncGenerator<RowValue> {
  const names = columns.map(({ name }) => name);
  for (const group of file.groups) {
    const count = Number(group.num_rows);
    await file.fetch(group);
    for (let from = 0; from < count; from += ROWS_DECODED_MAX) {
      const to = Math.min(count, from + ROWS_DECODED_MAX);
      const read = await file.readRows(group, { from, to }, names);
      const values = new Map<string, ArrayLike<unknown>>();
      for (const name of names) values.set(name, await read(name));
      for (let at = 0; at < to - from; at += 1) yield (column) => values.get(column)?.[at];
    }
    file.release();
  }
}

function jobRowOf(value: RowValue): JobRow {
  const text = (column: keyof JobRow): string | null => textOrNull(value(column));
  const number = (column: keyof JobRow): number | null => numberOrNull(value(column));
  return {
    repository: text('repository') ?? '',
    conclusion: text('conclusion'),
    outcome: text('outcome') ?? '',
    completed_at: number('completed_at'),
    started_at: number('started_at'),
    run_id: number('run_id') ?? 0,
    job_id: number('job_id') ?? 0,
    log_bytes: number('log_bytes'),
    run_attempt: number('run_attempt') ?? 1,
    revision: number('revision') ?? 1,
    workflow_name: text('workflow_name'),
    job_name: text('job_name'),
    head_branch: text('head_branch'),
    head_sha: text('head_sha'),
    failed_step: text('failed_step'),
    host: text('host') ?? '',
    owner: text('owner') ?? '',
    repo: text('repo') ?? '',
    repository_id: number('repository_id'),
    sender: text('sender'),
    event: text('event'),
    pr_numbers: listOrEmpty(value('pr_numbers')).map((one) => numberOrNull(one) ?? 0),
    environment: text('environment'),
    runner_name: text('runner_name'),
    labels: listOrEmpty(value('labels')).map((one) => textOrNull(one) ?? ''),
    absence_reason: text('absence_reason'),
    created_at: number('created_at'),
    recorded_at: number('recorded_at'),
    log_lines: number('log_lines'),
    stored_bytes: number('stored_bytes'),
    log_key: text('log_key'),
    log_sha256: text('log_sha256'),
  };
}

/** A commit's row of the value of each column. */
export function commitRowOf(value: RowValue): CommitRow {
  const text = (column: keyof CommitRow): string => textOrNull(value(column)) ?? '';
  const number = (column: keyof CommitRow): number => numberOrNull(value(column)) ?? 0;
  return {
    head_sha: text('head_sha'),
    host: text('host'),
    owner: text('owner'),
    repo: text('repo'),
    run_id: number('run_id'),
    run_attempt: number('run_attempt'),
    dt: text('dt'),
    jobs: number('jobs'),
  };
}
