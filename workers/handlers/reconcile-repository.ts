import { giveUp } from '../../src/errors.ts';
import type { ReconcileRepository } from '../../src/queue/catalog.ts';
import type { AccountDeps } from '../../src/reconcile/account-run.ts';
import type { JobContext } from '../job-context.ts';
import type { Comparison } from '../../src/reconcile/compare-run.ts';
import { isDueEarly, isDueForLook, isScheduled, restOf, windowsOf } from '../../src/reconcile/plan.ts';
import { compareRepository as compare } from '../../src/reconcile/reconcile-repository.ts';
import { lookbackOf } from '../../src/reconcile/compared-note.ts';
import { openSpending } from '../../src/budget/spending.ts';
import { addCounts, newCounts, type Counts } from '../../src/reconcile/tally.ts';
import type { RunNumberGap } from '../../src/reconcile/run-numbers.ts';
import type { ReconcileHostsDeps } from './reconcile-hosts.ts';

export interface ReconcileRepositoryDeps extends ReconcileHostsDeps, AccountDeps {
  readonly missRules: { readonly retentionMs: number };
  /** Told of every repository that was looked through. */
  readonly onReconciled: (counts: Counts, apiCalls: number) => void;
}

/** One that was broken off this long ago begins anew: its windows lie too far back. */
const STALE_MS = 6 * 60 * 60_000;
/** The store's clock may be this much behind. */
const CLOCKS_APART_MS = 5 * 60_000;
/** Run numbers told of in one line of the log. */
const RUN_NUMBERS_SHOWN = 20;

/** What a comparison covered. */
export interface ComparedUntil {
  readonly at: Date;
  /** When the newest run known of the repository began; null: there is none. */
  readonly runAt: Date | null;
}

/** Compares one repository with the archive; put off when its share of the rate budget is spent, it goes on where it was. */
export async function reconcileRepository(
  deps: ReconcileRepositoryDeps,
  given: ReconcileRepository,
  context: JobContext<ReconcileRepository>,
): Promise<ComparedUntil> {
  const host = deps.reconcileHosts.get(given.host);
  if (host === undefined)
    throw giveUp('config_invalid', `no credentials are configured for the GitHub host ${given.host}`);
  const spending = { purpose: 'reconcile', share: deps.reconcileShare, onWait: null } as const;
  const api = openSpending(deps, host.api, spending);
  const { retentionMs } = deps.missRules;
  const daily = given.pass === 'daily';
  const data = fresh(given, deps.now());
  const startedAt = new Date(data.started_at ?? deps.now());
  const lookbackMs = lookbackOf(data.compared_through, startedAt, {
    lookbackMs: deps.reconcileLookbackMs,
    retentionMs,
  });
  let runAt = momentOrNull(data.last_run_at);
  const comparison: Comparison = {
    ...deps,
    api,
    source: 'reconcile',
    readsComplete: daily,
    lookAgain: (record) =>
      isDueEarly(record, deps.now(), retentionMs) || (daily && isDueForLook(record, deps.now(), retentionMs)),
    retentionMs,
    hintSince: context.attempts > 1 ? new Date(startedAt.getTime() - CLOCKS_APART_MS) : null,
  };
  const doneUntil = data.done_until === null ? null : new Date(data.done_until);
  const sum = newCounts();
  const gaps: RunNumberGap[] = [];
  for (const window of windowsOf(data.pass, startedAt, { lookbackMs, retentionMs })) {
    const rest = restOf(window, doneUntil);
    if (rest === null) continue;
    const { counts, runNumberGaps } = await compare(comparison, repositoryPlaceOf(data), rest, {
      isMeant(run, known) {
        if (runAt === null || run.startedAt > runAt) runAt = run.startedAt;
        return isScheduled(run, known.size > 0, startedAt, lookbackMs);
      },
      onWindow: ({ to }) => context.update({ ...data, done_until: to.toISOString() }),
    });
    addCounts(sum, counts);
    gaps.push(...runNumberGaps);
  }
  deps.onReconciled(sum, api.calls());
  const about = {
    host: data.host,
    repo: `${data.owner}/${data.repo}`,
    pass: data.pass,
    api_calls: api.calls(),
  };
  deps.log.info({ ...about, ...sum }, 'repository reconciled');
  if (daily && gaps.length > 0) {
    deps.log.info(
      { ...about, run_numbers: gaps.slice(0, RUN_NUMBERS_SHOWN), count: gaps.length },
      'run numbers without a run: these were deleted',
    );
  }
  return { at: startedAt, runAt };
}

function momentOrNull(text: string | null | undefined): Date | null {
  return text === null || text === undefined ? null : new Date(text);
}

function fresh(data: ReconcileRepository, now: Date): ReconcileRepository {
  const isStale = data.started_at !== null && now.getTime() - Date.parse(data.started_at) > STALE_MS;
  if (data.started_at !== null && !isStale) return data;
  return { ...data, started_at: now.toISOString(), done_until: null };
}

function repositoryPlaceOf(data: ReconcileRepository): Parameters<typeof compare>[1] {
  return {
    host: data.host,
    owner: data.owner,
    repo: data.repo,
    repositoryId: data.repository_id,
    installationId: data.installation_id,
  };
}
