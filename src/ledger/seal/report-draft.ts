import type { Log } from '../../logger.ts';
import type { FollowedUp } from './follow-ups.ts';
import { FINDINGS_REPORTED_MAX, type SealFinding, type FollowUp, type SealReport } from '../seal-report.ts';
import type { Standing } from '../standing-digests.ts';

/** A report that grows with each digest. */
export interface ReportDraft {
  add(
    done: { readonly entries: number; readonly gaps: number; readonly findings: readonly SealFinding[] },
    log: Log,
  ): void;
  /** What was found before anything was appended, or by earlier seals. */
  found(findings: readonly SealFinding[], log: Log): void;
  listed(wasListed: boolean): void;
  followed(followed: FollowedUp, log: Log): void;
  sealed(last: Standing): SealReport;
}

/** Opens an empty report. */
export function openReport(keyId: string): ReportDraft {
  const findings: SealFinding[] = [];
  let findingCount = 0;
  let digests = 0;
  let entries = 0;
  let gaps = 0;
  let wasListed = false;
  let anchor: FollowUp = { state: 'off' };
  let timeStamps: FollowUp = { state: 'off' };

  function note(found: readonly SealFinding[], log: Log): void {
    findingCount += found.length;
    for (const finding of found) {
      const { kind, key, detail } = finding;
      // No number of others may hide that the ledger itself was cut.
      if (kind === 'ledger_cut') findings.unshift(finding);
      else if (findings.length < FINDINGS_REPORTED_MAX) findings.push(finding);
      else continue;
      log.error({ finding: kind, key, detail }, 'the store differs from what it should hold');
    }
  }

  return {
    add(done, log) {
      digests += 1;
      entries += done.entries;
      gaps += done.gaps;
      note(done.findings, log);
    },
    found: note,
    listed(was) {
      wasListed ||= was;
    },
    followed(followed, log) {
      ({ anchor, timeStamps } = followed);
      note(followed.findings, log);
    },
    sealed: ({ sequence, sha256, digest: { final } }) => ({
      outcome: 'sealed',
      sequence,
      digests,
      sha256,
      keyId,
      final,
      listed: wasListed,
      entries,
      gaps,
      findingCount,
      findings,
      anchor,
      timeStamps,
    }),
  };
}
