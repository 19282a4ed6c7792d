import type { SealReport } from '../../src/ledger/seal/seal.ts';
import type { SealFinding } from '../../src/ledger/seal-report.ts';
import type { Log } from '../../src/logger.ts';

export interface SealHandlerDeps {
  readonly seal: () => Promise<SealReport>;
  readonly log: Log;
}

/** Findings told one by one in the log; the report of `everlog seal` has more. */
const FINDINGS_TOLD = 20;

/** Appends the interval's digest to the ledger. Does nothing while another sealer is at work. */
export async function sealInterval({ seal, log }: SealHandlerDeps): Promise<void> {
  const report = await seal();
  switch (report.outcome) {
    case 'busy':
      return log.debug({}, 'another sealer is at work');
    case 'closed':
      tellFindings(report.findings, log);
      return log.warn({ sequence: report.sequence }, 'the ledger was closed: nothing is sealed any more');
    case 'sealed': {
      const { sequence, entries, gaps, listed, findingCount, findings, anchor, timeStamps } = report;
      tellFindings(findings, log);
      for (const [name, followUp] of Object.entries({ anchor, time_stamps: timeStamps }))
        if (followUp.state === 'behind')
          log.warn({ what: name, problem: followUp.problem }, 'the next seal makes up for what is behind');
      return log.info({ sequence, entries, gaps, listed, findings: findingCount }, 'sealed');
    }
  }
}

function tellFindings(findings: readonly SealFinding[], log: Log): void {
  for (const { kind, key, detail } of findings.slice(0, FINDINGS_TOLD))
    log.error({ kind, key, detail }, 'the archive is not as its records say');
}
