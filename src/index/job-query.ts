import { isFailed } from '../archive/find/conclusion.ts';
import { isFileName, isJobCalled, type RecordFilters } from '../archive/find/record-filters.ts';
import type { ScanPlace } from '../archive/find/scan-records.ts';
import { momentMsOfRow } from './job-row.ts';
import type { FurtherColumn } from './job-hit.ts';
import type { JobRow } from './parquet/columns.ts';
import { listOrEmpty, textOrNull } from './parquet/values.ts';

/** What one column must hold. */
interface ColumnTest {
  readonly column: keyof JobRow;
  readonly passes: (value: unknown) => boolean;
}

/** Filters as they are put to rows and to columns. */
export interface JobQuery {
  readonly filters: RecordFilters;
  /** Hosts, owners and repositories that count; null for all. */
  readonly places: readonly ScanPlace[] | null;
  readonly tests: readonly ColumnTest[];
  /** Columns that hits are to have besides. */
  readonly also: readonly FurtherColumn[];
}

/**
 * Puts filters to columns; those of owner and repository are in `places`, that of time is for `isInTime`. What only a run's
 * object says is tested where the row has it, and left open where it has not: the record and the run's object decide then.
 */
export function jobQuery(
  filters: RecordFilters,
  places: readonly ScanPlace[],
  also: readonly FurtherColumn[] = [],
): JobQuery {
  const tests: ColumnTest[] = [];
  const { shaPrefix, pullRequest, job, workflow, event } = filters;
  const test = (column: keyof JobRow, passes: ColumnTest['passes']): number => tests.push({ column, passes });
  const equal = (column: keyof JobRow, wanted: string | number | undefined): void => {
    if (wanted !== undefined) test(column, (value) => value === wanted);
  };
  equal('conclusion', filters.conclusion);
  equal('outcome', filters.outcome);
  if (filters.failed === true) test('conclusion', (value) => isFailed(textOrNull(value)));
  equal('run_id', filters.runId);
  equal('job_id', filters.jobId);
  equal('run_attempt', filters.attempt);
  equal('head_branch', filters.branch);
  if (!isFileName(workflow)) equal('workflow_name', workflow);
  if (job !== undefined) test('job_name', (value) => isJobCalled(textOrNull(value), job));
  if (shaPrefix !== undefined)
    test('head_sha', (value) => textOrNull(value)?.toLowerCase().startsWith(shaPrefix) ?? false);
  if (event !== undefined) test('event', (value) => value === null || value === event);
  if (pullRequest !== undefined) {
    // None is what stands there before the run's object is known too.
    test('pr_numbers', (value) =>
      listOrEmpty(value).length === 0 || listOrEmpty(value).includes(pullRequest));
  }
  const isEverywhere = places.some(({ host }) => host === undefined);
  return {
    filters,
    places: isEverywhere ? null : places,
    tests,
    also,
  };
}

/** Whether rows alone say which jobs pass: what only a run's object says they may leave open. */
export function isDecidedByRows({ event, pullRequest, actor, workflow }: RecordFilters): boolean {
  return event === undefined && pullRequest === undefined && actor === undefined && !isFileName(workflow);
}

/** Whether a job is wanted by its moment, ids and place, the tests of columns left out. */
export function isRowMeant(
  { filters, places }: JobQuery,
  row: Pick<JobRow, 'host' | 'repository' | 'repository_id' | 'run_id' | 'job_id'> & {
    readonly momentMs: number;
  },
): boolean {
  const { since, until, anyId } = filters;
  return (
    (since === undefined || row.momentMs >= since.getTime()) &&
    (until === undefined || row.momentMs <= until.getTime()) &&
    (anyId === undefined || anyId === row.job_id || anyId === row.run_id) &&
    isInPlaces(places, row)
  );
}

/** Whether a whole row is wanted. */
export function passesQuery(row: JobRow, query: JobQuery): boolean {
  return (
    query.tests.every(({ column, passes }) => passes(row[column])) &&
    isRowMeant(query, { ...row, momentMs: momentMsOfRow(row) })
  );
}

/** Whether a row is of a host, owner and repository that count. */
function isInPlaces(
  places: readonly ScanPlace[] | null,
  row: Pick<JobRow, 'host' | 'repository' | 'repository_id'>,
): boolean {
  return (
    places === null ||
    places.some((place) => isAt(place, row) && place.holds({ repository_id: row.repository_id }))
  );
}

/** Whether rows of repositories `min` to `max`, in the order of names, may be of a place that counts. */
export function mayHoldRepository({ places }: JobQuery, min: unknown, max: unknown): boolean {
  if (places === null || typeof min !== 'string' || typeof max !== 'string') return true;
  return places.some(({ owner, repo }) => {
    if (owner === undefined) return true;
    if (repo !== undefined) return min <= `${owner}/${repo}` && max >= `${owner}/${repo}`;
    // `0` follows `/`, so these are the bounds of what begins with `owner/`.
    return max >= `${owner}/` && min < `${owner}0`;
  });
}

/** Whether rows of hosts `min` to `max` may be of a place that counts. */
export function mayHoldHost({ places }: JobQuery, min: unknown, max: unknown): boolean {
  if (places === null || typeof min !== 'string' || typeof max !== 'string') return true;
  return places.some(({ host }) => host === undefined || (min <= host && max >= host));
}

/** Whether a row stands below a place. */
export function isAt(
  { host, owner, repo }: ScanPlace,
  { host: rowHost, repository }: Pick<JobRow, 'host' | 'repository'>,
): boolean {
  if (host !== rowHost) return false;
  if (owner === undefined) return true;
  return repo === undefined ? repository.startsWith(`${owner}/`) : repository === `${owner}/${repo}`;
}
