import type { ObjectStore } from '../../store/object-store.ts';
import { EverlogError } from '../../errors.ts';
import type { Log } from '../../logger.ts';
import { copyToAnchor } from '../witness/anchor.ts';
import type { Anchor, TimeStamper } from '../ports.ts';
import type { SealFinding, FollowUp } from '../seal-report.ts';
import { stampDigests } from '../witness/time-stamps.ts';

/** What came of the work that may come later. */
export interface FollowedUp {
  readonly anchor: FollowUp;
  readonly timeStamps: FollowUp;
  readonly findings: readonly SealFinding[];
}

export interface FollowUpDeps {
  readonly store: ObjectStore;
  readonly anchor: Anchor | null;
  readonly timeStamp: TimeStamper | null;
  readonly log: Log;
}

/** Has the last digests stamped and copies what the second place lacks. Places that are away do not fail a seal. */
export async function followUp(deps: FollowUpDeps, last: number): Promise<FollowedUp> {
  const { store, anchor, timeStamp, log } = deps;
  const findings: SealFinding[] = [];
  const timeStamps: FollowUp =
    timeStamp === null
      ? { state: 'off' }
      : await attempt(log, 'time stamps', async () => {
          findings.push(...(await stampDigests({ store, anchor, timeStamp }, last)));
          return null;
        });
  const anchored: FollowUp =
    anchor === null
      ? { state: 'off' }
      : await attempt(log, 'the second place', async () => {
          const copied = await copyToAnchor(store, anchor, last);
          findings.push(...copied.findings);
          return copied.through >= last ? null : `copied up to digest ${copied.through} of ${last}`;
        });
  return { anchor: anchored, timeStamps, findings };
}

/** `work` answers what is left to do, or null. */
async function attempt(log: Log, what: string, work: () => Promise<string | null>): Promise<FollowUp> {
  let problem: string | null;
  try {
    problem = await work();
  } catch (error) {
    if (!(error instanceof EverlogError)) throw error;
    problem = error.message;
  }
  if (problem === null) return { state: 'complete' };
  log.warn({ what, problem }, 'the ledger is behind outside the archive; the next seal makes up for it');
  return { state: 'behind', problem };
}
