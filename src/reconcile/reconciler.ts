import type { ObjectStore } from '../store/object-store.ts';
import { countRuns, type CreatedWindow } from '../github/runs.ts';
import type { Account, AccountDeps } from './account-run.ts';
import type { BudgetDeps } from '../budget/budget.ts';
import { settleAttempt, type Comparison, type OpenAttempt } from './compare-run.ts';
import { isScheduled, isWithinRetention } from './plan.ts';
import { compareRepository, type Follower, type RepositoryReport } from './reconcile-repository.ts';
import { openSpending, type Spending } from '../budget/spending.ts';
import {
  listTargets,
  type ReconcileHost,
  type ComparedScope,
  type Skipped,
  type ComparedTarget,
} from './targets.ts';

/** Reconcile and backfill as commands use them: what is compared, and how much of the budget it may take, decided once. */
export interface Reconciler {
  targets(scope: ComparedScope, onSkipped: (skipped: Skipped) => void): AsyncGenerator<ComparedTarget>;
  /** Runs created in a window: one call. */
  count(target: ComparedTarget, window: CreatedWindow): Promise<number>;
  /**
   * Compares a repository and queues what is missing. `lookbackMs`: of the window's runs only those created or run again within
   * it, and those the archive knows; null: all.
   */
  compare(
    target: ComparedTarget,
    window: CreatedWindow,
    lookbackMs: number | null,
    follower: Pick<Follower, 'onOpen' | 'onPage'>,
  ): Promise<RepositoryReport>;
  /** What became of an attempt whose jobs were queued; writes its object when nothing is missing any more. */
  settle(open: OpenAttempt): Promise<Account>;
  /** Calls to GitHub so far. */
  calls(): number;
}

export interface ReconcilerDeps extends AccountDeps, BudgetDeps {
  readonly hosts: ReadonlyMap<string, ReconcileHost>;
  readonly retentionMs: number;
  /** Nothing is written or queued. */
  readonly dryRun: boolean;
}

export function openReconciler(deps: ReconcilerDeps, spending: Spending): Reconciler {
  const hosts = new Map(
    [...deps.hosts].map(([name, { api, installations }]) => [
      name,
      { api: openSpending(deps, api, spending), installations },
    ]),
  );
  const comparisonWith = (host: string): Comparison => {
    const api = hosts.get(host)?.api;
    if (api === undefined) throw new Error(`no host ${host} is open`);
    return {
      ...deps,
      ...(deps.dryRun ? { enqueue: () => Promise.resolve('queued' as const) } : {}),
      api,
      source: spending.purpose,
      readsComplete: true,
      hintSince: null,
      // Somebody asks: the day that the schedule lets pass between looks is not waited for.
      lookAgain:
        spending.purpose === 'reconcile'
          ? (record) => isWithinRetention(record, deps.now(), deps.retentionMs)
          : null,
    };
  };
  return {
    targets: (scope, onSkipped) => listTargets(hosts, scope, onSkipped),
    count: (target, window) => countRuns(comparisonWith(target.host).api, target, window),
    compare(target, window, lookbackMs, follower) {
      const { host, owner, repo, id, installationId } = target;
      const place = { host, owner, repo, repositoryId: id, installationId };
      return compareRepository(comparisonWith(host), place, window, {
        ...follower,
        ...(lookbackMs === null
          ? {}
          : { isMeant: (run, known) => isScheduled(run, known.size > 0, window.to, lookbackMs) }),
      });
    },
    settle: (open) => settleAttempt(comparisonWith(open.attempt.host), open),
    calls: () => [...hosts.values()].reduce((sum, { api }) => sum + api.calls(), 0),
  };
}

/** The archive for one who must not change it: nothing is written, though it is said to be. */
export function readOnly(store: ObjectStore): ObjectStore {
  return { ...store, putIfAbsent: () => Promise.resolve({ outcome: 'created', versionId: null }) };
}
