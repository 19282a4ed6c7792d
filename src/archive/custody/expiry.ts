import { CUSTODY_OBJECTS_MAX } from './custody.ts';
import { prepareRules, type ExpiryRule, type RuleFor } from './expiry-rules.ts';
import { expiredRuns } from './expired-runs.ts';
import type { ReadingHooks, StoredRecord } from '../find/find-records.ts';
import { readHolds, type Holds } from './holds.ts';
import { forEachInFlight } from '../../in-flight.ts';
import { versionsOfJob } from './job-versions.ts';
import { matchingJobs } from '../find/matching-jobs.ts';
import { momentOf } from '../record.ts';
import {
  claimRemoval,
  findLocked,
  removeClaimed,
  type Locked,
  type Removable,
  type RemovalDeps,
} from './removal.ts';
import type { RecordFilters } from '../find/record-filters.ts';

/** Removes what is past the rule for its host, owner and repository, with evidence of it. */

export interface ExpiryOptions {
  readonly rules: readonly ExpiryRule[];
  /** Where to look; rules choose among what stands there. */
  readonly filters: RecordFilters;
  readonly host: string | null;
  readonly bypassGovernance: boolean;
  /** Counts what would go and removes nothing. */
  readonly dryRun: boolean;
  /** The rules as they were given, for the custody objects. */
  readonly scope: Readonly<Record<string, string>>;
}

export interface ExpiryReport {
  readonly jobs: number;
  readonly runs: number;
  readonly objects: number;
  /** Jobs and run objects past their rule that stay, as a case holds them. */
  readonly held: number;
  /** The same, as a lock forbids it. */
  readonly lockedCount: number;
  /** The first of the locked objects. */
  readonly locked: readonly Locked[];
  readonly custody: readonly string[];
}

/** Something that goes whole or not at all: a job, or a run attempt. */
export interface Expired {
  readonly type: 'job' | 'run';
  /** In the order in which they go. */
  readonly versions: readonly Removable[];
}

/** Jobs whose versions are looked up at once. */
const JOBS_IN_FLIGHT_MAX = 8;
/** Locked objects told one by one. */
const LOCKED_NAMED_MAX = 100;

/** Removes what has expired; `onProgress` is told of what was looked at. */
export async function expire(
  deps: RemovalDeps,
  options: ExpiryOptions,
  hooks: ReadingHooks,
  onProgress: (looked: number, removed: number) => void,
): Promise<ExpiryReport> {
  const [ruleFor, holds] = await Promise.all([
    prepareRules(deps.store, options.rules),
    readHolds(deps.store, hooks.onProblem),
  ]);
  const expiry = new Expiry(deps, options, ruleFor, holds, onProgress);
  await forEachInFlight(matchingJobs(deps.store, options.filters, hooks), JOBS_IN_FLIGHT_MAX, (stored) =>
    expiry.lookAtJob(stored),
  );
  await expiry.flush();
  // After the jobs: an attempt's object says what jobs there were.
  const isExpired = (place: Parameters<RuleFor>[0], moment: string): boolean => expiry.isPast(place, moment);
  for await (const run of expiredRuns(deps.store, options.filters, isExpired)) await expiry.lookAtRun(run);
  await expiry.flush();
  return expiry.report();
}

class Expiry {
  readonly #deps: RemovalDeps;
  readonly #options: ExpiryOptions;
  readonly #ruleFor: RuleFor;
  readonly #holds: Holds;
  readonly #onProgress: (looked: number, removed: number) => void;
  readonly #startedAt: Date;
  readonly #locked: Locked[] = [];
  readonly #custody: string[] = [];
  #batch: Expired[] = [];
  #batchObjects = 0;
  #flushing: Promise<void> = Promise.resolve();
  #looked = 0;
  #counts = { jobs: 0, runs: 0, objects: 0, held: 0, locked: 0 };

  constructor(
    deps: RemovalDeps,
    options: ExpiryOptions,
    ruleFor: RuleFor,
    holds: Holds,
    onProgress: (looked: number, removed: number) => void,
  ) {
    this.#deps = deps;
    this.#options = options;
    this.#ruleFor = ruleFor;
    this.#holds = holds;
    this.#onProgress = onProgress;
    this.#startedAt = deps.now();
  }

  /** Whether what ended at `moment` is past the rule for its place. A moment that cannot be read never is. */
  isPast(place: Parameters<RuleFor>[0], moment: string): boolean {
    if (this.#options.host !== null && place.host !== this.#options.host) return false;
    const keepMs = this.#ruleFor(place)?.keepMs ?? null;
    return keepMs !== null && Date.parse(moment) < this.#startedAt.getTime() - keepMs;
  }

  async lookAtJob(stored: StoredRecord): Promise<void> {
    this.#looked += 1;
    this.#onProgress(this.#looked, this.#counts.objects);
    if (!this.isPast(stored.record, momentOf(stored.record))) return;
    if (this.#holds.casesOf(stored.address).length > 0) {
      this.#counts.held += 1;
      return;
    }
    // Logs first: as long as its record stands, a crash leaves a job that is found again.
    await this.#take({ type: 'job', versions: await versionsOfJob(this.#deps.store, stored) });
  }

  async lookAtRun(run: {
    readonly host: string;
    readonly runId: number;
    readonly versions: readonly Removable[];
  }): Promise<void> {
    if (this.#holds.holdsRun(run.host, run.runId)) this.#counts.held += 1;
    else await this.#take({ type: 'run', versions: run.versions });
  }

  /** Claims and removes what was taken in. One at a time: jobs are looked up meanwhile. */
  flush(): Promise<void> {
    const batch = this.#batch;
    this.#batch = [];
    this.#batchObjects = 0;
    this.#flushing = this.#flushing.then(() => this.#remove(batch));
    return this.#flushing;
  }

  report(): ExpiryReport {
    const { jobs, runs, objects, held, locked } = this.#counts;
    return {
      jobs,
      runs,
      objects,
      held,
      lockedCount: locked,
      locked: this.#locked,
      custody: this.#custody,
    };
  }

  async #take(expired: Expired): Promise<void> {
    const { bypassGovernance } = this.#options;
    const locked = await findLocked(this.#deps.store, expired.versions, bypassGovernance, this.#startedAt);
    if (locked.length > 0) return this.#noteLocked(locked);
    this.#batch.push(expired);
    this.#batchObjects += expired.versions.length;
    if (this.#batchObjects >= CUSTODY_OBJECTS_MAX) await this.flush();
  }

  #noteLocked(locked: readonly Locked[]): void {
    this.#counts.locked += 1;
    this.#locked.push(...locked.slice(0, Math.max(0, LOCKED_NAMED_MAX - this.#locked.length)));
  }

  async #remove(batch: readonly Expired[]): Promise<void> {
    if (batch.length === 0) return;
    const versions = batch.flatMap((expired) => expired.versions);
    const jobs = batch.filter(({ type }) => type === 'job').length;
    const runs = batch.length - jobs;
    this.#counts.jobs += jobs;
    this.#counts.runs += runs;
    if (this.#options.dryRun) {
      this.#counts.objects += versions.length;
      return;
    }
    const { scope, bypassGovernance } = this.#options;
    const result = { jobs, runs, objects: versions.length };
    const claim = { action: 'expiry', reason: null, scope, result } as const;
    this.#custody.push(await claimRemoval(this.#deps, claim, versions));
    // One object after the other within a job, so that its record goes last.
    await forEachInFlight(each(batch), JOBS_IN_FLIGHT_MAX, async (expired) => {
      for (const version of expired.versions) {
        const { removed, locked } = await removeClaimed(this.#deps.store, [version], bypassGovernance);
        this.#counts.objects += removed;
        if (locked.length > 0) return this.#noteLocked(locked);
      }
    });
  }
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}
