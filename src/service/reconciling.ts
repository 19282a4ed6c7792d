import { randomInt } from 'node:crypto';
import { openLedgerEnd } from './sealing/closed-ledger.ts';
import { withSealingOutbox } from './sealing/sealing-outbox.ts';
import { openReconciler, readOnly, type Reconciler } from '../reconcile/reconciler.ts';
import { openKnownNames } from '../archive/known-names.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { openHosts } from './hosts.ts';
import { readVersion } from './version.ts';
import type { Config } from '../config.ts';
import type { QueueControl } from '../control/requests.ts';
import { closePlaceGaps, noteMissing, notePlaceGap, noteReconciled } from '../reconcile/reconcile-note.ts';
import type { RateLimiter } from '../queue/rate-limiter.ts';

export type { OpenAttempt } from '../reconcile/compare-run.ts';
export { rerunWindow, slicesOf } from '../reconcile/plan.ts';
export type { Reconciler } from '../reconcile/reconciler.ts';
export { addCounts, newCounts, type Counts } from '../reconcile/tally.ts';
export type { RunNumberGap } from '../reconcile/run-numbers.ts';
export type { ComparedScope, Skipped, ComparedTarget } from '../reconcile/targets.ts';

/** What a command that compares decides. */
export interface Reconciling {
  readonly purpose: 'reconcile' | 'backfill';
  /** Null: a dry run, which writes and queues nothing. */
  readonly queue: Pick<QueueControl, 'add' | 'pending' | 'notes'> | null;
  readonly rateLimiter: RateLimiter;
  readonly onWait: (until: Date, why: string) => void;
}

/** Missing jobs that one command names for the next digests; the service's own passes find and count the others. */
const MISSING_NAMED_MAX = 1_000;

/** Opens what `everlog reconcile` and `everlog backfill` compare with. */
export function openReconciling(
  config: Config,
  archive: ObjectStore,
  { purpose, queue, rateLimiter, onWait }: Reconciling,
): { readonly reconciler: Reconciler; readonly close: () => Promise<void> } {
  const now = (): Date => new Date();
  const { reconcilable, close } = openHosts(config, now);
  const store =
    queue === null
      ? readOnly(archive)
      : withSealingOutbox(archive, queue.pending, openLedgerEnd(archive, now));
  const share = purpose === 'reconcile' ? config.reconcileBudgetShare : config.backfillBudgetShare;
  let named = 0;
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
      rateLimiter,
      random: () => randomInt(2 ** 32) / 2 ** 32,
      hosts: reconcilable,
      retentionMs: config.logRetentionMs,
      onMissing: async (job, completedAt) => {
        if (queue === null || named >= MISSING_NAMED_MAX) return;
        named += 1;
        await noteMissing(queue.notes, job, completedAt);
      },
      addPending: (keys) => queue?.pending.add(keys) ?? Promise.resolve(),
      dryRun: queue === null,
    },
    { purpose, share, onWait },
  );
  return { reconciler, close };
}

/** What could not be looked into, as a command lists it. */
export interface PlaceGap {
  readonly host: string;
  readonly owner: string;
  readonly repo: string;
  readonly reason: string;
}

/**
 * Notes what a command has found, for digests and metrics. `isWhole`: everything could be looked into, so that what could not
 * be before is forgotten; `through` null: not all of the usual time was compared.
 */
export async function noteComparison(
  config: Config,
  notes: QueueControl['notes'],
  found: {
    readonly places: readonly PlaceGap[];
    readonly isWhole: boolean;
    readonly through: Date | null;
  },
): Promise<void> {
  const now = new Date();
  for (const { host, owner, repo, reason } of found.places) {
    const place = { host, owner: owner === '' ? null : owner, repo: repo === '' ? null : repo };
    await notePlaceGap(notes, place, reason, now);
  }
  if (found.isWhole) for (const { github } of config.hosts) await closePlaceGaps(notes, github.host);
  if (found.through === null) return;
  for (const { github, credentials } of config.hosts)
    if (credentials !== null) await noteReconciled(notes, github.host, found.through);
}
