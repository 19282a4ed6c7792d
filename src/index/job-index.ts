import type { RecordFilters } from '../archive/find/record-filters.ts';
import { findPlaces } from '../archive/find/scan-records.ts';
import { JOBS_ROOT, REBUILD_KEY, THROUGH_ROOT } from '../archive/index-keys.ts';
import { giveUp } from '../errors.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { findCommits } from './find-commits.ts';
import { jobQuery, passesQuery, type JobQuery } from './job-query.ts';
import { dayOf, momentMsOfRow } from './job-row.ts';
import { listParts } from './parts.ts';
import type { ReadMeter } from './parquet/ranged-file.ts';
import type { FurtherColumn, JobHit } from './job-hit.ts';
import { noteRevision, searchDay, type Revised, type SearchedDay } from './search-day.ts';
import { daysOf, monthOf, queriesByDay, steps, withShas, type Search } from './search-plan.ts';
import { addToStats, type DayStats } from './stats.ts';
import { readThrough, type Through } from './through.ts';
import { readUnindexed, rowKey, type Unindexed } from './unindexed.ts';

/**
 * The query index: how commands and the web page find jobs without reading every record.
 *
 *     const index = await openJobIndex({ archive, index: store, onProblem });
 *     if (index === null) …                        // there is none: read the records (scanRecords), as before
 *     for await (const hit of index.search({ repo, conclusion: 'failure' }, { expected: 50 })) …   // leave when enough
 *     for await (const hit of index.byCommits(['f83a…', …], filters)) …
 *     for await (const day of index.stats(filters)) …
 *     for await (const stored of indexedRecords(index, archive, filters, { … })) …    // whole records, decided
 *     index.meter        // requests and bytes so far, for `--explain`
 *     index.coverage     // what the last answer covers
 *
 * Answers are of the newest revision of each job's record, and agree with a reading of all records that the ledger sealed:
 * what later digests sealed and what workers told of in the last minutes is read besides the index. What was recorded after
 * `coverage.completeUntil` may be missing in an answer, which has to be said where it matters.
 *
 * A hit has what lists show. The record is at `rowKey(hit)`; its log's key and hash, labels and the rest are in it. Rows know
 * no actor and no workflow file, and of a run that was not yet accounted for no event: where filters ask for those
 * a hit may not match, and its record decides, which `indexedRecords` does. A job whose record was
 * removed since (`expire`) is still a hit.
 */
export interface JobIndex {
  /**
   * Jobs that pass the filters, newest first by `momentMs`, then by the key of the record. Days are read as they are asked
   * for: leave the loop when there are enough, and say with `expected` how many that will be.
   */
  search(filters: RecordFilters, options?: SearchOptions): AsyncGenerator<JobHit>;

  /** Jobs of any of these commits, each by its hash or how it begins (lower-case hex), that pass the filters; newest first. */
  byCommits(shas: readonly string[], filters: RecordFilters): AsyncGenerator<JobHit>;

  /** What the jobs that pass the filters add up to, by repository and UTC day; newest day first. */
  stats(filters: RecordFilters): AsyncGenerator<DayStats>;

  /** What the last answer covers; before the first, what is indexed. */
  readonly coverage: IndexCoverage;

  /** Requests to the store and bytes read so far. */
  readonly meter: Readonly<ReadMeter>;
}

export interface SearchOptions {
  /** How many hits will be taken. */
  readonly expected?: number;
  /** Columns that hits are to have besides. */
  readonly also?: readonly FurtherColumn[];
}

/** How far an answer reaches. */
export interface IndexCoverage {
  /** Ledger sequence up to which rows come from the index. */
  readonly indexedThrough: number;
  /** Ledger sequence up to which the answer holds everything. */
  readonly sealedThrough: number;
  /** What was recorded until then is in the answer; null where nothing was ever sealed. */
  readonly completeUntil: Date | null;
}

export interface JobIndexOptions {
  readonly archive: ObjectStore;
  /** Where the index is: keys are relative to it. */
  readonly index: ObjectStore;
  /** A record of the ledger that cannot be read. */
  readonly onProblem: (key: string, problem: string) => void;
  /** Called for every record read one by one, because the index does not hold it yet. */
  readonly onRecord?: () => void;
}

/** Jobs of a day kept at least, where fewer are expected. */
const KEPT_MIN = 1_000;

/**
 * Opens the index; null where there is none, or it is being made anew.
 * @throws EverlogError `object_corrupt` where it does not say how far it reaches, and where the store does not answer
 */
export async function openJobIndex(options: JobIndexOptions): Promise<JobIndex | null> {
  const through = await readThrough(options.index);
  // Looked at after the mark: one that an indexer stored while the old parts were removed says more than is there.
  if ((await options.index.head(REBUILD_KEY)) !== null) return null;
  if (through !== null) return new OpenedIndex(options, through);
  for await (const _part of options.index.list(JOBS_ROOT)) {
    const message = `nothing in ${THROUGH_ROOT} says how far it reaches; where that lasts, run \`everlog index rebuild\``;
    throw giveUp('object_corrupt', message);
  }
  return null;
}

class OpenedIndex implements JobIndex {
  readonly meter: ReadMeter = { requests: 3, bytes: 0 };
  coverage: IndexCoverage;
  readonly #options: JobIndexOptions;
  readonly #through: Through;

  constructor(options: JobIndexOptions, through: Through) {
    this.#options = options;
    this.#through = through;
    const { sequence, recordedThrough } = through;
    this.coverage = { indexedThrough: sequence, sealedThrough: sequence, completeUntil: recordedThrough };
  }

  async *search(
    filters: RecordFilters,
    { expected = Infinity, also = [] }: SearchOptions = {},
  ): AsyncGenerator<JobHit> {
    const shas = filters.shaPrefix === undefined ? null : [filters.shaPrefix];
    yield* this.#newest(await this.#begin(filters, shas, also), expected);
  }

  async *byCommits(shas: readonly string[], filters: RecordFilters): AsyncGenerator<JobHit> {
    yield* this.#newest(await this.#begin(filters, shas), Infinity);
  }

  async *stats(filters: RecordFilters): AsyncGenerator<DayStats> {
    const shas = filters.shaPrefix === undefined ? null : [filters.shaPrefix];
    const search = await this.#begin(filters, shas, ['stored_bytes']);
    for (const days of steps(search.days, search.isNarrow, Infinity)) {
      const sums = await Promise.all(
        days.map(async (day) => {
          const sum = new Map<string, DayStats>();
          await this.#searchDay(search, day, (hit) => addToStats(sum, day.dt, hit));
          return [...sum.values()];
        }),
      );
      yield* sums.flat();
    }
  }

  async *#newest(search: Search, expected: number): AsyncGenerator<JobHit> {
    const keptMax = Math.max(KEPT_MIN, 2 * expected);
    for (const days of steps(search.days, search.isNarrow, expected)) {
      const found = await Promise.all(days.map((day) => this.#newestOf(search, day, keptMax)));
      for (const [at, day] of days.entries()) {
        let newest = found[at];
        let told = 0;
        // Whoever wants more of a day than was kept has it searched again.
        for (let kept = keptMax; newest !== undefined; kept *= 8) {
          for (const hit of newest.inOrder().slice(told)) yield hit;
          told = newest.inOrder().length;
          newest = newest.isTrimmed ? await this.#newestOf(search, day, kept * 8) : undefined;
        }
      }
    }
  }

  async #newestOf(search: Search, day: SearchedDay, kept: number): Promise<Newest> {
    const newest = new Newest(kept);
    await this.#searchDay(
      search,
      day,
      (hit) => newest.offer(hit),
      (endMs) => newest.isTooOld(endMs),
    );
    return newest;
  }

  async #searchDay(
    search: Search,
    day: SearchedDay,
    onHit: (hit: JobHit) => void,
    isTooOld?: (endMs: number) => boolean,
  ): Promise<void> {
    const query = search.placesOf?.get(day.dt) ?? search.query;
    await searchDay(this.#options.index, day, query, search.revised, this.meter, onHit, isTooOld);
  }

  /** Finds out which days may hold what is wanted, and reads what is not indexed yet. */
  async #begin(
    filters: RecordFilters,
    shas: readonly string[] | null,
    also: readonly FurtherColumn[] = [],
  ): Promise<Search> {
    const places = await findPlaces(this.#options.archive, filters);
    const query = withShas(jobQuery(filters, places, also), shas);
    const deps = { ...this.#options, meter: this.meter };
    const unindexed = await readUnindexed(deps, this.#through, query);
    this.#cover(unindexed);
    const first = filters.since === undefined ? {} : { first: dayOf(filters.since.getTime()) };
    const last = filters.until === undefined ? {} : { last: dayOf(filters.until.getTime()) };
    this.meter.requests += 1;
    let parts = await listParts(this.#options.index, 'jobs', { ...first, ...last });
    let placesOf: Map<string, JobQuery> | null = null;
    if (shas !== null) {
      const months = { ...monthOf('first', first.first), ...monthOf('last', last.last) };
      const unindexedRows = unindexed.rows
        .filter((row) => passesQuery(row, query))
        .map((row) => ({ ...row, dt: dayOf(momentMsOfRow(row)) }));
      const commits = await findCommits(this.#options.index, shas, months, this.meter);
      placesOf = queriesByDay(query, [...commits, ...unindexedRows]);
      const wanted = placesOf;
      parts = new Map([...parts].filter(([dt]) => wanted.has(dt)));
    }
    const revised: Revised = new Map();
    for (const row of unindexed.rows) noteRevision(revised, row);
    const days = daysOf(parts, unindexed.rows);
    return { query, placesOf, days, revised, isNarrow: query.places !== null || shas !== null };
  }

  #cover({ sealedThrough, completeUntil }: Unindexed): void {
    this.coverage = { indexedThrough: this.#through.sequence, sealedThrough, completeUntil };
  }
}

/** Keeps the newest of what it is offered. */
class Newest {
  readonly #limit: number;
  #kept: JobHit[] = [];
  #floorMs = -Infinity;
  /** Whether there was more than was kept. */
  isTrimmed = false;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether as many are kept as may be, and all of them ended later. */
  isTooOld(endMs: number): boolean {
    if (endMs >= this.#floorMs) return false;
    this.isTrimmed = true;
    return true;
  }

  offer(hit: JobHit): void {
    this.#kept.push(hit);
    if (this.#kept.length >= 4 * this.#limit) this.#trim();
  }

  inOrder(): readonly JobHit[] {
    this.#trim();
    return this.#kept;
  }

  #trim(): void {
    this.#kept.sort(compareHits);
    if (this.#kept.length <= this.#limit) return;
    this.#kept.length = this.#limit;
    this.#floorMs = this.#kept.at(-1)?.momentMs ?? -Infinity;
    this.isTrimmed = true;
  }
}

/** Rows of one moment as their records' keys are, the last first, as a reading of all records answers. */
function compareHits(a: JobHit, b: JobHit): number {
  return b.momentMs - a.momentMs || (rowKey(a) < rowKey(b) ? 1 : -1);
}
