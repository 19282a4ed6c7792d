import { CUSTODY_OBJECTS_MAX } from './custody.ts';
import { prepareRules, type ExpiryRule, type RuleFor } from './expiry-rules.ts';
import { expiredRuns, type ExpiredRun } from './expired-runs.ts';
import type { ReadingHooks, StoredRecord } from '../find/find-records.ts';
import { HoldsReader, type Holds } from './holds.ts';
import type { RunAddress } from '../keys.ts';
import { agreedTime } from '../../store/store-clock.ts';
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
  /** Host, owner and name: a custody object tells of one repository, so that it can be shown to whoever may see that one. */
  readonly repository: string;
  readonly isHeld: (holds: Holds) => boolean;
  /** In the order in which they go. */
  readonly versions: readonly Removable[];
}

/** Jobs whose versions are looked up at once. */
const JOBS_IN_FLIGHT_MAX = 8;
/** Locked objects told one by one. */
const LOCKED_NAMED_MAX = 100;

/**
 * Removes what has expired; `onProgress` is told of what was looked at. Holds are read again before anything goes.
 * @throws EverlogError `clock_differs` where this machine's clock is not the store's
 */
export async function expire(
  deps: RemovalDeps,
  options: ExpiryOptions,
  hooks: ReadingHooks,
  onProgress: (looked: number, removed: number) => void,
): Promise<ExpiryReport> {
  // Whatever this machine's clock says, it is by the store's that something is old.
  const startedAt = await agreedTime(deps.store, deps.now);
  const reader = new HoldsReader(deps.store, hooks.onProblem);
  const [ruleFor, holds] = await Promise.all([
    prepareRules(deps.store, options.rules),
    reader.read(startedAt),
  ]);
  const expiry = new Expiry(deps, options, { ruleFor, reader, holds, startedAt }, onProgress);
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
  readonly #reader: HoldsReader;
  #holds: Holds;
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
    terms: {
      readonly ruleFor: RuleFor;
      readonly reader: HoldsReader;
      readonly holds: Holds;
      readonly startedAt: Date;
    },
    onProgress: (looked: number, removed: number) => void,
  ) {
    this.#deps = deps;
    this.#options = options;
    this.#ruleFor = terms.ruleFor;
    this.#reader = terms.reader;
    this.#holds = terms.holds;
    this.#onProgress = onProgress;
    this.#startedAt = terms.startedAt;
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
    const { address } = stored;
    await this.#take({
      type: 'job',
      repository: repositoryPath(address),
      isHeld: (holds) => holds.casesOf(address).length > 0,
      versions: await versionsOfJob(this.#deps.store, stored),
    });
  }

  async lookAtRun({ address, versions }: ExpiredRun): Promise<void> {
    const { host, runId } = address;
    const isHeld = (holds: Holds): boolean => holds.holdsRun(host, runId);
    if (isHeld(this.#holds)) this.#counts.held += 1;
    else await this.#take({ type: 'run', repository: repositoryPath(address), isHeld, versions });
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
    const due = this.#options.dryRun ? batch : await this.#stillDue(batch);
    const repositories = new Map<string, Expired[]>();
    for (const expired of due) {
      const others = repositories.get(expired.repository);
      if (others === undefined) repositories.set(expired.repository, [expired]);
      else others.push(expired);
    }
    for (const expired of repositories.values()) await this.#removeTogether(expired);
  }

  /** What no case and no lock has taken hold of since it was looked at. */
  async #stillDue(batch: readonly Expired[]): Promise<readonly Expired[]> {
    this.#holds = await this.#reader.read(this.#startedAt);
    const due: Expired[] = [];
    for (const expired of batch) {
      if (expired.isHeld(this.#holds)) {
        this.#counts.held += 1;
        continue;
      }
      const { bypassGovernance } = this.#options;
      const locked = await findLocked(this.#deps.store, expired.versions, bypassGovernance, this.#startedAt);
      if (locked.length > 0) this.#noteLocked(locked);
      else due.push(expired);
    }
    return due;
  }

  async #removeTogether(batch: readonly Expired[]): Promise<void> {
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
    await forEachInFlight(batch, JOBS_IN_FLIGHT_MAX, async (expired) => {
      for (const version of expired.versions) {
        const { removed, locked } = await removeClaimed(this.#deps.store, [version], bypassGovernance);
        this.#counts.objects += removed;
        if (locked.length > 0) return this.#noteLocked(locked);
      }
    });
  }
}

function repositoryPath({ host, owner, repo }: RunAddress): string {
  return `${host}/${owner}/${repo}`;
}
