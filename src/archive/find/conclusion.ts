const FAILED: ReadonlySet<string> = new Set(['failure', 'timed_out', 'startup_failure']);

/** Whether a job that ended so is one that somebody looks for: it failed, timed out or could not start. */
export function isFailed(conclusion: string | null): boolean {
  return FAILED.has(conclusion ?? '');
}
