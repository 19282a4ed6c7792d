import type { ObjectStore } from '../../store/object-store.ts';
import { EverlogError, waitUntil } from '../../errors.ts';
import { findLastDigest } from '../../ledger/standing-digests.ts';

/** Whether the archive's ledger was closed, for whoever would commit to it: nothing would ever seal that. */
export interface LedgerEnd {
  /**
   * Does nothing while the ledger is open.
   * @throws EverlogError `ledger_closed` (wait): what is put off until then is looked at again, and an archive of its own is the cure
   */
  refuseIfClosed(): Promise<void>;
}

/** A ledger is closed once and for all, and by hand: it may be noticed this much later. */
const LOOK_MS = 60_000;
/** When jobs that a closed ledger put off look whether they have another archive by now. */
const PUT_OFF_MS = 15 * 60_000;

/** Looks at the last digest at most once a minute. */
export function openLedgerEnd(store: ObjectStore, now: () => Date): LedgerEnd {
  let last = 0;
  let isClosed = false;
  let lookedMs = -Infinity;
  let looking: Promise<void> | null = null;

  async function look(): Promise<void> {
    try {
      const found = await findLastDigest(store, last);
      last = found?.sequence ?? 0;
      isClosed = found?.digest.final ?? false;
      lookedMs = now().getTime();
    } catch (error) {
      // A store that is away, or a damaged ledger, is told by what needs it; neither is a reason to lose a log.
      if (!(error instanceof EverlogError)) throw error;
    } finally {
      looking = null;
    }
  }

  return {
    async refuseIfClosed() {
      if (!isClosed && now().getTime() - lookedMs >= LOOK_MS) await (looking ??= look());
      if (!isClosed) return;
      throw waitUntil(
        'ledger_closed',
        new Date(now().getTime() + PUT_OFF_MS),
        `digest ${last} closed the ledger of ${store.location}, which takes nothing more: archive to another prefix or folder (EVERLOG_ARCHIVE_URL), which gets a ledger of its own`,
      );
    },
  };
}
