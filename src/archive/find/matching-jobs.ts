import {
  countingListing,
  newestRevisions,
  readRecord,
  RECORDS_IN_FLIGHT_MAX,
  tellFlaws,
} from './find-records.ts';
import type { ReadingHooks, RecordEntry, StoredRecord } from './find-records.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import type { JobRecord } from '../record.ts';
import { openRecordFilter, type RecordFilters } from './record-filters.ts';
import { findPlaces, type ScanPlace } from './scan-records.ts';

/**
 * The newest record of every job that passes the filters, in the order of its keys, with flat memory. A record that cannot be
 * read is told to `onProblem` and left out: nobody knows whether it matches.
 * @throws EverlogError where the store does not answer.
 */
export async function* matchingJobs(
  store: ObjectStore,
  filters: RecordFilters,
  hooks: ReadingHooks,
): AsyncGenerator<StoredRecord> {
  const passes = openRecordFilter(store, filters);
  for (const place of await findPlaces(store, filters)) {
    let entries: RecordEntry[] = [];
    for await (const entry of newestRevisions(countingListing(store.list(place.prefix), hooks.onKey))) {
      entries.push(entry);
      if (entries.length < RECORDS_IN_FLIGHT_MAX) continue;
      yield* await readMatching(store, place, passes, entries, hooks);
      entries = [];
    }
    yield* await readMatching(store, place, passes, entries, hooks);
  }
}

async function readMatching(
  store: ObjectStore,
  place: ScanPlace,
  passes: (record: JobRecord) => Promise<boolean>,
  entries: readonly RecordEntry[],
  hooks: ReadingHooks,
): Promise<StoredRecord[]> {
  const reads = await Promise.all(
    entries.map(async (entry) => ({ entry, read: await readRecord(store, entry) })),
  );
  const matching: StoredRecord[] = [];
  for (const { entry, read } of reads) {
    if (!read.ok) {
      hooks.onProblem(entry.key, read.problem);
      continue;
    }
    tellFlaws(hooks, read.stored);
    const { record } = read.stored;
    if (!place.holds(record)) continue;
    hooks.onRecord?.(record);
    if (await passes(record)) matching.push(read.stored);
  }
  return matching;
}
