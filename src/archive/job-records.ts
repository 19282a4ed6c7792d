import { giveUp } from '../errors.ts';
import { newestRevisions, readRecord, type RecordEntry, type StoredRecord } from './find/find-records.ts';
import { recordsPrefix, type JobAddress } from './keys.ts';
import type { KnownNames, NamedRepository } from './known-names.ts';
import type { ObjectStore } from '../store/object-store.ts';
import type { JobRecord } from './record.ts';

/**
 * The records of one run as the writing side needs them. A record that cannot be read stops the work on its job: nothing may be
 * decided about a job while it is not known what the archive says of it.
 */

/** A record that stands in the archive. */
export type StandingRecord = Omit<StoredRecord, 'bytes'>;

/** The newest record of a job: under its run in any attempt, and under any name its repository has borne. */
export async function findRecord(
  store: ObjectStore,
  names: KnownNames,
  repository: NamedRepository,
  runId: number,
  jobId: number,
): Promise<StandingRecord | null> {
  const entry = (await newestEntries(store, names, repository, runId)).get(jobId);
  return entry === undefined ? null : readStanding(store, entry);
}

/** The newest record of every job of a run, under any attempt and any name, by job id. */
export async function findJobRecords(
  store: ObjectStore,
  names: KnownNames,
  repository: NamedRepository,
  runId: number,
): Promise<ReadonlyMap<number, StandingRecord>> {
  const records = new Map<number, StandingRecord>();
  for (const [jobId, entry] of await newestEntries(store, names, repository, runId)) {
    records.set(jobId, await readStanding(store, entry));
  }
  return records;
}

/** The record under a key that is known to have one. */
export async function recordAt(
  store: ObjectStore,
  key: string,
  address: JobAddress,
  revision: number,
): Promise<JobRecord> {
  return (await readStanding(store, { key, address, revision, bytes: 0 })).record;
}

/** A job copied into a later attempt, or seen under two names, has several places: the highest revision counts. */
async function newestEntries(
  store: ObjectStore,
  names: KnownNames,
  repository: NamedRepository,
  runId: number,
): Promise<ReadonlyMap<number, RecordEntry>> {
  const newest = new Map<number, RecordEntry>();
  for (const name of await names.namesOf(repository)) {
    const listing = store.list(recordsPrefix({ host: repository.host, ...name, runId }));
    for await (const entry of newestRevisions(listing)) {
      const known = newest.get(entry.address.jobId);
      if (known === undefined || entry.revision > known.revision) newest.set(entry.address.jobId, entry);
    }
  }
  return newest;
}

async function readStanding(store: ObjectStore, entry: RecordEntry): Promise<StandingRecord> {
  const read = await readRecord(store, entry);
  if (!read.ok) throw giveUp('object_corrupt', `record ${entry.key} cannot be used: ${read.problem}`);
  const { key, address, revision, record } = read.stored;
  return { key, address, revision, record };
}
