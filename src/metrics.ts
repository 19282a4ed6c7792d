import { collectDefaultMetrics, Counter, Histogram, Registry } from 'prom-client';
import { openGauges, type Scraped } from './metrics/gauges.ts';

/** What a process counts, for `GET /metrics`. Labels come from closed sets only: never a repository, job or delivery. */
export interface Metrics {
  delivery(event: string, outcome: string, reason: string | null): void;
  recorded(record: CountedRecord): void;
  /** An archive job that Everlog found by itself and queued, by how. */
  found(source: string): void;
  jobRun(name: string, outcome: string): void;
  /** What this process has sealed. */
  sealed(seal: CountedSeal): void;
  /** Reads gauges when somebody asks for them; what cannot be read is left out. */
  onScrape(read: () => Promise<Scraped>): void;
  /** The Prometheus text exposition. */
  exposition(): Promise<{ contentType: string; body: string }>;
}

/** A record as far as it is counted. */
export interface CountedRecord {
  readonly outcome: string;
  readonly source: string;
  readonly logBytes: number;
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

/** Makes the metrics of one process. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, prefix: 'everlog_' });
  const deliveries = new Counter({
    name: 'everlog_deliveries_total',
    help: 'Webhook deliveries answered, by event and outcome',
    labelNames: ['event', 'outcome', 'reason'],
    registers,
  });
  const records = new Counter({
    name: 'everlog_records_total',
    help: 'Records written, by outcome and by how Everlog came to know of the job',
    labelNames: ['outcome', 'source'],
    registers,
  });
  const bytes = new Counter({ name: 'everlog_log_bytes_total', help: 'Bytes of logs archived', registers });
  const lag = new Histogram({
    name: 'everlog_archive_lag_seconds',
    help: 'From the end of a job to its record, by how Everlog came to know of it',
    labelNames: ['source'],
    buckets: LAG_BUCKETS_S,
    registers,
  });
  const found = new Counter({
    name: 'everlog_found_jobs_total',
    help: 'Archive jobs that Everlog found by itself and queued, by how',
    labelNames: ['source'],
    registers,
  });
  const runs = new Counter({
    name: 'everlog_job_runs_total',
    help: 'Runs of queued jobs, by kind and how they ended',
    labelNames: ['job', 'outcome'],
    registers,
  });
  const seals = openSealCounters(registers);
  const show = openGauges(registry);
  let read: () => Promise<Scraped> = () => Promise.resolve({ now: new Date() });

  return {
    delivery: (event, outcome, reason) => deliveries.inc({ event, outcome, reason: reason ?? '' }),
    recorded({ outcome, source, logBytes, lagMs }) {
      records.inc({ outcome, source });
      bytes.inc(logBytes);
      if (lagMs !== null) lag.observe({ source }, lagMs / 1000);
    },
    found: (source) => found.inc({ source }),
    jobRun: (job, outcome) => runs.inc({ job, outcome }),
    sealed: seals,
    onScrape(newRead) {
      read = newRead;
    },
    async exposition() {
      show(await read());
      return { contentType: registry.contentType, body: await registry.metrics() };
    },
  };
}

function openSealCounters(registers: Registry[]): (seal: CountedSeal) => void {
  const counter = (name: string, help: string): Counter => new Counter({ name, help, registers });
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
