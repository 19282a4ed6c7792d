import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { openJobQueue } from '../../src/queue/job-queue.ts';
import type { Simulator } from '../../src/simulator/simulator.ts';
import {
  archiveQueue,
  each,
  githubSettings,
  holdSchedules,
  metricsOf,
  openStage,
  scaled,
  until,
  type EverlogProcess,
} from '../support/harness/everlog-under-test.ts';
import { redisStorage } from '../support/harness/queue-under-test.ts';
import { folderArchive } from '../support/oracles/archive-oracle.ts';
import { startRedis } from '../support/servers/redis-server.ts';
import { addSampleJobs, sampleLog } from '../support/github/sample-jobs.ts';

/** The numbers of a mixed run: each delivery is counted once, and every job that was taken is somewhere. */
vi.setConfig({ testTimeout: 240_000 });

/** A thousand deliveries where a release is judged. */
const GOOD_JOBS = scaled(280, 980);
const SKIPPED_JOBS = 3;
const LOG_BYTES = 900;
const FAILING_JOBS = 2;
const LATE_JOBS = 3;
/** Some seconds on two idle cores. */
const REST_TIMEOUT_MS = 120_000;
const RATE_LIMIT = 15_000;
/** Series of everything that Everlog counts itself, in one process; far below what jobs or repositories would make. */
const SERIES_MAX = 150;

const stage = openStage();
let simulator: Simulator;
let held: { remove(): void };
let serve: EverlogProcess;
let work: EverlogProcess;
let redisUrl: string;
let begunMs: number;
let archiveFolder: string;

beforeAll(async () => {
  const redis = await startRedis();
  stage.defer(() => redis.stop());
  redisUrl = redis.url;
  simulator = await stage.simulator({ rateLimit: { limit: RATE_LIMIT, windowMs: 3_600_000 } });
  // A comparison that begins while jobs still run finds others missing.
  held = holdSchedules(simulator);
  archiveFolder = stage.folder();
  const env = {
    ...githubSettings(simulator),
    EVERLOG_QUEUE_URL: redis.url,
    EVERLOG_ARCHIVE_URL: archiveFolder,
    EVERLOG_MISSING_LOG_RETRIES: '1h',
  };
  [serve, work] = await Promise.all([stage.everlog(['serve'], env), stage.everlog(['work'], env)]);
  simulator.deliveries.url = serve.webhooksUrl;
  begunMs = Date.now();
}, 120_000);

afterAll(() => stage.close());

type Samples = ReadonlyMap<string, number>;

async function read(everlog: EverlogProcess): Promise<Samples> {
  return until('the metrics are answered', () => metricsOf(everlog), REST_TIMEOUT_MS);
}

/** The sum of all series of a metric whose labels hold all of these. */
function sum(samples: Samples, name: string, labels: Readonly<Record<string, string>> = {}): number {
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  let total = 0;
  for (const [series, value] of samples) {
    const matches = series === name || series.startsWith(`${name}{`);
    if (matches && wanted.every((label) => series.includes(label))) total += value;
  }
  return total;
}

async function sendMixture(): Promise<number> {
  const { deliveries, faults } = simulator;
  const jobs = addSampleJobs(simulator, GOOD_JOBS + FAILING_JOBS + LATE_JOBS, (index) =>
    sampleLog(LOG_BYTES, index),
  );
  const failing = jobs.slice(GOOD_JOBS, GOOD_JOBS + FAILING_JOBS);
  for (const jobId of failing) {
    const location = 'http://127.0.0.1:9/elsewhere';
    faults.add({ match: { route: 'job', jobId }, effect: { kind: 'redirect', status: 301, location } });
  }
  for (const jobId of jobs.slice(GOOD_JOBS + FAILING_JOBS)) {
    faults.add({ match: { route: 'logs', jobId }, effect: { kind: 'status', status: 404 } });
  }
  const [first = 0] = jobs;
  const runId = simulator.world.job(first).facts.run_id;
  for (let index = 0; index < SKIPPED_JOBS; index += 1) {
    const skipped = { runId, name: `skipped ${index}`, conclusion: 'skipped', runner: null, steps: [] };
    jobs.push(simulator.world.addJob(skipped).facts.id);
  }
  const run = simulator.world.run(runId);
  const sent = [
    ...(await each(jobs, 10, (id) => deliveries.completeJob(id))),
    ...(await each(jobs.slice(0, 5), 1, (id) => deliveries.job(id, 'completed'))),
    await deliveries.run(run.id, 'requested'),
    await deliveries.job(first, 'queued'),
    await deliveries.job(first, 'in_progress'),
    await deliveries.send('push', { ref: 'refs/heads/main' }),
    await deliveries.send('ping', { zen: 'Keep it logically awesome.' }),
    await deliveries.send('workflow_job', { action: 'completed' }),
    await deliveries.job(first, 'completed', { secret: 'wrong' }),
    await deliveries.job(first, 'completed', { headers: { 'x-hub-signature-256': null } }),
    await deliveries.job(first, 'completed', { headers: { 'content-type': 'text/plain' } }),
    await deliveries.job(first, 'completed', { headers: { 'x-github-hook-installation-target-id': '999' } }),
    await deliveries.send('workflow_job', 'no JSON'),
  ];
  return sent.length;
}

/** What stands in the archive, by its records and by the sizes of its logs. */
async function readArchive(): Promise<{
  readonly outcomes: Readonly<Record<string, number>>;
  readonly logBytes: number;
  readonly storedBytes: number;
}> {
  const archive = folderArchive(archiveFolder);
  const outcomes: Record<string, number> = {};
  let [logBytes, storedBytes] = [0, 0];
  for (const key of await archive.versions()) {
    const { bytes } = await archive.read(key);
    if (key.startsWith('v1/records/')) {
      const { outcome } = z.object({ outcome: z.string() }).parse(JSON.parse(bytes.toString('utf8')));
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    } else if (key.startsWith('v1/logs/')) {
      storedBytes += bytes.length;
      logBytes += gunzipSync(bytes).length;
    }
  }
  return { outcomes, logBytes, storedBytes };
}

test('what was received, queued, recorded and is waiting adds up', async () => {
  const sent = await sendMixture();
  const queued = GOOD_JOBS + FAILING_JOBS + LATE_JOBS + SKIPPED_JOBS;
  await until(
    'every job has its place',
    async () => {
      const gauges = await archiveQueue(serve);
      return (
        gauges?.failed === FAILING_JOBS &&
        gauges.delayed === LATE_JOBS &&
        gauges.waiting + gauges.active === 0
      );
    },
    REST_TIMEOUT_MS,
    () => work.process.stderr().slice(-3_000),
  );
  const [received, done] = await Promise.all([read(serve), read(work)]);
  const deliveries = (labels: Record<string, string>): number =>
    sum(received, 'everlog_deliveries_total', labels);

  // received = queued + duplicate + pong + ignored + refused
  const refused = ['bad_signature', 'unsigned', 'unsupported_media_type', 'wrong_target', 'malformed'];
  expect(deliveries({})).toBe(sent);
  expect({
    queued: deliveries({ outcome: 'queued' }),
    duplicate: deliveries({ outcome: 'duplicate' }),
    pong: deliveries({ outcome: 'pong' }),
    unused: deliveries({ outcome: 'ignored', reason: '' }),
    unprocessable: deliveries({ outcome: 'ignored', reason: 'unprocessable' }),
    refused: refused.map((outcome) => deliveries({ outcome })),
  }).toEqual({
    queued: queued + 1,
    duplicate: 5,
    pong: 1,
    unused: 3,
    unprocessable: 1,
    refused: [1, 1, 1, 1, 1],
  });

  // queued = recorded + waiting + running + put off + failed
  const records = sum(done, 'everlog_records_total');
  const inQueue = (state: string): number => sum(received, 'everlog_queue_jobs', { queue: 'archive', state });
  expect(records).toBe(GOOD_JOBS + SKIPPED_JOBS);
  expect(deliveries({ event: 'workflow_job', outcome: 'queued' })).toBe(
    records + inQueue('waiting') + inQueue('active') + inQueue('delayed') + inQueue('failed'),
  );
  expect(sum(done, 'everlog_job_runs_total', { job: 'archive-job', outcome: 'done' })).toBe(records);
  expect(sum(done, 'everlog_archive_lag_seconds_count')).toBe(records);

  // recorded = what the archive holds
  const kept = await readArchive();
  expect(kept.outcomes).toEqual({ archived: GOOD_JOBS, not_produced: SKIPPED_JOBS });
  for (const [outcome, count] of Object.entries(kept.outcomes))
    expect(sum(done, 'everlog_records_total', { outcome, source: 'webhook' })).toBe(count);
  expect(kept.logBytes).toBe(GOOD_JOBS * LOG_BYTES);
  expect(sum(done, 'everlog_log_bytes_total')).toBe(kept.logBytes);
  expect(sum(done, 'everlog_stored_bytes_total')).toBe(kept.storedBytes);

  // what took how long, and when GitHub last sent something
  expect(sum(received, 'everlog_webhook_duration_seconds_count')).toBe(sent);
  const lastAt = sum(received, 'everlog_last_delivery_timestamp_seconds', { host: '127.0.0.1' });
  expect(lastAt * 1_000).toBeGreaterThan(begunMs);
  expect(lastAt * 1_000).toBeLessThanOrEqual(Date.now());

  // put off = by reason
  expect(sum(received, 'everlog_put_off_jobs')).toBe(inQueue('delayed'));
  expect(sum(received, 'everlog_put_off_jobs', { reason: 'log_not_yet' })).toBe(LATE_JOBS);
  const oldest = sum(received, 'everlog_oldest_unaccounted_seconds');
  expect(oldest).toBeGreaterThan(0);
  expect(oldest).toBeLessThanOrEqual((Date.now() - begunMs) / 1_000);
  const left = sum(done, 'everlog_github_ratelimit_remaining', { host: '127.0.0.1' });
  expect(left).toBeGreaterThan(RATE_LIMIT / 2);
  expect(left).toBeLessThan(RATE_LIMIT);
  expect(sum(done, 'everlog_github_ratelimit_limit', { host: '127.0.0.1' })).toBe(RATE_LIMIT);
});

test('reconcile says what was missing when it looked, and when it looked', async () => {
  expect((await read(serve)).get('everlog_reconcile_gap_jobs')).toBe(0);
  held.remove();
  const queue = openJobQueue(redisStorage(redisUrl));
  stage.defer(() => queue.close());
  await until(
    'reconcile is queued',
    () => queue.add({ name: 'reconcile-hosts', data: {} }).catch(() => null),
    REST_TIMEOUT_MS,
  );
  const samples = await until(
    'every repository was looked into',
    async () => {
      const found = await read(serve);
      return sum(found, 'everlog_reconcile_gap_jobs') === FAILING_JOBS + LATE_JOBS ? found : null;
    },
    REST_TIMEOUT_MS,
    () => work.process.stderr().slice(-3_000),
  );
  const at = sum(samples, 'everlog_last_reconcile_timestamp_seconds', { host: '127.0.0.1' });
  expect(at * 1_000).toBeGreaterThan(begunMs);
  expect(at * 1_000).toBeLessThanOrEqual(Date.now());
});

test('no label names a job, a repository or a delivery', async () => {
  for (const samples of [await read(serve), await read(work)]) {
    const ours = [...samples.keys()].filter((series) => !/^everlog_(process|nodejs)_/.test(series));
    expect(ours.length).toBeLessThan(SERIES_MAX);
    const labels = new Set(
      ours.flatMap((series) => [...series.matchAll(/[{,](\w+)="/g)].map(([, label]) => label)),
    );
    const known = new Set([
      'event',
      'outcome',
      'reason',
      'source',
      'job',
      'queue',
      'state',
      'host',
      'durability',
      'role',
      'cause',
      'version',
      'within',
      'le',
    ]);
    expect([...labels].filter((label) => !known.has(label ?? ''))).toEqual([]);
  }
});
