import { waitUntil } from '../src/errors.ts';
import type { LogLookup } from '../src/github/log/job-log.ts';
import { isRepositoryVisible, listRunJobs, witnessRun } from '../src/github/lists.ts';
import { afterMiss, carriedFrom, looksBroken, type Looks } from './absence.ts';
import { adoptLeftLog, beside, recordAbsence, type ArchiveRun } from './archive-run.ts';
import { jobEnd } from './record-draft.ts';

/** A look that found no log. */
export type Missed = Extract<LogLookup, { kind: 'absent' }>;

/** While a host looks broken the job looks again at the pace of the last wait for a missing log, but within these. */
const BROKEN_HOST_WAIT_MS = { min: 1_000, max: 60_000 } as const;
/** The window of first looks by which a host is judged, in minutes (CONTRACT §5). */
const LOOKS_WINDOW_MINUTES = 10;

/** Notes whether a first look at a log that should exist found one: by these a broken host is told from a missing log. */
export async function noteFirstLook(run: ArchiveRun, found: boolean): Promise<void> {
  if (run.data.looks !== null) return;
  await run.deps.rateLimiter.count(seriesOf(run), found ? 'found' : 'nothing');
}

/**
 * Goes on after a look that found no log where one should be: adopts one that a crash left, waits for one that may still
 * come, or records why there is none.
 * @throws EverlogError `log_not_yet`, `host_looks_broken` (wait).
 */
export async function afterMissedLog(run: ArchiveRun, missed: Missed): Promise<void> {
  const { deps, data, details } = run;
  const adoption = await adoptLeftLog(run);
  if (adoption.outcome === 'adopted') return;
  const statuses = { apiStatus: missed.apiStatus, logStatus: missed.logStatus };
  const now = deps.now();
  const looks: Looks = {
    count: (data.looks?.count ?? 0) + 1,
    first_at: data.looks?.first_at ?? now.toISOString(),
    last_at: now.toISOString(),
  };
  const looked: ArchiveRun = { ...run, data: { ...data, looks } };
  if (missed.why === 'missing' && (await recordedAsCarriedOver(looked, missed))) return;
  const why = missed.why === 'missing' && (await isAccessWithdrawn(run, missed)) ? 'forbidden' : missed.why;
  const endedAt = jobEnd(details, data);
  // Where the delivery served as details, the log's own answer is the first that was heard of the job.
  const heard = details.apiStatus ?? missed.apiStatus;
  const jobGone = heard === 404 || heard === 410;
  const byIpList = missed.byIpList === true || details.byIpList === true;
  const next = afterMiss({ why, looks, now, endedAt, jobGone, byIpList }, deps.missRules);
  if (next.kind === 'look_again') {
    await run.context.update(looked.data);
    throw waitUntil(
      'log_not_yet',
      next.at,
      `the log of job ${data.job_id} is not there yet (look ${looks.count})`,
    );
  }
  const doubt = next.outcome === 'expired' ? null : await hostDoubt(run, next.outcome, jobGone);
  if (doubt !== null) {
    await run.context.update(looked.data);
    const { min, max } = BROKEN_HOST_WAIT_MS;
    const waitMs = Math.min(Math.max(deps.missRules.waitsMs.at(-1) ?? max, min), max);
    const at = new Date(now.getTime() + waitMs);
    throw waitUntil('host_looks_broken', at, `${data.host} ${doubt}`);
  }
  const reason = beside(next.reason, adoption.tooLargeKey);
  await recordAbsence(looked, { outcome: next.outcome, reason, ...statuses });
}

/** Why a log that was not found may be there all the same; null when nothing says so. */
async function hostDoubt(run: ArchiveRun, outcome: string, jobGone: boolean): Promise<string | null> {
  const { deps, data, host, repository } = run;
  if (looksBroken(await deps.rateLimiter.counted(seriesOf(run), LOOKS_WINDOW_MINUTES)))
    return 'gives so few logs now that a missing one proves nothing';
  if (outcome === 'forbidden' || !jobGone) return null;
  // "Deleted" needs a second witness: an incident answers 404 for every job and run.
  const witness = await witnessRun(host.api, repository, data.run_id);
  if (witness === 'gone') return null;
  if (witness === 'silent')
    return `knows neither run ${data.run_id} nor its neighbours: that proves no deletion`;
  const listing = await listRunJobs(host.api, repository, data.run_id);
  const lists = listing.kind === 'jobs' && listing.jobs.some(({ job }) => job.id === data.job_id);
  const neverAsked = run.details.apiStatus === null;
  // A job that is listed and was not asked for itself lacks its log alone.
  if (listing.kind === 'jobs' && lists === neverAsked) return null;
  return `does not know job ${data.job_id}, and ${lists ? 'lists it' : 'does not list the jobs of its run'}: that proves nothing`;
}

/** "Re-run failed jobs" announces jobs that had passed under new ids, though they did not run again. */
async function recordedAsCarriedOver(run: ArchiveRun, missed: Missed): Promise<boolean> {
  const { job } = run.details;
  if ((job.run_attempt ?? run.data.run_attempt ?? 1) < 2) return false;
  const listing = await listRunJobs(run.host.api, run.repository, job.run_id);
  if (listing.kind === 'missing') return false;
  const origin = carriedFrom(
    job,
    listing.jobs.map((listed) => listed.job),
  );
  if (origin === null) return false;
  await recordAbsence(run, {
    outcome: 'carried_over',
    reason: `a re-run carried this job over from attempt ${origin.run_attempt ?? 1} without running it again`,
    apiStatus: missed.apiStatus,
    logStatus: missed.logStatus,
    ofJobId: origin.id,
  });
  return true;
}

/** GitHub answers 404 for what may not be seen; the repository itself tells that from a deleted run. */
async function isAccessWithdrawn(run: ArchiveRun, missed: Missed): Promise<boolean> {
  // Where the delivery served as details, the log's own 404 is the first that was heard of it.
  if ((run.details.apiStatus ?? missed.apiStatus) !== 404) return false;
  return !(await isRepositoryVisible(run.host.api, run.repository));
}

function seriesOf(run: ArchiveRun): string {
  return `looks:${run.data.host}`;
}
