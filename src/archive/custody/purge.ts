import { giveUp } from '../../errors.ts';
import { commitErasure, draftFrom, type RecordDraft } from '../commit.ts';
import { findRecords, newestRevisions, readRecord, tellFlaws } from '../find/find-records.ts';
import type { ReadingHooks, StoredRecord } from '../find/find-records.ts';
import type { Holds } from './holds.ts';
import type { JobReference } from '../find/job-reference.ts';
import { versionsOfJob, type JobVersion } from './job-versions.ts';
import { recordsPrefix } from '../keys.ts';
import { JsonText } from '../../json-text.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import type { JobRecord } from '../record.ts';
import { claimRemoval, findLocked, removeClaimed, type Locked, type RemovalDeps } from './removal.ts';
import { eraseFromRun, planRunErasure, type RunErasure } from './run-erasure.ts';
import { findNameHistory } from '../repository-names.ts';

/** Removes one job's logs for good, with evidence of it: for leaked secrets and duties of erasure. */

/** What a record says in place of GitHub's words once nothing may tell of people. */
const NOTHING = JsonText.of({});

export interface PurgeOptions {
  readonly reason: string;
  /** Removes the record's revisions too, and leaves out of the next one what may tell of people. */
  readonly record: boolean;
  readonly bypassGovernance: boolean;
}

/** One place of a job; a job seen under two names or attempts has several. */
export interface PurgeCopy {
  readonly newest: StoredRecord;
  /** What will go. */
  readonly free: readonly JobVersion[];
  readonly locked: readonly Locked[];
  /** Whether a log stays behind a lock, so that the job is not erased. */
  readonly keepsLog: boolean;
  /** Whether its newest record says already what a purge would make it say. */
  readonly isErased: boolean;
}

export interface PurgePlan {
  readonly host: string;
  readonly jobId: number;
  readonly copies: readonly PurgeCopy[];
  /** What is to be done with the objects of the attempts that it ran in; empty without `record`. */
  readonly runs: readonly RunErasure[];
  /** Cases that hold the job: nothing of it goes. */
  readonly heldBy: readonly string[];
}

export interface PurgeResult {
  readonly removed: number;
  readonly locked: readonly Locked[];
  /** Keys of the records that say so; none where a log stays. */
  readonly erased: readonly string[];
  readonly custody: readonly string[];
}

/** Finds what a purge of one job would remove, and what forbids it; null when the archive does not know the job. */
export async function planPurge(
  store: ObjectStore,
  reference: JobReference,
  host: string | null,
  holds: Holds,
  options: PurgeOptions,
  now: Date,
  hooks: ReadingHooks,
): Promise<PurgePlan | null> {
  const { records } = await findRecords(store, reference, hooks);
  const askedFor = reference.kind === 'id' ? reference.id : reference.jobId;
  // A bare id may be a run's: its jobs are not what somebody meant to erase.
  const meant = records.filter(
    ({ record }) => (host === null || record.host === host) && record.job_id === askedFor,
  );
  const [first, second] = meant;
  if (first === undefined) return null;
  if (second !== undefined) {
    throw giveUp(
      'usage',
      `--job ${askedFor ?? ''} means several jobs; name one by its address or by HOST/ID`,
    );
  }
  const copies: PurgeCopy[] = [];
  for (const newest of await copiesOf(store, first, hooks)) {
    const versions = await versionsOfJob(store, newest);
    const isErased = saysErased(newest.record, options);
    const meantVersions = versions.filter(
      ({ key, type }) => type === 'log' || (options.record && !(isErased && key === newest.key)),
    );
    const locked = await findLocked(store, meantVersions, options.bypassGovernance, now);
    const isLocked = (version: JobVersion): boolean =>
      locked.some(({ key, version_id }) => key === version.key && version_id === version.versionId);
    copies.push({
      newest,
      free: meantVersions.filter((version) => !isLocked(version)),
      locked,
      keepsLog: versions.some((version) => version.type === 'log' && isLocked(version)),
      isErased,
    });
  }
  const runs: RunErasure[] = [];
  for (const { newest } of options.record ? copies : []) {
    const erasure = await planRunErasure(store, newest.address, options.bypassGovernance, now);
    if (erasure !== null) runs.push(erasure);
  }
  const { host: jobHost, job_id: jobId, run_id: runId } = first.record;
  return { host: jobHost, jobId, copies, runs, heldBy: holds.casesOf({ host: jobHost, runId, jobId }) };
}

/** Whether the plan would change anything. */
export function hasWork(plan: PurgePlan): boolean {
  if (plan.runs.some(({ next, free }) => next !== null || free.length > 0)) return true;
  return plan.copies.some(({ free, keepsLog, isErased }) => free.length > 0 || (!keepsLog && !isErased));
}

/** Writes down what goes, removes it, and records the job as erased. */
export async function purge(deps: RemovalDeps, plan: PurgePlan, options: PurgeOptions): Promise<PurgeResult> {
  const { store } = deps;
  const { reason, bypassGovernance } = options;
  const locked: Locked[] = [];
  const erased: string[] = [];
  const custody: string[] = [];
  let removed = 0;
  for (const copy of plan.copies) {
    locked.push(...copy.locked);
    if (copy.free.length === 0 && (copy.keepsLog || copy.isErased)) continue;
    const scope = {
      job: `${plan.host}/${plan.jobId}`,
      record: String(options.record),
      bypass_governance: String(bypassGovernance),
    };
    const result = { objects: copy.free.length, locked: copy.locked.length };
    const claim = await claimRemoval(deps, { action: 'purge', reason, scope, result }, copy.free);
    custody.push(claim);
    const logs = await removeClaimed(store, ofType(copy.free, 'log'), bypassGovernance);
    removed += logs.removed;
    locked.push(...logs.locked);
    if (copy.keepsLog || logs.locked.length > 0) continue;
    // Before its records go, so that at no moment the job looks as if it had never been seen.
    if (!copy.isErased)
      erased.push(
        await commitErasure(store, copy.newest, (record) => erasureOf(record, claim, deps, options)),
      );
    const records = await removeClaimed(store, ofType(copy.free, 'record'), bypassGovernance);
    removed += records.removed;
    locked.push(...records.locked);
  }
  for (const run of plan.runs) {
    const scope = {
      job: `${plan.host}/${plan.jobId}`,
      record: 'true',
      bypass_governance: String(bypassGovernance),
    };
    const erasure = await eraseFromRun(deps, run, { reason, scope, bypassGovernance });
    removed += erasure.removed;
    locked.push(...run.locked, ...erasure.locked);
    custody.push(...erasure.custody);
  }
  return { removed, locked, erased, custody };
}

/** The newest record of each place of a job: under its run in any attempt, and under any name of its repository. */
async function copiesOf(
  store: ObjectStore,
  found: StoredRecord,
  hooks: ReadingHooks,
): Promise<StoredRecord[]> {
  const { host, owner, repo, run_id: runId } = found.record;
  const { names } = await findNameHistory(store, host, owner, repo);
  const copies: StoredRecord[] = [];
  for (const name of names) {
    for await (const entry of newestRevisions(store.list(recordsPrefix({ host, ...name, runId })))) {
      if (entry.address.jobId !== found.record.job_id) continue;
      const read = await readRecord(store, entry);
      if (!read.ok) {
        hooks.onProblem(entry.key, read.problem);
        continue;
      }
      tellFlaws(hooks, read.stored);
      copies.push(read.stored);
    }
  }
  return copies;
}

/** With `--record` only a record that tells of nobody is enough. */
function saysErased(record: JobRecord, options: PurgeOptions): boolean {
  return record.outcome === 'erased' && (!options.record || record.job.text === NOTHING.text);
}

/** Without `--record` the record keeps saying of the job what it said. */
function erasureOf(record: JobRecord, claim: string, deps: RemovalDeps, options: PurgeOptions): RecordDraft {
  return {
    ...draftFrom(record),
    ...(options.record ? withoutPeople(record) : {}),
    outcome: 'erased',
    absence: {
      reason: `removed on request: ${claim}`,
      api_status: null,
      log_status: null,
      tries: 0,
      first_tried_at: null,
      last_tried_at: null,
    },
    recorded_at: deps.now().toISOString(),
    archiver: { name: 'everlog', version: deps.version },
  };
}

/** What people chose or were: names, branches and machines. Ids, times, commit and conclusion stay, so that the run adds up. */
function withoutPeople(record: JobRecord): Partial<RecordDraft> {
  return {
    job_name: null,
    workflow_name: null,
    head_branch: null,
    runner_name: null,
    labels: [],
    sender: null,
    deployment: null,
    job: NOTHING,
    job_sha256: null,
    fetch: { ...record.fetch, delivery_ids: [], etag: null, request_id: null },
  };
}

function ofType(versions: readonly JobVersion[], type: JobVersion['type']): JobVersion[] {
  return versions.filter((version) => version.type === type);
}
