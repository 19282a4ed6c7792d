import { EverlogError, giveUp } from '../../errors.ts';
import { forEachInFlight } from '../../in-flight.ts';
import type { JobReference, PlaceReference } from './job-reference.ts';
import { isSameJob, parseKey, RECORDS_ROOT, recordsPrefix } from '../keys.ts';
import type { JobAddress } from '../keys.ts';
import { readWhole } from '../../store/object-store.ts';
import type { ListedObject, ObjectStore } from '../../store/object-store.ts';
import { parseRecord } from '../record.ts';
import type { JobRecord } from '../record.ts';
import { findHosts } from './hosts.ts';
import { findNameHistory } from '../repository-names.ts';

/** A record as it stands in the archive. */
export interface StoredRecord {
  readonly key: string;
  readonly address: JobAddress;
  readonly revision: number;
  /** The object's bytes: one JSON document and a line feed. */
  readonly bytes: Buffer;
  readonly record: JobRecord;
}

/** The newest revision's key of one job, from a listing. */
export interface RecordEntry {
  readonly key: string;
  readonly address: JobAddress;
  readonly revision: number;
  /** Size of the record object. */
  readonly bytes: number;
}

/** What a reader wants to hear while it waits; a record that cannot be read is told, never left out silently. */
export interface ReadingHooks {
  readonly onProblem: (key: string, problem: string) => void;
  /** Called for every key looked at. */
  readonly onKey?: () => void;
  /** Called for every record read where filters are applied. */
  readonly onRecord?: (record: JobRecord) => void;
}

export interface FoundRecords {
  /** Newest revision of each matching job, in ascending order of run, attempt and job. */
  readonly records: readonly StoredRecord[];
  /** Key prefixes that were looked through. */
  readonly lookedBelow: readonly string[];
}

/** Records read at once: enough to hide a store's latency, few enough for its rate limits and for memory. */
export const RECORDS_IN_FLIGHT_MAX = 16;
/** A record is a few KB, under 1 MiB with hundreds of steps; something larger is not one and is not read. */
const RECORD_BYTES_MAX = 16 * 1024 * 1024;
/** Jobs that one address may match. A run has a few hundred jobs, a few thousand at the very most. */
const MATCHES_MAX = 10_000;

/**
 * Folds a listing of records into one entry per job, its newest revision. A job's keys are neighbours in key order
 * (`399.json`, `399.r10.json`, `399.r2.json`), so one job is held at a time. Keys that Everlog does not write are passed over.
 */
export async function* newestRevisions(listing: AsyncIterable<ListedObject>): AsyncGenerator<RecordEntry> {
  let newest: RecordEntry | null = null;
  for await (const { key, bytes } of listing) {
    const parsed = parseKey(key);
    if (parsed?.type !== 'record') continue;
    const entry: RecordEntry = { key, address: parsed.address, revision: parsed.revision, bytes };
    if (newest !== null && !isSameJob(newest.address, entry.address)) {
      yield newest;
      newest = entry;
    } else if (newest === null || entry.revision > newest.revision) {
      newest = entry;
    }
  }
  if (newest !== null) yield newest;
}

/**
 * Reads one record; answers what is wrong with it where it cannot be used.
 * @throws EverlogError where the store does not answer.
 */
export async function readRecord(
  store: ObjectStore,
  entry: RecordEntry,
): Promise<{ ok: true; stored: StoredRecord } | { ok: false; problem: string }> {
  if (entry.bytes > RECORD_BYTES_MAX) return { ok: false, problem: 'larger than any record' };
  let found: { bytes: Buffer } | null;
  try {
    found = await readWhole(store, entry.key);
  } catch (error) {
    if (!(error instanceof EverlogError) || error.remedy.kind !== 'give_up') throw error;
    return { ok: false, problem: error.message };
  }
  if (found === null) return { ok: false, problem: 'gone since it was listed' };
  const parsed = parseRecord(found.bytes);
  if (!parsed.ok) return parsed;
  if (!isAt(parsed.record, entry)) return { ok: false, problem: 'says it belongs under another key' };
  const { key, address, revision } = entry;
  return { ok: true, stored: { key, address, revision, bytes: found.bytes, record: parsed.record } };
}

/**
 * Finds the records that a reference points at. An address is followed through every name its repository has borne; a run's
 * address matches all its jobs (of one attempt, where it names one). A bare job id, which says nothing of where the job ran,
 * costs one pass over all record keys and may be a run's, and an address without a run one over its repository's.
 * @throws EverlogError `usage` when more than 10,000 jobs match.
 */
export async function findRecords(
  store: ObjectStore,
  reference: JobReference,
  hooks: ReadingHooks,
): Promise<FoundRecords> {
  const lookedBelow = await prefixesFor(store, reference);
  const found: StoredRecord[] = [];
  await forEachInFlight(
    entriesBelow(store, lookedBelow, reference, hooks),
    RECORDS_IN_FLIGHT_MAX,
    async (entry) => {
      const read = await readRecord(store, entry);
      if (!read.ok) return hooks.onProblem(entry.key, read.problem);
      found.push(read.stored);
      if (found.length > MATCHES_MAX) {
        throw giveUp('usage', `more than ${MATCHES_MAX} jobs match; give the address of one job`);
      }
    },
  );
  return { records: onePerJob(found).sort(inRunOrder), lookedBelow };
}

async function prefixesFor(store: ObjectStore, reference: JobReference): Promise<string[]> {
  if (reference.kind === 'id') {
    return [reference.host === null ? RECORDS_ROOT : recordsPrefix({ host: reference.host })];
  }
  const { owner, repo, runId } = reference;
  const prefixes: string[] = [];
  for (const host of reference.host === null ? await findHosts(store) : [reference.host]) {
    const { names } = await findNameHistory(store, host, owner, repo);
    for (const name of names)
      prefixes.push(recordsPrefix({ host, ...name, ...(runId === null ? {} : { runId }) }));
  }
  return prefixes;
}

async function* entriesBelow(
  store: ObjectStore,
  prefixes: readonly string[],
  reference: JobReference,
  hooks: ReadingHooks,
): AsyncGenerator<RecordEntry> {
  for (const prefix of prefixes) {
    for await (const entry of newestRevisions(counted(store.list(prefix), hooks.onKey))) {
      const isMeant =
        reference.kind === 'id'
          ? entry.address.jobId === reference.id || entry.address.runId === reference.id
          : isPlaced(entry.address, reference);
      if (isMeant) yield entry;
    }
  }
}

/** The attempt in an address is not asked for when it names the job: a copied job is filed where it was first seen. */
function isPlaced(address: JobAddress, reference: PlaceReference): boolean {
  if (reference.jobId !== null) return address.jobId === reference.jobId;
  return reference.attempt === null || address.runAttempt === reference.attempt;
}

/** Tells `onEach` of every object of a listing as it passes. */
export async function* counted(
  listing: AsyncIterable<ListedObject>,
  onEach: (() => void) | undefined,
): AsyncGenerator<ListedObject> {
  for await (const object of listing) {
    onEach?.();
    yield object;
  }
}

/** Two racing writers may file one job under two names or attempts: the one with a log is the better account, then the later. */
function onePerJob(found: readonly StoredRecord[]): StoredRecord[] {
  const byJob = new Map<string, StoredRecord>();
  for (const stored of found) {
    const id = `${stored.record.host}/${stored.record.job_id}`;
    const other = byJob.get(id);
    if (other === undefined || isBetterAccount(stored.record, other.record)) byJob.set(id, stored);
  }
  return [...byJob.values()];
}

function isBetterAccount(one: JobRecord, other: JobRecord): boolean {
  if ((one.log === null) !== (other.log === null)) return one.log !== null;
  return Date.parse(one.recorded_at) > Date.parse(other.recorded_at);
}

function inRunOrder({ record: a }: StoredRecord, { record: b }: StoredRecord): number {
  return a.run_id - b.run_id || (a.run_attempt ?? 1) - (b.run_attempt ?? 1) || a.job_id - b.job_id;
}

function isAt(record: JobRecord, { address, revision }: RecordEntry): boolean {
  return (
    record.revision === revision &&
    isSameJob(address, {
      host: record.host,
      owner: record.owner.toLowerCase(),
      repo: record.repo.toLowerCase(),
      runId: record.run_id,
      runAttempt: record.run_attempt ?? 1,
      jobId: record.job_id,
    })
  );
}
