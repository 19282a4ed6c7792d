import { EverlogError, giveUp, retryable } from '../../errors.ts';
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
  /** What is not as it should be, and did not keep the job from being read. */
  readonly flaws: readonly RecordFlaw[];
}

/** What is wrong with one revision of a record. */
export interface RecordFlaw {
  readonly key: string;
  readonly problem: string;
  /** `unusable`: the revision before it was read in its place. `misnumbered`: it was read all the same. */
  readonly kind: 'unusable' | 'misnumbered';
  /** Set where the store did not give it, so that nobody knows what it says. */
  readonly withheld: EverlogError | null;
}

/** One revision's key, from a listing. */
export interface RevisionEntry {
  readonly key: string;
  readonly revision: number;
  /** Size of the record object. */
  readonly bytes: number;
}

/** The newest revision's key of one job, from a listing, with those before it. */
export interface RecordEntry extends RevisionEntry {
  readonly address: JobAddress;
  /** The revisions below, newest first, to be read where it cannot be; of very many, the newest. Default: none. */
  readonly earlier?: readonly RevisionEntry[];
}

/** What a reader wants to hear while it waits; a record that cannot be read is told, never left out silently. */
export interface ReadingHooks {
  readonly onProblem: (key: string, problem: string) => void;
  /** What is odd about a record that was read all the same. */
  readonly onOddity?: (key: string, oddity: string) => void;
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
/** Earlier revisions of a job that are held; a job has two or three. */
const EARLIER_MAX = 100;

/**
 * Folds a listing of records into one entry per job, its newest revision. A job's keys are neighbours in key order
 * (`399.json`, `399.r10.json`, `399.r2.json`), so one job is held at a time. Keys that Everlog does not write are passed over.
 */
export async function* newestRevisions(listing: AsyncIterable<ListedObject>): AsyncGenerator<RecordEntry> {
  let address: JobAddress | null = null;
  let revisions: RevisionEntry[] = [];
  for await (const { key, bytes } of listing) {
    const parsed = parseKey(key);
    if (parsed?.type !== 'record') continue;
    if (address !== null && !isSameJob(address, parsed.address)) {
      yield entryOf(address, revisions);
      revisions = [];
    }
    address = parsed.address;
    revisions.push({ key, revision: parsed.revision, bytes });
    if (revisions.length > 2 * EARLIER_MAX) revisions = newestFirst(revisions).slice(0, EARLIER_MAX);
  }
  if (address !== null) yield entryOf(address, revisions);
}

function entryOf(address: JobAddress, revisions: readonly RevisionEntry[]): RecordEntry {
  const [newest, ...earlier] = newestFirst(revisions);
  if (newest === undefined) throw new Error('a job without a record was listed');
  return { ...newest, address, earlier: earlier.slice(0, EARLIER_MAX) };
}

function newestFirst(revisions: readonly RevisionEntry[]): RevisionEntry[] {
  return revisions.toSorted((a, b) => b.revision - a.revision);
}

/** What was read of a job: its last readable revision, or what is wrong with each that it has. */
export type RecordRead =
  | { readonly ok: true; readonly stored: StoredRecord }
  | { readonly ok: false; readonly problem: string; readonly flaws: readonly RecordFlaw[] };

/**
 * Reads the record of a job. A revision that cannot be used does not hide the one before it, which is read in its place, and
 * both are told (`flaws`).
 * @throws EverlogError where the store does not answer.
 */
export async function readRecord(store: ObjectStore, entry: RecordEntry): Promise<RecordRead> {
  const { address } = entry;
  const flaws: RecordFlaw[] = [];
  for (const { key, revision, bytes } of [entry, ...(entry.earlier ?? [])]) {
    const read = await readRevision(store, address, { key, revision, bytes });
    if (read.ok) return { ok: true, stored: { ...read.stored, flaws: [...flaws, ...read.stored.flaws] } };
    flaws.push({ key, problem: read.problem, kind: 'unusable', withheld: read.withheld });
  }
  return { ok: false, problem: flaws[0]?.problem ?? 'not there', flaws };
}

/** What was read of one revision. */
export type RevisionRead =
  | { readonly ok: true; readonly stored: StoredRecord }
  | { readonly ok: false; readonly problem: string; readonly withheld: EverlogError | null };

/**
 * Reads one revision; says what is wrong with it where it cannot be used.
 * @throws EverlogError where the store does not answer.
 */
export async function readRevision(
  store: ObjectStore,
  address: JobAddress,
  { key, revision, bytes }: RevisionEntry,
): Promise<RevisionRead> {
  if (bytes > RECORD_BYTES_MAX) return unusable('larger than any record');
  let found: { bytes: Buffer } | null;
  try {
    found = await readWhole(store, key);
  } catch (error) {
    if (!(error instanceof EverlogError) || error.remedy.kind !== 'give_up') throw error;
    return { ok: false, problem: error.message, withheld: error };
  }
  if (found === null) {
    const problem = 'gone since it was listed';
    return { ok: false, problem, withheld: retryable('store_unavailable', `record ${key} is ${problem}`) };
  }
  const parsed = parseRecord(found.bytes);
  if (!parsed.ok) return unusable(parsed.problem);
  const { record } = parsed;
  if (!isRecordAt(record, address)) return unusable('says it belongs under another key');
  const stored = { key, address, revision, bytes: found.bytes };
  if (record.revision === revision) return { ok: true, stored: { ...stored, record, flaws: [] } };
  if (!isMisnumbered(record, revision)) return unusable(`says that it is revision ${record.revision}`);
  const problem = `says that it is revision ${record.revision}, as an earlier Everlog wrote where GitHub's listing corrected a delivery; it is revision ${revision}`;
  const flaw: RecordFlaw = { key, problem, kind: 'misnumbered', withheld: null };
  return { ok: true, stored: { ...stored, record: { ...record, revision }, flaws: [flaw] } };
}

function unusable(problem: string): RevisionRead {
  return { ok: false, problem, withheld: null };
}

/** Tells of the flaws that did not keep a job from being read. */
export function tellFlaws(hooks: ReadingHooks, { flaws, revision }: StoredRecord): void {
  for (const { key, problem, kind } of flaws) {
    if (kind === 'unusable') hooks.onProblem(key, `${problem}; revision ${revision} was read in its place`);
    else hooks.onOddity?.(key, problem);
  }
}

/**
 * Whether this is a confirmation by GitHub's listing as an earlier Everlog wrote it: all is right but the number, which is
 * that of the revision before. Anybody's copy of an earlier revision is not one: those are no listing's.
 */
function isMisnumbered(record: JobRecord, revision: number): boolean {
  const isByListing = record.details_source === 'list' && record.job_sha256 === null;
  return isByListing && revision > 1 && record.revision === revision - 1;
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
      tellFlaws(hooks, read.stored);
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
    for await (const entry of newestRevisions(countingListing(store.list(prefix), hooks.onKey))) {
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
export async function* countingListing(
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

function isRecordAt(record: JobRecord, address: JobAddress): boolean {
  return isSameJob(address, {
    host: record.host,
    owner: record.owner.toLowerCase(),
    repo: record.repo.toLowerCase(),
    runId: record.run_id,
    runAttempt: record.run_attempt ?? 1,
    jobId: record.job_id,
  });
}
