import { parseKey, recordKey } from '../archive/keys.ts';
import {
  readRecord,
  RECORDS_IN_FLIGHT_MAX,
  type ReadingHooks,
  type StoredRecord,
} from '../archive/find/find-records.ts';
import { openRecordFilter, type RecordFilters } from '../archive/find/record-filters.ts';
import type { ObjectStore } from '../store/object-store.ts';
import type { JobIndex } from './job-index.ts';
import type { JobHit } from './job-hit.ts';
import { rowKey } from './unindexed.ts';

/**
 * The newest record of every job that passes the filters, newest first, found through the index: only records of jobs that
 * may match are read, a few at once. What the index leaves open is decided by the record and the run's object. A job whose
 * record was removed since it was indexed is left out.
 * @throws EverlogError where a store does not answer
 */
export async function* indexedRecords(
  index: JobIndex,
  archive: ObjectStore,
  filters: RecordFilters,
  options: ReadingHooks & { readonly limit?: number },
): AsyncGenerator<StoredRecord> {
  const { limit = Infinity } = options;
  const passes = openRecordFilter(archive, filters);
  let told = 0;
  let batch: JobHit[] = [];
  async function* readBatch(): AsyncGenerator<StoredRecord> {
    const reads = await Promise.all(batch.map((hit) => readHit(archive, hit, options)));
    batch = [];
    for (const stored of reads) if (stored !== null && (await passes(stored.record))) yield stored;
  }
  for await (const hit of index.search(filters, { expected: limit })) {
    batch.push(hit);
    if (batch.length < Math.min(RECORDS_IN_FLIGHT_MAX, limit - told)) continue;
    for await (const stored of readBatch()) {
      yield stored;
      told += 1;
      if (told >= limit) return;
    }
  }
  for await (const stored of readBatch()) {
    yield stored;
    told += 1;
    if (told >= limit) return;
  }
}

async function readHit(archive: ObjectStore, hit: JobHit, hooks: ReadingHooks): Promise<StoredRecord | null> {
  const key = rowKey(hit);
  const parsed = parseKey(key);
  if (parsed?.type !== 'record') throw new Error(`not the key of a record: ${key}`);
  const { address, revision } = parsed;
  const read = await readRecord(archive, { key, address, revision, bytes: 0 });
  if (read.ok) {
    const newest = await newestRevision(archive, read.stored, hooks);
    hooks.onRecord?.(newest.record);
    return newest;
  }
  // Removed since it was indexed, as by `expire`.
  if ((await archive.head(key)) !== null) hooks.onProblem(key, read.problem);
  return null;
}

/** A later look may have been recorded since the last digest: its record, not the indexed one, says how the job ended. */
async function newestRevision(
  archive: ObjectStore,
  stored: StoredRecord,
  hooks: ReadingHooks,
): Promise<StoredRecord> {
  let newest = stored;
  for (;;) {
    const revision = newest.revision + 1;
    const key = recordKey(newest.address, revision);
    const head = await archive.head(key);
    if (head === null) return newest;
    const read = await readRecord(archive, { key, address: newest.address, revision, bytes: head.bytes });
    if (!read.ok) {
      hooks.onProblem(key, read.problem);
      return newest;
    }
    newest = read.stored;
  }
}
