import type { SchemaElement } from 'hyparquet';
import type { ColumnSource } from 'hyparquet-writer/src/types.js';

/**
 * One revision of one job in the index. Times are milliseconds since 1970 here and UTC timestamps in the files; names are
 * as the record has them unless said otherwise.
 */
export interface JobRow {
  /** `owner/repo` in lower case. */
  readonly repository: string;
  readonly conclusion: string | null;
  readonly outcome: string;
  readonly completed_at: number | null;
  readonly started_at: number | null;
  readonly run_id: number;
  readonly job_id: number;
  /** Of GitHub's bytes. */
  readonly log_bytes: number | null;
  /** As in the record's key: 1 where GitHub sent none. */
  readonly run_attempt: number;
  readonly revision: number;
  readonly workflow_name: string | null;
  readonly job_name: string | null;
  readonly head_branch: string | null;
  readonly head_sha: string | null;
  /** The first step that failed, by name. */
  readonly failed_step: string | null;
  readonly host: string;
  readonly owner: string;
  readonly repo: string;
  readonly repository_id: number | null;
  readonly sender: string | null;
  /** Of the run's object, as `pr_numbers`; null and empty while that has not been written. */
  readonly event: string | null;
  readonly pr_numbers: readonly number[];
  /** Of the deployment that GitHub sent with the job. */
  readonly environment: string | null;
  readonly runner_name: string | null;
  readonly labels: readonly string[];
  readonly absence_reason: string | null;
  readonly created_at: number | null;
  readonly recorded_at: number | null;
  readonly log_lines: number | null;
  readonly stored_bytes: number | null;
  readonly log_key: string | null;
  readonly log_sha256: string | null;
}

/** Where jobs of a commit are. */
export interface CommitRow {
  /** Lower case. */
  readonly head_sha: string;
  readonly host: string;
  readonly owner: string;
  readonly repo: string;
  readonly run_id: number;
  readonly run_attempt: number;
  /** `YYYY-MM-DD`, the day under which the jobs' rows are. */
  readonly dt: string;
  /** Rows of this run attempt and commit on that day. */
  readonly jobs: number;
}

type Kind = 'string' | 'int32' | 'int64' | 'time' | 'strings' | 'int32s';

/** A column of a file: its name, what it holds, and how readers may skip parts of it. */
export interface Column {
  readonly name: string;
  readonly kind: Kind;
  readonly required?: true;
  readonly pageIndex?: true;
  readonly bloom?: true;
}

/** In the order of the files: those up to `failed_step` are read together with one request. */
export const JOB_COLUMNS = [
  { name: 'repository', kind: 'string', required: true, pageIndex: true },
  { name: 'conclusion', kind: 'string' },
  { name: 'outcome', kind: 'string', required: true },
  { name: 'completed_at', kind: 'time' },
  { name: 'started_at', kind: 'time' },
  { name: 'run_id', kind: 'int64', required: true },
  { name: 'job_id', kind: 'int64', required: true },
  { name: 'log_bytes', kind: 'int64' },
  { name: 'run_attempt', kind: 'int32', required: true },
  { name: 'revision', kind: 'int32', required: true },
  { name: 'workflow_name', kind: 'string' },
  { name: 'job_name', kind: 'string' },
  { name: 'head_branch', kind: 'string' },
  { name: 'head_sha', kind: 'string', bloom: true },
  { name: 'failed_step', kind: 'string' },
  { name: 'host', kind: 'string', required: true },
  { name: 'owner', kind: 'string', required: true },
  { name: 'repo', kind: 'string', required: true },
  { name: 'repository_id', kind: 'int64' },
  { name: 'sender', kind: 'string' },
  { name: 'event', kind: 'string' },
  { name: 'pr_numbers', kind: 'int32s' },
  { name: 'environment', kind: 'string' },
  { name: 'runner_name', kind: 'string' },
  { name: 'labels', kind: 'strings' },
  { name: 'absence_reason', kind: 'string' },
  { name: 'created_at', kind: 'time' },
  { name: 'recorded_at', kind: 'time' },
  { name: 'log_lines', kind: 'int64' },
  { name: 'stored_bytes', kind: 'int64' },
  { name: 'log_key', kind: 'string' },
  { name: 'log_sha256', kind: 'string' },
] as const satisfies readonly (Column & { readonly name: keyof JobRow })[];

export const COMMIT_COLUMNS = [
  { name: 'head_sha', kind: 'string', required: true, pageIndex: true, bloom: true },
  { name: 'host', kind: 'string', required: true },
  { name: 'owner', kind: 'string', required: true },
  { name: 'repo', kind: 'string', required: true },
  { name: 'run_id', kind: 'int64', required: true },
  { name: 'run_attempt', kind: 'int32', required: true },
  { name: 'dt', kind: 'string', required: true },
  { name: 'jobs', kind: 'int32', required: true },
] as const satisfies readonly (Column & { readonly name: keyof CommitRow })[];

/** Columns that files of earlier versions lack: there they are null until `everlog index rebuild`. */
export const LATER_COLUMNS: ReadonlySet<string> = new Set<keyof JobRow>(['environment']);

/** A hundredth would double the reads of a search by commit. */
const BLOOM_FPP = 0.001;

/** The schema of a file of these columns. */
export function schemaOf(columns: readonly Column[]): SchemaElement[] {
  const leaves = columns.flatMap((column) => elementsOf(column));
  return [{ name: 'root', num_children: columns.length }, ...leaves];
}

function elementsOf({ name, kind, required }: Column): SchemaElement[] {
  const repetition_type = required === true ? ('REQUIRED' as const) : ('OPTIONAL' as const);
  if (kind === 'strings' || kind === 'int32s') {
    const element = leaf(kind === 'strings' ? 'string' : 'int32');
    return [
      {
        name,
        repetition_type: 'REQUIRED',
        converted_type: 'LIST',
        logical_type: { type: 'LIST' },
        num_children: 1,
      },
      { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
      { name: 'element', repetition_type: 'REQUIRED', ...element },
    ];
  }
  return [{ name, repetition_type, ...leaf(kind) }];
}

function leaf(kind: 'string' | 'int32' | 'int64' | 'time'): Omit<SchemaElement, 'name'> {
  if (kind === 'string')
    return { type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } };
  if (kind === 'int32') return { type: 'INT32' };
  if (kind === 'int64') return { type: 'INT64' };
  const logical_type = { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MILLIS' } as const;
  return { type: 'INT64', converted_type: 'TIMESTAMP_MILLIS', logical_type };
}

/** Rows as the writer takes them: one list for each column. */
export function columnData(columns: readonly Column[], rows: readonly object[]): ColumnSource[] {
  return columns.map(({ name, kind, pageIndex, bloom }) => ({
    name,
    data: rows.map((row) => stored(kind, Reflect.get(row, name))),
    ...(pageIndex === true ? { columnIndex: true } : {}),
    ...(bloom === true ? { bloomFilter: { fpp: BLOOM_FPP } } : {}),
  }));
}

function stored(kind: Kind, value: unknown): unknown {
  if (value === null || value === undefined) return null;
  return (kind === 'int64' || kind === 'time') && typeof value === 'number' ? BigInt(value) : value;
}
