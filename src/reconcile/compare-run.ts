import type { JsonText } from '../json-text.ts';
import { isProvisional } from '../archive/record.ts';
import { readRun, type RunEntry, type StoredRun } from '../archive/run-object.ts';
import { parseJob } from '../github/job.ts';
import { listRunJobs, readAnswer, type ListedJob } from '../github/lists.ts';
import type { ListedRun } from '../github/runs.ts';
import {
  accountForJobs,
  recordAttempt,
  type Account,
  type AccountDeps,
  type Attempt,
  type LookAgain,
} from './account-run.ts';
import { isTooEarly, isYoung } from './plan.ts';
import type { SpendingApi } from '../budget/spending.ts';
import { addAbsent, addAccount, type Counts } from './tally.ts';

/** Compares one run with the archive: what its attempts' objects say, and where there is none, what GitHub lists. */
export interface Comparison extends AccountDeps {
  readonly api: SpendingApi;
  readonly source: 'reconcile' | 'backfill';
  /** Whether objects of complete attempts are read: for their counts, and for absences that are due for another look. */
  readonly readsComplete: boolean;
  readonly lookAgain: LookAgain | null;
  /** After which GitHub deletes a log, in milliseconds. */
  readonly retentionMs: number;
  /** Objects written since then may be this comparison's own, of a try that died: they are said to be committed again. */
  readonly hintSince: Date | null;
}

/** An attempt with jobs that were queued; once they have ended, `settleAttempt` completes it without asking GitHub again. */
export interface OpenAttempt {
  readonly attempt: Attempt;
  /** Null where only GitHub can say: an earlier attempt, whose own run object was not asked for. */
  readonly run: JsonText | null;
  readonly listed: readonly ListedJob[];
  /** Jobs of it that were queued. */
  readonly queued: readonly number[];
  readonly missing: readonly number[];
  /** Absences as they stood, of jobs that are looked at again. */
  readonly stood: readonly { readonly job_id: number; readonly outcome: string }[];
  readonly standing: RunEntry | null;
  /** What stands is provisional and this listing is not: it is said again even where nothing has changed. */
  readonly confirms?: boolean;
}

/** Logs that GitHub deletes within this are worth hurrying for. */
const EXPIRING_MS = 7 * 24 * 60 * 60_000;

/** Compares a run; answers its attempts that have jobs under way. `known` are the attempts' objects in the archive. */
export async function compareRun(
  deps: Comparison,
  place: Omit<Attempt, 'runId' | 'runAttempt'>,
  run: ListedRun,
  known: ReadonlyMap<number, RunEntry>,
  counts: Counts,
): Promise<readonly OpenAttempt[]> {
  counts.runs += 1;
  const open: OpenAttempt[] = [];
  const unknown: number[] = [];
  for (let number = 1; number <= run.runAttempt; number += 1) {
    const attempt: Attempt = { ...place, runId: run.id, runAttempt: number };
    const entry = known.get(number);
    if (entry?.lastModified !== undefined && deps.hintSince !== null && entry.lastModified >= deps.hintSince)
      await deps.addPending([entry.key]);
    const isOpen = entry === undefined || isProvisionalEntry(run, entry, deps.now());
    const complete = isOpen ? 'unknown' : await checkComplete(deps, attempt, entry, counts);
    if (complete === 'unknown') unknown.push(number);
    else if (complete !== null) open.push(complete);
  }
  if (unknown.length > 0) open.push(...(await compareListing(deps, place, run, unknown, known, counts)));
  return open;
}

/** Whether an attempt's object was written so soon after its end that GitHub may list more of it now. */
function isProvisionalEntry(run: ListedRun, { address, lastModified }: RunEntry, now: Date): boolean {
  return isTooEarly(lastModified ?? now, attemptEnd(run, address.runAttempt));
}

/** An attempt before the newest ended before that one began. */
function attemptEnd(run: ListedRun, attempt: number): Date {
  return attempt === run.runAttempt ? (run.updatedAt ?? run.startedAt) : run.startedAt;
}

/** Looks at an attempt that has its object: nothing to do (null), absences to look at again, or no better than unknown. */
async function checkComplete(
  deps: Comparison,
  attempt: Attempt,
  entry: RunEntry,
  counts: Counts,
): Promise<OpenAttempt | null | 'unknown'> {
  const isYoungObject = entry.lastModified !== undefined && isYoung(entry.lastModified, deps.now());
  if (!deps.readsComplete && !isYoungObject) {
    counts.attempts_complete += 1;
    return null;
  }
  const stored = await readRun(deps.store, entry.key);
  // GitHub lists the run, so it was not deleted after all.
  if (stored === null || stored.outcome === 'deleted') return 'unknown';
  if (!stored.absent.some(({ outcome }) => isProvisional(outcome))) {
    countStored(counts, stored);
    return null;
  }
  const kept = keptListing(stored);
  if (kept === null) return 'unknown';
  counts.attempts_complete += 1;
  const account = await accountForJobs(deps, attempt, kept.listed, deps.source, deps.lookAgain);
  addAccount(counts, account);
  return finishAttempt(deps, { attempt, run: kept.run, listed: kept.listed, standing: entry }, account, true);
}

async function compareListing(
  deps: Comparison,
  place: Omit<Attempt, 'runId' | 'runAttempt'>,
  run: ListedRun,
  numbers: readonly number[],
  known: ReadonlyMap<number, RunEntry>,
  counts: Counts,
): Promise<readonly OpenAttempt[]> {
  const listing = await listRunJobs(deps.api, place, run.id);
  // Deleted since the run was listed: there is nothing that GitHub can still tell.
  if (listing.kind === 'missing') return [];
  const open: OpenAttempt[] = [];
  counts.unreadable += listing.unreadable.length;
  const attempts = listing.jobs.map(({ job }) => job.run_attempt ?? 1);
  // Of a run whose newest attempt could not be read, its jobs tell.
  const beyond = attempts.filter((number) => number > run.runAttempt && !known.has(number));
  const newest = Math.max(run.runAttempt, ...beyond);
  for (const number of new Set([...numbers, ...beyond])) {
    const attempt: Attempt = { ...place, runId: run.id, runAttempt: number };
    const listed = listing.jobs.filter(({ job }) => (job.run_attempt ?? 1) === number);
    const account = await accountForJobs(deps, attempt, listed, deps.source, deps.lookAgain);
    counts.attempts_compared += 1;
    addAccount(counts, account);
    counts.expiring += expiring(deps, listed, account.missing);
    // Of which attempt an unreadable job is, nobody knows.
    const isOver = listing.unreadable.length === 0 && (number < newest || run.status === 'completed');
    const current = number === newest ? run.raw : null;
    const standing = known.get(number) ?? null;
    // What was written too early is written again once it no longer is, whatever it says.
    const confirms = standing !== null && !isTooEarly(deps.now(), attemptEnd(run, number));
    const compared = { attempt, run: current, listed, standing, confirms };
    const one = await finishAttempt(deps, compared, account, isOver);
    if (one !== null) open.push(one);
  }
  return open;
}

/** Writes the attempt's object when every job has its record, else answers what is still open. */
async function finishAttempt(
  deps: Comparison,
  compared: Pick<OpenAttempt, 'attempt' | 'run' | 'listed' | 'standing' | 'confirms'>,
  account: Account,
  isOver: boolean,
): Promise<OpenAttempt | null> {
  const { missing, lookedAgain, unfinished } = account;
  const queued = [...missing, ...lookedAgain];
  if (missing.length === 0 && unfinished.length === 0 && isOver) {
    const { attempt, listed, standing, confirms = false } = compared;
    const run = compared.run ?? (await runOfAttempt(deps, attempt));
    if (run !== null) await recordAttempt(deps, attempt, run, listed, account, standing, confirms);
  }
  const stood = account.absent.filter(({ job_id }) => lookedAgain.includes(job_id));
  return queued.length === 0 ? null : { ...compared, queued, missing, stood };
}

/**
 * Looks at an open attempt again once its queued jobs have ended, and writes its object if nothing is missing any more.
 * Answers the jobs that are. Costs no call, but one for an attempt before the newest.
 */
export async function settleAttempt(deps: Comparison, open: OpenAttempt): Promise<Account> {
  const nothing = {
    enqueue: () => Promise.resolve('duplicate' as const),
    onMissing: () => Promise.resolve(),
  };
  const quiet = { ...deps, ...nothing };
  const account = await accountForJobs(quiet, open.attempt, open.listed, deps.source, null);
  await finishAttempt(quiet, open, account, account.unfinished.length === 0);
  return account;
}

/** An earlier attempt as GitHub gives it; the list of runs gives only the newest. */
async function runOfAttempt({ api }: Comparison, attempt: Attempt): Promise<JsonText | null> {
  const { owner, repo, runId, runAttempt } = attempt;
  const answer = await api.get(
    `/repos/${owner}/${repo}/actions/runs/${runId}/attempts/${runAttempt}`,
    attempt,
  );
  if (answer.status !== 200) return null;
  const { json } = readAnswer(answer, api);
  return json.isObject() ? json : null;
}

function countStored(counts: Counts, stored: StoredRun): void {
  counts.attempts_complete += 1;
  counts.jobs += stored.archived.length + stored.absent.length;
  counts.archived += stored.archived.length;
  addAbsent(counts, stored.absent);
}

/** The listing that an attempt's object keeps; null when it cannot be read. */
function keptListing({ run, jobs }: StoredRun): { run: JsonText; listed: readonly ListedJob[] } | null {
  if (run === null) return null;
  const listed: ListedJob[] = [];
  for (const raw of jobs) {
    const job = parseJob(raw);
    if (!job.ok) return null;
    listed.push({ job: job.job, raw });
  }
  return { run, listed };
}

function expiring(deps: Comparison, listed: readonly ListedJob[], missing: readonly number[]): number {
  const beforeMs = deps.now().getTime() - deps.retentionMs + EXPIRING_MS;
  return listed.filter(
    ({ job }) => missing.includes(job.id) && Date.parse(job.completed_at ?? job.created_at ?? '') < beforeMs,
  ).length;
}
