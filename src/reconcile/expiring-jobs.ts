import { z } from 'zod';
import { unpackDelivered } from '../queue/catalog.ts';
import { readGaps } from '../queue/gap-note.ts';
import type { QueuedJob, JobQueue } from '../queue/job-queue.ts';
import { momentMs } from '../units.ts';

/** Jobs without a record whose log GitHub deletes soon. Those whose time is over are in neither number. */
export interface Expiring {
  readonly withinDay: number;
  /** Those within a day among them. */
  readonly withinWeek: number;
}

/** Jobs of the archive queue looked at in each state, in the queue's own order: with more the numbers are a lower bound. */
const LOOKED_AT_MAX = 2_000;
const DAY_MS = 24 * 60 * 60_000;
const WEEK_MS = 7 * DAY_MS;
/** GitHub sends nothing again that is older than this, so that a delivery tells about when its job ended. */
const DELIVERY_LATE_MS_MAX = 10 * DAY_MS;

const dataSchema = z.object({
  source: z.string(),
  received_at: z.iso.datetime({ offset: true }),
  delivered: z.string().nullable(),
});
const jobSchema = z.object({ completed_at: z.string().nullish() });

/**
 * Counts jobs that wait, are put off, have failed or were noted as missing, by when GitHub deletes their logs: `retentionMs`
 * after they ended. Reads at most some thousand jobs.
 */
export async function readExpiring(
  queue: Pick<JobQueue, 'heldArchiveJobs' | 'notes'>,
  retentionMs: number,
  now: Date,
): Promise<Expiring> {
  const ends = new Map<string, number>();
  for (const [id, { since, job_id }] of await readGaps(queue.notes)) {
    const endMs = job_id === null ? null : momentMs(since);
    if (endMs !== null) ends.set(id, endMs);
  }
  for await (const held of queue.heldArchiveJobs(LOOKED_AT_MAX)) {
    // What a comparison noted is exact; what somebody dropped is no longer in the queue.
    const endMs = ends.has(held.id) ? null : endedMs(held, now.getTime() - retentionMs);
    if (endMs !== null) ends.set(held.id, endMs);
  }
  return countExpiring([...ends.values()], retentionMs, now);
}

/** Counts what ended at these moments, in milliseconds. Pure. */
function countExpiring(endsMs: readonly number[], retentionMs: number, now: Date): Expiring {
  const within = (ms: number): number =>
    endsMs.filter((endMs) => {
      const leftMs = endMs + retentionMs - now.getTime();
      return leftMs > 0 && leftMs <= ms;
    }).length;
  return { withinDay: within(DAY_MS), withinWeek: within(WEEK_MS) };
}

/** When a queued job ended, or was first heard of; null where its data say nothing. What is fresh is not unpacked. */
function endedMs({ data }: QueuedJob, oldestMs: number): number | null {
  const parsed = dataSchema.safeParse(data);
  if (!parsed.success) return null;
  const { source, received_at, delivered } = parsed.data;
  const heardMs = Date.parse(received_at);
  const isFresh =
    (source === 'webhook' || source === 'redelivery') && heardMs > oldestMs + WEEK_MS + DELIVERY_LATE_MS_MAX;
  if (isFresh || delivered === null) return heardMs;
  return completedMs(delivered) ?? heardMs;
}

function completedMs(delivered: string): number | null {
  try {
    const job = jobSchema.safeParse(JSON.parse(unpackDelivered(delivered).workflow_job.text));
    return job.success ? momentMs(job.data.completed_at) : null;
  } catch {
    return null;
  }
}
