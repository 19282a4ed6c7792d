import { z } from 'zod';
import { findRunEntries } from '../../src/archive/run-object.ts';
import { giveUp, waitUntil } from '../../src/errors.ts';
import type { GitHubApi } from '../../src/github/api.ts';
import { isRepositoryVisible, listAttemptJobs, readAnswer, witnessRun } from '../../src/github/lists.ts';
import type { SweepRun } from '../../src/queue/catalog.ts';
import {
  accountForJobs,
  recordAttempt,
  type AccountDeps,
  type Attempt,
} from '../../src/reconcile/account-run.ts';
import type { MissRules } from '../absence.ts';
import type { HostAccess } from '../archive-run.ts';
import { budgetOf, notePause, budgetSpent, reserveCalls, type BudgetDeps } from '../../src/budget/budget.ts';
import type { JobContext } from '../job-context.ts';

export interface SweepRunDeps extends AccountDeps, BudgetDeps {
  readonly hosts: ReadonlyMap<string, HostAccess>;
  readonly missRules: Pick<MissRules, 'waitsMs'>;
}

/** The run, and one page of its jobs. */
const POINTS = 2;
/** Waits until an attempt whose jobs are being archived is looked at again; the last one repeats. */
const ROUND_WAITS_MS = [15_000, 60_000, 5 * 60_000, 30 * 60_000, 3 * 60 * 60_000] as const;
/** An attempt that is still running is looked at again after this; its end brings the look forward. */
const RUNNING_WAIT_MS = 6 * 60 * 60_000;
/** A run ends within 35 days (GitHub's limit), so a sweep that has waited longer waits for nothing. */
const ROUNDS_MAX = 300;

const runSchema = z.object({ id: z.int(), status: z.string().nullish().catch(null) });

/**
 * Accounts for one attempt of a run: lists its jobs, queues those without a record, and writes the attempt's object when all
 * have one. Repeats itself until then.
 * @throws EverlogError `job_not_finished`, `github_rate_limited` (wait).
 */
export async function sweepRun(
  deps: SweepRunDeps,
  data: SweepRun,
  context: JobContext<SweepRun>,
): Promise<void> {
  const host = deps.hosts.get(data.host);
  if (host === undefined) {
    throw giveUp('config_invalid', `no credentials are configured for the GitHub host ${data.host}`);
  }
  const attempt: Attempt = {
    host: data.host,
    owner: data.owner,
    repo: data.repo,
    repositoryId: data.repository_id,
    installationId: data.installation_id,
    runId: data.run_id,
    runAttempt: data.run_attempt,
  };
  const standing = await findRunEntries(
    deps.store,
    data.host,
    await deps.names.namesOf(attempt),
    data.run_id,
  );
  const recorded = standing.get(data.run_attempt);
  if (recorded !== undefined) return deps.addPending([recorded.key]);
  const budget = budgetOf(host.api, attempt);
  const turn = await reserveCalls(deps, budget, host.api.host.product, POINTS, null);
  if (turn !== null) throw budgetSpent(budget, turn);
  try {
    const next = await sweepAttempt(deps, host.api, attempt, data);
    await notePause(deps, budget, host.api, attempt, null);
    if (next === null) return;
    if (data.rounds >= ROUNDS_MAX) throw giveUp('job_not_finished', `run ${data.run_id} was never complete`);
    await context.update({ ...data, rounds: data.rounds + 1, gone_looks: next.goneLooks ?? 0 });
    throw waitUntil('job_not_finished', new Date(deps.now().getTime() + next.waitMs), next.why);
  } catch (error) {
    await notePause(deps, budget, host.api, attempt, error);
    throw error;
  }
}

/** Another look is needed. */
interface Next {
  readonly waitMs: number;
  readonly why: string;
  /** Looks in a row that found no run; without one it was found. */
  readonly goneLooks?: number;
}

/** One look; null when the attempt is accounted for, else when to look again. */
async function sweepAttempt(
  deps: SweepRunDeps,
  api: GitHubApi,
  attempt: Attempt,
  data: SweepRun,
): Promise<Next | null> {
  const path = `/repos/${attempt.owner}/${attempt.repo}/actions/runs/${attempt.runId}/attempts/${attempt.runAttempt}`;
  const answer = await api.get(path, attempt);
  const said = answer.status === 200 ? readAnswer(answer, api) : null;
  const run = said === null ? null : runSchema.safeParse(said.value);
  const listing =
    run?.success === true ? await listAttemptJobs(api, attempt, attempt.runId, attempt.runAttempt) : null;
  if (said === null || run?.success !== true || listing === null || listing.kind === 'missing') {
    return gone(deps, api, attempt, data);
  }
  const account = await accountForJobs(deps, attempt, listing.jobs, 'sweep', null);
  const unknown = listing.unreadable.length;
  const open = account.missing.length + account.unfinished.length + unknown;
  if (open === 0 && (run.data.status ?? 'completed') === 'completed') {
    await recordAttempt(deps, attempt, said.json, listing.jobs, account, null);
    return null;
  }
  if (account.missing.length + unknown === 0)
    return { waitMs: RUNNING_WAIT_MS, why: `run ${attempt.runId} is not over` };
  const waitMs = ROUND_WAITS_MS[Math.min(data.rounds, ROUND_WAITS_MS.length - 1)] ?? RUNNING_WAIT_MS;
  const why = `${account.missing.length} jobs of run ${attempt.runId} have no record yet`;
  const odd = `, and ${unknown} that GitHub lists cannot be read: ${listing.unreadable[0] ?? ''}`;
  return { waitMs, why: unknown === 0 ? why : why + odd };
}

/** A run that was announced and is gone: deleted when its repository can still be seen, else nothing can be said. */
async function gone(
  deps: SweepRunDeps,
  api: GitHubApi,
  attempt: Attempt,
  data: SweepRun,
): Promise<Next | null> {
  if (!(await isRepositoryVisible(api, attempt))) {
    if (data.rounds >= ROUND_WAITS_MS.length) {
      throw giveUp(
        'github_refused',
        `run ${attempt.runId}: GitHub gives no access to ${attempt.owner}/${attempt.repo}`,
      );
    }
    const waitMs = ROUND_WAITS_MS[data.rounds] ?? RUNNING_WAIT_MS;
    return { waitMs, why: `GitHub gives no access to ${attempt.owner}/${attempt.repo}` };
  }
  // As many looks as at a log that is missing: an incident, or a new run that is not readable everywhere yet, passes.
  const looks = data.gone_looks ?? 0;
  const waitMs = deps.missRules.waitsMs[looks];
  if (waitMs !== undefined)
    return { waitMs, why: `run ${attempt.runId} is not found (look ${looks + 1})`, goneLooks: looks + 1 };
  if ((await witnessRun(api, attempt, attempt.runId)) !== 'gone') {
    const why = `run ${attempt.runId} is not found, nor are its neighbours: that proves no deletion`;
    return { waitMs: ROUND_WAITS_MS[2], why, goneLooks: looks };
  }
  await recordAttempt(deps, attempt, null, [], { archived: [], absent: [] }, null);
  return null;
}
