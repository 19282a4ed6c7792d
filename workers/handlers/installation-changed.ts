import type { InstallationChanged } from '../../src/queue/catalog.ts';
import type { JobQueue } from '../../src/queue/job-queue.ts';
import type { RateLimiter } from '../../src/queue/rate-limiter.ts';
import { budgetNamed } from '../../src/budget/budget.ts';

export interface InstallationChangedDeps {
  readonly rateLimiter: RateLimiter;
  readonly queue: Pick<JobQueue, 'promoteRateLimited'>;
}

/**
 * Acts on news of an installation. Its suspension has ended, or it was removed: either way its rate-limited jobs need not wait any
 * longer, the ones to be fetched and the others to be recorded as forbidden.
 */
export async function installationChanged(
  deps: InstallationChangedDeps,
  data: InstallationChanged,
): Promise<void> {
  await deps.rateLimiter.resume(budgetNamed(data.host, data.installation_id));
  await deps.queue.promoteRateLimited(data.host, data.installation_id);
}
