import {
  adoptLog,
  commitAbsence,
  type Adoption,
  type Commit,
  type RecordDraft,
} from '../src/archive/commit.ts';
import type { KnownNames } from '../src/archive/known-names.ts';
import type { ObjectStore } from '../src/store/object-store.ts';
import type { Outcome, RecordedAbsence } from '../src/archive/record.ts';
import type { SpoolLimits } from '../src/spool/spool.ts';
import type { Spool } from '../src/spool/spool-space.ts';
import type { GitHubApi } from '../src/github/api.ts';
import type { RepositoryRef } from '../src/github/credentials.ts';
import type { LogAnswer, LogLookup, LogRef } from '../src/github/log/job-log.ts';
import { momentMs } from '../src/units.ts';
import type { ArchiveJob } from '../src/queue/catalog.ts';
import type { MissRules } from './absence.ts';
import type { BudgetDeps } from '../src/budget/budget.ts';
import type { JobContext } from './job-context.ts';
import type { JobDetails, JobDetailsMode } from './job-details.ts';
import { draftRecord } from './record-draft.ts';

/** One GitHub host as handlers need it. */
export interface HostAccess {
  readonly api: GitHubApi;
  lookUpLog(ref: LogRef): Promise<LogLookup>;
}

export interface ArchiveJobDeps extends BudgetDeps {
  readonly store: ObjectStore;
  readonly names: KnownNames;
  readonly hosts: ReadonlyMap<string, HostAccess>;
  readonly spool: Spool;
  readonly spoolLimits: SpoolLimits;
  readonly missRules: MissRules;
  readonly jobDetails: JobDetailsMode;
  readonly version: string;
  /** Whether Everlog itself asked GitHub to send this delivery again. */
  readonly wasAskedFor: (host: string, guid: string) => Promise<boolean>;
  /** Told of every record that this process writes. */
  readonly onRecorded: (record: Recorded) => void;
  /** Says again that these keys are committed: an earlier try may have died before it could. */
  readonly addPending: (keys: readonly string[]) => Promise<void>;
}

/** What is told of a record that was written. */
export interface Recorded {
  readonly outcome: string;
  readonly source: string;
  /** Of the log as GitHub serves it, and of its gzip; 0 without a log. */
  readonly logBytes: number;
  readonly storedBytes: number;
  /** From the job's end to its record, in milliseconds; null where GitHub gave no end. */
  readonly lagMs: number | null;
}

/** One run of an archive job, once its details are known. */
export interface ArchiveRun {
  readonly deps: ArchiveJobDeps;
  readonly host: HostAccess;
  readonly repository: RepositoryRef;
  readonly data: ArchiveJob;
  readonly context: JobContext<ArchiveJob>;
  readonly details: JobDetails;
  readonly commit: Omit<Commit, 'draft'>;
}

/** What is said of an absence beyond the looks, which the job's data hold. */
export interface AbsenceFinding {
  readonly outcome: Exclude<Outcome, 'archived'>;
  readonly reason: string;
  readonly apiStatus: number | null;
  readonly logStatus: number | null;
  /** The log host's answer, where a log is there and is not kept. */
  readonly answer?: LogAnswer;
  readonly ofJobId?: number;
}

/** The record of this run, as far as the commit does not decide it. */
export function draftOf(
  run: ArchiveRun,
  outcome: Outcome,
  absence: RecordedAbsence | null,
  answer: LogAnswer | null,
): RecordDraft {
  const now = run.deps.now();
  return draftRecord(run.data, run.details, {
    outcome,
    absence,
    answer,
    attempts: run.context.attempts,
    finishedAt: answer === null ? null : now,
    recordedAt: now,
    version: run.deps.version,
  });
}

/** Tells of a record that this run has written. */
export function noteRecorded(
  run: ArchiveRun,
  { outcome, source, logBytes, storedBytes }: Omit<Recorded, 'lagMs'>,
): void {
  const endMs = momentMs(run.details.job.completed_at);
  const lagMs = endMs === null ? null : Math.max(0, run.deps.now().getTime() - endMs);
  run.deps.onRecorded({ outcome, source, logBytes, storedBytes, lagMs });
}

/** Commits the record of a log that a crash left without one, where there is such a log. */
export async function adoptLeftLog(run: ArchiveRun): Promise<Adoption> {
  const { store, spoolLimits, addPending } = run.deps;
  const draft = draftOf(run, 'archived', null, null);
  const adoption = await adoptLog(store, { ...run.commit, draft }, spoolLimits.logBytesMax);
  if (adoption.outcome === 'nothing') return adoption;
  const { key, record, written } = adoption.committed;
  const { bytes = 0, stored_bytes: storedBytes = 0 } = record.log ?? {};
  if (written) noteRecorded(run, { outcome: 'archived', source: 'adopted', logBytes: bytes, storedBytes });
  else await addPending([key]);
  return adoption;
}

/** Why there is no log, beside what stands in its place and was not taken for it. */
export function beside(reason: string, tooLargeKey: string | null): string {
  if (tooLargeKey === null) return reason;
  return `${reason}; ${tooLargeKey} unpacks to more than EVERLOG_JOB_LOG_MAX_BYTES allows and was not taken for its log`;
}

/** Commits why there is no log. */
export async function recordAbsence(run: ArchiveRun, finding: AbsenceFinding): Promise<void> {
  const { deps, data } = run;
  const lookedAt = finding.answer?.requestedAt.toISOString() ?? null;
  const absence: RecordedAbsence = {
    reason: finding.reason,
    api_status: finding.apiStatus,
    log_status: finding.logStatus,
    tries: data.looks?.count ?? (finding.answer === undefined ? 0 : 1),
    first_tried_at: data.looks?.first_at ?? lookedAt,
    last_tried_at: data.looks?.last_at ?? lookedAt,
    ...(finding.ofJobId === undefined ? {} : { of_job_id: finding.ofJobId }),
  };
  const draft = draftOf(run, finding.outcome, absence, finding.answer ?? null);
  const committed = await commitAbsence(deps.store, { ...run.commit, draft });
  const { outcome } = finding;
  if (committed.written) noteRecorded(run, { outcome, source: data.source, logBytes: 0, storedBytes: 0 });
  else await deps.addPending([committed.key]);
}
