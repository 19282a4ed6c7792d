import type { Completeness } from '../formats/formats.ts';
import type { Chain } from './chain/chain.ts';
import type { KeyRing } from './chain/key-ring.ts';
import type { Level, Scope } from './scope.ts';
import type { Walked } from './objects/walk.ts';

/** What a verification says in the end. */

export interface KeySummary {
  readonly key_id: string;
  /** `pinned`: given by the caller; `rotation`: linked to that by signatures; `archive`: nobody outside vouches for it. */
  readonly believed_by: 'pinned' | 'rotation' | 'archive' | null;
  readonly revoked_at: string | null;
}

/** The summary, as it is printed. */
export interface Summary {
  /** `VALID`, or `FINDINGS`. */
  readonly result: 'VALID' | 'FINDINGS';
  readonly archive: string;
  readonly level: Level;
  readonly sample: number | null;
  /** What of the archive was looked at, as `job 399444496`; null: everything. */
  readonly selection: string | null;
  /** How many of each result; `VALID` counts digests, entries files and objects with which nothing is wrong. */
  readonly results: Readonly<Record<string, number>>;
  readonly findings: number;
  readonly stream: string | null;
  readonly first_sequence: number | null;
  /** The last that stands there: the ledger claims nothing beyond. */
  readonly last_sequence: number;
  readonly final: boolean;
  readonly first_window_start: string | null;
  readonly last_window_end: string | null;
  /** What the range asked for and was looked at: the windows of these digests, from the first's start to the last's end. */
  readonly window: { readonly from: string | null; readonly to: string | null; readonly digests: number };
  /** Sealed objects that are gone by a sealed custody object's word. */
  readonly erased: number;
  readonly expired: number;
  /** The sequence up to which an anchor vouches; null without one. */
  readonly anchored_sequence: number | null;
  readonly key_pinned: boolean;
  readonly keys: readonly KeySummary[];
  /** Digests do not say where the private key is kept. */
  readonly key_custody: 'not recorded';
  readonly lock_mode: string | null;
  readonly retention_days: number | null;
  readonly create_only: string | null;
  readonly queue_durability: string | null;
  /** What the last digest says is missing. */
  readonly completeness: Completeness | null;
  readonly digests: number;
  /** Of the digests in the window. */
  readonly entries: number;
  readonly objects: number;
  readonly bytes: number;
}

/** What the results add up to, besides their counts. */
export function summarize(
  scope: Scope,
  ring: KeyRing,
  chain: Chain,
  walked: Walked,
  anchoredSequence: number | null,
  counts: ReadonlyMap<string, number>,
  findings: number,
): Summary {
  const { firstDigest, lastDigest } = walked;
  const { meter } = scope;
  const storage = lastDigest?.storage ?? null;
  return {
    result: findings === 0 ? 'VALID' : 'FINDINGS',
    archive: scope.store.location,
    level: scope.level,
    sample: scope.sample,
    selection: scope.selected?.words ?? null,
    results: { VALID: meter.valid, ...Object.fromEntries(counts) },
    findings,
    stream: lastDigest?.stream ?? null,
    first_sequence: chain.first,
    last_sequence: chain.last?.sequence ?? 0,
    final: lastDigest?.final ?? false,
    first_window_start: firstDigest?.window_start ?? null,
    last_window_end: lastDigest?.window_end ?? null,
    window: { from: walked.looked.from, to: walked.looked.to, digests: walked.looked.digests },
    erased: counts.get('ERASED') ?? 0,
    expired: counts.get('EXPIRED') ?? 0,
    anchored_sequence: anchoredSequence,
    key_pinned: ring.pinned,
    keys: [...walked.keyIds].map((keyId) => ({
      key_id: keyId,
      believed_by: ring.believedBy(keyId),
      revoked_at: ring.revokedAt(keyId),
    })),
    key_custody: 'not recorded',
    lock_mode: storage?.lock_mode ?? null,
    retention_days: storage?.retention_days ?? null,
    create_only: storage?.create_only ?? null,
    queue_durability: storage?.queue_durability ?? null,
    completeness: lastDigest?.completeness ?? null,
    digests: meter.digests,
    entries: meter.entries,
    objects: meter.objects,
    bytes: meter.bytes,
  };
}
