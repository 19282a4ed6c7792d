import { newestRevisions, readRecord, readRevision, type RecordEntry } from './find/find-records.ts';
import { recordsPrefix, type JobAddress } from './keys.ts';
import type { KnownNames, NamedRepository } from './known-names.ts';
import type { ObjectStore } from '../store/object-store.ts';
import type { JobRecord } from './record.ts';

/**
 * The records of one run as the writing side needs them. A revision that is no record is passed over, for good: the next one
 * comes after it. One that the store does not give stops the work on its job: nothing may be decided about a job while it is
 * not known what the archive says of it.
 */

/** Where a job stands in the archive, and what its record says. */
export interface StandingRecord {
  /** Of the newest revision, whether it can be read or not: the next one comes after it. */
  readonly key: string;
  readonly address: JobAddress;
  readonly revision: number;
  /** By the last revision that can be read; null where none can. */
  readonly record: JobRecord | null;
}

/** A standing record of which a revision can be read. */
export interface ReadableRecord extends StandingRecord {
  readonly record: JobRecord;
}

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

/** The record under a key that is known to have an object; null where that is no record. */
export async function recordAt(
  store: ObjectStore,
  key: string,
  address: JobAddress,
  revision: number,
): Promise<JobRecord | null> {
  const bytes = (await store.head(key))?.bytes ?? 0;
  const read = await readRevision(store, address, { key, revision, bytes });
  if (read.ok) return read.stored.record;
  if (read.withheld !== null) throw read.withheld;
  return null;
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
  const { key, address, revision } = entry;
  for (const { withheld } of read.ok ? read.stored.flaws : read.flaws) {
    if (withheld !== null) throw withheld;
  }
  return { key, address, revision, record: read.ok ? read.stored.record : null };
}
