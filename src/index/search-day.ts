import type { RowGroup } from 'hyparquet';
import { HIT_COLUMNS, hitFrom, hitOf, plain, type JobHit } from './job-hit.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { isRowMeant, mayHoldHost, mayHoldRepository, passesQuery, type JobQuery } from './job-query.ts';
import { dayOf, jobIdOf } from './job-row.ts';
import { listParts, type Part } from './parts.ts';
import type { JobRow } from './parquet/columns.ts';
import { ParquetFile, type Columns, type RowSpan } from './parquet/read-file.ts';
import { Gone, type ReadMeter } from './parquet/ranged-file.ts';
import { numberOrNull } from './parquet/values.ts';

/** Highest revision known of jobs that have more than one, by `jobIdOf`: a row of a lower one says nothing any more. */
export type Revised = Map<string, number>;

/** One UTC day as it is searched. */
export interface SearchedDay {
  readonly dt: string;
  readonly parts: readonly Part[];
  /** Rows of this day that may not be in the parts yet. */
  readonly rows: readonly JobRow[];
}

/** Times that a day is listed again because a part was merged into a wider one meanwhile. */
const LISTINGS_MAX = 5;

interface CandidateRows {
  readonly file: ParquetFile;
  readonly group: RowGroup;
  readonly span: RowSpan;
}

/**
 * Tells `onHit` of every job of a day that is wanted, once, by its newest revision; in no order. Only what may match is read. Jobs
 * whose end `isTooOld` says that nobody wants any more are passed over.
 * @throws EverlogError `object_corrupt` where a file cannot be read, and where the store does not answer
 */
export async function searchDay(
  store: Pick<ObjectStore, 'readRange' | 'list'>,
  day: SearchedDay,
  query: JobQuery,
  revised: Revised,
  meter: ReadMeter,
  onHit: (hit: JobHit) => void,
  isTooOld: (endMs: number) => boolean = () => false,
): Promise<void> {
  const search = await prepared(store, day, query, revised, meter);
  await search.tellAll(onHit, isTooOld);
}

/** A part may be merged into a wider one and go while it is read: then the day is listed again. */
async function prepared(
  store: Pick<ObjectStore, 'readRange' | 'list'>,
  day: SearchedDay,
  query: JobQuery,
  revised: Revised,
  meter: ReadMeter,
): Promise<DaySearch> {
  let { parts } = day;
  for (let listings = 0; ; listings += 1) {
    try {
      const search = new DaySearch(store, { ...day, parts }, query, revised, meter);
      await search.fetch();
      return search;
    } catch (error) {
      if (!(error instanceof Gone) || listings >= LISTINGS_MAX) throw error;
      meter.requests += 1;
      parts = (await listParts(store, 'jobs', { first: day.dt, last: day.dt })).get(day.dt) ?? [];
    }
  }
}

class DaySearch {
  readonly #store: Pick<ObjectStore, 'readRange'>;
  readonly #day: SearchedDay;
  readonly #query: JobQuery;
  readonly #revised: Revised;
  readonly #meter: ReadMeter;
  /** Jobs told of; needed only where one may stand in several places. */
  readonly #seen: Set<string> | null;
  readonly #columns: readonly (keyof JobRow)[];
  #candidates: readonly CandidateRows[] = [];

  constructor(
    store: Pick<ObjectStore, 'readRange'>,
    day: SearchedDay,
    query: JobQuery,
    revised: Revised,
    meter: ReadMeter,
  ) {
    this.#store = store;
    this.#day = day;
    this.#query = query;
    this.#revised = revised;
    this.#meter = meter;
    this.#seen = day.parts.length + Math.min(day.rows.length, 1) > 1 ? new Set() : null;
    this.#columns = [...new Set([...HIT_COLUMNS, ...query.tests.map(({ column }) => column), ...query.also])];
  }

  /** Fetches all that will be read. @throws Gone where a part is not there any more */
  async fetch(): Promise<void> {
    this.#candidates = (await Promise.all(this.#day.parts.map((part) => this.#candidatesOf(part)))).flat();
  }

  async tellAll(onHit: (hit: JobHit) => void, isTooOld: (endMs: number) => boolean): Promise<void> {
    for (const candidate of this.#candidates) await this.#noteRevisions(candidate);
    for (const row of this.#day.rows) noteRevision(this.#revised, row);
    const tell = (hit: JobHit): void => {
      if (this.#counts(hit)) onHit(hit);
    };
    for (const candidate of this.#candidates) await this.#search(candidate, tell, isTooOld);
    for (const row of this.#day.rows) if (passesQuery(row, this.#query)) tell(hitOf(row));
  }

  /** Where rows of a part may be wanted; what will be read there is fetched at once for all of them. */
  async #candidatesOf(part: Part): Promise<CandidateRows[]> {
    const file = await ParquetFile.open(this.#store, part, this.#meter);
    const query = this.#query;
    const groups = file.groups.filter((group) => {
      const repositories = file.bounds(group, 'repository');
      const hosts = file.bounds(group, 'host');
      return (
        mayHoldRepository(query, repositories?.min, repositories?.max) &&
        mayHoldHost(query, hosts?.min, hosts?.max)
      );
    });
    const candidates = await Promise.all(
      groups.map(async (group): Promise<CandidateRows[]> => {
        const span = await this.#spanOf(file, group);
        if (span === null) return [];
        await file.readRows(group, span, this.#columnsOf(file, group));
        return [{ file, group, span }];
      }),
    );
    return candidates.flat();
  }

  async #spanOf(file: ParquetFile, group: RowGroup): Promise<RowSpan | null> {
    const bounds = file.bounds(group, 'repository');
    const isAll = this.#query.places === null || (bounds !== null && bounds.min === bounds.max);
    if (isAll) return { from: 0, to: Number(group.num_rows) };
    return file.narrow(group, 'repository', this.#columnsOf(file, group), (min, max) =>
      mayHoldRepository(this.#query, min, max),
    );
  }

  #columnsOf(file: ParquetFile, group: RowGroup): readonly string[] {
    const needsTimes = !file.hasNoNulls(group, 'completed_at');
    const needsId = (this.#query.places ?? []).some(({ repo }) => repo !== undefined);
    return [
      ...this.#columns,
      ...(oneHost(file, group) === null ? ['host'] : []),
      ...(needsId && hasSeveralNames(this.#query) && !this.#columns.includes('repository_id')
        ? ['repository_id']
        : []),
      ...(needsTimes ? ['created_at', 'recorded_at'] : []),
    ];
  }

  async #noteRevisions({ file, group, span }: CandidateRows): Promise<void> {
    const { max } = file.bounds(group, 'revision') ?? {};
    if (typeof max === 'number' && max <= 1) return;
    const rows = await this.#reader(file, group, span);
    const revisions = await rows('revision');
    const ids = await rows('job_id');
    const hosts = await rows('host');
    for (let at = 0; at < revisions.length; at += 1) {
      const revision = Number(revisions[at]);
      if (revision > 1)
        noteRevision(this.#revised, { host: String(hosts[at]), job_id: Number(ids[at]), revision });
    }
  }

  async #search(
    { file, group, span }: CandidateRows,
    tell: (hit: JobHit) => void,
    isTooOld: (endMs: number) => boolean,
  ): Promise<void> {
    const rows = await this.#reader(file, group, span);
    let wanted: number[] | null = null;
    for (const { column, passes } of this.#query.tests) {
      const values = await rows(column);
      if (wanted === null) {
        wanted = [];
        for (let at = 0; at < values.length; at += 1) if (passes(plain(values[at]))) wanted.push(at);
      } else {
        wanted = wanted.filter((at) => passes(plain(values[at])));
      }
      if (wanted.length === 0) return;
    }
    const columns = await Promise.all(HIT_COLUMNS.map((column) => rows(column)));
    const further = await Promise.all(
      ['host', 'repository_id', 'created_at', 'recorded_at', 'stored_bytes'].map((column) => rows(column)),
    );
    const ends = await rows('completed_at');
    const count = span.to - span.from;
    for (let index = 0; index < (wanted ?? { length: count }).length; index += 1) {
      const at = wanted?.[index] ?? index;
      const endMs = numberOrNull(ends[at]);
      if (endMs !== null && isTooOld(endMs)) continue;
      const values = columns.map((column) => plain(column[at]));
      const hit = hitFrom(
        values,
        further.map((column) => plain(column[at])),
      );
      if (isRowMeant(this.#query, hit)) tell(hit);
    }
  }

  /** A row under another day than its own only says that an earlier revision, which was of this day, is superseded. */
  #counts(hit: JobHit): boolean {
    if (dayOf(hit.momentMs) !== this.#day.dt) return false;
    const id = jobIdOf(hit);
    if ((this.#revised.get(id) ?? 1) > hit.revision) return false;
    if (this.#seen?.has(id) === true) return false;
    this.#seen?.add(id);
    return true;
  }

  /** Columns of some rows, those that need not be read made up from what is known of them. */
  async #reader(file: ParquetFile, group: RowGroup, span: RowSpan): Promise<Columns> {
    const columns = this.#columnsOf(file, group);
    const read = await file.readRows(group, span, columns);
    const host = oneHost(file, group);
    return async (column) => {
      if (columns.includes(column)) return read(column);
      const known = column === 'host' ? host : null;
      return Array.from<unknown>({ length: span.to - span.from }).fill(known);
    };
  }
}

/** Remembers that a job has this revision, where it is not the first. */
export function noteRevision(revised: Revised, row: Pick<JobRow, 'host' | 'job_id' | 'revision'>): void {
  if (row.revision <= 1) return;
  const id = jobIdOf(row);
  if ((revised.get(id) ?? 1) < row.revision) revised.set(id, row.revision);
}

/** The host of a row group whose rows are all of one; null where they are not, or the file does not say. */
function oneHost(file: ParquetFile, group: RowGroup): string | null {
  const { min, max } = file.bounds(group, 'host') ?? {};
  return typeof min === 'string' && min === max ? min : null;
}

function hasSeveralNames({ places }: JobQuery): boolean {
  const named = (places ?? []).filter(({ repo }) => repo !== undefined);
  return named.length > new Set(named.map(({ host }) => host)).size;
}
