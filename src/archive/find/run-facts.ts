import { findRunEntries, readRun } from '../run-object.ts';
import type { JobRecord } from '../record.ts';
import type { ObjectStore } from '../../store/object-store.ts';

/** What a run's object says of all its jobs, and their records do not. */
export interface RunOrigin {
  /** What started the run, such as `push`. */
  readonly event: string | null;
  /** Who started it. */
  readonly actor: string | null;
  /** Numbers of the pull requests that GitHub named. */
  readonly pullRequests: readonly number[];
  /** Path of the workflow's file in the repository. */
  readonly workflowPath: string | null;
}

/** Runs kept in memory, a few hundred bytes each. Jobs of one run stand together in a listing. */
const RUNS_KEPT_MAX = 2_000;
/** GitHub names a handful; more are not looked at. */
const PULL_REQUESTS_MAX = 100;

/** Reads what run objects say, each once. A run that has none yet, or whose object cannot be read, has no facts: null. */
export class RunFactsReader {
  readonly #store: ObjectStore;
  readonly #kept = new Map<string, Promise<RunOrigin | null>>();

  constructor(store: ObjectStore) {
    this.#store = store;
  }

  /**
   * What stands of the run attempt of a job.
   * @throws EverlogError where the store does not answer.
   */
  async of(
    record: Pick<JobRecord, 'host' | 'owner' | 'repo' | 'run_id' | 'run_attempt'>,
  ): Promise<RunOrigin | null> {
    const { host, run_id, run_attempt } = record;
    const name = { owner: record.owner.toLowerCase(), repo: record.repo.toLowerCase() };
    const attempt = run_attempt ?? 1;
    const id = `${host}/${name.owner}/${name.repo}/${run_id}/${attempt}`;
    const kept = this.#kept.get(id);
    if (kept !== undefined) return kept;
    if (this.#kept.size >= RUNS_KEPT_MAX) {
      for (const oldest of this.#kept.keys()) {
        this.#kept.delete(oldest);
        break;
      }
    }
    const reading = this.#read(host, name, run_id, attempt);
    this.#kept.set(id, reading);
    return reading;
  }

  async #read(
    host: string,
    name: { readonly owner: string; readonly repo: string },
    runId: number,
    attempt: number,
  ): Promise<RunOrigin | null> {
    const entry = (await findRunEntries(this.#store, host, [name], runId)).get(attempt);
    const run = entry === undefined ? null : await readRun(this.#store, entry.key);
    return run === null ? null : parseRunFacts(run.run?.value());
  }
}

/** Reads GitHub's run; a member that is not of its type says nothing. */
function parseRunFacts(run: unknown): RunOrigin | null {
  if (typeof run !== 'object' || run === null) return null;
  const actor = memberOf(memberOf(run, 'triggering_actor') ?? memberOf(run, 'actor'), 'login');
  const pulls = memberOf(run, 'pull_requests');
  return {
    event: textOr(memberOf(run, 'event')),
    actor: textOr(actor),
    workflowPath: textOr(memberOf(run, 'path')),
    pullRequests: (Array.isArray(pulls) ? pulls.slice(0, PULL_REQUESTS_MAX) : [])
      .map((pull: unknown) => memberOf(pull, 'number'))
      .filter((number) => typeof number === 'number'),
  };
}

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return Object.entries(value).find(([key]) => key === name)?.[1] ?? undefined;
}

function textOr(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
