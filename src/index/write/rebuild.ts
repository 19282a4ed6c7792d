import { COMMITS_ROOT, JOBS_ROOT, REBUILD_KEY, RECENT_ROOT, THROUGH_ROOT } from '../../archive/index-keys.ts';
import { newestRevisions, RECORDS_IN_FLIGHT_MAX, type RecordEntry } from '../../archive/find/find-records.ts';
import { parseKey, RECORDS_ROOT } from '../../archive/keys.ts';
import { giveUp } from '../../errors.ts';
import { forEachInFlight } from '../../in-flight.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { bytesBody } from '../../store/put-body.ts';
import { readDigest } from '../ledger-entries.ts';
import { writeThrough } from '../through.ts';
import { indexLedger, withRows, type IndexerDeps, type IndexProgress, type IndexReport } from './indexer.ts';
import { removeObject } from './remove-object.ts';
import { RowSource } from './row-source.ts';

export interface RebuildOptions {
  readonly now: () => Date;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: IndexProgress) => void;
}

/**
 * Makes the index anew from ledger and records; without a ledger from all records. One that was broken off goes on where it
 * stopped. Until the first mark stands readers go without the index, and after it they read what is missing besides.
 * @throws EverlogError `store_refused` where a lock keeps the old index, and where a store does not answer
 */
export async function rebuildIndex(deps: IndexerDeps, options: RebuildOptions): Promise<IndexReport> {
  const { index } = deps;
  if ((await index.head(REBUILD_KEY)) === null) {
    await clear(index);
    const body = bytesBody(Buffer.from(`{"schema":"everlog.index-rebuild/v1"}\n`));
    await index.putIfAbsent(REBUILD_KEY, body, { contentType: 'application/json', kind: 'other' });
  }
  const isSealed = (await readDigest(deps.archive, 1)) !== null;
  const report = isSealed ? await indexLedger(deps, options) : await indexRecords(deps, options);
  if (options.signal?.aborted !== true) await removeObject(index, REBUILD_KEY);
  return report;
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
