import type { GapLine } from '../ledger/formats/formats.ts';
import type { Accounting } from '../ledger/ports.ts';
import { gapOfWork, shortReason } from '../queue/gap-note.ts';
import type { JobQueue } from '../queue/job-queue.ts';
import { believedGaps, readCountedGaps, readReconciledThrough } from './reconcile-note.ts';

/** Opens the account of a queue. */
export function openAccounting(
  queue: Pick<JobQueue, 'counts' | 'allFailed' | 'notes'>,
  now: () => Date,
): Accounting {
  return {
    async read() {
      const [{ archive }, reconciledThrough] = await Promise.all([
        queue.counts(),
        readReconciledThrough(queue.notes, now()),
      ]);
      return {
        reconciledThrough,
        pending: archive.waiting + archive.active + archive.delayed,
        failed: archive.failed,
        gaps: gapsOf(queue, now),
      };
    },
  };
}

async function* gapsOf(
  queue: Pick<JobQueue, 'allFailed' | 'notes'>,
  now: () => Date,
): AsyncGenerator<GapLine> {
  const noted = await believedGaps(queue.notes, now());
  for await (const { id, name, data, reason, failedAt } of queue.allFailed()) {
    const gap = gapOfWork({ name, data });
    if (gap === null) continue;
    noted.delete(id);
    const since = failedAt?.toISOString() ?? null;
    yield { ...gap, reason: shortReason(`failed: ${reason}`), since };
  }
  yield* noted.values();
  yield* await readCountedGaps(queue.notes, now());
}
