import { compareCommitRows, compareJobRows, fullerRow, isSameRevision } from '../job-row.ts';
import { COMMIT_COLUMNS, JOB_COLUMNS, type Column, type CommitRow, type JobRow } from '../parquet/columns.ts';
import type { ParquetFile } from '../parquet/read-file.ts';
import { readCommitRows, readJobRows } from '../parquet/read-rows.ts';

/** What a table's files hold, and how rows of several become rows of one. */
export interface Table<T extends object> {
  readonly name: 'jobs' | 'commits';
  readonly columns: readonly Column[];
  readonly compare: (a: T, b: T) => number;
  /** One row for two that are neighbours and say the same; null where they do not. */
  readonly combine: (a: T, b: T) => T | null;
  readonly read: (file: ParquetFile) => AsyncGenerator<T>;
}

export const JOBS: Table<JobRow> = {
  name: 'jobs',
  columns: JOB_COLUMNS,
  compare: compareJobRows,
  combine: (a, b) => (isSameRevision(a, b) ? fullerRow(a, b) : null),
  read: readJobRows,
};

export const COMMITS: Table<CommitRow> = {
  name: 'commits',
  columns: COMMIT_COLUMNS,
  compare: compareCommitRows,
  combine: (a, b) => (compareCommitRows(a, b) === 0 ? { ...a, jobs: a.jobs + b.jobs } : null),
  read: readCommitRows,
};

/** Merges sorted rows into sorted rows, of which none says what another does; holds one of each source. */
export async function* mergeSorted<T extends object>(
  table: Table<T>,
  sources: readonly (AsyncIterable<T> | Iterable<T>)[],
): AsyncGenerator<T> {
  const heads: { row: T; rest: AsyncIterator<T> | Iterator<T> }[] = [];
  for (const source of sources) {
    const rest = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
    const first = await rest.next();
    if (first.done !== true) heads.push({ row: first.value, rest });
  }
  let last: T | null = null;
  while (heads.length > 0) {
    let least = 0;
    for (let at = 1; at < heads.length; at += 1) {
      const [a, b] = [heads[at], heads[least]];
      if (a !== undefined && b !== undefined && table.compare(a.row, b.row) < 0) least = at;
    }
    const head = heads[least];
    if (head === undefined) break;
    const combined: T | null = last === null ? null : table.combine(last, head.row);
    if (last !== null && combined === null) yield last;
    last = combined ?? head.row;
    const next = await head.rest.next();
    if (next.done === true) heads.splice(least, 1);
    else head.row = next.value;
  }
  if (last !== null) yield last;
}
