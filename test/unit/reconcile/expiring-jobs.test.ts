import { describe, expect, test } from 'vitest';
import { JsonText } from '../../../src/json-text.ts';
import { packDelivered } from '../../../src/queue/catalog.ts';
import { readExpiring } from '../../../src/reconcile/expiring-jobs.ts';

const NOW = new Date('2026-11-28T09:00:00.000Z');
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const RETENTION_MS = 90 * DAY_MS;

function ago(ms: number): string {
  return new Date(NOW.getTime() - ms).toISOString();
}

function held(id: string, source: string, receivedMs: number, completedMs: number | null): object {
  const job = JsonText.read(
    JSON.stringify({ id: 1, completed_at: completedMs === null ? null : ago(completedMs) }),
  );
  if (job === null) throw new Error('a text that was just written');
  const delivered = packDelivered({ workflow_job: job.json, deployment: null });
  return { id, data: { source, received_at: ago(receivedMs), delivered } };
}

async function expiringOf(
  jobs: readonly object[],
  gaps: Readonly<Record<string, object>> = {},
): Promise<object> {
  const gap = {
    host: 'github.com',
    owner: 'o',
    repo: 'r',
    repository_id: 1,
    run_id: 1,
    run_attempt: 1,
    job_id: 1,
    jobs: 1,
    reason: 'missing',
  };
  const noted = Object.entries(gaps).map(([id, changes]) => [id, JSON.stringify({ ...gap, ...changes })]);
  const notes = { fields: () => Promise.resolve(Object.fromEntries(noted)) };
  return readExpiring(
    {
      async *heldArchiveJobs() {
        await Promise.resolve();
        for (const job of jobs) yield { id: '', data: null, ...job };
      },
      notes: { ...NO_NOTES, ...notes },
    },
    RETENTION_MS,
    NOW,
  );
}

const none = (): Promise<never> => Promise.reject(new Error('not asked for here'));
const NO_NOTES = {
  note: none,
  noted: none,
  setField: none,
  settleField: none,
  fields: none,
  claim: none,
  release: none,
};

describe('jobs whose logs expire soon', () => {
  test('are counted by when they ended, up to the moment their log is gone', async () => {
    const left = (ms: number): object => held(`left ${ms}`, 'backfill', HOUR_MS, RETENTION_MS - ms);
    const jobs = [-1, 0, 1, DAY_MS, DAY_MS + 1, 7 * DAY_MS, 7 * DAY_MS + 1].map(left);
    expect(await expiringOf(jobs)).toEqual({ withinDay: 2, withinWeek: 4 });
  });

  test('of a delivery that is months old too, whose job tells more exactly when it ended', async () => {
    const old = held('old', 'webhook', RETENTION_MS - 8 * DAY_MS, RETENTION_MS - 6 * DAY_MS);
    const fresh = held('fresh', 'webhook', HOUR_MS, HOUR_MS);
    expect(await expiringOf([old, fresh])).toEqual({ withinDay: 0, withinWeek: 1 });
  });

  test('where nothing tells when a job ended, when it was first heard of does', async () => {
    const silent = held('silent', 'reconcile', RETENTION_MS - HOUR_MS, null);
    const damaged = {
      id: 'damaged',
      data: { source: 'sweep', received_at: ago(RETENTION_MS - HOUR_MS), delivered: 'no deflate' },
    };
    const unknown = { id: 'of a later version', data: { job: 1 } };
    expect(await expiringOf([silent, damaged, unknown])).toEqual({ withinDay: 2, withinWeek: 2 });
  });

  test('each once: what a comparison noted is what the queue holds, and what was dropped is still missing', async () => {
    const queued = held('job-github.com-1', 'reconcile', HOUR_MS, RETENTION_MS - HOUR_MS);
    const gaps = {
      'job-github.com-1': { since: ago(RETENTION_MS - HOUR_MS) },
      'job-github.com-2': { since: ago(RETENTION_MS - 2 * DAY_MS) },
      'place github.com//': { since: ago(RETENTION_MS - HOUR_MS), job_id: null, jobs: 0 },
    };
    expect(await expiringOf([queued], gaps)).toEqual({ withinDay: 1, withinWeek: 2 });
  });
});
