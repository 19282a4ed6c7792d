/** Why there is no log, by outcome (CONTRACT §5). */
const REASONS: ReadonlyMap<string, string> = new Map([
  ['not_produced', 'the job never ran (no step, no runner), so there is none'],
  ['not_a_job', 'this is a check run that another program made, not a job; it has none'],
  ['carried_over', 'this re-run did not run the job again; its log is that of the earlier attempt'],
  [
    'unavailable',
    'it should exist, but GitHub did not have it; Everlog looks again until its retention has passed',
  ],
  ['expired', 'GitHub had deleted it before it could be archived'],
  ['forbidden', 'GitHub did not allow reading it; Everlog looks again until its retention has passed'],
  ['erased', 'it was removed on request; a custody object says by whom and why'],
  [
    'too_large',
    'it is larger than this archive takes (5 GiB compressed, EVERLOG_JOB_LOG_MAX_BYTES, EVERLOG_SPOOL_MAX_BYTES)',
  ],
]);

/** Why a job of this outcome has no log, in words that follow "No log: ". The outcome of a later version is not harmless yet. */
export function absenceReason(outcome: string): string {
  return REASONS.get(outcome) ?? `it is recorded as ${JSON.stringify(outcome)}`;
}
