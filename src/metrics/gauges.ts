import { Gauge, type Registry } from 'prom-client';
import type { Census } from '../queue/census.ts';
import type { LastDigest } from '../queue/digest-note.ts';
import type { QueueCounts } from '../queue/job-queue.ts';
import type { Reconciled } from '../reconcile/reconcile-note.ts';

/** What is read when somebody asks for metrics; what could not be read is missing, and then shown by nothing. */
export interface Scraped {
  readonly now: Date;
  readonly queues?: Readonly<Record<string, QueueCounts>>;
  readonly census?: Census;
  readonly reconciled?: Reconciled;
  /** The least that is left of any installation's rate limit, by host. */
  readonly rateLimitRemaining?: ReadonlyMap<string, number>;
  readonly spoolBytes?: number;
  readonly queueDurability?: string;
  /** Committed objects that no digest has sealed yet. */
  readonly pendingCommits?: number;
  readonly lastDigest?: LastDigest;
}

type MakeGauge = <L extends string>(name: string, help: string, labelNames: readonly L[]) => Gauge<L>;

function openLedgerGauges(gauge: MakeGauge): (scraped: Scraped) => void {
  const pending = gauge(
    'everlog_pending_commits',
    'Records, run and custody objects that wait for their digest',
    [],
  );
  const sequence = gauge('everlog_ledger_sequence', 'Sequence of the last digest', []);
  const sealedAt = gauge('everlog_last_digest_timestamp_seconds', 'When the last digest was appended', []);
  return ({ pendingCommits, lastDigest }) => {
    for (const each of [pending, sequence, sealedAt]) each.remove();
    if (pendingCommits !== undefined) pending.set(pendingCommits);
    if (lastDigest === undefined) return;
    sequence.set(lastDigest.sequence);
    sealedAt.set(lastDigest.at.getTime() / 1000);
  };
}

/** Makes the gauges of one process; the answer shows what was read. */
export function openGauges(registry: Registry): (scraped: Scraped) => void {
  const gauge: MakeGauge = (name, help, labelNames) =>
    new Gauge({ name, help, labelNames: [...labelNames], registers: [registry] });
  const queues = gauge('everlog_queue_jobs', 'Jobs in the queue now, by queue and state', ['queue', 'state']);
  const putOff = gauge('everlog_put_off_jobs', 'Delayed jobs of the archive queue, by why they wait', [
    'reason',
  ]);
  const oldest = gauge(
    'everlog_oldest_unaccounted_seconds',
    'Since when the oldest job of the archive queue waits, is put off or has failed; 0 when there is none',
    [],
  );
  const gaps = gauge(
    'everlog_reconcile_gap_jobs',
    'Jobs without a record when their repository was last looked into; they were queued then',
    [],
  );
  const reconciledAt = gauge(
    'everlog_last_reconcile_timestamp_seconds',
    'When the repositories of a host were last gone through',
    ['host'],
  );
  const remaining = gauge(
    'everlog_github_ratelimit_remaining',
    'Calls left in the hour of the installation that has the fewest, as this process has seen',
    ['host'],
  );
  const spool = gauge('everlog_spool_reserved_bytes', 'Spool space reserved now', []);
  const durability = gauge(
    'everlog_queue_durability',
    'What the queue promises of acknowledged jobs: 1 for the one that holds',
    ['durability'],
  );

  const showLedger = openLedgerGauges(gauge);

  return (scraped) => {
    showLedger(scraped);
    for (const each of [queues, putOff, oldest, gaps, reconciledAt, remaining, durability]) each.reset();
    // A gauge without labels that was not read would show 0, which reads as good news.
    for (const each of [oldest, gaps]) each.remove();
    for (const [queue, counts] of Object.entries(scraped.queues ?? {})) {
      for (const [state, value] of Object.entries(counts)) queues.set({ queue, state }, value);
    }
    if (scraped.census !== undefined) {
      const { oldestAt } = scraped.census;
      oldest.set(oldestAt === null ? 0 : Math.max(0, scraped.now.getTime() - oldestAt.getTime()) / 1000);
      for (const [reason, jobs] of Object.entries(scraped.census.putOff)) putOff.set({ reason }, jobs);
    }
    if (scraped.reconciled !== undefined) {
      gaps.set(scraped.reconciled.gapJobs);
      for (const [host, at] of scraped.reconciled.lastAt) reconciledAt.set({ host }, at.getTime() / 1000);
    }
    for (const [host, left] of scraped.rateLimitRemaining ?? []) remaining.set({ host }, left);
    if (scraped.spoolBytes !== undefined) spool.set(scraped.spoolBytes);
    if (scraped.queueDurability !== undefined) durability.set({ durability: scraped.queueDurability }, 1);
  };
}
