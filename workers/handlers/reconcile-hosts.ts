import type { Log } from '../../src/logger.ts';
import type { NewJob } from '../../src/queue/catalog.ts';
import type { BudgetDeps } from '../../src/budget/budget.ts';
import { isDailyTurn, type Pass } from '../../src/reconcile/plan.ts';
import { openSpending } from '../../src/budget/spending.ts';
import { listTargets, type ReconcileHost } from '../../src/reconcile/targets.ts';

export interface ReconcileHostsDeps extends BudgetDeps {
  readonly reconcileHosts: ReadonlyMap<string, ReconcileHost>;
  readonly enqueue: (job: NewJob) => Promise<'queued' | 'duplicate'>;
  readonly reconcileIntervalMs: number;
  readonly reconcileLookbackMs: number;
  readonly reconcileShare: number;
  readonly log: Log;
}

/**
 * Queues one job for each repository that is to be looked into now: recently active ones each interval, every one daily, at a
 * turn of its own. A repository whose job still waits or runs is not queued again. Suspended installations are told of and
 * passed over. One call for every 100 installations and for every 100 repositories of each.
 * @throws EverlogError of the first host or installation that could not be listed, when the others are done.
 */
export async function reconcileHosts(deps: ReconcileHostsDeps): Promise<void> {
  const spending = { purpose: 'reconcile', share: deps.reconcileShare, onWait: null } as const;
  const hosts = new Map(
    [...deps.reconcileHosts].map(([name, { api, installations }]) => [
      name,
      { api: openSpending(deps, api, spending), installations },
    ]),
  );
  const failures: Error[] = [];
  const targets = listTargets(hosts, null, ({ error, ...skipped }) => {
    deps.log.warn(skipped, 'repositories are not looked into');
    if (error !== null) failures.push(error);
  });
  for await (const { id, host, owner, repo, installationId, activeAt } of targets) {
    const now = deps.now();
    const isActive = activeAt === null || now.getTime() - activeAt.getTime() <= deps.reconcileLookbackMs;
    const isDaily = isDailyTurn(id, now, deps.reconcileIntervalMs);
    if (!isActive && !isDaily) continue;
    const pass: Pass = isDaily ? 'daily' : 'recent';
    const data = { host, owner, repo, repository_id: id, installation_id: installationId, pass };
    await deps.enqueue({
      name: 'reconcile-repository',
      data: { ...data, started_at: null, done_until: null },
    });
  }
  if (failures[0] !== undefined) throw failures[0];
}
