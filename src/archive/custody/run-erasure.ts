import { retryable } from '../../errors.ts';
import { bytesBody } from '../../store/put-body.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { runKey, type JobAddress, type RunAddress } from '../keys.ts';
import { runVersions, type StandingRunVersions } from './expired-runs.ts';
import {
  claimRemoval,
  findLocked,
  removeClaimed,
  type Locked,
  type Removable,
  type RemovalDeps,
} from './removal.ts';

/** Takes what tells of people out of a run attempt's object: its next revision leaves that out, and the others go. */

export interface RunErasure {
  readonly address: RunAddress;
  /** What the next revision will say; null where the newest says no more already. */
  readonly next: Readonly<Record<string, unknown>> | null;
  readonly revision: number;
  readonly free: readonly Removable[];
  readonly locked: readonly Locked[];
}

/** What stays of a run: enough for it to add up with its jobs. */
const RUN_KEPT: ReadonlySet<string> = new Set([
  'id',
  'run_number',
  'run_attempt',
  'status',
  'conclusion',
  'event',
  'workflow_id',
  'check_suite_id',
  'head_sha',
  'created_at',
  'updated_at',
  'run_started_at',
]);
/** The same of the job in the run's listing. */
const JOB_KEPT: ReadonlySet<string> = new Set([
  'id',
  'run_id',
  'run_attempt',
  'status',
  'conclusion',
  'head_sha',
  'created_at',
  'started_at',
  'completed_at',
]);
/** Another process may write the revision that was meant; more often than this it is no accident. */
const TRIES_MAX = 10;

/** What is to be done with the object of the attempt that a job ran in; null where nothing is. */
export async function planRunErasure(
  store: ObjectStore,
  { host, owner, repo, runId, runAttempt, jobId }: JobAddress,
  bypassGovernance: boolean,
  now: Date,
): Promise<RunErasure | null> {
  const address = { host, owner, repo, runId, runAttempt };
  const standing = await runVersions(store, address);
  if (standing.newest === null) return null;
  const scrubbed = withoutPeopleOfJob(standing.newest, jobId);
  const isErased = JSON.stringify(scrubbed) === JSON.stringify(standing.newest);
  const newestKey = runKey(address, standing.revision);
  const old = standing.versions.filter(({ key }) => !(isErased && key === newestKey));
  const locked = await findLocked(store, old, bypassGovernance, now);
  const free = old.filter(
    ({ key, versionId }) => !locked.some((it) => it.key === key && it.version_id === versionId),
  );
  if (isErased && old.length === 0) return null;
  return { address, next: isErased ? null : scrubbed, revision: standing.revision, free, locked };
}

/** Writes the next revision, and then removes those before it, with evidence. */
export async function eraseFromRun(
  deps: RemovalDeps,
  { address, next, revision, free }: RunErasure,
  claim: {
    readonly reason: string;
    readonly scope: Readonly<Record<string, string>>;
    readonly bypassGovernance: boolean;
  },
): Promise<{
  readonly removed: number;
  readonly locked: readonly Locked[];
  readonly custody: readonly string[];
}> {
  if (next !== null) await writeNext(deps, address, next, revision);
  if (free.length === 0) return { removed: 0, locked: [], custody: [] };
  const { reason, scope, bypassGovernance } = claim;
  const result = { objects: free.length, locked: 0 };
  const custody = await claimRemoval(deps, { action: 'purge', reason, scope, result }, free);
  return { ...(await removeClaimed(deps.store, free, bypassGovernance)), custody: [custody] };
}

async function writeNext(
  deps: RemovalDeps,
  address: RunAddress,
  next: Readonly<Record<string, unknown>>,
  standing: number,
): Promise<void> {
  for (let revision = standing + 1; revision <= standing + TRIES_MAX; revision += 1) {
    const object = {
      schema: 'everlog.run/v1',
      ...next,
      revision,
      supersedes: runKey(address, revision - 1),
      recorded_at: deps.now().toISOString(),
      archiver: { name: 'everlog', version: deps.version },
    };
    const body = bytesBody(Buffer.from(`${JSON.stringify(object)}\n`));
    const put = await deps.store.putIfAbsent(runKey(address, revision), body, {
      contentType: 'application/json',
      kind: 'other',
    });
    if (put.outcome === 'created') return;
  }
  throw retryable('object_corrupt', `the object of run ${address.runId} is written by others all the time`);
}

function withoutPeopleOfJob(
  newest: NonNullable<StandingRunVersions['newest']>,
  jobId: number,
): Readonly<Record<string, unknown>> {
  const jobs: unknown = newest['jobs'];
  const isMeant = (job: object): boolean => 'id' in job && job.id === jobId;
  return {
    ...newest,
    run: newest.run === null ? null : kept(newest.run, RUN_KEPT),
    ...(Array.isArray(jobs)
      ? { jobs: jobs.map((job: unknown) => (isJsonObject(job) && isMeant(job) ? kept(job, JOB_KEPT) : job)) }
      : {}),
  };
}

function isJsonObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function kept(object: object, names: ReadonlySet<string>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([name]) => names.has(name)));
}
