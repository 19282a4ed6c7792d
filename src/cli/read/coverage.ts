import type { StoredRecord } from '../../archive/find/find-records.ts';
import { EverlogError } from '../../errors.ts';
import { lookUpCoverage } from '../../ledger/coverage.ts';
import { inertText } from '../../log/terminal-sanitiser.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { counted } from '../terminal/format.ts';
import type { ReadingSession } from './reading-session.ts';

/** Records of one command that are looked up in the ledger; the others are said not to be. */
export const LOOKED_UP_MAX = 200;

/**
 * Says which of the records that are shown no digest covers, or another than it sealed: anybody who can write to the archive may
 * have put them there. `more` are shown besides and not kept. Says nothing where there is no ledger, and never fails a command that shows what it was asked for.
 */
export async function tellUncovered(
  store: ObjectStore,
  session: ReadingSession,
  records: readonly StoredRecord[],
  more = 0,
): Promise<void> {
  try {
    const shown = records
      .slice(0, LOOKED_UP_MAX)
      .map(({ key, bytes, record }) => ({ key, bytes, writtenAt: record.recorded_at }));
    const { hasLedger, uncovered, changed, notLookedFor } = await lookUpCoverage(store, shown);
    if (!hasLedger) return;
    for (const key of changed) {
      await session.say(`everlog: ${inertText(key)} is not what was sealed: run everlog verify`);
    }
    const [first] = uncovered;
    if (first !== undefined) {
      const others = uncovered.length === 1 ? '' : ` and ${counted(uncovered.length - 1, 'other')}`;
      const which = `${inertText(first)}${others}`;
      await session.say(`everlog: no digest covers ${which}: nothing vouches for it before the next digest`);
    }
    const left = notLookedFor.length + more + Math.max(0, records.length - LOOKED_UP_MAX);
    if (left > 0) await session.say(`everlog: ${counted(left, 'record')} not looked up in the ledger`);
  } catch (error) {
    if (!(error instanceof EverlogError)) throw error;
    await session.say(`everlog: not looked up in the ledger: ${error.message}`);
  }
}
