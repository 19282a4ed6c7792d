import { randomInt } from 'node:crypto';
import { hintingStore } from '../../workers/hinting-store.ts';
import { openReconciler, readOnly, type Reconciler } from '../../workers/reconcile/reconciler.ts';
import { openKnownNames } from '../archive/known-names.ts';
import type { ObjectStore } from '../archive/object-store.ts';
import { openHosts } from './hosts.ts';
import { readVersion } from './version.ts';
import type { Config } from '../config.ts';
import type { QueueControl } from '../control/requests.ts';
import type { SharedState } from '../queue/shared-state.ts';

export type { OpenAttempt } from '../../workers/reconcile/compare-run.ts';
export { rerunWindow, slicesOf } from '../../workers/reconcile/plan.ts';
export type { Reconciler } from '../../workers/reconcile/reconciler.ts';
export { addCounts, newCounts, type Counts } from '../../workers/reconcile/tally.ts';
export type { RunNumberGap } from '../../workers/reconcile/run-numbers.ts';
export type { Scope, Skipped, Target } from '../../workers/reconcile/targets.ts';

/** What a command that compares decides. */
export interface Reconciling {
  readonly purpose: 'reconcile' | 'backfill';
  /** Null: a dry run, which writes and queues nothing. */
  readonly queue: Pick<QueueControl, 'add' | 'pending'> | null;
  readonly state: SharedState;
  readonly onWait: (until: Date, why: string) => void;
}

/** Opens what `everlog reconcile` and `everlog backfill` compare with. */
export function openReconciling(
  config: Config,
  archive: ObjectStore,
  { purpose, queue, state, onWait }: Reconciling,
): { readonly reconciler: Reconciler; readonly close: () => Promise<void> } {
  const now = (): Date => new Date();
  const { reconcilable, close } = openHosts(config, now);
  const store = queue === null ? readOnly(archive) : hintingStore(archive, queue.pending);
  const share = purpose === 'reconcile' ? config.reconcileBudgetShare : config.backfillBudgetShare;
  const reconciler = openReconciler(
    {
      store,
      names: openKnownNames(store, now),
      enqueue: (job) => {
        if (queue !== null && job.name === 'archive-job') return queue.add(job);
        throw new Error(`a command does not add ${job.name}`);
      },
      version: readVersion(),
      now,
      state,
      random: () => randomInt(2 ** 32) / 2 ** 32,
      hosts: reconcilable,
      retentionMs: config.logRetentionMs,
      hint: (keys) => queue?.pending.add(keys) ?? Promise.resolve(),
      dryRun: queue === null,
    },
    { purpose, share, onWait },
  );
  return { reconciler, close };
}
