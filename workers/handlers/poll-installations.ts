import type { Installation } from '../../src/github/repositories.ts';
import type { NewJob, PerHost } from '../../src/queue/catalog.ts';
import { noteInstallations, readInstallations } from '../../src/queue/noted/installations.ts';
import type { KeyValueNotes } from '../../src/queue/key-value-notes.ts';
import type { RateLimiter } from '../../src/queue/rate-limiter.ts';
import { budgetNamed } from '../../src/budget/budget.ts';

export interface PollInstallationsDeps {
  /** The App's installations, by host; only those that are reached as an App have any. */
  readonly installations: ReadonlyMap<string, () => AsyncIterable<Installation>>;
  readonly isInstalled: (host: string, installationId: number) => Promise<boolean>;
  readonly notes: Pick<KeyValueNotes, 'note' | 'noted'>;
  readonly rateLimiter: Pick<RateLimiter, 'pause'>;
  readonly enqueue: (job: NewJob) => Promise<'queued' | 'duplicate'>;
  readonly now: () => Date;
}

/** A suspended installation's jobs rest until a little after the next poll, or until the event of its return. */
const SUSPENDED_PAUSE_MS = 65 * 60_000;
/**
 * Finds out what no event said, or none that arrived: an installation that was suspended, is back, or was removed. What follows
 * is what the event would have done.
 */
export async function pollInstallations(deps: PollInstallationsDeps, data: PerHost): Promise<void> {
  const list = deps.installations.get(data.host);
  if (list === undefined) return;
  const before = (await readInstallations(deps.notes, [data.host])).get(data.host) ?? {};
  const present: Record<string, boolean> = {};
  const changed = async (id: number, action: 'unsuspend' | 'deleted'): Promise<void> => {
    const received_at = deps.now().toISOString();
    await deps.enqueue({
      name: 'installation-changed',
      data: { host: data.host, installation_id: id, action, received_at },
    });
  };
  for await (const { id, suspended } of list()) {
    present[id] = suspended;
    if (suspended)
      await deps.rateLimiter.pause(budgetNamed(data.host, id), deps.now().getTime() + SUSPENDED_PAUSE_MS);
    else if (before[id] === true) await changed(id, 'unsuspend');
  }
  for (const [id, suspended] of Object.entries(before)) {
    if (id in present) continue;
    // A list that is short or empty removes nobody: each is asked for.
    if (await deps.isInstalled(data.host, Number(id))) present[id] = suspended;
    else await changed(Number(id), 'deleted');
  }
  await noteInstallations(deps.notes, data.host, present);
}
