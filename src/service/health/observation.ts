import { readExpiring } from '../../reconcile/expiring-jobs.ts';
import { readHostsReconciledThrough, readReconciled } from '../../reconcile/reconcile-note.ts';
import type { Config } from '../../config.ts';
import type { Scraped, ServiceRole } from '../../metrics/gauges.ts';
import { readLastDigest } from '../../queue/digest-note.ts';
import type { JobQueue } from '../../queue/job-queue.ts';
import { readFailedDeliveries } from '../../queue/noted/failed-deliveries.ts';
import { readInstallations } from '../../queue/noted/installations.ts';
import { readLastVerification } from '../../queue/noted/last-verification.ts';
import { readSealFindings } from '../../queue/noted/seal-findings.ts';
import type { Workforce } from '../compose.ts';

/** What takes more than a few small reads is read at most this often: it moves by the hour. */
const READ_AGAIN_MS = 60_000;

type Observed = Pick<JobQueue, 'counts' | 'backlog' | 'notes' | 'pending' | 'durability' | 'heldArchiveJobs'>;

/**
 * What a process tells when its metrics are asked for. Reads the queue and its notes, never the archive; what does not answer is
 * left out.
 */
export function openObservation(
  config: Pick<Config, 'hosts' | 'logRetentionMs' | 'reconcileIntervalMs' | 'sealing'>,
  queue: Observed,
  roles: readonly ServiceRole[],
  workforce: Pick<Workforce, 'spool' | 'rateLimits'> | null,
): () => Promise<Scraped> {
  const hosts = config.hosts.map(({ github }) => github.host);
  // What is never told of cannot be missed: a host that this process could compare, and nobody has yet, shows 0.
  const comparable = config.hosts.filter(({ credentials }) => credentials !== null);
  const orNever = (known: ReadonlyMap<string, Date>): ReadonlyMap<string, Date> =>
    new Map([...comparable.map(({ github }): [string, Date] => [github.host, new Date(0)]), ...known]);
  // Those who bring in what is missing tell of it; the numbers are the same for all, and one is enough to read them.
  const isUpkeep = roles.includes('upkeep');
  const intervals = {
    ...(isUpkeep ? { reconcileIntervalMs: config.reconcileIntervalMs } : {}),
    ...(roles.includes('seal') ? { sealIntervalMs: config.sealing.intervalMs } : {}),
  };
  const readSlow = atMostEvery(READ_AGAIN_MS, async () => {
    const now = new Date();
    const [expiring, through, installations] = await Promise.all([
      readExpiring(queue, config.logRetentionMs, now),
      readHostsReconciledThrough(queue.notes, now),
      readInstallations(queue.notes, hosts),
    ]);
    const suspended = [...installations].map(([host, known]): [string, number] => [
      host,
      Object.values(known).filter(Boolean).length,
    ]);
    return {
      expiring,
      reconciledThrough: orNever(through),
      suspendedInstallations: new Map(suspended),
    };
  });
  return async () => {
    const now = new Date();
    const { notes } = queue;
    const spool = workforce?.spool;
    const [queues, backlog, reconciled, pendingCommits, lastDigest, verified, findings, failed, slow] =
      await Promise.all([
        orNull(queue.counts()),
        orNull(queue.backlog()),
        orNull(readReconciled(notes, now)),
        orNull(queue.pending.count()),
        orNull(readLastDigest(notes)),
        orNull(readLastVerification(notes)),
        orNull(readSealFindings(notes)),
        orNull(readFailedDeliveries(notes, hosts)),
        isUpkeep ? orNull(readSlow()) : null,
      ]);
    return {
      now,
      roles,
      ...(queues === null ? {} : { queues }),
      ...(backlog === null ? {} : { backlog }),
      ...(reconciled === null ? {} : { reconciled: { ...reconciled, lastAt: orNever(reconciled.lastAt) } }),
      ...(pendingCommits === null ? {} : { pendingCommits }),
      ...(lastDigest === null ? {} : { lastDigest }),
      ...(verified === null ? {} : { lastVerification: verified }),
      ...(findings === null ? {} : { sealFindings: findings }),
      ...(failed === null ? {} : { failedDeliveries: failed }),
      ...(workforce === null ? {} : { rateLimits: workforce.rateLimits() }),
      ...(spool === undefined ? {} : { spool: { reservedBytes: spool.used(), limitBytes: spool.bytesMax } }),
      ...slow,
      ...intervals,
      queueDurability: queue.durability,
    };
  };
}

async function orNull<T>(reading: Promise<T>): Promise<T | null> {
  try {
    return await reading;
  } catch {
    return null;
  }
}

/** Reads once for all who ask within `everyMs`; a reading that failed is made again by the next who asks. */
function atMostEvery<T>(
  everyMs: number,
  read: () => Promise<T>,
  now: () => number = () => performance.now(),
): () => Promise<T> {
  let last: { readonly atMs: number; readonly reading: Promise<T> } | null = null;
  return () => {
    if (last === null || now() - last.atMs >= everyMs) {
      const mine = { atMs: now(), reading: read() };
      last = mine;
      mine.reading.catch(() => {
        if (last === mine) last = null;
      });
    }
    return last.reading;
  };
}
