import {
  COMMITS_ROOT,
  JOBS_ROOT,
  REBUILD_KEY,
  REBUILT_ROOT,
  rebuiltKey,
  RECENT_ROOT,
  sequenceOfRebuiltKey,
  THROUGH_ROOT,
} from '../../archive/index-keys.ts';
import { newestRevisions, RECORDS_IN_FLIGHT_MAX, type RecordEntry } from '../../archive/find/find-records.ts';
import { parseKey, RECORDS_ROOT } from '../../archive/keys.ts';
import { giveUp } from '../../errors.ts';
import { forEachInFlight } from '../../in-flight.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { bytesBody } from '../../store/put-body.ts';
import { readDigest, type IndexedDigest } from '../ledger-entries.ts';
import { writeThrough } from '../through.ts';
import { indexDigests, withRows, type IndexerDeps, type IndexProgress, type IndexReport } from './indexer.ts';
import { removeObject } from './remove-object.ts';
import { RowSource } from './row-source.ts';

export interface RebuildOptions {
  readonly now: () => Date;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: IndexProgress) => void;
}

/**
 * Makes the index anew from ledger and records; without a ledger from all records. One that was broken off goes on where it
 * stopped. Readers go without the index until it is done.
 *
 * A worker may be indexing meanwhile: it stops at its next digest, but may still store what it has at hand, and a mark that
 * says more than is there. No mark is believed here for this reason; what has been done is noted apart, and the digest
 * that such a mark is about is among those that are read.
 * @throws EverlogError `store_refused` where a lock keeps the old index, and where a store does not answer
 */
export async function rebuildIndex(deps: IndexerDeps, options: RebuildOptions): Promise<IndexReport> {
  const { index } = deps;
  if ((await index.head(REBUILD_KEY)) === null) {
    // What two rebuilds at once may have left is not how far this one has come.
    await removeMarks(index);
    await mark(index, REBUILD_KEY);
  }
  let after = await rebuiltThrough(index);
  if (after === null) {
    await clear(index);
    await mark(index, rebuiltKey(0));
    after = 0;
  }
  const isSealed = (await readDigest(deps.archive, 1)) !== null;
  const report = isSealed ? await indexAll(deps, after, options) : await indexRecords(deps, options);
  if (options.signal?.aborted === true) return report;
  await removeMarks(index);
  await removeObject(index, REBUILD_KEY);
  return report;
}

async function removeMarks(index: ObjectStore): Promise<void> {
  for await (const { key } of index.list(REBUILT_ROOT)) await removeObject(index, key);
}

async function indexAll(deps: IndexerDeps, after: number, options: RebuildOptions): Promise<IndexReport> {
  const { archive, index } = deps;
  const onIndexed = ({ sequence }: IndexedDigest): Promise<void> => mark(index, rebuiltKey(sequence));
  const report = await indexDigests(deps, after, { ...options, onIndexed });
  const last = options.signal?.aborted === true ? null : await readDigest(archive, report.through);
  if (last !== null) await writeThrough(index, { sequence: last.sequence, recordedThrough: last.windowEnd });
  return report;
}

/** How far a rebuild that was broken off has come; null where it has not removed the whole old index. */
async function rebuiltThrough(index: ObjectStore): Promise<number | null> {
  let last: number | null = null;
  for await (const { key } of index.list(REBUILT_ROOT)) last = sequenceOfRebuiltKey(key) ?? last;
  return last;
}

async function mark(index: ObjectStore, key: string): Promise<void> {
  const body = bytesBody(Buffer.from(`{"schema":"everlog.index-rebuild/v1"}\n`));
  await index.putIfAbsent(key, body, { contentType: 'application/json', kind: 'other' });
}

/** The marks go first: without one, nobody takes what is left for an index. */
async function clear(index: ObjectStore): Promise<void> {
  for (const root of [THROUGH_ROOT, RECENT_ROOT, COMMITS_ROOT, JOBS_ROOT]) {
    for await (const { key } of index.list(root)) {
      if ((await removeObject(index, key)) !== 'locked') continue;
      throw giveUp(
        'store_refused',
        `a lock keeps ${key} of the old index: set EVERLOG_INDEX_URL to a place without locks`,
      );
    }
  }
}

async function indexRecords(deps: IndexerDeps, options: RebuildOptions): Promise<IndexReport> {
  const startedAt = options.now();
  const source = new RowSource(deps.archive, deps.onProblem);
  let records = 0;
  const rows = await withRows(deps, 0, async (add) => {
    await forEachInFlight(everyRecord(deps.archive, options.signal), RECORDS_IN_FLIGHT_MAX, async (entry) => {
      const placed = await source.rowOf(entry);
      if (placed !== null) await add({ ...placed, days: placed.days.slice(0, 1) });
      records += 1;
      options.onProgress?.({ sequence: 0, records, of: 0 });
    });
  });
  if (options.signal?.aborted !== true)
    await writeThrough(deps.index, { sequence: 0, recordedThrough: startedAt });
  return { through: 0, digests: 0, rows };
}

/** The newest record of every job. */
async function* everyRecord(
  archive: ObjectStore,
  signal: AbortSignal | undefined,
): AsyncGenerator<RecordEntry> {
  for await (const entry of newestRevisions(archive.list(RECORDS_ROOT))) {
    if (signal?.aborted === true) return;
    if (parseKey(entry.key) !== null) yield entry;
  }
}
