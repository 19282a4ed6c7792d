import type { InstallationChanged } from '../../src/queue/catalog.ts';
import type { JobQueue } from '../../src/queue/job-queue.ts';
import type { SharedState } from '../../src/queue/shared-state.ts';

export interface InstallationChangedDeps {
  readonly state: SharedState;
  readonly queue: Pick<JobQueue, 'promoteParked'>;
}

/**
 * Acts on news of an installation. Its suspension has ended, or it was removed: either way its parked jobs need not wait any
 * longer, the ones to be fetched and the others to be recorded as forbidden.
 */
export async function installationChanged(
  deps: InstallationChangedDeps,
  data: InstallationChanged,
): Promise<void> {
  await deps.state.resume(`${data.host}/${data.installation_id}`);
  await deps.queue.promoteParked(data.host, data.installation_id);
}
