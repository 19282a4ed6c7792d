import { z } from 'zod';
import { messageOf } from '../errors.ts';
import type { BullJob, BullQueue } from './queue-storage.ts';

/** Jobs that wait for their budget: those that have a turn reserved. */
const rateLimitedSchema = z.object({ host: z.string(), installation_id: z.number(), slot_at: z.string() });
const PAGE_JOBS = 1_000;

/** Lets an installation's rate-limited jobs run now; answers how many. */
export async function promoteRateLimited(
  queue: BullQueue,
  host: string,
  installationId: number,
): Promise<number> {
  let promoted = 0;
  let passed = 0;
  for (;;) {
    const page = await queue.getJobs(['delayed'], passed, passed + PAGE_JOBS - 1, true);
    for (const job of page) {
      const limited = rateLimitedSchema.safeParse(job.data);
      const mine =
        limited.success && limited.data.host === host && limited.data.installation_id === installationId;
      // A promoted job leaves the list, so the next page begins where those that stay end.
      if (mine && (await promote(job))) promoted += 1;
      else passed += 1;
    }
    if (page.length < PAGE_JOBS) return promoted;
  }
}

/** A job whose time came meanwhile is on its way already. */
async function promote(job: BullJob): Promise<boolean> {
  try {
    await job.promote();
    return true;
  } catch (error) {
    if (/not in the delayed state|Missing/i.test(messageOf(error))) return false;
    throw error;
  }
}
