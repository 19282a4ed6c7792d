import { setTimeout as sleep } from 'node:timers/promises';
import { EverlogError, messageOf, retryable, waitUntil } from '../errors.ts';
import type { ApiAnswer, GitHubApi } from '../github/api.ts';
import type { RepositoryRef } from '../github/credentials.ts';
import { budgetOf, notePause, budgetSpent, reserveCalls, type BudgetDeps } from './budget.ts';

/**
 * GitHub's API for upkeep: every call is reserved in the installation's pace, and all upkeep of one purpose together
 * spends no more than its share of the installation's hour. What waits for logs always has the rest.
 */
export interface SpendingApi extends GitHubApi {
  /** Calls made so far. */
  calls(): number;
}

export interface Spending {
  /** What the share is for; those of the same purpose spend it together, in all processes. */
  readonly purpose: 'reconcile' | 'backfill';
  /** Part of the installation's hourly limit, in (0, 1]. */
  readonly share: number;
  /** Told before a wait, where the caller can do nothing but wait; null where a job can be put off instead. */
  readonly onWait: ((until: Date, why: string) => void) | null;
}

/** The window of a share: GitHub's own limits are by the hour. */
const SHARE_WINDOW_MINUTES = 60;
/** A job whose share is spent is put off this long: a twelfth of the hour is free again by then. */
const SHARE_SPENT_WAIT_MS = 5 * 60_000;
/** A turn this near is waited for on the spot: putting a job off and listing again would cost more. */
const NEAR_TURN_MS = 5_000;
/** Passing trouble is tried again this often by those who cannot be put off. */
const RETRIES_MAX = 5;
const RETRY_WAIT_MS = 500;

/** Opens the API for one purpose. */
export function openSpending(deps: BudgetDeps, api: GitHubApi, spending: Spending): SpendingApi {
  let calls = 0;
  let line: Promise<unknown> = Promise.resolve();

  /** One after another, so that two of this process cannot both take the last of the share. */
  function inLine<T>(act: () => Promise<T>): Promise<T> {
    const turn = line.then(act);
    line = turn.catch(() => undefined);
    return turn;
  }

  async function once(path: string, repository: RepositoryRef): Promise<ApiAnswer> {
    const budget = budgetOf(api, repository);
    await inLine(() => agreed(() => take(deps, api, spending, budget, repository)));
    calls += 1;
    try {
      const answer = await api.get(path, repository);
      await notePause(deps, budget, api, repository, null);
      return answer;
    } catch (error) {
      await notePause(deps, budget, api, repository, error);
      throw error;
    }
  }

  return {
    host: api.host,
    rateState: (repository) => api.rateState(repository),
    calls: () => calls,
    get: (path, repository) => patiently(deps, spending, () => once(path, repository)),
  };
}

/** What is agreed with others stands at the queue server, which may be away for a moment. */
async function agreed<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof EverlogError) throw error;
    throw retryable('queue_unavailable', `the queue does not answer: ${messageOf(error)}`, error);
  }
}

/** Takes one call from the share and the pace, or says when there will be one. */
async function take(
  deps: BudgetDeps,
  api: GitHubApi,
  spending: Spending,
  budget: string,
  repository: RepositoryRef,
): Promise<void> {
  const series = `calls:${spending.purpose}:${budget}`;
  const rate = await api.rateState(repository);
  if (rate !== null) {
    const { call: spent = 0 } = await deps.rateLimiter.counted(series, SHARE_WINDOW_MINUTES);
    if (spent >= Math.max(1, Math.floor(rate.limit * spending.share))) {
      const until = new Date(deps.now().getTime() + SHARE_SPENT_WAIT_MS);
      throw waitUntil(
        'github_rate_limited',
        until,
        `${spending.purpose} has spent its share of the rate limit of ${budget}: ${spent} calls within the hour`,
      );
    }
  }
  const turn = await reserveCalls(deps, budget, api.host.product, 1, null);
  if (turn !== null) {
    const waitMs = turn.getTime() - deps.now().getTime();
    if (waitMs > NEAR_TURN_MS) throw budgetSpent(budget, turn);
    await sleep(waitMs);
  }
  await deps.rateLimiter.count(series, 'call');
}

/** Waits out what a queued job would be put off or tried again for. */
async function patiently<T>(deps: BudgetDeps, { onWait }: Spending, act: () => Promise<T>): Promise<T> {
  for (let retries = 0; ;) {
    try {
      return await act();
    } catch (error) {
      if (onWait === null || !(error instanceof EverlogError) || error.remedy.kind === 'give_up') throw error;
      if (error.code === 'installation_suspended') throw error;
      if (error.remedy.kind === 'retry') {
        retries += 1;
        if (retries > RETRIES_MAX) throw error;
      }
      const nowMs = deps.now().getTime();
      const untilMs =
        error.remedy.kind === 'wait' ? error.remedy.until.getTime() : nowMs + RETRY_WAIT_MS * 2 ** retries;
      onWait(new Date(untilMs), messageOf(error));
      await sleep(Math.max(0, untilMs - nowMs));
    }
  }
}
