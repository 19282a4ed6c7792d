import type { ObjectStore } from '../store/object-store.ts';
import { Digests } from './export/digests.ts';
import { readSealedLines } from './export/sealed-lines.ts';
import { sha256Hex } from './standing-digests.ts';

/** Whether digests cover what a reading command shows: a look at the few that may, and no verification. */

/** A record or other committed object that is shown. */
export interface ShownObject {
  readonly key: string;
  readonly bytes: Buffer;
  /** When it says that it was written, RFC 3339. */
  readonly writtenAt: string;
}

export interface Coverage {
  /** Whether there is a digest at all. */
  readonly hasLedger: boolean;
  /** Keys that no digest has which could have sealed them. */
  readonly uncovered: readonly string[];
  /** Keys of which a digest has other bytes. */
  readonly changed: readonly string[];
  /** Keys of which nothing is known: spread over too many digests, or a digest that may have them cannot be read. */
  readonly notLookedFor: readonly string[];
}

/** Clocks of what writes and what seals may differ by so much. */
const CLOCK_SKEW_MS = 5 * 60_000;
/** An object is sealed by the digest of its window or by one of the two after it. */
const WINDOWS = 3;
/** Entries files read for one answer: under a second from most stores. */
const DIGESTS_MAX = 24;

/**
 * Looks up objects in the digests whose windows may hold them. A digest's signature is not checked: that is for `verify`.
 * @throws EverlogError where the store does not answer
 */
export async function lookUpCoverage(store: ObjectStore, shown: readonly ShownObject[]): Promise<Coverage> {
  let isDamaged = false;
  const digests = new Digests(store, () => (isDamaged = true));
  const open = new Map(shown.map((object) => [object.key, object]));
  const changed: string[] = [];
  const looked = new Set<number>();
  const unread = new Set<number>();
  const unknown: string[] = [];
  const hasLedger = shown.length === 0 || (await digests.from(1)) !== null || isDamaged;
  if (!hasLedger) return { hasLedger, uncovered: [...open.keys()], changed, notLookedFor: [] };
  const uncovered: string[] = [];
  let nearby = 1;
  for (const { key, writtenAt } of [...shown].sort((a, b) => writtenMs(a) - writtenMs(b))) {
    if (!open.has(key)) continue;
    if (looked.size >= DIGESTS_MAX) break;
    const first = await digests.endingFrom(nearby, (Date.parse(writtenAt) || 0) - CLOCK_SKEW_MS);
    nearby = first?.sequence ?? nearby;
    let digest = first;
    let mayStandInUnread = false;
    for (let window = 0; digest !== null && window < WINDOWS && open.has(key); window += 1) {
      if (!looked.has(digest.sequence)) {
        looked.add(digest.sequence);
        const read = await readSealedLines(store, digest, (it) => open.has(it));
        if (!read.ok) unread.add(digest.sequence);
        for (const { entry } of read.ok ? read.lines : []) {
          const object = open.get(entry.key);
          if (object !== undefined && sha256Hex(object.bytes) !== entry.sha256) changed.push(entry.key);
          open.delete(entry.key);
        }
      }
      mayStandInUnread ||= unread.has(digest.sequence);
      digest = await digests.from(digest.sequence + 1);
    }
    if (open.delete(key)) (mayStandInUnread || isDamaged ? unknown : uncovered).push(key);
  }
  return { hasLedger, uncovered, changed, notLookedFor: [...unknown, ...open.keys()] };
}

function writtenMs({ writtenAt }: ShownObject): number {
  return Date.parse(writtenAt) || 0;
}
