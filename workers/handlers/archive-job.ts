import { commitLog, type Commit } from '../../src/archive/commit.ts';
import { findRecord } from '../../src/archive/job-records.ts';
import { parseKey } from '../../src/archive/keys.ts';
import { isNeverRan, isProvisional, type JobRecord } from '../../src/archive/record.ts';
import { spoolLog, type SpoolResult } from '../../src/spool/spool.ts';
import {
  FIRST_RESERVATION_BYTES,
  SpoolFull,
  SpoolTooSmall,
  type SpoolSpace,
} from '../../src/spool/spool-space.ts';
import { EverlogError, giveUp } from '../../src/errors.ts';
import type { LogAnswer } from '../../src/github/log/job-log.ts';
import type { ArchiveJob } from '../../src/queue/catalog.ts';
import { looksLikeCheckRun, neverRan } from '../../src/github/job.ts';
import { listRunJobs } from '../../src/github/lists.ts';
import { saysIpAllowList } from '../../src/github/refusals.ts';
import { expectationOf, type Known } from '../absence.ts';
import {
  adoptLeftLog,
  beside,
  draftOf,
  noteRecorded,
  recordAbsence,
  type ArchiveJobDeps,
  type ArchiveRun,
  type HostAccess,
} from '../archive-run.ts';
import { budgetOf, notePause, budgetSpent, reserveCalls } from '../../src/budget/budget.ts';
import type { JobContext } from '../job-context.ts';
import { detailsWithoutApi, listedAsRun, readJobDetails, type JobDetails } from '../job-details.ts';
import { afterMissedLog, noteFirstLook } from '../missed-log.ts';
import { jobEnd } from '../record-draft.ts';

/** The job's details and its link. */
const POINTS = 2;

/**
 * Brings one completed job to a record: archived, or why there is no log (DESIGN, "Life of a log"). Every step can be
 * repeated; a second run of a recorded job changes nothing.
 */
export async function archiveJob(
  deps: ArchiveJobDeps,
  queued: ArchiveJob,
  context: JobContext<ArchiveJob>,
): Promise<void> {
  const prior = await findRecord(deps.store, deps.names, jobPlace(queued), queued.run_id, queued.job_id);
  const said = prior?.record ?? null;
  if (prior !== null && said !== null && isFinalFor(said, queued)) return deps.addPending([prior.key]);
  if (prior !== null && said === null && prior.revision > 1) {
    // It may have said that the job was erased.
    throw giveUp('object_corrupt', `no revision of the record at ${prior.key} can be read`);
  }
  const data: ArchiveJob = { ...queued, source: await logSource(deps, queued) };
  const host = deps.hosts.get(data.host);
  if (host === undefined) {
    throw giveUp('config_invalid', `no credentials are configured for the GitHub host ${data.host}`);
  }
  const repository = { owner: data.owner, repo: data.repo, installationId: data.installation_id };
  const budget = budgetOf(host.api, repository);
  const reserved = data.slot_at === null ? null : new Date(data.slot_at);
  const turn = await reserveCalls(deps, budget, host.api.host.product, POINTS, reserved);
  if (turn !== null) {
    await context.update({ ...data, slot_at: turn.toISOString() });
    throw budgetSpent(budget, turn);
  }
  // The turn is used up: another try takes another.
  const unreserved = { ...data, slot_at: null };
  if (reserved !== null) await context.update(unreserved);
  try {
    await withGitHub(deps, host, unreserved, context, prior);
    await notePause(deps, budget, host.api, repository, null);
  } catch (error) {
    const reservedAt = await notePause(deps, budget, host.api, repository, error);
    if (reservedAt === null) throw error;
    await context.update({ ...data, slot_at: reservedAt.toISOString() });
    const suspended = error instanceof EverlogError && error.code === 'installation_suspended';
    throw budgetSpent(budget, reservedAt, suspended ? 'installation_suspended' : 'github_rate_limited');
  }
}

/**
 * Whether nothing more is to be found out. That a job never ran is open again once a listing shows that it did; beside a log
 * that a crash had left, GitHub may serve another, and this may be the try that was to store it.
 */
function isFinalFor({ outcome, fetch }: JobRecord, queued: ArchiveJob): boolean {
  if (outcome === 'archived') return fetch.source !== 'adopted';
  if (isNeverRan(outcome) && listedAsRun(queued) !== null) return false;
  return !isProvisional(outcome);
}

/**
 * How the job became known. A redelivery looks to the receiver like any delivery, and telling them apart there would cost every
 * delivery a question to the queue server before its answer; here it costs one beside several calls to GitHub.
 */
async function logSource(deps: ArchiveJobDeps, data: ArchiveJob): Promise<ArchiveJob['source']> {
  const [guid] = data.delivery_ids;
  if (data.source !== 'webhook' || guid === undefined) return data.source;
  return (await deps.wasAskedFor(data.host, guid)) ? 'redelivery' : 'webhook';
}

async function withGitHub(
  deps: ArchiveJobDeps,
  host: HostAccess,
  data: ArchiveJob,
  context: JobContext<ArchiveJob>,
  prior: Commit['prior'],
): Promise<void> {
  const repository = { owner: data.owner, repo: data.repo, installationId: data.installation_id };
  const withDetails = (details: JobDetails): ArchiveRun => {
    const commit = commitOf(data, details, prior);
    return { deps, host, repository, data, context, details, commit };
  };
  try {
    const read = await readJobDetails(host.api, data, deps.jobDetails, deps.now);
    // Of two words of GitHub's the one that shows a job running stands.
    const run = withDetails(neverRan(read.job) ? (listedAsRun(data) ?? read) : read);
    const expectation = expectationOf(await knownOf(run));
    if (expectation.kind === 'absent') {
      const { outcome, reason } = expectation;
      await recordAbsence(run, { outcome, reason, apiStatus: run.details.apiStatus, logStatus: null });
    } else if (run.details.apiStatus === 403) {
      await afterMissedLog(run, { kind: 'absent', why: 'forbidden', apiStatus: 403, logStatus: null });
    } else {
      await fetchLog(run);
    }
  } catch (error) {
    if (!(error instanceof EverlogError) || error.code !== 'installation_gone') throw error;
    const details = detailsWithoutApi(data, 404);
    if (details === null) throw error;
    await afterMissedLog(withDetails(details), {
      kind: 'absent',
      why: 'forbidden',
      apiStatus: 404,
      logStatus: null,
      byIpList: saysIpAllowList(error.message),
    });
  }
}

/** What decides whether a log is expected. A delivery's check run that GitHub does not know is looked for in the run's list. */
async function knownOf({ details, data, host, repository }: ArchiveRun): Promise<Known> {
  const { job, apiStatus, source } = details;
  const known = { job, apiStatus, byGitHub: source !== 'webhook', unlisted: false };
  if (known.byGitHub || apiStatus !== 404 || !looksLikeCheckRun(job)) return known;
  const listing = await listRunJobs(host.api, repository, data.run_id);
  const unlisted = listing.kind === 'jobs' && listing.jobs.every((listed) => listed.job.id !== job.id);
  return { ...known, unlisted };
}

/** Space is taken before the link is asked for, so that a link never ages in a queue. */
async function fetchLog(run: ArchiveRun): Promise<void> {
  const { deps, data, repository } = run;
  const space = await deps.spool.take(data.spool_bytes ?? FIRST_RESERVATION_BYTES);
  try {
    const lookup = await run.host.lookUpLog({ ...repository, jobId: data.job_id });
    if (lookup.kind === 'found') {
      // A link lives a minute: nothing comes between it and the reading of the log.
      await storeLog(run, lookup.answer, space);
      await noteFirstLook(run, true);
    } else {
      await noteFirstLook(run, false);
      await afterMissedLog(run, lookup);
    }
  } finally {
    space.release();
  }
}

const TOO_LARGE = {
  spool_too_small: 'the log is larger than EVERLOG_SPOOL_MAX_BYTES allows',
  log_too_large: 'the log is larger than EVERLOG_JOB_LOG_MAX_BYTES allows',
  gzip_too_large: 'the compressed log is larger than 5 GiB, which is what a store takes in one PUT',
} as const;

async function storeLog(run: ArchiveRun, answer: LogAnswer, space: SpoolSpace): Promise<void> {
  const { deps } = run;
  const result = await spoolOrWait(run, answer, space);
  if (result === 'spool_too_small' || result.kind !== 'spooled') {
    // One that was stored where more was allowed is not fetched, and not lost either.
    const adoption = await adoptLeftLog(run);
    if (adoption.outcome === 'adopted') return;
    const tooLarge = TOO_LARGE[result === 'spool_too_small' ? result : result.kind];
    const reason = beside(tooLarge, adoption.tooLargeKey);
    const { apiStatus, httpStatus } = answer;
    await recordAbsence(run, { outcome: 'too_large', reason, apiStatus, logStatus: httpStatus, answer });
    return;
  }
  const { log } = result;
  try {
    const draft = draftOf(run, 'archived', null, answer);
    const committed = await commitLog(
      deps.store,
      { ...run.commit, draft },
      log,
      deps.spoolLimits.logBytesMax,
    );
    const counted = { source: run.data.source, logBytes: log.bytes, storedBytes: log.body.bytes };
    if (committed.written) noteRecorded(run, { outcome: 'archived', ...counted });
  } finally {
    await log.release();
  }
}

/** A full spool puts the job off, with the space it will need noted, so that its next link is not asked for in vain. */
async function spoolOrWait(
  run: ArchiveRun,
  answer: LogAnswer,
  space: SpoolSpace,
): Promise<SpoolResult | 'spool_too_small'> {
  try {
    return await spoolLog(answer.body, space, run.deps.spoolLimits);
  } catch (error) {
    if (error instanceof SpoolTooSmall) return 'spool_too_small';
    if (error instanceof SpoolFull) await run.context.update({ ...run.data, spool_bytes: error.neededBytes });
    throw error;
  }
}

function jobPlace(data: ArchiveJob): {
  host: string;
  owner: string;
  repo: string;
  repositoryId: number | null;
} {
  return { host: data.host, owner: data.owner, repo: data.repo, repositoryId: data.repository_id };
}

/** The first copy seen fixes the name, attempt and day; a later finding stands beside it. */
function commitOf(data: ArchiveJob, details: JobDetails, prior: Commit['prior']): Omit<Commit, 'draft'> {
  const address = prior?.address ?? {
    host: data.host,
    owner: data.owner.toLowerCase(),
    repo: data.repo.toLowerCase(),
    runId: details.job.run_id,
    runAttempt: details.job.run_attempt ?? data.run_attempt ?? 1,
    jobId: data.job_id,
  };
  const logKey = prior?.record?.log?.key;
  const logged = logKey === undefined ? null : parseKey(logKey);
  const dt = logged?.type === 'log' ? logged.dt : jobEnd(details, data).toISOString().slice(0, 10);
  return { address, dt, prior };
}
