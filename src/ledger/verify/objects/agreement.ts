import { parseKey, type ParsedKey } from '../../../archive/keys.ts';
import type { CustodyFacts, RecordFacts, RunFacts } from '../chain/schemas.ts';

/** Whether an object is what its key says. */

type RecordKey = Extract<ParsedKey, { readonly type: 'record' }>;
type RunKey = Extract<ParsedKey, { readonly type: 'run' }>;

/** What is wrong between a record and its key; null when nothing is. */
export function recordDisagreement({ address, revision }: RecordKey, record: RecordFacts): string | null {
  const { host, owner, repo, runId, runAttempt, jobId } = address;
  const isThatJob =
    record.host === host &&
    record.owner.toLowerCase() === owner &&
    record.repo.toLowerCase() === repo &&
    record.run_id === runId &&
    (record.run_attempt ?? 1) === runAttempt &&
    record.job_id === jobId;
  if (!isThatJob) return 'it is about another job than its key';
  const isRight = record.revision === revision || isMisnumbered(revision, record);
  return isRight ? null : `it says revision ${record.revision}`;
}

/**
 * Whether a record is a confirmation by GitHub's listing as version 0.1 wrote it: with the number of the revision before, and
 * sealed without its log, which has its entry with that revision. All else of it is right.
 */
export function isMisnumbered(revision: number, record: RecordFacts): boolean {
  const isByListing = record.details_source === 'list' && (record.job_sha256 ?? null) === null;
  return isByListing && record.revision >= 1 && record.revision === revision - 1;
}

/** What is wrong between a run attempt's object and its key; null when nothing is. */
export function runDisagreement({ address, revision }: RunKey, run: RunFacts): string | null {
  const { host, owner, repo, runId, runAttempt } = address;
  const isThatRun =
    run.host === host &&
    run.owner.toLowerCase() === owner &&
    run.repo.toLowerCase() === repo &&
    run.run_id === runId &&
    run.run_attempt === runAttempt;
  if (!isThatRun) return 'it is about another run than its key';
  return run.revision === revision ? null : `it says revision ${run.revision}`;
}

/** Whether a custody object is the one that its key names. */
export function isThatCustody(key: string, { id, at }: CustodyFacts): boolean {
  const parsed = parseKey(key);
  return parsed?.type === 'custody' && parsed.id === id && parsed.dt === at.slice(0, 10);
}
