import { Gauge, type Registry } from 'prom-client';
import type { BacklogStatistics } from '../queue/backlog.ts';
import type { QueueName } from '../queue/catalog.ts';
import type { LastDigest } from '../queue/digest-note.ts';
import type { QueueCounts } from '../queue/job-queue.ts';
import type { FailedDeliveries } from '../queue/noted/failed-deliveries.ts';
import type { LastVerification } from '../queue/noted/last-verification.ts';
import type { Expiring } from '../reconcile/expiring-jobs.ts';
import type { Reconciled } from '../reconcile/reconcile-note.ts';

/** Parts of the work that a process may do: take deliveries, or work a queue. */
export type ServiceRole = 'receiver' | QueueName;

/** What is read when somebody asks for metrics; what could not be read is missing, and then shown by nothing. */
export interface Scraped {
  readonly now: Date;
  /** What of Everlog's work this process does. */
  readonly roles?: readonly ServiceRole[];
  readonly queues?: Readonly<Record<string, QueueCounts>>;
  readonly backlog?: BacklogStatistics;
  readonly expiring?: Expiring;
  readonly reconciled?: Reconciled;
  /** Until when everything of a host was compared; the epoch for one that never was. */
  readonly reconciledThrough?: ReadonlyMap<string, Date>;
  /** Of the installation that has the least left, by host. */
  readonly rateLimits?: ReadonlyMap<string, { readonly remaining: number; readonly limit: number }>;
  readonly failedDeliveries?: ReadonlyMap<string, FailedDeliveries>;
  readonly suspendedInstallations?: ReadonlyMap<string, number>;
  readonly spool?: { readonly reservedBytes: number; readonly limitBytes: number };
  readonly queueDurability?: string;
  /** How often this process seals and reconciles, in milliseconds; of what it does not do, nothing. */
  readonly sealIntervalMs?: number;
  readonly reconcileIntervalMs?: number;
  /** Committed objects that no digest has sealed yet. */
  readonly pendingCommits?: number;
  readonly lastDigest?: LastDigest;
  readonly lastVerification?: LastVerification;
  /** Of seals, that no verification has looked at since. */
  readonly sealFindings?: number;
}

type Show = (scraped: Scraped) => void;
type MakeGauge = <L extends string>(name: string, help: string, labelNames: readonly L[]) => Gauge<L>;

/** Makes the gauges of one process; the answer shows what was read. */
export function openGauges(registry: Registry): Show {
  const gauge: MakeGauge = (name, help, labelNames) =>
    new Gauge({ name, help, labelNames: [...labelNames], registers: [registry] });
  const parts = [
    openRoleGauge(gauge),
    openQueueGauges(gauge),
    openReconcileGauges(gauge),
    openGitHubGauges(gauge),
    openLedgerGauges(gauge),
    openSpoolGauges(gauge),
    openIntervalGauges(gauge),
  ];
  return (scraped) => {
    for (const show of parts) show(scraped);
  };
}

/** A gauge without labels that was not read would show 0, which reads as good news. */
function showOrHide(gauge: Gauge, value: number | undefined): void {
  if (value === undefined) gauge.remove();
  else gauge.set(value);
}

/** Shows one value for each host, and no other. */
function showByHost(gauge: Gauge<'host'>, values: Iterable<readonly [string, number]>): void {
  gauge.reset();
  for (const [host, value] of values) gauge.set({ host }, value);
}

function secondsOf(at: Date): number {
  return at.getTime() / 1000;
}

function openRoleGauge(gauge: MakeGauge): Show {
  const role = gauge(
    'everlog_role',
    'What of the work this process does: 1 for the receiver and for each queue that it works',
    ['role'],
  );
  return ({ roles }) => {
    role.reset();
    for (const one of roles ?? []) role.set({ role: one }, 1);
  };
}

function openQueueGauges(gauge: MakeGauge): Show {
  const queues = gauge('everlog_queue_jobs', 'Jobs in the queue now, by queue and state', ['queue', 'state']);
  const putOff = gauge('everlog_put_off_jobs', 'Delayed jobs of the archive queue, by why they wait', [
    'reason',
  ]);
  const oldest = gauge(
    'everlog_oldest_unaccounted_seconds',
    'Since when the oldest job of the archive queue waits, is put off or has failed; 0 when there is none',
    [],
  );
  const expiring = gauge(
    'everlog_expiring_jobs',
    'Jobs without a record whose log GitHub deletes within this time',
    ['within'],
  );
  const durability = gauge(
    'everlog_queue_durability',
    'What the queue promises of acknowledged jobs: 1 for the one that holds',
    ['durability'],
  );
  return (scraped) => {
    for (const each of [queues, putOff, expiring, durability]) each.reset();
    for (const [queue, counts] of Object.entries(scraped.queues ?? {})) {
      for (const [state, value] of Object.entries(counts)) queues.set({ queue, state }, value);
    }
    const oldestAt = scraped.backlog?.oldestAt;
    showOrHide(
      oldest,
      oldestAt === null ? 0 : oldestAt && Math.max(0, secondsOf(scraped.now) - secondsOf(oldestAt)),
    );
    for (const [reason, jobs] of Object.entries(scraped.backlog?.putOff ?? {})) putOff.set({ reason }, jobs);
    if (scraped.expiring !== undefined) {
      expiring.set({ within: '1d' }, scraped.expiring.withinDay);
      expiring.set({ within: '7d' }, scraped.expiring.withinWeek);
    }
    if (scraped.queueDurability !== undefined) durability.set({ durability: scraped.queueDurability }, 1);
  };
}

function openReconcileGauges(gauge: MakeGauge): Show {
  const gaps = gauge(
    'everlog_reconcile_gap_jobs',
    'Jobs without a record when their repository was last looked into; they were queued then',
    [],
  );
  const lastAt = gauge(
    'everlog_last_reconcile_timestamp_seconds',
    'When the repositories of a host were last gone through; 0 before the first time',
    ['host'],
  );
  const through = gauge(
    'everlog_reconciled_through_timestamp_seconds',
    'Until when everything that a host could tell of was compared with the archive; 0 before that was so once',
    ['host'],
  );
  return ({ reconciled, reconciledThrough }) => {
    showOrHide(gaps, reconciled?.gapJobs);
    showByHost(
      lastAt,
      [...(reconciled?.lastAt ?? [])].map(([host, at]) => [host, secondsOf(at)]),
    );
    showByHost(
      through,
      [...(reconciledThrough ?? [])].map(([host, at]) => [host, secondsOf(at)]),
    );
  };
}

function openGitHubGauges(gauge: MakeGauge): Show {
  const remaining = gauge(
    'everlog_github_ratelimit_remaining',
    'Calls left in the hour of the installation that has the fewest, as this process has seen',
    ['host'],
  );
  const limit = gauge(
    'everlog_github_ratelimit_limit',
    'Calls that the same installation is allowed in an hour',
    ['host'],
  );
  const failed = gauge(
    'everlog_github_failed_deliveries',
    'Deliveries that GitHub lists as failed and that are not asked for again: final as it would be refused again, exhausted as it was sent often enough',
    ['host', 'state'],
  );
  const suspended = gauge(
    'everlog_suspended_installations',
    'Installations of the App that were suspended when they were last listed',
    ['host'],
  );
  return ({ rateLimits, failedDeliveries, suspendedInstallations }) => {
    const rates = [...(rateLimits ?? [])];
    showByHost(
      remaining,
      rates.map(([host, rate]) => [host, rate.remaining]),
    );
    showByHost(
      limit,
      rates.map(([host, rate]) => [host, rate.limit]),
    );
    failed.reset();
    for (const [host, { final, exhausted }] of failedDeliveries ?? []) {
      failed.set({ host, state: 'final' }, final);
      failed.set({ host, state: 'exhausted' }, exhausted);
    }
    showByHost(suspended, suspendedInstallations ?? []);
  };
}

function openLedgerGauges(gauge: MakeGauge): Show {
  const pending = gauge(
    'everlog_pending_commits',
    'Records, run and custody objects that wait for their digest',
    [],
  );
  const sequence = gauge('everlog_ledger_sequence', 'Sequence of the last digest', []);
  const sealedAt = gauge('everlog_last_digest_timestamp_seconds', 'When the last digest was appended', []);
  const verifiedAt = gauge(
    'everlog_last_verify_timestamp_seconds',
    'When a verification of the archive was last recorded',
    [],
  );
  const findings = gauge('everlog_last_verify_findings', 'What that verification found', []);
  const open = gauge(
    'everlog_open_seal_findings',
    'What seals found and no recorded verification of the whole archive has looked at since',
    [],
  );
  return ({ pendingCommits, lastDigest, lastVerification, sealFindings }) => {
    showOrHide(pending, pendingCommits);
    showOrHide(sequence, lastDigest?.sequence);
    showOrHide(sealedAt, lastDigest && secondsOf(lastDigest.at));
    showOrHide(verifiedAt, lastVerification && secondsOf(lastVerification.at));
    showOrHide(findings, lastVerification?.findings);
    showOrHide(open, sealFindings);
  };
}

function openSpoolGauges(gauge: MakeGauge): Show {
  const reserved = gauge('everlog_spool_reserved_bytes', 'Spool space reserved now', []);
  const limit = gauge('everlog_spool_limit_bytes', 'Spool space that there is (EVERLOG_SPOOL_MAX_BYTES)', []);
  return ({ spool }) => {
    showOrHide(reserved, spool?.reservedBytes);
    showOrHide(limit, spool?.limitBytes);
  };
}

function openIntervalGauges(gauge: MakeGauge): Show {
  const seal = gauge('everlog_seal_interval_seconds', 'How often a digest is appended to the ledger', []);
  const reconcile = gauge(
    'everlog_reconcile_interval_seconds',
    'How often the repositories of each host are gone through',
    [],
  );
  return ({ sealIntervalMs, reconcileIntervalMs }) => {
    showOrHide(seal, sealIntervalMs && sealIntervalMs / 1000);
    showOrHide(reconcile, reconcileIntervalMs && reconcileIntervalMs / 1000);
  };
}
