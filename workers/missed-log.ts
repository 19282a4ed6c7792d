import { adoptLog } from '../src/archive/commit.ts';
import { waitUntil } from '../src/errors.ts';
import type { LogLookup } from '../src/github/log/job-log.ts';
import { areRunsAnswered, isRepositoryVisible, listRunJobs } from '../src/github/lists.ts';
import { afterMiss, carriedFrom, looksBroken, type Looks } from './absence.ts';
import { draftOf, noteRecorded, recordAbsence, type ArchiveRun } from './archive-run.ts';
import { endOf } from './record-draft.ts';

/** A look that found no log. */
export type Missed = Extract<LogLookup, { kind: 'absent' }>;

/** While a host looks broken the job looks again at this pace. */
const BROKEN_HOST_WAIT_MS = 60_000;
/** The window of first looks by which a host is judged, in minutes (CONTRACT §5). */
const LOOKS_WINDOW_MINUTES = 10;

/** Notes whether a first look at a log that should exist found one: by these a broken host is told from a missing log. */
export async function noteFirstLook(run: ArchiveRun, found: boolean): Promise<void> {
  if (run.data.looks !== null) return;
  await run.deps.state.count(seriesOf(run), found ? 'found' : 'nothing');
}

/**
 * Goes on after a look that found no log where one should be: adopts one that a crash left, waits for one that may still
 * come, or records why there is none.
 * @throws EverlogError `log_not_yet`, `host_looks_broken` (wait).
 */
export async function afterMissedLog(run: ArchiveRun, missed: Missed): Promise<void> {
  const { deps, data, details } = run;
  const adopted = await adoptLog(deps.store, { ...run.commit, draft: draftOf(run, 'archived', null, null) });
  if (adopted !== null) {
    if (adopted.written) noteRecorded(run, 'archived', 'adopted', adopted.record.log?.bytes ?? 0);
    return;
  }
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
  const endedAt = endOf(details, data);
  const jobGone = details.apiStatus === 404 || details.apiStatus === 410;
  const next = afterMiss({ why, looks, now, endedAt, jobGone, said: missed.said ?? null }, deps.missRules);
  if (next.kind === 'look_again') {
    await run.context.update(looked.data);
    throw waitUntil(
      'log_not_yet',
      next.at,
      `the log of job ${data.job_id} is not there yet (look ${looks.count})`,
    );
  }
  if (
    next.outcome !== 'expired' &&
    (looksBroken(await deps.state.counted(seriesOf(run), LOOKS_WINDOW_MINUTES)) ||
      (next.outcome === 'unavailable' && !(await areRunsAnswered(run.host.api, run.repository))))
  ) {
    await run.context.update(looked.data);
    const at = new Date(now.getTime() + BROKEN_HOST_WAIT_MS);
    throw waitUntil(
      'host_looks_broken',
      at,
      `${data.host} gives so few logs now that a missing one proves nothing`,
    );
  }
  await recordAbsence(looked, { outcome: next.outcome, reason: next.reason, ...statuses });
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
