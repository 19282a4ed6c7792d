import { z } from 'zod';
import { QUEUE_NAMES, type QueueName } from './catalog.ts';
import type { BullQueue } from './queue-storage.ts';

/** Where a queued job stands. */
export interface QueuedState {
  /** `gone`: finished long ago, dropped, or never queued. */
  readonly state: 'waiting' | 'running' | 'put_off' | 'failed' | 'done' | 'gone';
  /** Why it was put off or failed. */
  readonly reason: string | null;
  /** When a job that was put off runs again, where that is known. */
  readonly nextAt: Date | null;
}

/** What a worker notes on a job that it puts off. */
const putOffSchema = z.object({ put_off_until: z.iso.datetime(), reason: z.string() });

/** Looks a job up in every queue. */
export async function stateIn(queueOf: (name: QueueName) => BullQueue, id: string): Promise<QueuedState> {
  for (const name of QUEUE_NAMES) {
    const queue = queueOf(name);
    const found = await queue.getJobState(id);
    if (found === 'unknown') continue;
    const job = await queue.getJob(id);
    if (job === undefined) continue;
    const note = putOffSchema.safeParse(job.progress);
    switch (found) {
      case 'active':
        return { state: 'running', reason: null, nextAt: null };
      case 'completed':
        return { state: 'done', reason: null, nextAt: null };
      case 'failed':
        return { state: 'failed', reason: job.failedReason, nextAt: null };
      case 'delayed':
        return note.success && Date.parse(note.data.put_off_until) > Date.now()
          ? { state: 'put_off', reason: note.data.reason, nextAt: new Date(note.data.put_off_until) }
          : { state: 'put_off', reason: job.failedReason ?? null, nextAt: nextTryOf(job) };
      case 'waiting':
      case 'prioritized':
      case 'waiting-children':
        return { state: 'waiting', reason: null, nextAt: null };
    }
  }
  return { state: 'gone', reason: null, nextAt: null };
}

/** About when a job that failed is tried again: its wait is counted from its end, which follows its beginning closely. */
function nextTryOf({ processedOn, delay }: { processedOn?: number; delay: number }): Date | null {
  return processedOn === undefined || delay === 0 ? null : new Date(processedOn + delay);
}
