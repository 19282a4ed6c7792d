import { giveUp } from '../../errors.ts';
import { readCustodies } from './custody.ts';
import type { ParsedCustody, StoredCustody } from './custody-format.ts';
import { CUSTODY_ROOT, parseKey } from '../keys.ts';
import type { ObjectStore } from '../../store/object-store.ts';

/**
 * Legal holds by case, as custody objects tell them: what a case has added and not released since. A hold is on a job: all its
 * records and logs, whichever of them the custody object names.
 */
export interface Holds {
  /** Cases that hold something now, by name. */
  readonly cases: ReadonlyMap<string, HeldCase>;
  /** When a case was last changed, also one that holds nothing any more; null for one that never held anything. */
  changedAt(name: string): Date | null;
  /** The cases that hold a job, in the order in which they took hold of it. */
  casesOf(job: HeldJob): readonly string[];
  /** Whether a case holds any job of a run. */
  holdsRun(host: string, runId: number): boolean;
}

export interface HeldJob {
  readonly host: string;
  readonly runId: number;
  readonly jobId: number;
}

export interface HeldCase {
  readonly jobs: number;
  /** Who placed the hold first, and how that is known. */
  readonly by: string;
  readonly authenticated: boolean;
  /** Null where the object that says so cannot be read whole. */
  readonly since: string | null;
  /** When the case was last added to or released from; null as `since`. */
  readonly changedAt: string | null;
  readonly reason: string | null;
}

/** Held jobs that are remembered while a command runs, 100 bytes each; a case of more is better served by a lock mode. */
const HELD_JOBS_MAX = 1_000_000;

/** Clocks of what writes custody objects may differ by less than this. */
const RECENT_MS = 2 * 86_400_000;

/**
 * Reads every hold of the archive. A custody object that cannot be read is given to `onProblem` and releases nothing; what one
 * says that it holds counts as held.
 */
export async function readHolds(
  store: ObjectStore,
  onProblem: (key: string, problem: string) => void,
): Promise<Holds> {
  return new HoldsReader(store, onProblem).read(new Date());
}

/** The holds of an archive, read again and again: after the first time only what was written since. */
export class HoldsReader {
  readonly #store: ObjectStore;
  readonly #onProblem: (key: string, problem: string) => void;
  readonly #held = new Map<string, Set<string>>();
  readonly #cases = new Map<string, Omit<HeldCase, 'jobs'>>();
  /** Keys of the last days that were read. */
  #recent = new Set<string>();
  #fromDay: string | undefined;

  constructor(store: ObjectStore, onProblem: (key: string, problem: string) => void) {
    this.#store = store;
    this.#onProblem = onProblem;
  }

  /** The holds as they stand now. */
  async read(now: Date): Promise<Holds> {
    const isNew = (key: string): boolean => !this.#recent.has(key);
    const nextDay = new Date(now.getTime() - RECENT_MS).toISOString().slice(0, 10);
    for await (const { key, read } of readCustodies(this.#store, this.#fromDay, isNew)) {
      this.#take(key, read);
      this.#recent.add(key);
    }
    const after = `${CUSTODY_ROOT}dt=${nextDay}`;
    this.#recent = new Set([...this.#recent].filter((key) => key > after));
    this.#fromDay = nextDay;
    return holdsOf(this.#held, this.#cases);
  }

  #take(key: string, read: ParsedCustody): void {
    const custody = read.ok ? read.custody : read.hold;
    if (!read.ok) {
      const kept = read.hold === null ? '' : '; what it says that it holds counts as held';
      this.#onProblem(key, `no custody object (${read.problem})${kept}`);
    }
    const name = custody?.case ?? null;
    if (custody === null || name === null) return;
    if (custody.action !== 'hold_added' && custody.action !== 'hold_removed') return;
    noteCase(this.#cases, name, read.ok ? read.custody : null);
    for (const job of jobsOfKeys(custody.objects)) {
      if (custody.action === 'hold_added') hold(this.#held, job, name);
      else release(this.#held, job, name);
    }
  }
}

/** Notes who changed a case; null where the object that did does not say so. */
function noteCase(
  cases: Map<string, Omit<HeldCase, 'jobs'>>,
  name: string,
  custody: StoredCustody | null,
): void {
  const known = cases.get(name);
  if (custody === null) {
    const unknown = { by: 'unknown', authenticated: false, since: null, changedAt: null, reason: null };
    cases.set(name, known ?? unknown);
    return;
  }
  const { at, who, reason } = custody;
  if (known !== undefined) cases.set(name, { ...known, since: known.since ?? at, changedAt: at });
  else if (custody.action === 'hold_added') {
    const { name: by, authenticated } = who;
    cases.set(name, { by, authenticated, since: at, changedAt: at, reason });
  }
}

function hold(held: Map<string, Set<string>>, job: string, name: string): void {
  const cases = held.get(job);
  if (cases !== undefined) cases.add(name);
  else held.set(job, new Set([name]));
  if (held.size > HELD_JOBS_MAX)
    throw giveUp('usage', `more than ${HELD_JOBS_MAX} jobs are held: release cases first`);
}

function release(held: Map<string, Set<string>>, job: string, name: string): void {
  const cases = held.get(job);
  if (cases?.delete(name) === true && cases.size === 0) held.delete(job);
}

function holdsOf(
  held: ReadonlyMap<string, ReadonlySet<string>>,
  known: ReadonlyMap<string, Omit<HeldCase, 'jobs'>>,
): Holds {
  const counts = new Map<string, number>();
  const runs = new Set<string>();
  for (const [job, names] of held) {
    runs.add(job.slice(0, job.lastIndexOf('/')));
    for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const cases = new Map<string, HeldCase>();
  for (const [name, about] of known) {
    const jobs = counts.get(name) ?? 0;
    if (jobs > 0) cases.set(name, { jobs, ...about });
  }
  return {
    cases,
    changedAt: (name) => {
      const changedAt = known.get(name)?.changedAt ?? null;
      return changedAt === null ? null : new Date(changedAt);
    },
    casesOf: (job) => [...(held.get(jobPath(job)) ?? [])],
    holdsRun: (host, runId) => runs.has(`${host}/${runId}`),
  };
}

function jobsOfKeys(objects: readonly { readonly key: string }[]): ReadonlySet<string> {
  const jobs = new Set<string>();
  for (const { key } of objects) {
    const parsed = parseKey(key);
    if (parsed?.type === 'record' || parsed?.type === 'log') jobs.add(jobPath(parsed.address));
  }
  return jobs;
}

function jobPath({ host, runId, jobId }: HeldJob): string {
  return `${host}/${runId}/${jobId}`;
}
