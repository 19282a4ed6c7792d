import { startsByLength } from './find-commits.ts';
import type { JobQuery } from './job-query.ts';
import { dayOf, momentMsOfRow } from './job-row.ts';
import type { Part } from './parts.ts';
import type { JobRow } from './parquet/columns.ts';
import type { Revised, SearchedDay } from './search-day.ts';

/** Bytes of files searched at once, whose wanted columns are held until a day is done. */
const BYTES_IN_FLIGHT_MAX = 96 * 1024 * 1024;
/** Days searched at once: enough to hide the store's latency. */
const DAYS_IN_FLIGHT_MAX = 32;
/** Days of the first step of a search that may end early; each step has twice as many. */
const FIRST_DAYS = 2;

/** What a search is going to read. */
export interface Search {
  readonly query: JobQuery;
  /** By day, the repositories that a commit's jobs are of; null where commits were not asked for. */
  readonly placesOf: ReadonlyMap<string, JobQuery> | null;
  /** The newest first. */
  readonly days: readonly SearchedDay[];
  readonly revised: Revised;
  /** Whether little of each day is read. */
  readonly isNarrow: boolean;
}

/** Adds that a job is of one of these commits. */
export function withShas(query: JobQuery, shas: readonly string[] | null): JobQuery {
  if (shas === null) return query;
  const byLength = startsByLength(shas);
  const passes = (value: unknown): boolean =>
    typeof value === 'string' &&
    [...byLength].some(([length, starts]) => starts.has(value.slice(0, length).toLowerCase()));
  return { ...query, tests: [...query.tests, { column: 'head_sha', passes }] };
}

/** Narrows a query, by day, to the repositories in which its commits are. */
export function queriesByDay(
  query: JobQuery,
  commits: readonly { host: string; owner: string; repo: string; dt: string }[],
): Map<string, JobQuery> {
  const byDay = new Map<string, Map<string, { host: string; owner: string; repo: string }>>();
  for (const { host, owner, repo, dt } of commits) {
    const place = { host, owner: owner.toLowerCase(), repo: repo.toLowerCase() };
    const places = byDay.get(dt) ?? new Map<string, typeof place>();
    byDay.set(dt, places.set(`${host}/${place.owner}/${place.repo}`, place));
  }
  const isOf = ({ places }: JobQuery, place: { host: string; owner: string; repo: string }) =>
    (places ?? [{ prefix: '', holds: () => true }]).filter(
      ({ host, owner, repo }) =>
        (host ?? place.host) === place.host &&
        (owner ?? place.owner) === place.owner &&
        (repo ?? place.repo) === place.repo,
    );
  const narrowed = [...byDay].map(([dt, places]): [string, JobQuery] => {
    const wanted = [...places.values()].flatMap((place) =>
      isOf(query, place).map((asked) => ({ ...asked, ...place })),
    );
    return [dt, { ...query, places: wanted }];
  });
  return new Map(narrowed);
}

/** The days that parts or rows are of, the newest first. */
export function daysOf(
  parts: ReadonlyMap<string, readonly Part[]>,
  rows: readonly JobRow[],
): readonly SearchedDay[] {
  const days = new Map<string, { dt: string; parts: readonly Part[]; rows: JobRow[] }>();
  for (const [dt, found] of parts) days.set(dt, { dt, parts: found, rows: [] });
  for (const row of rows) {
    const dt = dayOf(momentMsOfRow(row));
    const day = days.get(dt) ?? { dt, parts: [], rows: [] };
    day.rows.push(row);
    days.set(dt, day);
  }
  return [...days.values()].sort((a, b) => (a.dt < b.dt ? 1 : -1));
}

/** Divides days into steps, each searched at once: small ones first where a search may end early. */
export function* steps(
  days: readonly SearchedDay[],
  isNarrow: boolean,
  expected: number,
): Generator<readonly SearchedDay[]> {
  let daysMax = expected === Infinity ? DAYS_IN_FLIGHT_MAX : FIRST_DAYS;
  let step: SearchedDay[] = [];
  let bytes = 0;
  for (const day of days) {
    const dayBytes = isNarrow ? 0 : day.parts.reduce((sum, part) => sum + part.bytes, 0);
    if (step.length > 0 && (step.length >= daysMax || bytes + dayBytes > BYTES_IN_FLIGHT_MAX)) {
      yield step;
      daysMax = Math.min(2 * daysMax, DAYS_IN_FLIGHT_MAX);
      step = [];
      bytes = 0;
    }
    step.push(day);
    bytes += dayBytes;
  }
  if (step.length > 0) yield step;
}

/** A day's month under the name given, or nothing. */
export function monthOf<K extends string>(name: K, day: string | undefined): { [P in K]?: string } {
  const result: { [P in K]?: string } = {};
  if (day !== undefined) result[name] = day.slice(0, 7);
  return result;
}
