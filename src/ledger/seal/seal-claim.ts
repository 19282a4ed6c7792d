import { retryable } from '../../errors.ts';
import type { SealNotes } from '../ports.ts';

/** The right to seal, held by one sealer at a time. What decides is the create-only PUT of a digest; this saves work. */
export interface SealClaim {
  /**
   * Makes sure that the right is held still.
   * @throws EverlogError `ledger_busy` (retry) when another sealer has it by now
   */
  confirm(): Promise<void>;
  /** Where the queue fails to, the right runs out by itself: what was sealed is sealed. */
  release(): Promise<void>;
}

const CLAIM = 'ledger-seal';
/** After a crash the next sealer may begin when this has passed. */
const KEPT_MS = 20_000;
const RENEWED_EACH_MS = 5_000;

/** Claims the right to seal for `holder`; null when another sealer has it. */
export async function claimSeal(notes: SealNotes, holder: string): Promise<SealClaim | null> {
  if (!(await notes.claim(CLAIM, holder, KEPT_MS))) return null;
  const renewal = setInterval(() => {
    // One that fails is made up for by the next, and the last word is had by `confirm`.
    notes.claim(CLAIM, holder, KEPT_MS).catch(() => undefined);
  }, RENEWED_EACH_MS).unref();
  return {
    async confirm() {
      if (await notes.claim(CLAIM, holder, KEPT_MS)) return;
      throw retryable('ledger_busy', 'another sealer took over: nothing of this digest was committed');
    },
    async release() {
      clearInterval(renewal);
      await notes.release(CLAIM, holder).catch(() => undefined);
    },
  };
}
