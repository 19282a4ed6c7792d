import type { Log } from '../../src/logger.ts';
import type { NewJob } from '../../src/queue/catalog.ts';
import type { BudgetDeps } from '../../src/budget/budget.ts';
import { isDailyTurn, type Pass } from '../../src/reconcile/plan.ts';
import {
  comparedField,
  isActive,
  type ComparedRepository,
  type ComparedRepositories,
} from '../../src/reconcile/compared-note.ts';
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

/** What earlier passes noted, and what this one notes, of each repository. */
export interface PassNotes {
  /** When the last pass over a host began; null: there was none. */
  readonly lastAt: ReadonlyMap<string, Date>;
  readonly compared: ComparedRepositories;
  note(field: string, compared: ComparedRepository | null): Promise<void>;
}

/**
 * Queues one job for each repository that is to be looked into now: recently active ones each interval, every one daily, at a
 * turn of its own. A repository whose job still waits or runs is not queued again. Suspended installations are told of and
 * passed over. One call for every 100 installations and for every 100 repositories of each.
 * @throws EverlogError of the first host or installation that could not be listed, when the others are done.
 */
export async function reconcileHosts(deps: ReconcileHostsDeps, notes: PassNotes): Promise<void> {
  // One moment for all: a pass that crosses into the next interval must not pass over the turns of its own.
  const now = deps.now();
  const spending = { purpose: 'reconcile', share: deps.reconcileShare, onWait: null } as const;
  const hosts = new Map(
    [...deps.reconcileHosts].map(([name, { api, installations }]) => [
      name,
      { api: openSpending(deps, api, spending), installations },
    ]),
  );
  const failures: Error[] = [];
  const seen = new Set<string>();
  const suspended = new Set<string>();
  const targets = listTargets(hosts, null, ({ error, ...skipped }) => {
    deps.log.warn(skipped, 'repositories are not looked into');
    if (error !== null) failures.push(error);
    else if (skipped.suspended) suspended.add(`${skipped.host}/${skipped.installation ?? ''}`);
  });
  for await (const { id, host, owner, repo, installationId, activeAt } of targets) {
    const field = comparedField(host, id);
    const known = notes.compared.get(field);
    seen.add(field);
    if (known === undefined || known.suspended) {
      const { at = null, run_at = null } = known ?? {};
      await notes.note(field, { at, run_at, installation_id: installationId, suspended: false });
    }
    const isDaily = isDailyTurn(id, now, deps.reconcileIntervalMs, notes.lastAt.get(host) ?? null);
    if (!isDaily && !isActive(known, activeAt, now, deps.reconcileLookbackMs)) continue;
    const pass: Pass = isDaily ? 'daily' : 'recent';
    const before = { compared_through: known?.at ?? null, last_run_at: known?.run_at ?? null };
    const data = { host, owner, repo, repository_id: id, installation_id: installationId, pass };
    await deps.enqueue({
      name: 'reconcile-repository',
      data: { ...data, started_at: null, done_until: null, ...before },
    });
  }
  if (failures[0] !== undefined) throw failures[0];
  for (const [field, known] of notes.compared) {
    if (seen.has(field)) continue;
    const host = field.slice(0, field.lastIndexOf('/'));
    const rests = suspended.has(`${host}/${known.installation_id ?? ''}`);
    if (!rests) await notes.note(field, null);
    else if (!known.suspended) await notes.note(field, { ...known, suspended: true });
  }
}
