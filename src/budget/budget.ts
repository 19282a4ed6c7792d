import { EverlogError, waitUntil } from '../errors.ts';
import type { GitHubApi } from '../github/api.ts';
import type { RepositoryRef } from '../github/credentials.ts';
import type { Product } from '../github/host.ts';
import type { Pace, RateLimiter } from '../queue/rate-limiter.ts';

/**
 * The rate budget of an installation, shared by all workers (DESIGN decision 10). A job reserves its calls before it calls
 * GitHub; when the budget is paused or spent it is put off to a moment of its own and holds no worker meanwhile. Only that
 * installation waits.
 */
export interface BudgetDeps {
  readonly rateLimiter: RateLimiter;
  readonly now: () => Date;
  /** A number in [0, 1). */
  readonly random: () => number;
}

/** A turn that comes this soon is not worth putting the job off. */
const SOON_MS = 5;
/** What waited for a pause to end does not start in the same instant. */
const RESUME_JITTER_MS = 2_000;

/** What a job that met a pause reserves behind it: its details and its link. */
const POINTS_AFTER_PAUSE = 2;

/**
 * GitHub's secondary limits are 900 points in a minute and 100 requests at once. A minute that begins with a burst holds the
 * burst and what comes after it: 855 in all, so that a twentieth is left for others.
 */
const PUBLIC_PACE: Pace = { pointMs: 60_000 / 765, burstPoints: 90 };
/** A GHES appliance sets no pace of its own; this one only spreads what comes back after a pause. */
const GHES_PACE: Pace = { pointMs: 0.2, burstPoints: 2_000 };

/** Whose budget a call for a repository spends. */
export function budgetOf(
  { host, hasOneBudget }: Pick<GitHubApi, 'host' | 'hasOneBudget'>,
  repository: RepositoryRef,
): string {
  if (hasOneBudget === true) return `${host.host}/token`;
  return budgetNamed(host.host, repository.installationId ?? repository.owner.toLowerCase());
}

/** The name of an installation's budget; of an owner's while the installation is not known. */
export function budgetNamed(host: string, installation: number | string): string {
  return `${host}/${installation}`;
}

/**
 * Reserves `points` API calls. `reservedAt` is the moment that an earlier try reserved.
 * Answers null when it is time, else the moment reserved.
 */
export async function reserveCalls(
  deps: BudgetDeps,
  budget: string,
  product: Product,
  points: number,
  reservedAt: Date | null,
): Promise<Date | null> {
  const nowMs = deps.now().getTime();
  if (
    reservedAt !== null &&
    reservedAt.getTime() <= nowMs + SOON_MS &&
    (await deps.rateLimiter.pausedUntil(budget)) === 0
  ) {
    return null;
  }
  const pace = product === 'ghes' ? GHES_PACE : PUBLIC_PACE;
  const atMs = await deps.rateLimiter.reserve(budget, points, pace);
  return atMs <= nowMs + SOON_MS ? null : new Date(atMs);
}

/**
 * Pauses the budget when GitHub said so: by an error, or by an answer that spent the last of the hour. Where the error is such
 * a pause, answers the turn that was reserved behind it.
 */
export async function notePause(
  deps: BudgetDeps,
  budget: string,
  api: GitHubApi,
  repository: RepositoryRef,
  error: unknown,
): Promise<Date | null> {
  const asked = pauseIn(error);
  const until = asked ?? (await spentUntil(api, repository, deps.now()));
  if (until === null) return null;
  await deps.rateLimiter.pause(budget, until.getTime() + deps.random() * RESUME_JITTER_MS);
  if (asked === null) return null;
  const turn = await reserveCalls(deps, budget, api.host.product, POINTS_AFTER_PAUSE, null);
  return turn ?? asked;
}

/** The error that puts a job off to its turn. */
export function budgetSpent(
  budget: string,
  at: Date,
  code: 'github_rate_limited' | 'installation_suspended' = 'github_rate_limited',
): EverlogError {
  const why =
    code === 'installation_suspended'
      ? 'is suspended'
      : 'has spent its rate budget, or GitHub asked for a pause';
  return waitUntil(code, at, `${budget} ${why}`);
}

function pauseIn(error: unknown): Date | null {
  if (!(error instanceof EverlogError) || error.remedy.kind !== 'wait') return null;
  const pausing = error.code === 'github_rate_limited' || error.code === 'installation_suspended';
  return pausing ? error.remedy.until : null;
}

async function spentUntil(api: GitHubApi, repository: RepositoryRef, now: Date): Promise<Date | null> {
  const state = await api.rateState(repository).catch(() => null);
  return state !== null && state.remaining === 0 && state.resetAt > now ? state.resetAt : null;
}
