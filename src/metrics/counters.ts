import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** An answered delivery as far as it is counted. */
export interface CountedDelivery {
  readonly host: string;
  readonly event: string;
  readonly outcome: string;
  readonly reason: string | null;
  /** Whether it was signed and taken: what anybody may send says nothing of GitHub. */
  readonly isTaken: boolean;
  /** When it was answered. */
  readonly at: Date;
  /** From its headers to its answer, in milliseconds. */
  readonly durationMs: number;
}

/** A record as far as it is counted. */
export interface CountedRecord {
  readonly outcome: string;
  readonly source: string;
  /** Of the log as GitHub serves it, and of its gzip; 0 without a log. */
  readonly logBytes: number;
  readonly storedBytes: number;
  /** From the job's end to its record, in milliseconds; null where GitHub gave no end. */
  readonly lagMs: number | null;
}

/** A seal as far as it is counted. */
export interface CountedSeal {
  readonly digests: number;
  readonly entries: number;
  readonly findingCount: number;
}

/** Seconds to hours: a log within a minute is usual, after a day it was found by reconcile. */
const LAG_BUCKETS_S = [1, 5, 15, 30, 60, 300, 900, 3_600, 6 * 3_600, 24 * 3_600, 72 * 3_600];
/** A queue confirms within milliseconds; GitHub gives up after ten seconds. */
const WEBHOOK_BUCKETS_S = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

/** Makes the counters of deliveries. */
export function openDeliveryCounters(registry: Registry): (delivery: CountedDelivery) => void {
  const registers = [registry];
  const deliveries = new Counter({
    name: 'everlog_deliveries_total',
    help: 'Webhook deliveries answered, by event and outcome',
    labelNames: ['event', 'outcome', 'reason'],
    registers,
  });
  const duration = new Histogram({
    name: 'everlog_webhook_duration_seconds',
    help: 'From the headers of a webhook delivery to its answer',
    buckets: WEBHOOK_BUCKETS_S,
    registers,
  });
  const last = new Gauge({
    name: 'everlog_last_delivery_timestamp_seconds',
    help: 'When this process last took a signed delivery of the host',
    labelNames: ['host'],
    registers,
  });
  const taken = new Counter({
    name: 'everlog_taken_deliveries_total',
    help: 'Signed webhook deliveries taken, by host',
    labelNames: ['host'],
    registers,
  });
  return ({ host, event, outcome, reason, isTaken, at, durationMs }) => {
    deliveries.inc({ event, outcome, reason: reason ?? '' });
    duration.observe(durationMs / 1000);
    if (!isTaken) return;
    taken.inc({ host });
    last.set({ host }, at.getTime() / 1000);
  };
}

/** Makes the counters of records. */
export function openRecordCounters(registry: Registry): (record: CountedRecord) => void {
  const registers = [registry];
  const records = new Counter({
    name: 'everlog_records_total',
    help: 'Records written, by outcome and by how Everlog came to know of the job',
    labelNames: ['outcome', 'source'],
    registers,
  });
  const logBytes = new Counter({
    name: 'everlog_log_bytes_total',
    help: 'Bytes of logs archived, as GitHub serves them',
    registers,
  });
  const storedBytes = new Counter({
    name: 'everlog_stored_bytes_total',
    help: 'Bytes of logs archived, as they stand in the store',
    registers,
  });
  const lag = new Histogram({
    name: 'everlog_archive_lag_seconds',
    help: 'From the end of a job to its record, by how Everlog came to know of it',
    labelNames: ['source'],
    buckets: LAG_BUCKETS_S,
    registers,
  });
  return (record) => {
    const { outcome, source, lagMs } = record;
    records.inc({ outcome, source });
    logBytes.inc(record.logBytes);
    storedBytes.inc(record.storedBytes);
    if (lagMs !== null) lag.observe({ source }, lagMs / 1000);
  };
}

/** Makes the counters of runs of queued jobs; `cause` is an error code, or `unexpected`. */
export function openRunCounters(
  registry: Registry,
): (job: string, outcome: string, cause: string | null) => void {
  const registers = [registry];
  const runs = new Counter({
    name: 'everlog_job_runs_total',
    help: 'Runs of queued jobs, by kind and how they ended',
    labelNames: ['job', 'outcome'],
    registers,
  });
  const retries = new Counter({
    name: 'everlog_job_retries_total',
    help: 'Runs of queued jobs that failed, or took a newer version, and will be tried again, by the code of the error',
    labelNames: ['cause'],
    registers,
  });
  return (job, outcome, cause) => {
    runs.inc({ job, outcome });
    if (outcome === 'retried' || (outcome === 'put_off' && cause === 'newer_version'))
      retries.inc({ cause: cause ?? 'unexpected' });
  };
}

/** Makes the counters of seals. */
export function openSealCounters(registry: Registry): (seal: CountedSeal) => void {
  const counter = (name: string, help: string): Counter => new Counter({ name, help, registers: [registry] });
  const digests = counter('everlog_digests_total', 'Digests appended to the ledger');
  const entries = counter('everlog_sealed_entries_total', 'Records, run and custody objects sealed');
  const findings = counter(
    'everlog_seal_findings_total',
    'Objects that were not in the store as their records say when they were sealed',
  );
  return (seal) => {
    digests.inc(seal.digests);
    entries.inc(seal.entries);
    findings.inc(seal.findingCount);
  };
}
