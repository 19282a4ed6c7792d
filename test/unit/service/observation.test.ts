import { describe, expect, test } from 'vitest';
import { loadConfig, type Config } from '../../../src/config.ts';
import { createMetrics } from '../../../src/metrics.ts';
import type { JobQueue } from '../../../src/queue/job-queue.ts';
import type { ServiceRole } from '../../../src/metrics/gauges.ts';
import { noteReconciled } from '../../../src/reconcile/reconcile-note.ts';
import { openObservation } from '../../../src/service/health/observation.ts';

/** What a process tells when its metrics are asked for: what never was is told of, what cannot be read is not. */

const AT = new Date('2026-11-28T09:00:00.000Z');
const NEVER = 'everlog_last_reconcile_timestamp_seconds{host="github.com"} 0';

type Observed = Parameters<typeof openObservation>[1];

function memoryQueue(): Observed {
  const tables = new Map<string, Map<string, string>>();
  const tableOf = (name: string): Map<string, string> => {
    const table = tables.get(name) ?? new Map<string, string>();
    tables.set(name, table);
    return table;
  };
  const none = { waiting: 0, active: 0, delayed: 0, failed: 0 };
  const notes: Pick<JobQueue['notes'], 'noted' | 'fields' | 'setField'> = {
    noted: (names) => Promise.resolve(names.map(() => null)),
    fields: (table) => Promise.resolve(Object.fromEntries(tableOf(table))),
    setField(table, field, text) {
      if (text === null) tableOf(table).delete(field);
      else tableOf(table).set(field, text);
      return Promise.resolve();
    },
  };
  const unused = (): never => {
    throw new Error('not asked for by metrics');
  };
  return {
    durability: 'persistent',
    counts: () => Promise.resolve({ archive: none, upkeep: none, seal: none }),
    backlog: () => Promise.reject(new Error('the queue does not answer')),
    async *heldArchiveJobs() {
      /* There are none. */
    },
    notes: { ...notes, note: unused, settleField: unused, claim: unused, release: unused },
    pending: {
      add: unused,
      announce: unused,
      page: unused,
      remove: unused,
      count: () => Promise.resolve(0),
      announcedBefore: unused,
      mark: unused,
      setMark: unused,
    },
  };
}

function configOf(variables: Record<string, string>): Config {
  return loadConfig({}, variables);
}

async function told(config: Config, queue: Observed, roles: readonly ServiceRole[]): Promise<string> {
  const metrics = createMetrics('1.2.3');
  metrics.onScrape(openObservation(config, queue, roles, null));
  return (await metrics.exposition()).body;
}

test('a process tells what of the work it does, and nothing of what others do', async () => {
  const rolesIn = (body: string): readonly string[] => body.match(/^everlog_role\{.*$/gm) ?? [];
  const metrics = createMetrics('1.2.3');
  metrics.onScrape(openObservation(configOf({}), memoryQueue(), ['receiver', 'seal'], null));
  const { body } = await metrics.exposition();
  expect(rolesIn(body)).toEqual(['everlog_role{role="receiver"} 1', 'everlog_role{role="seal"} 1']);
  expect(rolesIn(await told(configOf({}), memoryQueue(), []))).toEqual([]);
  const answered = { event: 'workflow_job', outcome: 'queued', reason: null, at: AT, durationMs: 1 };
  metrics.delivery({ ...answered, host: 'github.com', isTaken: true });
  metrics.delivery({ ...answered, host: 'github.com', isTaken: true });
  metrics.delivery({ ...answered, host: 'ghes', outcome: 'bad_signature', isTaken: false });
  expect((await metrics.exposition()).body.match(/^everlog_taken_deliveries_total.*$/gm)).toEqual([
    'everlog_taken_deliveries_total{host="github.com"} 2',
  ]);
});

test('what is put off until a newer version comes is counted as tried again, other waits are not', async () => {
  const metrics = createMetrics('1.2.3');
  metrics.jobRun('unknown', 'put_off', 'newer_version');
  metrics.jobRun('archive-job', 'put_off', 'log_not_yet');
  metrics.jobRun('archive-job', 'retried', 'github_unavailable');
  const { body } = await metrics.exposition();
  expect(body.match(/^everlog_job_retries_total.*$/gm)).toEqual([
    'everlog_job_retries_total{cause="newer_version"} 1',
    'everlog_job_retries_total{cause="github_unavailable"} 1',
  ]);
  expect(body).toContain('everlog_job_runs_total{job="unknown",outcome="put_off"} 1');
});

describe('reconcile', () => {
  const config = configOf({ EVERLOG_GITHUB_TOKEN: 'a-token' });

  test('a host that could be compared and never was shows 0, whoever of the workers is asked', async () => {
    const queue = memoryQueue();
    expect(await told(config, queue, ['archive'])).toContain(NEVER);
    const upkeep = await told(config, queue, ['upkeep']);
    expect(upkeep).toContain(NEVER);
    expect(upkeep).toContain('everlog_reconciled_through_timestamp_seconds{host="github.com"} 0');
  });

  test('a host shows when it was compared, and one without credentials nothing', async () => {
    const queue = memoryQueue();
    expect(await told(configOf({}), queue, [])).not.toContain('everlog_last_reconcile_timestamp_seconds{');
    await noteReconciled(queue.notes, 'github.com', AT);
    const shown = `everlog_last_reconcile_timestamp_seconds{host="github.com"} ${AT.getTime() / 1000}`;
    expect(await told(config, queue, ['archive'])).toContain(shown);
    expect(await told(configOf({}), queue, [])).toContain(shown);
  });

  test('nothing is told where the notes cannot be read: that is not never', async () => {
    const queue = memoryQueue();
    const notes = { ...queue.notes, fields: () => Promise.reject(new Error('the queue does not answer')) };
    const body = await told(config, { ...queue, notes }, ['upkeep']);
    expect(body).not.toContain('everlog_last_reconcile_timestamp_seconds{');
    expect(body).not.toMatch(/^everlog_open_seal_findings /m);
    expect(body).toContain('everlog_queue_jobs{queue="archive",state="failed"} 0');
  });
});
