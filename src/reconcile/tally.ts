import type { Account } from './account-run.ts';

/** What a comparison has counted; its numbers add up to the jobs that GitHub lists or the attempts' objects hold. */
export interface Counts {
  /** Runs that GitHub listed. */
  runs: number;
  /** Attempts that had their object already. */
  attempts_complete: number;
  /** Attempts whose jobs were listed and compared. */
  attempts_compared: number;
  /** Jobs known: of the objects read and of the listings. */
  jobs: number;
  archived: number;
  /** Jobs recorded without a log, by outcome. */
  absent: Record<string, number>;
  /** Jobs that GitHub says are not over. */
  unfinished: number;
  /** Completed jobs without a record. */
  missing: number;
  /** Runs and jobs that GitHub lists without an id to know them by. */
  unreadable: number;
  /** Absences that were due for another look. */
  looked_again: number;
  /** Missing jobs whose logs GitHub deletes within seven days. */
  expiring: number;
}

export function newCounts(): Counts {
  return {
    runs: 0,
    attempts_complete: 0,
    attempts_compared: 0,
    jobs: 0,
    archived: 0,
    absent: {},
    unfinished: 0,
    missing: 0,
    unreadable: 0,
    looked_again: 0,
    expiring: 0,
  };
}

/** Adds what became of one attempt's jobs. */
export function addAccount(counts: Counts, account: Account): void {
  const { missing, unfinished, archived, absent, lookedAgain } = account;
  counts.jobs += missing.length + unfinished.length + archived.length + absent.length;
  counts.archived += archived.length;
  counts.missing += missing.length;
  counts.unfinished += unfinished.length;
  counts.looked_again += lookedAgain.length;
  addAbsent(counts, absent);
}

export function addAbsent(counts: Counts, absent: readonly { readonly outcome: string }[]): void {
  for (const { outcome } of absent) counts.absent[outcome] = (counts.absent[outcome] ?? 0) + 1;
}

/** Adds one repository's counts to those of all. */
export function addCounts(sum: Counts, more: Counts): void {
  for (const [outcome, count] of Object.entries(more.absent)) {
    sum.absent[outcome] = (sum.absent[outcome] ?? 0) + count;
  }
  sum.runs += more.runs;
  sum.attempts_complete += more.attempts_complete;
  sum.attempts_compared += more.attempts_compared;
  sum.jobs += more.jobs;
  sum.archived += more.archived;
  sum.unfinished += more.unfinished;
  sum.missing += more.missing;
  sum.unreadable += more.unreadable;
  sum.looked_again += more.looked_again;
  sum.expiring += more.expiring;
}
