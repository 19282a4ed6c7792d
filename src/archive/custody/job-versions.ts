import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import type { CustodyObject } from './custody-format.ts';
import { momentOf, parseRecord } from '../record.ts';
import type { StoredRecord } from '../find/find-records.ts';
import { isSameJob, type JobAddress, LOG_KEYS_MAX, logKey, parseKey, recordKey } from '../keys.ts';
import {
  readWhole,
  type ListedVersion,
  type ObjectHead,
  type ObjectStore,
} from '../../store/object-store.ts';

/** One stored version of a record or log of a job; what removes and what holds go by versions, so that nothing is left. */
export interface JobVersion {
  readonly key: string;
  readonly versionId: string | null;
  readonly isDeleteMarker: boolean;
  readonly type: 'record' | 'log';
  /** SHA-256 of the stored bytes, lower-case hex: the store's own, else what the record says, else computed; null of a delete marker. */
  readonly sha256: string | null;
}

/** Every version of a job's records and logs below one address, logs first. `newest` is its newest record. */
export async function versionsOfJob(store: ObjectStore, newest: StoredRecord): Promise<JobVersion[]> {
  const { address } = newest;
  const recordVersions = await listedVersions(store, recordStem(address), address, 'record');
  const logDays = new Set<string>();
  const claims = new Map<string, string>();
  const named = new Set<string>();
  const noteLog = (bytes: Uint8Array): void => {
    const parsed = parseRecord(bytes);
    if (!parsed.ok) return;
    // Also of a log that no record names: a fetch may have stored it after the job was erased.
    const [day] = /^\d{4}-\d{2}-\d{2}/.exec(momentOf(parsed.record)) ?? [];
    if (day !== undefined) logDays.add(day);
    if (parsed.record.log === null) return;
    const { key, version_id, stored_sha256 } = parsed.record.log;
    const log = parseKey(key);
    if (log?.type !== 'log' || !isSameJob(log.address, address)) return;
    logDays.add(log.dt);
    named.add(key);
    claims.set(versionName(key, version_id), stored_sha256);
  };
  noteLog(newest.bytes);
  const records: JobVersion[] = [];
  for (const version of recordVersions) {
    const bytes = version.isDeleteMarker ? null : await versionBytes(store, version, newest);
    if (bytes !== null) noteLog(bytes);
    const sha256 = bytes === null ? null : createHash('sha256').update(bytes).digest('hex');
    records.push({ ...versionOf(version), type: 'record', sha256 });
  }
  const logs: JobVersion[] = [];
  for (const dt of logDays) {
    const versions = store.canKeepVersions
      ? await listedVersions(store, logStem(address, dt), address, 'log')
      : await logsOf(store, address, dt, named);
    for (const version of versions) {
      const sha256 = version.isDeleteMarker ? null : await storedHash(store, version, claims);
      logs.push({ ...versionOf(version), type: 'log', sha256 });
    }
  }
  return [...logs, ...records];
}

/** How a custody object names a version. */
export function custodyObjectOf({
  key,
  versionId,
  sha256,
}: Pick<JobVersion, 'key' | 'versionId' | 'sha256'>): CustodyObject {
  return { key, version_id: versionId, sha256 };
}

/** The newest record was read already. */
async function versionBytes(
  store: ObjectStore,
  version: ListedVersion,
  newest: StoredRecord,
): Promise<Uint8Array | null> {
  if (version.versionId === null && version.key === newest.key) return newest.bytes;
  return (await readWhole(store, version.key, version.versionId ?? undefined))?.bytes ?? null;
}

async function storedHash(
  store: ObjectStore,
  version: ListedVersion,
  claims: ReadonlyMap<string, string>,
): Promise<string | null> {
  const { key, versionId } = version;
  const head = await store.head(key, versionId ?? undefined);
  const told = head?.sha256 ?? claims.get(versionName(key, versionId));
  if (told !== undefined) return told;
  // Neither the store nor a record tells of this version, as in an archive that was moved.
  const found = await store.read(key, versionId ?? undefined);
  if (found === null) return null;
  const hash = createHash('sha256');
  await pipeline(found.body, hash);
  return hash.digest('hex');
}

async function listedVersions(
  store: ObjectStore,
  stem: string,
  address: JobAddress,
  type: 'record' | 'log',
): Promise<ListedVersion[]> {
  const versions: ListedVersion[] = [];
  for await (const version of store.listVersions(stem)) {
    const parsed = parseKey(version.key);
    if (parsed?.type === type && isSameJob(parsed.address, address)) versions.push(version);
  }
  return versions;
}

function versionOf({
  key,
  versionId,
  isDeleteMarker,
}: ListedVersion): Pick<JobVersion, 'key' | 'versionId' | 'isDeleteMarker'> {
  return { key, versionId, isDeleteMarker };
}

/**
 * The logs of one day in a store without versions: those that records name, and those from the first on. A folder of a day may
 * have so many files that listing it for each job would take for ever.
 */
async function logsOf(
  store: ObjectStore,
  address: JobAddress,
  dt: string,
  named: ReadonlySet<string>,
): Promise<ListedVersion[]> {
  const found: ListedVersion[] = [];
  const keys = new Set([...named].filter((key) => key.startsWith(logStem(address, dt))));
  const looksMin = keys.size + 1;
  for (let revision = 1; revision <= LOG_KEYS_MAX; revision += 1) {
    const key = logKey(address, dt, revision);
    const head = await store.head(key);
    if (head === null && revision > looksMin) break;
    keys.delete(key);
    if (head !== null) found.push(versionAt(head));
  }
  for (const key of keys) {
    const head = await store.head(key);
    if (head !== null) found.push(versionAt(head));
  }
  return found;
}

function versionAt({ key, bytes, lastModified, versionId }: ObjectHead): ListedVersion {
  return { key, bytes, lastModified, versionId, isLatest: true, isDeleteMarker: false };
}

/** What all revisions' keys begin with, the point included: no other job's begin so. */
function recordStem(address: JobAddress): string {
  return recordKey(address, 1).slice(0, -'json'.length);
}

function logStem(address: JobAddress, dt: string): string {
  return logKey(address, dt, 1).slice(0, -'log.gz'.length);
}

function versionName(key: string, versionId: string | null): string {
  return `${versionId ?? ''}\n${key}`;
}
