import type { RateState } from '../../github/rate-limit.ts';
import { readLastDigest } from '../../queue/digest-note.ts';
import type { JobQueue } from '../../queue/job-queue.ts';
import { readLastVerification } from '../../queue/noted/last-verification.ts';
import { readReconciledThrough } from '../../reconcile/reconcile-note.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import type { StatusFacts } from '../../web/browse/status-page.ts';

/** What is left of the rate limit of the installation that has the least, by host. */
export type Budgets = () => ReadonlyMap<string, RateState>;

/** Failed jobs shown. */
const FAILED_SHOWN_MAX = 20;

/** What the status page tells; what does not answer is null there. */
export async function readStatus(
  store: ObjectStore,
  queue: JobQueue | null,
  budgets: Budgets | null,
): Promise<StatusFacts> {
  const unknown = {
    archive: store.location,
    queue: null,
    budgets: null,
    lastDigest: null,
    lastVerify: null,
    reconciledThrough: null,
    pendingCommits: null,
  };
  if (queue === null) return unknown;
  try {
    const [counts, backlog, failed, digest, verified, reconciled, pendingCommits] = await Promise.all([
      queue.counts(),
      queue.backlog(),
      queue.failed(FAILED_SHOWN_MAX),
      readLastDigest(queue.notes),
      readLastVerification(queue.notes),
      readReconciledThrough(queue.notes, new Date()),
      queue.pending.count(),
    ]);
    return {
      archive: store.location,
      queue: {
        location: queue.location,
        queues: counts,
        putOff: backlog.putOff,
        oldestAt: backlog.oldestAt?.toISOString() ?? null,
        failedJobs: failed.map(({ id, reason, failedAt }) => ({
          id,
          reason,
          at: failedAt?.toISOString() ?? null,
        })),
      },
      budgets:
        budgets === null
          ? null
          : [...budgets()].map(([name, { remaining, limit }]) => ({ name, remaining, limit })),
      lastDigest: digest === null ? null : { sequence: digest.sequence, at: digest.at.toISOString() },
      lastVerify:
        verified === null
          ? null
          : {
              at: verified.at.toISOString(),
              verdict:
                verified.findings === 0
                  ? `no findings in ${verified.isWhole ? 'the whole ledger' : 'a part of the ledger'}`
                  : `${verified.findings} findings`,
              isGood: verified.findings === 0,
            },
      reconciledThrough: reconciled?.toISOString() ?? null,
      pendingCommits,
    };
  } catch {
    return { ...unknown, problem: 'The queue does not answer.' };
  }
}
