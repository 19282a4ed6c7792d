import { createHash } from 'node:crypto';
import { giveUp } from '../../errors.ts';
import { readRevision, RECORDS_IN_FLIGHT_MAX } from '../../archive/find/find-records.ts';
import type { StoredRecord } from '../../archive/find/find-records.ts';
import { forEachInFlight } from '../../in-flight.ts';
import { isSameJob, parseKey } from '../../archive/keys.ts';
import type { JobAddress } from '../../archive/keys.ts';
import { compareKeys } from '../../store/object-key.ts';
import type { ListedObject, ObjectStore } from '../../store/object-store.ts';
import type { JobRecord } from '../../archive/record.ts';
import { openRecordFilter, type RecordFilters } from '../../archive/find/record-filters.ts';
import { findPlaces, type ScanPlace } from '../../archive/find/scan-records.ts';
import type { CommitList } from './commit-list.ts';

/** One revision of a chosen job's record, and what an index says of it. */
export interface ChosenRecord {
  readonly key: string;
  readonly address: JobAddress;
  readonly revision: number;
  /** When it was written, by the earlier of its own word and the store's. */
  readonly writtenMs: number;
  /** Of the newest version, by which it was chosen. */
  readonly sha256: string;
  readonly facts: BundleFacts;
  /** The line of the commit list that it answers; null where none was given. */
  readonly askedFor: string | null;
}

/** Of a record, what people look for. */
export type BundleFacts = Pick<
  JobRecord,
  | 'host'
  | 'owner'
  | 'repo'
  | 'run_id'
  | 'run_attempt'
  | 'job_id'
  | 'job_name'
  | 'workflow_name'
  | 'head_branch'
  | 'head_sha'
  | 'conclusion'
  | 'outcome'
  | 'started_at'
  | 'completed_at'
  | 'recorded_at'
> & { readonly log: Pick<NonNullable<JobRecord['log']>, 'key' | 'sha256' | 'bytes'> | null };

export interface ChoosingHooks {
  /** A record that cannot be read, so that nobody knows whether it was meant. */
  readonly onProblem: (key: string, problem: string) => void;
  /** What is odd about a record that was read all the same. */
  readonly onOddity?: (key: string, oddity: string) => void;
  /** Called for every record read. */
  readonly onRecord?: () => void;
}

/** Records of one export: about a kilobyte of memory each, and a folder that people can still handle. */
const RECORDS_MAX = 100_000;
/** Revisions of one job; more mean that something writes without end. */
const REVISIONS_MAX = 1_000;

/**
 * Every readable revision of the jobs whose newest one passes the filters and, where a list of commits is given, has one of them;
 * in the order of their keys. Unlike a list for people, it leaves nothing out. Where `places` are known already, as by an
 * index, only those are looked through.
 * @throws EverlogError `usage` when there are more than 100,000; where the store does not answer.
 */
export async function chooseJobs(
  store: ObjectStore,
  filters: RecordFilters,
  commits: CommitList | null,
  hooks: ChoosingHooks,
  places: readonly ScanPlace[] | null = null,
): Promise<readonly ChosenRecord[]> {
  const chosen: ChosenRecord[] = [];
  const passes = openRecordFilter(store, filters);
  for (const place of places ?? (await findPlaces(store, filters))) {
    await forEachInFlight(jobsInListing(store.list(place.prefix)), RECORDS_IN_FLIGHT_MAX, async (job) => {
      const revisions = await readRevisions(store, job, hooks);
      const newest = revisions[0]?.stored;
      if (newest === undefined || !place.holds(newest.record) || !(await passes(newest.record))) return;
      const commit = newest.record.head_sha ?? '';
      const askedFor = commits === null ? null : commits.asks(commit);
      if (commits !== null && askedFor === null) return;
      for (const { stored, listed } of revisions) chosen.push(chosenRecord(stored, listed, askedFor));
      if (chosen.length > RECORDS_MAX) {
        throw giveUp(
          'usage',
          `more than ${RECORDS_MAX} records match; export them in parts, such as by --since`,
        );
      }
    });
  }
  return chosen.sort((a, b) => compareKeys(a.key, b.key));
}

interface Revision {
  readonly revision: number;
  readonly listed: ListedObject;
}

interface JobRevisions {
  readonly address: JobAddress;
  readonly revisions: readonly Revision[];
}

/** Folds a listing of records into jobs: a job's keys are neighbours in key order. */
async function* jobsInListing(listing: AsyncIterable<ListedObject>): AsyncGenerator<JobRevisions> {
  let job: { address: JobAddress; revisions: Revision[] } | null = null;
  for await (const listed of listing) {
    const parsed = parseKey(listed.key);
    if (parsed?.type !== 'record') continue;
    const { address, revision } = parsed;
    const one: Revision = { revision, listed };
    if (job === null || !isSameJob(job.address, address)) {
      if (job !== null) yield job;
      job = { address, revisions: [one] };
      continue;
    }
    job.revisions.push(one);
    if (job.revisions.length > REVISIONS_MAX)
      throw giveUp('object_corrupt', `a job has more than ${REVISIONS_MAX} records beside ${listed.key}`);
  }
  if (job !== null) yield job;
}

/** A job's readable revisions, newest first; of one that cannot be used, those before it are evidence all the same. */
async function readRevisions(
  store: ObjectStore,
  { address, revisions }: JobRevisions,
  hooks: ChoosingHooks,
): Promise<readonly { readonly stored: StoredRecord; readonly listed: ListedObject }[]> {
  const readable: { stored: StoredRecord; listed: ListedObject }[] = [];
  for (const { revision, listed } of revisions.toSorted((a, b) => b.revision - a.revision)) {
    const { key, bytes } = listed;
    const read = await readRevision(store, address, { key, revision, bytes });
    hooks.onRecord?.();
    if (!read.ok) {
      hooks.onProblem(key, read.problem);
      continue;
    }
    for (const flaw of read.stored.flaws) hooks.onOddity?.(key, flaw.problem);
    readable.push({ stored: read.stored, listed });
  }
  return readable;
}

function chosenRecord(
  { key, address, revision, bytes, record }: StoredRecord,
  listed: ListedObject,
  askedFor: string | null,
): ChosenRecord {
  const storedMs = listed.lastModified.getTime();
  const recordedMs = Date.parse(record.recorded_at);
  const writtenMs = Number.isNaN(recordedMs) ? storedMs : Math.min(storedMs, recordedMs);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { key, address, revision, writtenMs, sha256, facts: bundleFacts(record), askedFor };
}

/** What an index says of a record. */
export function bundleFacts(record: JobRecord): BundleFacts {
  const { host, owner, repo, run_id, run_attempt, job_id, job_name, workflow_name, head_branch } = record;
  const { head_sha, conclusion, outcome, started_at, completed_at, recorded_at } = record;
  const log =
    record.log === null ? null : { key: record.log.key, sha256: record.log.sha256, bytes: record.log.bytes };
  const names = { host, owner, repo, run_id, run_attempt, job_id, job_name, workflow_name, head_branch };
  return { ...names, head_sha, conclusion, outcome, started_at, completed_at, recorded_at, log };
}
