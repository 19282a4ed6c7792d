import {
  countingListing,
  newestRevisions,
  readRecord,
  RECORDS_IN_FLIGHT_MAX,
  tellFlaws,
} from './find-records.ts';
import { findHosts } from './hosts.ts';
import type { ReadingHooks, RecordEntry, StoredRecord } from './find-records.ts';
import { forEachInFlight } from '../../in-flight.ts';
import { RECORDS_ROOT, recordsPrefix } from '../keys.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { momentMsOf, openRecordFilter, type RecordFilters } from './record-filters.ts';
import type { JobRecord } from '../record.ts';
import { findNameHistory } from '../repository-names.ts';

export interface ScanOptions extends ReadingHooks {
  /** Records wanted at most, the newest of those that match. */
  readonly limit: number;
}

/** Default of `limit`. */
export const SCAN_LIMIT = 50;

interface Ranked {
  readonly entry: RecordEntry;
  readonly momentMs: number;
}

/**
 * Newest records that match, newest first (by `momentOf`, then by key). Reads every record below the prefixes that the owner
 * and repository filters leave; holds the keys of at most twice `limit` of them and reads the newest again when it is their turn.
 * @throws EverlogError where the store does not answer.
 */
export async function* scanRecords(
  store: ObjectStore,
  filters: RecordFilters,
  options: ScanOptions,
): AsyncGenerator<StoredRecord> {
  const places = await findPlaces(store, filters);
  const newest = createNewest(options.limit);
  const passes = openRecordFilter(store, filters);
  for (const place of places) {
    const entries = newestRevisions(countingListing(store.list(place.prefix), options.onKey));
    await forEachInFlight(entries, RECORDS_IN_FLIGHT_MAX, async (entry) => {
      const read = await readRecord(store, entry);
      if (!read.ok) return options.onProblem(entry.key, read.problem);
      tellFlaws(options, read.stored);
      const { record } = read.stored;
      if (!place.holds(record)) return;
      options.onRecord?.(record);
      if (await passes(record)) newest.offer({ entry, momentMs: momentMsOf(record) });
    });
  }
  const ranked = newest.inOrder();
  for (let at = 0; at < ranked.length; at += RECORDS_IN_FLIGHT_MAX) {
    const some = ranked.slice(at, at + RECORDS_IN_FLIGHT_MAX);
    const reads = await Promise.all(
      some.map(async ({ entry }) => ({ entry, read: await readRecord(store, entry) })),
    );
    for (const { entry, read } of reads) {
      if (read.ok) yield read.stored;
      else options.onProblem(entry.key, read.problem);
    }
  }
}

/** A part of the archive to look through, and which of its records count. */
export interface ScanPlace {
  readonly prefix: string;
  /** What the prefix names, in lower case; of all hosts, owners or repositories where it is missing. */
  readonly host?: string;
  readonly owner?: string;
  readonly repo?: string;
  readonly holds: (record: Pick<JobRecord, 'repository_id'>) => boolean;
}

/** The places that the filters of owner and repository leave; a job stands in one of them. */
export async function findPlaces(store: ObjectStore, filters: RecordFilters): Promise<ScanPlace[]> {
  const owner = filters.owner?.toLowerCase();
  if (owner === undefined && filters.repo === undefined) {
    if (filters.host === undefined) return [{ prefix: RECORDS_ROOT, holds: () => true }];
    const { host } = filters;
    return [{ prefix: recordsPrefix({ host }), host, holds: () => true }];
  }
  const run = filters.runId === undefined ? {} : { runId: filters.runId };
  const places: ScanPlace[] = [];
  for (const host of filters.host === undefined ? await findHosts(store) : [filters.host]) {
    if (filters.repo === undefined) {
      const place = { host, ...(owner === undefined ? {} : { owner }) };
      places.push({ prefix: recordsPrefix(place), ...place, holds: () => true });
      continue;
    }
    const { names, repositoryIds } = await findNameHistory(
      store,
      host,
      filters.repo.owner,
      filters.repo.repo,
    );
    for (const [index, name] of names.entries()) {
      if (owner !== undefined && name.owner !== owner) continue;
      // Another repository may bear an old name by now; only the name asked for is taken at its word.
      const holds = (record: Pick<JobRecord, 'repository_id'>): boolean =>
        index === 0 || (record.repository_id !== null && repositoryIds.has(record.repository_id));
      places.push({ prefix: recordsPrefix({ host, ...name, ...run }), host, ...name, holds });
    }
  }
  return places;
}

/** Keeps the `limit` newest of what it is offered; holds at most twice as many in between. */
function createNewest(limit: number): { offer(one: Ranked): void; inOrder(): readonly Ranked[] } {
  let kept: Ranked[] = [];
  const trim = (): void => {
    kept = kept.sort(compareRanked).slice(0, limit);
  };
  return {
    offer(one) {
      kept.push(one);
      if (kept.length >= 2 * limit) trim();
    },
    inOrder() {
      trim();
      return kept;
    },
  };
}

function compareRanked(a: Ranked, b: Ranked): number {
  return b.momentMs - a.momentMs || (a.entry.key < b.entry.key ? 1 : -1);
}
