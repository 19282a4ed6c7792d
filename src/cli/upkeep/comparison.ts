import type {
  Counts,
  OpenAttempt,
  Reconciler,
  RunNumberGap,
  ComparedScope,
  Skipped,
  ComparedTarget,
} from '../../service/reconciling.ts';
import { addCounts, newCounts, slicesOf } from '../../service/reconciling.ts';
import { EverlogError, messageOf } from '../../errors.ts';
import { attemptGap, QueuedAttempts, type Gap, type Settled } from './queued-attempts.ts';
import type { QueueControl } from '../../control/requests.ts';

/** What `everlog reconcile` and `everlog backfill` do, apart from reading options and printing. */
export interface ComparisonPlan {
  readonly scope: ComparedScope;
  readonly since: Date;
  readonly until: Date;
  /** Of the window's runs only those created or run again within it, and known ones; null: all. */
  readonly lookbackMs: number | null;
  /** Oldest first over all repositories, within a bounded number of queued jobs, with a count of the runs beforehand. */
  readonly backfill: boolean;
  readonly dryRun: boolean;
  /** Whether it waits until every job has ended or been put off. */
  readonly waits: boolean;
}

export interface ComparisonResult {
  readonly counts: Counts;
  readonly repositories: number;
  readonly gaps: readonly Gap[];
  /** All gaps, those beyond the list included. */
  readonly gapsFound: number;
  readonly skipped: readonly Skipped[];
  readonly runNumberGaps: readonly (RunNumberGap & { readonly repository: string })[];
  readonly queued: number;
  readonly apiCalls: number;
  /** Everything created until then was compared; null when something could not be. */
  readonly reconciledThrough: Date | null;
}

/** How far a comparison is. */
export interface ComparisonProgress {
  readonly repositories: number;
  /** Of the runs looked at, how many there are; null where they were not counted. */
  readonly runsTotal: number | null;
  readonly counts: Counts;
  readonly queued: number;
  readonly apiCalls: number;
}

/** More gaps than this are a flood; they are counted and not listed. */
const GAPS_KEPT_MAX = 20_000;
/** Run numbers told of one command: information. */
const RUN_NUMBERS_KEPT_MAX = 1_000;
/** Queued jobs that have not ended. Past logs must not fill the queue that live ones need. */
const BACKFILL_ROOM_JOBS = 500;
/** What reconcile has found missing is wanted now; the bound is for memory. */
const RECONCILE_ROOM_JOBS = 5_000;
/** Of several repositories all logs of one week are fetched before those of the next expire. */
const BACKFILL_SLICE_MS = 7 * 24 * 60 * 60_000;

/** Runs a comparison to its end. */
export async function runComparison(
  plan: ComparisonPlan,
  reconciler: Reconciler,
  control: Pick<QueueControl, 'stateOf'>,
  onProgress: (progress: ComparisonProgress) => void,
): Promise<ComparisonResult> {
  const comparison = new RunningComparison(plan, reconciler, control, onProgress);
  return comparison.run();
}

class RunningComparison {
  private readonly plan: ComparisonPlan;
  private readonly reconciler: Reconciler;
  private readonly onProgress: (progress: ComparisonProgress) => void;
  private readonly attempts: QueuedAttempts;
  private readonly done = newCounts();
  private readonly settled = newCounts();
  private readonly gaps: Gap[] = [];
  private gapsFound = 0;
  private queued = 0;
  private repositories = 0;
  private runsTotal: number | null = null;
  /** Of the repository being compared. */
  private current: Counts | null = null;
  private isWhole = true;
  private readonly skipped: Skipped[] = [];
  private readonly runNumberGaps: (RunNumberGap & { repository: string })[] = [];

  constructor(
    plan: ComparisonPlan,
    reconciler: Reconciler,
    control: Pick<QueueControl, 'stateOf'>,
    onProgress: (progress: ComparisonProgress) => void,
  ) {
    this.plan = plan;
    this.reconciler = reconciler;
    this.onProgress = onProgress;
    this.attempts = new QueuedAttempts(
      control,
      (open) => reconciler.settle(open),
      plan.backfill ? BACKFILL_ROOM_JOBS : RECONCILE_ROOM_JOBS,
      (settled) => this.onSettled(settled),
    );
  }

  async run(): Promise<ComparisonResult> {
    const { plan } = this;
    const targets = this.reconciler.targets(plan.scope, (skipped) => this.skip(skipped));
    if (plan.backfill) await this.backfill(targets);
    else {
      for await (const target of targets) {
        this.repositories += 1;
        await this.compare(target, { from: plan.since, to: plan.until });
      }
    }
    if (plan.waits) await this.attempts.drain();
    else this.attempts.leave();
    return {
      counts: this.counts(null),
      repositories: this.repositories,
      gaps: this.gaps,
      gapsFound: this.gapsFound,
      skipped: this.skipped,
      runNumberGaps: this.runNumberGaps,
      queued: this.queued,
      apiCalls: this.reconciler.calls(),
      reconciledThrough: this.isWhole ? plan.until : null,
    };
  }

  /** Counts first, so that there is something to measure progress by, then fetches week by week. */
  private async backfill(targets: AsyncIterable<ComparedTarget>): Promise<void> {
    const window = { from: this.plan.since, to: this.plan.until };
    const found: ComparedTarget[] = [];
    for await (const target of targets) {
      this.repositories += 1;
      const runs = await this.tolerant(target, () => this.reconciler.count(target, window));
      if (runs === null || runs === 0) continue;
      this.runsTotal = (this.runsTotal ?? 0) + runs;
      found.push(target);
    }
    this.tell(null);
    const slices = found.length > 1 ? slicesOf(window, BACKFILL_SLICE_MS) : [window];
    for (const slice of slices) for (const target of found) await this.compare(target, slice);
  }

  private async compare(target: ComparedTarget, window: { from: Date; to: Date }): Promise<void> {
    const { dryRun, lookbackMs, backfill, waits } = this.plan;
    await this.tolerant(target, async () => {
      const { counts, runNumberGaps } = await this.reconciler.compare(target, window, lookbackMs, {
        onOpen: async (open) => {
          this.queued += open.queued.length;
          if (dryRun || !(waits || backfill)) this.leaveOpen(open);
          else await this.attempts.add(open);
        },
        onPage: (soFar) => Promise.resolve(this.tell(soFar)),
      });
      addCounts(this.done, counts);
      this.current = null;
      if (counts.unreadable > 0) {
        this.addPlaceGap(target, `GitHub lists ${counts.unreadable} runs or jobs without a usable id`);
      }
      const repository = `${target.owner}/${target.repo}`;
      const room = RUN_NUMBERS_KEPT_MAX - this.runNumberGaps.length;
      this.runNumberGaps.push(...runNumberGaps.slice(0, room).map((gap) => ({ ...gap, repository })));
    });
  }

  /** A repository that cannot be looked into is a gap of its own, and no reason to leave out the others. */
  private async tolerant<T>(target: ComparedTarget, act: () => Promise<T>): Promise<T | null> {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof EverlogError) || error.code.startsWith('queue_')) throw error;
      if (error.code.startsWith('store_')) throw error;
      this.addPlaceGap(target, messageOf(error));
      return null;
    }
  }

  private skip(skipped: Skipped): void {
    this.skipped.push(skipped);
    const { scope } = this.plan;
    // Who asks for an owner by name is not told that nothing is missing there.
    if (skipped.error === null && scope === null) return;
    const owner = skipped.account ?? scope?.owner ?? '';
    const repo = scope?.kind === 'repository' ? scope.repo : '';
    this.addPlaceGap({ host: skipped.host, owner, repo }, skipped.reason);
  }

  private addPlaceGap(place: { host: string; owner: string; repo: string }, reason: string): void {
    this.isWhole = false;
    const { host, owner, repo } = place;
    const nothing = { run_id: null, run_attempt: null, job_id: null, since: null, next_at: null };
    this.addGaps([{ host, owner, repo, reason, ...nothing }]);
  }

  private leaveOpen(open: OpenAttempt): void {
    const reason = this.plan.dryRun ? 'no record' : 'queued now';
    this.addGaps(open.missing.map((jobId) => attemptGap(open, jobId, reason, null)));
  }

  private onSettled({ archived, absent, overturned, gaps }: Settled): void {
    this.settled.archived += archived;
    this.settled.missing -= archived + absent.length;
    for (const { outcome } of absent) this.settled.absent[outcome] = (this.settled.absent[outcome] ?? 0) + 1;
    for (const { from, to } of overturned) {
      this.settled.absent[from] = (this.settled.absent[from] ?? 0) - 1;
      if (to === 'archived') this.settled.archived += 1;
      else this.settled.absent[to] = (this.settled.absent[to] ?? 0) + 1;
    }
    this.addGaps(gaps);
    this.tell(null);
  }

  private addGaps(gaps: readonly Gap[]): void {
    this.gapsFound += gaps.length;
    this.gaps.push(...gaps.slice(0, Math.max(0, GAPS_KEPT_MAX - this.gaps.length)));
  }

  private counts(current: Counts | null): Counts {
    const sum = newCounts();
    for (const part of [this.done, this.settled, ...(current === null ? [] : [current])])
      addCounts(sum, part);
    sum.absent = Object.fromEntries(Object.entries(sum.absent).filter(([, jobs]) => jobs !== 0));
    return sum;
  }

  private tell(current: Counts | null): void {
    if (current !== null) this.current = current;
    this.onProgress({
      repositories: this.repositories,
      runsTotal: this.runsTotal,
      counts: this.counts(this.current),
      queued: this.queued,
      apiCalls: this.reconciler.calls(),
    });
  }
}
