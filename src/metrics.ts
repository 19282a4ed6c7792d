import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import type { QueueCounts } from './queue/job-queue.ts';

/** What a process counts, for `GET /metrics`. Labels come from closed sets only: never a repository, job or delivery. */
export interface Metrics {
  delivery(event: string, outcome: string, reason: string | null): void;
  recorded(outcome: string, source: string, logBytes: number): void;
  jobRun(name: string, outcome: string): void;
  /** Reads gauges when somebody asks for them; what cannot be read is left out. */
  onScrape(read: () => Promise<Scraped>): void;
  /** The Prometheus text exposition. */
  exposition(): Promise<{ contentType: string; body: string }>;
}

export interface Scraped {
  readonly queues?: Readonly<Record<string, QueueCounts>>;
  readonly spoolBytes?: number;
  readonly queueDurability?: string;
}

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
  const runs = new Counter({
    name: 'everlog_job_runs_total',
    help: 'Runs of queued jobs, by kind and how they ended',
    labelNames: ['job', 'outcome'],
    registers,
  });
  const queues = new Gauge({
    name: 'everlog_queue_jobs',
    help: 'Jobs in the queue now, by queue and state',
    labelNames: ['queue', 'state'],
    registers,
  });
  const spool = new Gauge({
    name: 'everlog_spool_reserved_bytes',
    help: 'Spool space reserved now',
    registers,
  });
  const durability = new Gauge({
    name: 'everlog_queue_durability',
    help: 'What the queue promises of acknowledged jobs: 1 for the one that holds',
    labelNames: ['durability'],
    registers,
  });
  let read: () => Promise<Scraped> = () => Promise.resolve({});

  function show(scraped: Scraped): void {
    for (const [queue, counts] of Object.entries(scraped.queues ?? {})) {
      for (const [state, value] of Object.entries(counts)) queues.set({ queue, state }, value);
    }
    if (scraped.spoolBytes !== undefined) spool.set(scraped.spoolBytes);
    durability.reset();
    if (scraped.queueDurability !== undefined) durability.set({ durability: scraped.queueDurability }, 1);
  }

  return {
    delivery: (event, outcome, reason) => deliveries.inc({ event, outcome, reason: reason ?? '' }),
    recorded(outcome, source, logBytes) {
      records.inc({ outcome, source });
      bytes.inc(logBytes);
    },
    jobRun: (job, outcome) => runs.inc({ job, outcome }),
    onScrape(newRead) {
      read = newRead;
    },
    async exposition() {
      show(await read());
      return { contentType: registry.contentType, body: await registry.metrics() };
    },
  };
}
