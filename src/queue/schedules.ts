import { CATALOG, queueIdOf, type NewJob, type QueueName } from './catalog.ts';
import type { BullQueue } from './queue-storage.ts';

/** A job that is to run again and again, however many workers there are. */
export interface Schedule {
  readonly job: NewJob;
  readonly everyMs: number;
  /** How long after it was added it first runs. */
  readonly firstAfterMs: number;
}

/** More schedules than hosts and kinds of job would make. */
const SCHEDULES_MAX = 1_000;
/** Runs that failed are kept for whoever asks why; the next run does what they did not. */
const FAILED_KEPT = 3;

/**
 * Makes the schedules of a queue those that are wanted: adds what is missing, changes what differs, removes what is no longer
 * wanted, and leaves alone what stands as it should, its next run included. Any number of workers may do so.
 */
export async function applySchedules(
  queue: BullQueue,
  name: QueueName,
  wanted: readonly Schedule[],
): Promise<void> {
  const standing = await queue.getJobSchedulers(0, SCHEDULES_MAX - 1);
  const wantedIds = new Set(wanted.map(({ job }) => queueIdOf(job)));
  for (const { key } of standing) if (!wantedIds.has(key)) await queue.removeJobScheduler(key);
  for (const { job, everyMs, firstAfterMs } of wanted) {
    if (CATALOG[job.name].queue !== name) throw new Error(`${job.name} does not run in the queue ${name}`);
    const id = queueIdOf(job);
    const found = standing.find(({ key }) => key === id);
    const same =
      found !== undefined &&
      Number(found.every) === everyMs &&
      JSON.stringify(found.template?.data ?? {}) === JSON.stringify(job.data);
    if (same) continue;
    const startDate = Date.now() + firstAfterMs;
    await queue.upsertJobScheduler(
      id,
      { every: everyMs, ...(found === undefined ? { startDate } : {}) },
      {
        name: job.name,
        data: job.data,
        opts: {
          attempts: CATALOG[job.name].attempts,
          backoff: { type: 'capped' },
          removeOnComplete: true,
          removeOnFail: { count: FAILED_KEPT },
          stackTraceLimit: 0,
        },
      },
    );
  }
}
