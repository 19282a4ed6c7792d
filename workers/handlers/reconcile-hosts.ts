import { EverlogError, messageOf } from '../../src/errors.ts';
import type { GitHubApi } from '../../src/github/api.ts';
import {
  listInstallationRepositories,
  listTokenRepositories,
  type Installation,
  type ListedRepository,
} from '../../src/github/repositories.ts';
import type { Log } from '../../src/log.ts';
import type { NewJob } from '../../src/queue/catalog.ts';
import type { BudgetDeps } from '../budget.ts';
import { isDailyTurn, type Pass } from '../reconcile/plan.ts';
import { openSpending } from '../reconcile/spending.ts';

/** One GitHub host as reconcile needs it. */
export interface ReconcileHost {
  readonly api: GitHubApi;
  /** The App's installations; null where a token serves for every call. */
  readonly installations: (() => AsyncIterable<Installation>) | null;
}

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
 * @throws EverlogError of the first installation or host that could not be listed, when the others are done.
 */
export async function reconcileHosts(deps: ReconcileHostsDeps): Promise<void> {
  const failures: unknown[] = [];
  for (const [name, host] of deps.reconcileHosts) {
    const api = openSpending(deps, host.api, {
      purpose: 'reconcile',
      share: deps.reconcileShare,
      onWait: null,
    });
    try {
      if (host.installations === null) {
        await queueEach(deps, name, listTokenRepositories(api, null));
        continue;
      }
      for await (const { id, account, suspended } of host.installations()) {
        const about = { host: name, installation: id, account };
        if (suspended) {
          deps.log.info(about, 'installation is suspended: it is not looked into');
          continue;
        }
        try {
          await queueEach(deps, name, listInstallationRepositories(api, id));
        } catch (error) {
          if (!(error instanceof EverlogError)) throw error;
          deps.log.warn({ ...about, error: messageOf(error) }, 'its repositories could not be listed');
          failures.push(error);
        }
      }
    } catch (error) {
      if (!(error instanceof EverlogError)) throw error;
      deps.log.warn({ host: name, error: messageOf(error) }, 'the host could not be reconciled');
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}

async function queueEach(
  deps: ReconcileHostsDeps,
  host: string,
  repositories: AsyncIterable<ListedRepository>,
): Promise<void> {
  for await (const repository of repositories) {
    const { id, owner, repo, installationId, activeAt } = repository;
    const now = deps.now();
    const add = (pass: Pass): Promise<unknown> =>
      deps.enqueue({
        name: 'reconcile-repository',
        data: {
          host,
          owner,
          repo,
          repository_id: id,
          installation_id: installationId,
          pass,
          started_at: null,
          done_until: null,
        },
      });
    if (isDailyTurn(id, now, deps.reconcileIntervalMs)) await add('daily');
    else if (activeAt === null || now.getTime() - activeAt.getTime() <= deps.reconcileLookbackMs)
      await add('recent');
  }
}
