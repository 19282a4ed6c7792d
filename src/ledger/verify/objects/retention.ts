import type { DigestStorage } from '../../formats/formats.ts';
import type { ObjectPlace } from './object-bytes.ts';
import type { Scope } from '../scope.ts';

/** Locks are set for whole days from the writer's clock; the store dates the object by its own. */
const CLOCK_SKEW_MS = 60 * 60_000;
const DAY_MS = 86_400_000;

/**
 * What is wrong with an object's lock, measured by what its digest promises; null when nothing is or nothing is promised.
 * Bundles are copies and have no locks.
 */
export async function retentionProblem(
  scope: Scope,
  storage: DigestStorage,
  { key, versionId }: ObjectPlace,
  lastModified: Date | null,
): Promise<string | null> {
  const { lock_mode: mode, retention_days: days } = storage;
  if (mode === 'none' || scope.isBundle) return null;
  const lock = await scope.store.lockOf(key, versionId ?? undefined);
  const promised = `${mode === 'bucket' ? 'a lock' : mode}${days === null ? '' : ` for ${days} days`}`;
  const retainUntil = lock?.retainUntil ?? null;
  if (lock === null || retainUntil === null) return `it has no retention; promised is ${promised}`;
  if (mode === 'COMPLIANCE' && lock.mode !== 'COMPLIANCE') {
    return `its lock is ${lock.mode ?? 'of no mode'}; promised is ${promised}`;
  }
  if (days === null) return null;
  const written = lastModified ?? (await scope.store.head(key, versionId ?? undefined))?.lastModified;
  if (written === undefined) return null;
  const dueMs = written.getTime() + days * DAY_MS - CLOCK_SKEW_MS;
  if (retainUntil.getTime() >= dueMs) return null;
  return `it is locked until ${retainUntil.toISOString()}; promised is ${promised}`;
}
