import type { DigestStorage } from '../../formats/formats.ts';
import type { ObjectPlace } from './object-bytes.ts';
import type { Scope } from '../scope.ts';

/** Locks are set for whole days from the writer's clock; the store dates the object by its own. */
const CLOCK_SKEW_MS = 60 * 60_000;
const DAY_MS = 86_400_000;

/** What digests promised of what was written while they were sealed. */
export interface RetentionPromise {
  readonly storage: Pick<DigestStorage, 'lock_mode' | 'retention_days'>;
  /** End of the last window that was sealed under it. */
  readonly untilMs: number;
}

/** Changes of the setting that are remembered: earlier ones have no more bearing on what is sealed now. */
const PROMISES_MAX = 16;
const STRENGTH = { none: 0, bucket: 1, GOVERNANCE: 2, COMPLIANCE: 3 } as const;

/** The promises with that of one more digest, oldest first; digests in a row that promise the same are one. */
export function promisesWith(
  promises: readonly RetentionPromise[],
  storage: DigestStorage,
  windowEndMs: number,
): readonly RetentionPromise[] {
  const last = promises.at(-1);
  const isSame =
    last?.storage.lock_mode === storage.lock_mode && last.storage.retention_days === storage.retention_days;
  const kept = isSame ? promises.slice(0, -1) : promises;
  return [...kept, { storage, untilMs: windowEndMs }].slice(-PROMISES_MAX);
}

/** The least that was promised from when an object was written until it was sealed, which is all that it can be held to. */
function promisedSince(
  promises: readonly RetentionPromise[],
  writtenMs: number,
): RetentionPromise['storage'] {
  const [newest, ...earlier] = promises.toReversed();
  let least = newest?.storage ?? { lock_mode: 'none', retention_days: null };
  for (const { storage, untilMs } of earlier) {
    if (untilMs < writtenMs - CLOCK_SKEW_MS) break;
    const weaker = STRENGTH[storage.lock_mode] < STRENGTH[least.lock_mode] ? storage : least;
    const days = [storage.retention_days, least.retention_days].filter((it) => it !== null);
    least = { lock_mode: weaker.lock_mode, retention_days: days.length < 2 ? null : Math.min(...days) };
  }
  return least;
}

/**
 * What is wrong with an object's lock, measured by what was promised from when it was written until it was sealed, of which the
 * last of `promises` is the digest's own; null when nothing is or nothing is promised. Bundles are copies and have no locks.
 */
export async function retentionProblem(
  scope: Scope,
  promises: readonly RetentionPromise[],
  { key, versionId }: ObjectPlace,
  lastModified: Date | null,
): Promise<string | null> {
  if (scope.isBundle || (promises.at(-1)?.storage.lock_mode ?? 'none') === 'none') return null;
  const written = lastModified ?? (await scope.store.head(key, versionId ?? undefined))?.lastModified;
  if (written === undefined) return null;
  const { lock_mode: mode, retention_days: days } = promisedSince(promises, written.getTime());
  if (mode === 'none') return null;
  const lock = await scope.store.lockOf(key, versionId ?? undefined);
  const promised = `${mode === 'bucket' ? 'a lock' : mode}${days === null ? '' : ` for ${days} days`}`;
  const retainUntil = lock?.retainUntil ?? null;
  if (lock === null || retainUntil === null) return `it has no retention; promised is ${promised}`;
  if (mode === 'COMPLIANCE' && lock.mode !== 'COMPLIANCE') {
    return `its lock is ${lock.mode ?? 'of no mode'}; promised is ${promised}`;
  }
  if (days === null) return null;
  const dueMs = written.getTime() + days * DAY_MS - CLOCK_SKEW_MS;
  if (retainUntil.getTime() >= dueMs) return null;
  return `it is locked until ${retainUntil.toISOString()}; promised is ${promised}`;
}
