import {
  minuteOfRecentKey,
  partKey,
  REBUILD_KEY,
  RECENT_ROOT,
  sequenceOfThroughKey,
  THROUGH_ROOT,
} from '../../archive/index-keys.ts';
import { RECORDS_IN_FLIGHT_MAX, type RecordEntry } from '../../archive/find/find-records.ts';
import { parseKey, runKey, type RunAddress } from '../../archive/keys.ts';
import { forEachInFlight } from '../../in-flight.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { entriesOf, readDigest, type IndexedDigest } from '../ledger-entries.ts';
import type { CommitRow, JobRow } from '../parquet/columns.ts';
import { readThrough, writeThrough } from '../through.ts';
import { removeObject } from './remove-object.ts';
import { RowSource, type PlacedRow } from './row-source.ts';
import { SortedPartitions, type Scratch } from './sorted-partitions.ts';
import { storePart } from './store-part.ts';
import { COMMITS, JOBS } from './tables.ts';

export interface IndexerDeps {
  readonly archive: ObjectStore;
  readonly index: ObjectStore;
  /** Opens a store for what does not fit into memory; closed, and its objects thrown away, with the work. */
  readonly openScratch: () => Promise<Scratch & { close(): Promise<void> }>;
  /** A record that cannot be read: it is in no row, and `verify` tells why. */
  readonly onProblem: (key: string, problem: string) => void;
}

export interface IndexProgress {
  /** The digest whose records are being read. */
  readonly sequence: number;
  /** Records read of it, and how many it has. */
  readonly records: number;
  readonly of: number;
}

export interface IndexReport {
  /** All up to this sequence is indexed now. */
  readonly through: number;
  readonly digests: number;
  readonly rows: number;
}

/** Marks kept: a reader may have listed one just before the next was written. */
const THROUGHS_KEPT = 2;
/** What workers told of this long before the end of what is indexed, nobody reads any more. */
const RECENT_KEPT_MS = 2 * 60 * 60_000;

/**
 * Brings the index up to the ledger's last digest, strictly in sequence: the parts of a digest, then the mark that says so.
 * Each digest gets parts of its own, so that two indexers at once write the same objects. Can be stopped at any moment. Does
 * nothing while the index is being made anew.
 * @throws EverlogError where a store does not answer, and `object_corrupt` where the ledger cannot be read
 */
export async function indexLedger(
  deps: IndexerDeps,
  options: { readonly signal?: AbortSignal; readonly onProgress?: (progress: IndexProgress) => void } = {},
): Promise<IndexReport> {
  const { index } = deps;
  const after = (await readThrough(index))?.sequence ?? 0;
  return indexDigests(deps, after, {
    ...options,
    isWanted: async () => (await index.head(REBUILD_KEY)) === null,
    onIndexed: async ({ sequence, windowEnd }) => {
      await writeThrough(index, { sequence, recordedThrough: windowEnd });
      await removeUnread(index, sequence, windowEnd);
    },
  });
}

/** Stores the parts of each digest behind `after`, and has `onIndexed` called for each in turn, while `isWanted`. */
export async function indexDigests(
  deps: IndexerDeps,
  after: number,
  options: {
    readonly signal?: AbortSignal;
    readonly onProgress?: (progress: IndexProgress) => void;
    readonly isWanted?: () => Promise<boolean>;
    readonly onIndexed: (digest: IndexedDigest) => Promise<void>;
  },
): Promise<IndexReport> {
  let through = after;
  let [digests, rows] = [0, 0];
  for (;;) {
    if (options.signal?.aborted === true) break;
    const digest = await readDigest(deps.archive, through + 1);
    if (digest === null || (await options.isWanted?.()) === false) break;
    rows += await indexDigest(deps, digest, options.onProgress ?? (() => undefined));
    await options.onIndexed(digest);
    through = digest.sequence;
    digests += 1;
  }
  return { through, digests, rows };
}

async function indexDigest(
  deps: IndexerDeps,
  digest: IndexedDigest,
  onProgress: (progress: IndexProgress) => void,
): Promise<number> {
  const { sequence } = digest;
  const source = new RowSource(deps.archive, deps.onProblem);
  let records = 0;
  return withRows(deps, sequence, async (add) => {
    await forEachInFlight(entriesToRead(deps, digest, source), RECORDS_IN_FLIGHT_MAX, async (entry) => {
      const placed = await source.rowOf(entry);
      if (placed !== null) await add(placed);
      records += 1;
      onProgress({ sequence, records, of: digest.count });
    });
  });
}

/** The records that a digest sealed; and those that earlier ones did whose run is known only now, for what it says of them. */
async function* entriesToRead(
  deps: IndexerDeps,
  digest: IndexedDigest,
  source: RowSource,
): AsyncGenerator<RecordEntry> {
  const runs: RunAddress[] = [];
  const seen = new Map<string, Set<number>>();
  for await (const { type, key } of entriesOf(deps.archive, digest)) {
    const parsed = type === 'record' || type === 'run' ? parseKey(key) : null;
    if (parsed?.type === 'run') runs.push(parsed.address);
    if (parsed?.type !== 'record') continue;
    const { address, revision } = parsed;
    const run = runKey(address, 1);
    seen.set(run, (seen.get(run) ?? new Set()).add(address.jobId));
    yield { key, address, revision, bytes: 0 };
  }
  for (const run of runs) {
    const jobs = seen.get(runKey(run, 1));
    for await (const entry of source.jobsOf(run)) if (jobs?.has(entry.address.jobId) !== true) yield entry;
  }
}

/** Collects rows and stores them as the parts of a sequence; answers how many there are. */
export async function withRows(
  deps: IndexerDeps,
  sequence: number,
  collect: (add: (placed: PlacedRow) => Promise<void>) => Promise<void>,
): Promise<number> {
  const scratch = await deps.openScratch();
  try {
    const jobs = new SortedPartitions<JobRow>(JOBS, scratch, 'jobs');
    const commits = new SortedPartitions<CommitRow>(COMMITS, scratch, 'commits');
    let adding: Promise<void> = Promise.resolve();
    await collect(async (placed) => {
      // One at a time: what is put aside must not be added to.
      adding = adding.then(() => addRow(jobs, commits, placed));
      await adding;
    });
    let rows = 0;
    for await (const [partition, sorted] of jobs.partitions()) {
      const key = partKey({ table: 'jobs', partition, from: sequence, to: sequence });
      rows += await storePart(deps.index, key, JOBS, sorted, scratch.spoolDir);
    }
    for await (const [partition, sorted] of commits.partitions()) {
      const key = partKey({ table: 'commits', partition, from: sequence, to: sequence });
      await storePart(deps.index, key, COMMITS, sorted, scratch.spoolDir);
    }
    return rows;
  } finally {
    await scratch.close();
  }
}

async function addRow(
  jobs: SortedPartitions<JobRow>,
  commits: SortedPartitions<CommitRow>,
  { row, days }: PlacedRow,
): Promise<void> {
  for (const day of days) await jobs.add(day, row);
  const { host, owner, repo, run_id, run_attempt, head_sha } = row;
  const [dt] = days;
  if (head_sha === null || dt === undefined) return;
  const commit = { head_sha: head_sha.toLowerCase(), host, owner, repo, run_id, run_attempt, dt, jobs: 1 };
  await commits.add(dt.slice(0, 7), commit);
}

/** Removes what nobody reads any more, as far as the store lets it. */
async function removeUnread(index: ObjectStore, through: number, windowEnd: Date): Promise<void> {
  const marks: string[] = [];
  for await (const { key } of index.list(THROUGH_ROOT)) {
    const sequence = sequenceOfThroughKey(key);
    if (sequence !== null && sequence <= through) marks.push(key);
  }
  for (const key of marks.slice(0, -THROUGHS_KEPT)) await removeObject(index, key);
  for await (const { key } of index.list(RECENT_ROOT)) {
    const minute = minuteOfRecentKey(key);
    if (minute === null) continue;
    if (minute >= windowEnd.getTime() - RECENT_KEPT_MS) break;
    await removeObject(index, key);
  }
}
