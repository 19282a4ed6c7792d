import { digestKey } from '../../archive/keys.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import type { CommitsToSeal, SealNotes } from '../ports.ts';
import type { SealFinding } from '../seal-report.ts';
import { readSealed, type Standing } from '../standing-digests.ts';

/**
 * Whoever may delete can take the last digests away and leave a ledger that holds in itself. The queue knows better: which
 * digest it last saw committed, and which its pending commits were sealed with.
 */

export interface Cut {
  readonly finding: SealFinding;
  /** What stands where digests were cut off was not made by this queue's sealers, so that nothing says since when to look. */
  readonly isReplaced: boolean;
}

const TABLE = 'ledger-seen';
const LAST_FIELD = 'last';
const SEEN = /^([1-9]\d{0,15}) ([0-9a-f]{64})$/;

/** Notes that a digest stands. */
export async function noteSeen(notes: SealNotes, { sequence, sha256 }: Standing): Promise<void> {
  await notes.setField(TABLE, LAST_FIELD, `${sequence} ${sha256}`);
}

/**
 * Whether digests are gone that this queue saw committed; null where none are, as far as it knows.
 * @throws EverlogError `ledger_damaged` where a digest before the last is missing
 */
export async function findCut(
  { store, pending, notes }: { store: ObjectStore; pending: CommitsToSeal; notes: SealNotes },
  last: Standing | null,
): Promise<Cut | null> {
  const [, digits, sha256] = SEEN.exec((await notes.fields(TABLE))[LAST_FIELD] ?? '') ?? [];
  const seen = Number(digits ?? 0);
  // Queues of earlier versions have only the mark; it is set once a digest stands.
  const known = Math.max(seen, (await pending.mark()) ?? 0);
  const lastSequence = last?.sequence ?? 0;
  if (known > lastSequence) return cutFrom(lastSequence + 1, known, false);
  if (seen === 0) return null;
  const standing = last?.sequence === seen ? last : await readSealed(store, seen);
  return standing.sha256 === sha256 ? null : cutFrom(seen, seen, true);
}

function cutFrom(first: number, through: number, isReplaced: boolean): Cut {
  const gone =
    first === through
      ? `digest ${first} was committed and is gone, with whatever it alone had sealed`
      : `digests ${first} to ${through} were committed and are gone, with whatever they alone had sealed`;
  const place = isReplaced ? ', and another stands in its place' : '';
  const detail = `${gone}${place}: compare the archive with its anchor`;
  return { finding: { kind: 'ledger_cut', key: digestKey(first), detail }, isReplaced };
}
