import { commitCustody, type CustodyDeps } from './custody.ts';
import type { Custody } from './custody-format.ts';
import { forEachInFlight } from '../../in-flight.ts';
import { custodyObjectOf, type JobVersion } from './job-versions.ts';
import type { ObjectLock, ObjectStore } from '../../store/object-store.ts';

/**
 * Removal with evidence: what a lock forbids is found out first, what is to go is written down, and then it goes. A crash in
 * between leaves a claim whose objects still stand, and the same command completes it.
 */

/** What every removal needs. */
export interface RemovalDeps extends CustodyDeps {
  /** An archive whose commits the sealer is told of. */
  readonly store: ObjectStore;
  readonly who: Custody['who'];
  readonly version: string;
}

/** A version of an object; `JobVersion`s are such. */
export type Removable = Pick<JobVersion, 'key' | 'versionId' | 'isDeleteMarker' | 'sha256'>;

/** What could not be removed, and the lock that forbids it; null where the store would not say. */
export interface Locked {
  readonly key: string;
  readonly version_id: string | null;
  readonly lock: ObjectLock | null;
}

/** Requests to the store at once. */
const REQUESTS_IN_FLIGHT_MAX = 16;

/** Finds the versions that a lock forbids to remove now. */
export async function findLocked(
  store: ObjectStore,
  versions: readonly Removable[],
  bypassGovernance: boolean,
  now: Date,
): Promise<Locked[]> {
  const locked: Locked[] = [];
  await forEachInFlight(versions, REQUESTS_IN_FLIGHT_MAX, async (version) => {
    if (version.isDeleteMarker) return;
    const lock = await store.lockOf(version.key, version.versionId ?? undefined);
    if (lock !== null && forbids(lock, bypassGovernance, now)) locked.push(lockedOf(version, lock));
  });
  return locked;
}

function forbids(lock: ObjectLock, bypassGovernance: boolean, now: Date): boolean {
  if (lock.legalHold) return true;
  if (lock.mode === null || (lock.mode === 'GOVERNANCE' && bypassGovernance)) return false;
  return lock.retainUntil !== null && lock.retainUntil > now;
}

/** Writes the custody object of a removal; answers its key. */
export async function claimRemoval(
  deps: RemovalDeps,
  claim: Pick<Custody, 'action' | 'reason' | 'scope' | 'result'>,
  versions: readonly Removable[],
): Promise<string> {
  const objects = versions.filter(({ isDeleteMarker }) => !isDeleteMarker).map(custodyObjectOf);
  const archiver = { name: 'everlog', version: deps.version };
  const { key } = await commitCustody(
    deps.store,
    { ...claim, who: deps.who, case: null, objects, archiver },
    deps,
  );
  return key;
}

/** Removes versions that were claimed; answers what a lock forbade after all. */
export async function removeClaimed(
  store: ObjectStore,
  versions: readonly Removable[],
  bypassGovernance: boolean,
): Promise<{ readonly removed: number; readonly locked: readonly Locked[] }> {
  const locked: Locked[] = [];
  let removed = 0;
  await forEachInFlight(versions, REQUESTS_IN_FLIGHT_MAX, async (version) => {
    const { key, versionId } = version;
    const answer = await store.remove(key, versionId, { bypassGovernance });
    if (answer === 'removed') removed += 1;
    if (answer !== 'locked') return;
    locked.push(lockedOf(version, await store.lockOf(key, versionId ?? undefined)));
  });
  return { removed, locked };
}

function lockedOf({ key, versionId }: Removable, lock: ObjectLock | null): Locked {
  return { key, version_id: versionId, lock };
}
