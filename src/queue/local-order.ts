import { z } from 'zod';
import { FairTags, tagOf, type FairOrder } from './fair-order.ts';
import type { BullQueue } from './queue-storage.ts';

/** Waiting jobs read at once when the order is learnt. */
const PAGE_JOBS = 1_000;
/** Nothing waiting is looked for at most this often (adds). */
const RESET_EVERY = 1_000;

const flowSchema = z.object({
  host: z.string(),
  repository_id: z.number().nullish(),
  owner: z.string().nullish(),
  repo: z.string().nullish(),
});

/** The order of one queue's jobs where one process owns the queue: kept in memory, learnt from the queue at start. */
export function openLocalOrder(queue: BullQueue): FairOrder {
  const tags = new FairTags();
  let learnt: Promise<void> | null = null;
  let admitted = 0;

  return {
    async admit(id, urgency, flow) {
      learnt ??= learn(queue, tags).catch((error: unknown) => {
        learnt = null;
        throw error;
      });
      await learnt;
      if ((await queue.getJob(id)) !== undefined) return null;
      admitted += 1;
      if (admitted % RESET_EVERY === 0 && (await queue.getJobCounts('prioritized'))['prioritized'] === 0)
        tags.reset();
      return tags.next(urgency, flow);
    },
    started: (urgency, tag) => tags.started(urgency, tag),
  };
}

/** Reads the jobs that an earlier process left waiting, so that new ones line up behind their own repository's. */
async function learn(queue: BullQueue, tags: FairTags): Promise<void> {
  for (let start = 0; ; start += PAGE_JOBS) {
    const jobs = await queue.getJobs(['prioritized'], start, start + PAGE_JOBS - 1, true);
    for (const job of jobs) {
      const place = tagOf(job.priority);
      const flow = flowSchema.safeParse(job.data);
      if (place === null || !flow.success) continue;
      const { host, repository_id, owner, repo } = flow.data;
      tags.restore(place.urgency, `${host}/${repository_id ?? `${owner}/${repo}`.toLowerCase()}`, place.tag);
    }
    if (jobs.length < PAGE_JOBS) return;
  }
}
