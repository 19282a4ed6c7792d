import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import {
  openDeliveryCounters,
  openRecordCounters,
  openRunCounters,
  openSealCounters,
  type CountedDelivery,
  type CountedRecord,
  type CountedSeal,
} from './metrics/counters.ts';
import { openGauges, type Scraped } from './metrics/gauges.ts';

/** What a process counts, for `GET /metrics`. Labels come from closed sets only: never a repository, job or delivery. */
export interface Metrics {
  delivery(delivery: CountedDelivery): void;
  recorded(record: CountedRecord): void;
  /** An archive job that Everlog found by itself and queued, by how. */
  found(source: string): void;
  /** `cause`: the code of the error that ended it; null where it was none. */
  jobRun(name: string, outcome: string, cause: string | null): void;
  /** What this process has sealed. */
  sealed(seal: CountedSeal): void;
  /** Reads gauges when somebody asks for them; what cannot be read is left out. */
  onScrape(read: () => Promise<Scraped>): void;
  /** The Prometheus text exposition. */
  exposition(): Promise<{ contentType: string; body: string }>;
}

/** Makes the metrics of one process of this version. */
export function createMetrics(version: string): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, prefix: 'everlog_' });
  new Gauge({
    name: 'everlog_build_info',
    help: 'The version of this process; always 1',
    labelNames: ['version'],
    registers,
  }).set({ version }, 1);
  const found = new Counter({
    name: 'everlog_found_jobs_total',
    help: 'Archive jobs that Everlog found by itself and queued, by how',
    labelNames: ['source'],
    registers,
  });
  const show = openGauges(registry);
  let read: () => Promise<Scraped> = () => Promise.resolve({ now: new Date() });

  return {
    delivery: openDeliveryCounters(registry),
    recorded: openRecordCounters(registry),
    found: (source) => found.inc({ source }),
    jobRun: openRunCounters(registry),
    sealed: openSealCounters(registry),
    onScrape(newRead) {
      read = newRead;
    },
    async exposition() {
      show(await read());
      return { contentType: registry.contentType, body: await registry.metrics() };
    },
  };
}
