import { commitAbsence, commitLog, adoptLog, findRecord, type Commit } from '../../src/archive/commit.ts';
import { parseKey } from '../../src/archive/keys.ts';
import type { KnownNames } from '../../src/archive/known-names.ts';
import type { ObjectStore } from '../../src/archive/object-store.ts';
import { isProvisional, type Outcome } from '../../src/archive/record.ts';
import { spoolLog, type SpoolLimits } from '../../src/archive/spool.ts';
import {
  FIRST_RESERVATION_BYTES,
  SpoolFull,
  SpoolTooSmall,
  type Spool,
} from '../../src/archive/spool-space.ts';
import { giveUp, waitUntil } from '../../src/errors.ts';
import type { GitHubApi } from '../../src/github/api.ts';
import type { LogAnswer, LogLookup, LogRef } from '../../src/github/job-log.ts';
import type { ArchiveJob } from '../../src/queue/catalog.ts';
import { afterMiss, expectationOf, type Looks, type MissRules } from '../absence.ts';
import type { JobContext } from '../job-context.ts';
import { readJobDetails, type JobDetails, type JobDetailsMode } from '../job-details.ts';
import { draftRecord, endOf } from '../record-draft.ts';

/** One GitHub host as the handler needs it. */
export interface HostAccess {
  readonly api: GitHubApi;
  lookUpLog(ref: LogRef): Promise<LogLookup>;
}

export interface ArchiveJobDeps {
  readonly store: ObjectStore;
  readonly names: KnownNames;
  readonly hosts: ReadonlyMap<string, HostAccess>;
  readonly spool: Spool;
  readonly spoolLimits: SpoolLimits;
  readonly missRules: MissRules;
  readonly jobDetails: JobDetailsMode;
  readonly version: string;
  readonly now: () => Date;
  /** Told of every record that this process writes. */
  readonly onRecorded: (outcome: string, source: string, logBytes: number) => void;
}

/**
 * Brings one completed job to a record: archived, or why there is no log (DESIGN, "Life of a log"). Every step can be
 * repeated; a second run of a recorded job changes nothing.
 */
export async function archiveJob(
  deps: ArchiveJobDeps,
  data: ArchiveJob,
  context: JobContext<ArchiveJob>,
): Promise<void> {
  const prior = await findRecord(deps.store, deps.names, placeOf(data), data.run_id, data.job_id);
  if (prior !== null && !isProvisional(prior.record.outcome)) return;
  const host = deps.hosts.get(data.host);
  if (host === undefined) {
    throw giveUp('config_invalid', `no credentials are configured for the GitHub host ${data.host}`);
  }
  const details = await readJobDetails(host.api, data, deps.jobDetails, deps.now);
  const run: Run = { deps, data, context, details, commit: commitOf(data, details, prior) };
  const expectation = expectationOf(details.job, details.apiStatus);
  if (expectation.kind === 'absent') {
    await recordAbsence(run, expectation.outcome, expectation.reason, null, null);
    return;
  }
  const space = await deps.spool.take(data.spool_bytes ?? FIRST_RESERVATION_BYTES);
  try {
    const ref = {
      owner: data.owner,
      repo: data.repo,
      installationId: data.installation_id,
      jobId: data.job_id,
    };
    const lookup = await host.lookUpLog(ref);
    if (lookup.kind === 'found') await storeLog(run, lookup.answer, space);
    else await missed(run, lookup);
  } finally {
    space.release();
  }
}

interface Run {
  readonly deps: ArchiveJobDeps;
  readonly data: ArchiveJob;
  readonly context: JobContext<ArchiveJob>;
  readonly details: JobDetails;
  readonly commit: Omit<Commit, 'draft'>;
}

async function storeLog(
  run: Run,
  answer: LogAnswer,
  space: Awaited<ReturnType<Spool['take']>>,
): Promise<void> {
  const { deps } = run;
  const result = await spoolOrWait(run, answer, space);
  if (result === 'spool_too_small' || result.kind === 'log_too_large') {
    const variable = result === 'spool_too_small' ? 'EVERLOG_SPOOL_MAX_BYTES' : 'EVERLOG_JOB_LOG_MAX_BYTES';
    await recordAbsence(
      run,
      'too_large',
      `the log is larger than ${variable} allows`,
      answer,
      answer.httpStatus,
    );
    return;
  }
  const { log } = result;
  try {
    const draft = draftOf(run, 'archived', null, answer);
    const committed = await commitLog(deps.store, { ...run.commit, draft }, log);
    if (committed.written) deps.onRecorded('archived', run.data.source, log.bytes);
  } finally {
    await log.release();
  }
}

/** A full spool puts the job off, with the space it will need noted, so that its next link is not asked for in vain. */
async function spoolOrWait(
  run: Run,
  answer: LogAnswer,
  space: Awaited<ReturnType<Spool['take']>>,
): Promise<Awaited<ReturnType<typeof spoolLog>> | 'spool_too_small'> {
  try {
    return await spoolLog(answer.body, space, run.deps.spoolLimits);
  } catch (error) {
    if (error instanceof SpoolTooSmall) return 'spool_too_small';
    if (error instanceof SpoolFull) await run.context.update({ ...run.data, spool_bytes: error.neededBytes });
    throw error;
  }
}

async function missed(run: Run, lookup: Extract<LogLookup, { kind: 'absent' }>): Promise<void> {
  const { deps, data } = run;
  const adopted = await adoptLog(deps.store, { ...run.commit, draft: draftOf(run, 'archived', null, null) });
  if (adopted !== null) {
    if (adopted.written) deps.onRecorded('archived', 'adopted', adopted.record.log?.bytes ?? 0);
    return;
  }
  const now = deps.now();
  const looks: Looks = {
    count: (data.looks?.count ?? 0) + 1,
    first_at: data.looks?.first_at ?? now.toISOString(),
    last_at: now.toISOString(),
  };
  const next = afterMiss({ why: lookup.why, looks, now, endedAt: endOf(run.details, data) }, deps.missRules);
  const looked = { ...run, data: { ...data, looks } };
  if (next.kind === 'look_again') {
    await run.context.update(looked.data);
    throw waitUntil(
      'log_not_yet',
      next.at,
      `the log of job ${data.job_id} is not there yet (look ${looks.count})`,
    );
  }
  await recordAbsence(looked, next.outcome, next.reason, null, lookup.logStatus, lookup.apiStatus);
}

async function recordAbsence(
  run: Run,
  outcome: Exclude<Outcome, 'archived'>,
  reason: string,
  answer: LogAnswer | null,
  logStatus: number | null,
  apiStatus: number | null = answer?.apiStatus ?? run.details.apiStatus,
): Promise<void> {
  const { deps, data } = run;
  const tries = data.looks?.count ?? (answer === null ? 0 : 1);
  const absence = {
    reason,
    api_status: apiStatus,
    log_status: logStatus,
    tries,
    first_tried_at: data.looks?.first_at ?? answer?.requestedAt.toISOString() ?? null,
    last_tried_at: data.looks?.last_at ?? answer?.requestedAt.toISOString() ?? null,
  };
  const draft = draftOf(run, outcome, absence, answer);
  const committed = await commitAbsence(deps.store, { ...run.commit, draft });
  if (committed.written) deps.onRecorded(outcome, data.source, 0);
}

function draftOf(
  run: Run,
  outcome: Outcome,
  absence: Parameters<typeof draftRecord>[2]['absence'],
  answer: LogAnswer | null,
): Commit['draft'] {
  const { deps, data, details, context } = run;
  const now = deps.now();
  return draftRecord(data, details, {
    outcome,
    absence,
    answer,
    attempts: context.attempts,
    finishedAt: answer === null ? null : now,
    recordedAt: now,
    version: deps.version,
  });
}

function placeOf(data: ArchiveJob): {
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
  const logged = prior?.record.log === null || prior === null ? null : parseKey(prior.record.log.key);
  const dt = logged?.type === 'log' ? logged.dt : endOf(details, data).toISOString().slice(0, 10);
  return { address, dt, prior };
}
