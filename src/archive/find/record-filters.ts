import { isFailed } from './conclusion.ts';
import { momentOf, type JobRecord } from '../record.ts';
import { RunFactsReader, type RunOrigin } from './run-facts.ts';
import type { ObjectStore } from '../../store/object-store.ts';

/** Which records are wanted; every filter given must hold. Names of owners, repositories and people are compared without case. */
export interface RecordFilters {
  readonly host?: string;
  readonly owner?: string;
  /** With the names the repository has borne: records filed under an earlier or later name are of the same repository. */
  readonly repo?: { readonly owner: string; readonly repo: string };
  readonly branch?: string;
  /** Start of a commit's hash, lower-case hex. */
  readonly shaPrefix?: string;
  /** Number of a pull request that the run's object names. */
  readonly pullRequest?: number;
  readonly runId?: number;
  /** Name of a job, or the start of one: a matrix adds its values behind it. */
  readonly job?: string;
  readonly jobId?: number;
  /** Id of a job or of a run. */
  readonly anyId?: number;
  readonly attempt?: number;
  /** Name of a workflow, or the name of its file. */
  readonly workflow?: string;
  readonly event?: string;
  readonly actor?: string;
  readonly conclusion?: string;
  /** Only jobs that failed, timed out or could not start. */
  readonly failed?: boolean;
  readonly outcome?: string;
  /** First moment wanted, by `momentOf`. */
  readonly since?: Date;
  /** Last moment wanted, included. */
  readonly until?: Date;
}

/** The moment a record is sorted and filtered by, in milliseconds since 1970. */
export function momentMsOf(record: JobRecord): number {
  for (const text of [momentOf(record), record.recorded_at]) {
    const ms = Date.parse(text);
    if (!Number.isNaN(ms)) return ms;
  }
  return 0;
}

/**
 * Makes the test that the filters ask for, those of owner and repository left out: they choose where is looked. Where a filter
 * asks for what only a run's object says, that is read, once for each run.
 */
export function openRecordFilter(
  store: ObjectStore,
  filters: RecordFilters,
): (record: JobRecord) => Promise<boolean> {
  const runs = new RunFactsReader(store);
  const asksRun =
    filters.event !== undefined ||
    filters.pullRequest !== undefined ||
    filters.actor !== undefined ||
    isFileName(filters.workflow);
  return async (record) => {
    if (!passesByRecord(record, filters)) return false;
    return !asksRun || passesByRun(record, await runs.of(record), filters);
  };
}

function passesByRecord(record: JobRecord, filters: RecordFilters): boolean {
  const { host, branch, shaPrefix, workflow, conclusion, failed, outcome, since, until } = filters;
  const momentMs = momentMsOf(record);
  return (
    (host === undefined || record.host === host) &&
    (branch === undefined || record.head_branch === branch) &&
    (shaPrefix === undefined || (record.head_sha?.toLowerCase().startsWith(shaPrefix) ?? false)) &&
    (filters.runId === undefined || record.run_id === filters.runId) &&
    (filters.jobId === undefined || record.job_id === filters.jobId) &&
    (filters.anyId === undefined || [record.job_id, record.run_id].includes(filters.anyId)) &&
    (filters.job === undefined || isJobCalled(record.job_name, filters.job)) &&
    (filters.attempt === undefined || (record.run_attempt ?? 1) === filters.attempt) &&
    (workflow === undefined || isFileName(workflow) || record.workflow_name === workflow) &&
    (conclusion === undefined || record.conclusion === conclusion) &&
    (failed !== true || isFailed(record.conclusion)) &&
    (outcome === undefined || record.outcome === outcome) &&
    (since === undefined || momentMs >= since.getTime()) &&
    (until === undefined || momentMs <= until.getTime())
  );
}

function passesByRun(record: JobRecord, run: RunOrigin | null, filters: RecordFilters): boolean {
  const { event, pullRequest, actor, workflow } = filters;
  const isBy = (login: string | null | undefined): boolean => login?.toLowerCase() === actor?.toLowerCase();
  return (
    (event === undefined || run?.event === event) &&
    (pullRequest === undefined || (run?.pullRequests.includes(pullRequest) ?? false)) &&
    (actor === undefined || isBy(record.sender) || isBy(run?.actor)) &&
    (!isFileName(workflow) || workflow === record.workflow_name || workflow === fileNameOf(run))
  );
}

/** Whether a job is meant by a name: `build` means `build (20, linux)` too, and not `build-docs`. */
export function isJobCalled(name: string | null, wanted: string): boolean {
  return (
    name === wanted ||
    (name?.startsWith(`${wanted} (`) ?? false) ||
    (name?.startsWith(`${wanted} / `) ?? false)
  );
}

/** Whether a workflow is given by its file, whose name only a run's object says. */
export function isFileName(workflow: string | undefined): workflow is string {
  return workflow !== undefined && /\.ya?ml$/.test(workflow);
}

function fileNameOf(run: RunOrigin | null): string | undefined {
  return run?.workflowPath?.replace(/@.*$/, '').split('/').at(-1);
}
