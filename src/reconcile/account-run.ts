import { commitRecordRevision, draftFrom } from '../archive/commit.ts';
import { findJobRecords, type ReadableRecord } from '../archive/job-records.ts';
import type { JsonText } from '../json-text.ts';
import type { KnownNames } from '../archive/known-names.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { isNeverRan, isProvisional, type JobRecord, type Source } from '../archive/record.ts';
import { commitRun, type RunEntry } from '../archive/run-object.ts';
import { neverRan, type GitHubJob } from '../github/job.ts';
import type { ListedJob } from '../github/lists.ts';
import { packDelivered, type ArchiveJob, type NewJob } from '../queue/catalog.ts';

/**
 * Holds GitHub's listing of a run attempt against the archive: queues what has no record, confirms what was recorded from a
 * delivery, and writes the attempt's object once every job is accounted for.
 */
export interface AccountDeps {
  readonly store: ObjectStore;
  readonly names: KnownNames;
  readonly enqueue: (job: NewJob) => Promise<'queued' | 'duplicate'>;
  readonly version: string;
  readonly now: () => Date;
  /** Says again that these keys are committed: an earlier try may have died before it could. */
  readonly addPending: (keys: readonly string[]) => Promise<void>;
  /** Told of a completed job without a record, before it is queued. */
  readonly onMissing?: (job: ArchiveJob, completedAt: string | null) => Promise<void>;
}

/** The attempt that is accounted for. */
export interface Attempt {
  readonly host: string;
  readonly owner: string;
  readonly repo: string;
  readonly repositoryId: number | null;
  readonly installationId: number | null;
  readonly runId: number;
  readonly runAttempt: number;
}

/** Whether an absence that a later look may overturn is due for that look. */
export type LookAgain = (record: JobRecord) => boolean;

export interface Account {
  /** Completed jobs without a record, or with one that says that they never ran though they did; they are queued now. */
  readonly missing: readonly number[];
  /** Jobs that GitHub says are not over. */
  readonly unfinished: readonly number[];
  /** Jobs whose absence a later look may overturn and was due for one; they are queued now too. */
  readonly lookedAgain: readonly number[];
  readonly archived: readonly number[];
  readonly absent: readonly { readonly job_id: number; readonly outcome: string }[];
}

/** Compares a listing with the archive and queues the difference. `lookAgain` null: absences stay as they are. */
export async function accountForJobs(
  deps: AccountDeps,
  attempt: Attempt,
  listed: readonly ListedJob[],
  source: Extract<Source, 'sweep' | 'reconcile' | 'backfill'>,
  lookAgain: LookAgain | null,
): Promise<Account> {
  const records = await findJobRecords(deps.store, deps.names, attempt, attempt.runId);
  const account = {
    missing: [] as number[],
    unfinished: [] as number[],
    lookedAgain: [] as number[],
    archived: [] as number[],
    absent: [] as { job_id: number; outcome: string }[],
  };
  for (const { job, raw } of listed) {
    const standing = records.get(job.id);
    const record = standing?.record ?? null;
    // A record that nobody can read accounts for nothing: the job is brought to its next revision.
    if (standing === undefined || record === null || contradicts(record, job)) {
      if ((job.status ?? 'completed') !== 'completed') {
        account.unfinished.push(job.id);
        continue;
      }
      account.missing.push(job.id);
      const data = archiveJobOf(attempt, { job, raw }, source, deps.now());
      await deps.onMissing?.(data, job.completed_at ?? null);
      await deps.enqueue({ name: 'archive-job', data });
      continue;
    }
    await confirmByListing(deps, { ...standing, record }, { job, raw });
    if (record.outcome === 'archived') account.archived.push(job.id);
    else account.absent.push({ job_id: job.id, outcome: record.outcome });
    if (!isProvisional(record.outcome) || lookAgain?.(record) !== true) continue;
    account.lookedAgain.push(job.id);
    await deps.enqueue({
      name: 'archive-job',
      data: archiveJobOf(attempt, { job, raw }, source, deps.now()),
    });
  }
  return account;
}

/** Whether GitHub lists a job as having run that is recorded as one that never did, whatever wrote that. */
function contradicts(record: JobRecord, job: GitHubJob): boolean {
  return isNeverRan(record.outcome) && (job.status ?? 'completed') === 'completed' && !neverRan(job);
}

/** Writes the attempt's object; answers whether it is new or says something new. */
export function recordAttempt(
  deps: AccountDeps,
  attempt: Attempt,
  run: JsonText | null,
  listed: readonly ListedJob[],
  account: Pick<Account, 'archived' | 'absent'>,
  standing: RunEntry | null,
  confirms = false,
): Promise<boolean> {
  return commitRun(
    deps.store,
    {
      outcome: run === null ? 'deleted' : 'accounted',
      host: attempt.host,
      owner: attempt.owner,
      repo: attempt.repo,
      repository_id: attempt.repositoryId,
      installation_id: attempt.installationId,
      run_id: attempt.runId,
      run_attempt: attempt.runAttempt,
      run,
      jobs: listed.map(({ raw }) => raw),
      expected: listed.map(({ job }) => job.id),
      archived: account.archived,
      absent: account.absent,
      complete: run !== null,
      recorded_at: deps.now().toISOString(),
      archiver: { name: 'everlog', version: deps.version },
    },
    standing,
    confirms,
  );
}

/**
 * A record made from a delivery's copy is only as good as the webhook's secret. Where GitHub's listing says otherwise of the
 * job, the next revision says it by the listing; where it agrees, the attempt's object, which holds the listing, confirms it.
 */
async function confirmByListing(
  deps: AccountDeps,
  stored: ReadableRecord,
  { job, raw }: ListedJob,
): Promise<void> {
  const { record } = stored;
  // What was erased on request stays erased: the listing would bring its names back.
  if (record.details_source !== 'webhook' || record.outcome === 'erased') return;
  const agrees =
    record.job_name === (job.name ?? null) &&
    record.conclusion === (job.conclusion ?? null) &&
    record.head_sha === (job.head_sha ?? null) &&
    record.started_at === (job.started_at ?? null) &&
    record.completed_at === (job.completed_at ?? null);
  if (agrees) return;
  await commitRecordRevision(deps.store, stored, {
    ...draftFrom(record),
    job_name: job.name ?? null,
    workflow_name: job.workflow_name ?? null,
    head_branch: job.head_branch ?? null,
    head_sha: job.head_sha ?? null,
    conclusion: job.conclusion ?? null,
    runner_name: job.runner_name ?? null,
    labels: job.labels ?? null,
    created_at: job.created_at ?? null,
    started_at: job.started_at ?? null,
    completed_at: job.completed_at ?? null,
    job: raw,
    details_source: 'list',
    job_sha256: null,
    recorded_at: deps.now().toISOString(),
    archiver: { name: 'everlog', version: deps.version },
  });
}

function archiveJobOf(attempt: Attempt, { job, raw }: ListedJob, source: Source, now: Date): ArchiveJob {
  return {
    host: attempt.host,
    owner: attempt.owner,
    repo: attempt.repo,
    repository_id: attempt.repositoryId,
    installation_id: attempt.installationId,
    run_id: attempt.runId,
    run_attempt: job.run_attempt ?? attempt.runAttempt,
    job_id: job.id,
    sender: null,
    delivery_ids: [],
    source,
    received_at: now.toISOString(),
    delivered: packDelivered({ workflow_job: raw, deployment: null }),
    looks: null,
    spool_bytes: null,
    slot_at: null,
  };
}
