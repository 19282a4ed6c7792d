import { forEachInFlight } from '../in-flight.ts';
import type { RunEntry } from '../archive/run-object.ts';
import { listRuns, type CreatedWindow, type ListedRun } from '../github/runs.ts';
import type { Attempt } from './account-run.ts';
import { compareRun, type Comparison, type OpenAttempt } from './compare-run.ts';
import { findKnownAttempts } from './known-attempts.ts';
import { RunNumbers, type RunNumberGap } from './run-numbers.ts';
import { newCounts, type Counts } from './tally.ts';

/** A repository by its present name. */
export type ComparedPlace = Omit<Attempt, 'runId' | 'runAttempt'>;

/** Which runs of a window are compared; the others are listed and passed over. */
export type Meant = (run: ListedRun, known: ReadonlyMap<number, RunEntry>) => boolean;

/** What follows the work as it goes. Awaited, so that whoever cannot take more holds it up. */
export interface Follower {
  /** Default: every run is compared. */
  readonly isMeant?: Meant;
  /** Attempts whose jobs were queued. */
  readonly onOpen?: (open: OpenAttempt) => Promise<void>;
  /** After each page of runs. */
  readonly onPage?: (counts: Counts) => Promise<void>;
  /** After the last run of a window: everything created until then has been compared. */
  readonly onWindow?: (window: CreatedWindow) => Promise<void>;
}

export interface RepositoryReport {
  readonly counts: Counts;
  /** Runs that were deleted before anybody saw them: information. */
  readonly runNumberGaps: readonly RunNumberGap[];
}

/** Runs compared at once. GitHub asks for few requests at a time; the archive's reads are what is sped up. */
const RUNS_IN_FLIGHT = 8;
const NONE: ReadonlyMap<number, RunEntry> = new Map();

/**
 * Compares the runs of a repository that were created in a window with the archive, oldest first, and queues jobs without a
 * record. Attempts that have their object cost no call. What was queued or recorded by an earlier, broken-off comparison is
 * found as such: the archive and the queue are the only memory.
 *
 * Calls to GitHub: one for every 100 runs created in the window, one for every window that held 1,000 and was divided, one
 * for every 100 jobs of a run with an attempt that has no object yet, and one for each earlier attempt that gets its object.
 */
export async function compareRepository(
  deps: Comparison,
  place: ComparedPlace,
  window: CreatedWindow,
  follower: Follower = {},
): Promise<RepositoryReport> {
  const counts = newCounts();
  const numbers = new RunNumbers();
  const names = await deps.names.namesOf(place);
  for await (const page of listRuns(deps.api, place, window)) {
    numbers.see(page.runs);
    counts.unreadable += page.unreadable;
    const ids = page.runs.map(({ id }) => id);
    const known = await findKnownAttempts(deps.store, place.host, names, ids);
    await forEachInFlight(page.runs, RUNS_IN_FLIGHT, async (run) => {
      const attempts = known.get(run.id) ?? NONE;
      if (follower.isMeant?.(run, attempts) === false) return;
      for (const open of await compareRun(deps, place, run, attempts, counts)) {
        await follower.onOpen?.(open);
      }
    });
    await follower.onPage?.(counts);
    if (page.endsWindow) await follower.onWindow?.(page.window);
  }
  return { counts, runNumberGaps: numbers.gaps() };
}
