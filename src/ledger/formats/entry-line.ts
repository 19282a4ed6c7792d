import type { EntryLog, GapLine, LedgerEntry } from './formats.ts';

/** An entry's line, without its line feed: compact JSON, members in the order of the format. */
export function entryLine(entry: LedgerEntry): string {
  const { type, key, version_id, bytes, sha256, log } = entry;
  return JSON.stringify({
    type,
    key,
    version_id,
    bytes,
    sha256,
    ...(log === undefined ? {} : { log: logMember(log) }),
  });
}

function logMember({ key, version_id, bytes, sha256 }: EntryLog): EntryLog {
  return { key, version_id, bytes, sha256 };
}

/** A gap's line, members in the format's order. */
export function gapLine(gap: GapLine): string {
  const { host, owner, repo, repository_id, run_id, run_attempt, job_id, jobs, reason, since } = gap;
  return JSON.stringify({
    host,
    owner,
    repo,
    repository_id,
    run_id,
    run_attempt,
    job_id,
    jobs,
    reason,
    since,
  });
}
