import { z } from 'zod';
import { FairTags, tagOf, type FairOrder } from '../fair-order.ts';
import type { BullQueue } from '../queue-storage.ts';

/** Nothing waiting is looked for at most this often (adds). */
const RESET_EVERY = 1_000;

/** What waits of one flow, by the priorities of its first and last job. */
export interface WaitingFlow {
  readonly flow: string;
  readonly first: number;
  readonly last: number;
}

/**
 * What an earlier process left waiting in a queue ($1), in one pass: read job by job, ten thousand would hold up the first
 * delivery for seconds. Flows are named as `flowOf` names those of new jobs; a division by $2, the tags of one urgency, tells
 * the urgencies apart.
 */
export const WAITING_FLOWS_SQL = `
SELECT (data->>'host') || '/' || COALESCE(data->>'repository_id', lower((data->>'owner') || '/' || (data->>'repo')), '') AS flow,
       min(priority)::int AS first, max(priority)::int AS last
  FROM job
 WHERE queue = $1 AND state = 'waiting' AND priority > 0 AND data->>'host' IS NOT NULL
 GROUP BY 1, (priority - 1) / $2::int
`;

export const waitingFlowsSchema = z.array(z.object({ flow: z.string(), first: z.int(), last: z.int() }));

/**
 * The order of one queue's jobs where one process owns the queue: kept in memory, learnt at the first use from what waits, so
 * that new jobs line up behind their own repository's.
 */
export function openLocalOrder(
  queue: BullQueue,
  readWaiting: () => Promise<readonly WaitingFlow[]>,
): FairOrder {
  const tags = new FairTags();
  let learnt: Promise<void> | null = null;
  let admitted = 0;

  return {
    async admit(id, urgency, flow) {
      learnt ??= restoreTags(readWaiting, tags).catch((error: unknown) => {
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

async function restoreTags(
  readWaiting: () => Promise<readonly WaitingFlow[]>,
  tags: FairTags,
): Promise<void> {
  for (const { flow, first, last } of await readWaiting()) {
    for (const place of [tagOf(first), tagOf(last)])
      if (place !== null) tags.restore(place.urgency, flow, place.tag);
  }
}
