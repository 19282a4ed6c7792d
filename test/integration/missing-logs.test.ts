import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { serializeRecord } from '../../src/archive/record.ts';
import type { Simulator } from '../../src/simulator/simulator.ts';
import type { AddJob } from '../../src/simulator/world.ts';
import {
  expectArchived,
  folderArchive,
  placesOfJob,
  readRecord,
  tallyOf,
  type ArchiveUnderTest,
} from '../support/oracles/archive-oracle.ts';
import {
  githubSettings,
  openStage,
  queueAtRest,
  until,
  archiveQueue,
  type EverlogProcess,
} from '../support/harness/everlog-under-test.ts';
import { describeLog, makeRecord } from '../support/oracles/archived-jobs.ts';
import { startRedis } from '../support/servers/redis-server.ts';

/** What becomes of jobs whose log is late, gone, or never was. */
vi.setConfig({ testTimeout: 60_000 });

const stage = openStage();
const REST_TIMEOUT_MS = 30_000;
/** What the store answers for a log that is not there (yet). */
const BLOB_NOT_FOUND = {
  kind: 'status',
  status: 404,
  headers: { 'content-type': 'application/xml' },
  body: '\uFEFF<?xml version="1.0" encoding="utf-8"?><Error><Code>BlobNotFound</Code></Error>',
} as const;

const LOG_BYTES_MAX = 100_000;
const LEFT = Buffer.from('left by a crash\n');

let simulator: Simulator;
let everlog: EverlogProcess;
let archive: ArchiveUnderTest;
let repositoryId: number;
let folder: string;

beforeAll(async () => {
  const redis = await startRedis();
  stage.defer(() => redis.stop());
  simulator = await stage.simulator();
  folder = stage.folder();
  const env = {
    ...githubSettings(simulator),
    EVERLOG_QUEUE_URL: redis.url,
    EVERLOG_ARCHIVE_URL: folder,
    EVERLOG_MISSING_LOG_RETRIES: '100ms,200ms',
    EVERLOG_JOB_LOG_MAX_BYTES: String(LOG_BYTES_MAX),
  };
  const [serve] = await Promise.all([stage.everlog(['serve'], env), stage.everlog(['work'], env)]);
  everlog = serve;
  simulator.deliveries.url = serve.webhooksUrl;
  archive = folderArchive(folder);
  const installation = simulator.world.addInstallation({ login: 'octo-org' });
  ({ id: repositoryId } = simulator.world.addRepository({ name: 'late', installationId: installation.id }));
}, 120_000);

afterAll(() => stage.close());

function addJob(about: Omit<AddJob, 'runId'>): number {
  const run = simulator.world.run(simulator.world.addRun({ repositoryId }));
  return simulator.world.addJob({ runId: run.id, ...about }).facts.id;
}

async function bringToRest(jobId: number): Promise<void> {
  expect((await simulator.deliveries.completeJob(jobId)).body).toBe('{"outcome":"queued"}');
  await queueAtRest(everlog, REST_TIMEOUT_MS);
}

function requestsFor(jobId: number, route: string): number {
  return simulator.requests.entries.filter((entry) => entry.jobId === jobId && entry.route === route).length;
}

async function recordOf(jobId: number): Promise<Awaited<ReturnType<typeof readRecord>>> {
  return readRecord(archive, placesOfJob(simulator, jobId).record);
}

/** Stands in the archive as if a writer had died there. */
function plant(key: string, bytes: string | Uint8Array): void {
  mkdirSync(dirname(join(folder, key)), { recursive: true });
  writeFileSync(join(folder, key), bytes);
}

function secondOf(key: string): string {
  return key.replace(/(\.log\.gz|\.json)$/, '.r2$1');
}

test('a log that a crash left beside what was planted in its place is adopted', async () => {
  const id = addJob({ log: null });
  const { log } = placesOfJob(simulator, id);
  plant(log, 'no log');
  plant(secondOf(log), gzipSync(LEFT));
  await bringToRest(id);
  expect(await recordOf(id)).toMatchObject({
    outcome: 'archived',
    fetch: { source: 'adopted' },
    log: { key: secondOf(log), ...tallyOf(LEFT) },
  });
});

test('a log that a crash left is not lost where GitHub serves one that is too large', async () => {
  const id = addJob({ log: 'x'.repeat(LOG_BYTES_MAX + 1) });
  const { log } = placesOfJob(simulator, id);
  plant(log, gzipSync(LEFT));
  await bringToRest(id);
  expect(await recordOf(id)).toMatchObject({
    outcome: 'archived',
    fetch: { source: 'adopted' },
    log: { key: log, ...tallyOf(LEFT) },
  });
});

test.each([
  ['unavailable', null],
  ['too_large', 'x'.repeat(LOG_BYTES_MAX + 1)],
] as const)(
  'what stands and is larger than a log may be is named where it is %s',
  async (outcome, served) => {
    const id = addJob({ log: served });
    const { log } = placesOfJob(simulator, id);
    plant(log, gzipSync(Buffer.alloc(LOG_BYTES_MAX + 1, 'x')));
    await bringToRest(id);
    const reason = `${log} unpacks to more than EVERLOG_JOB_LOG_MAX_BYTES allows and was not taken for its log`;
    expect(await recordOf(id)).toMatchObject({
      outcome,
      log: null,
      absence: { reason: expect.stringContaining(reason) },
    });
  },
);

test('a log that GitHub serves beside one that was adopted before a crash is the next finding', async () => {
  const id = addJob({ log: 'served now\n' });
  const { record, log } = placesOfJob(simulator, id);
  plant(log, gzipSync(LEFT));
  const { facts } = simulator.world.job(id);
  const adopted = makeRecord({ repo: 'late', job_id: id, run_id: facts.run_id });
  const fetch = { ...adopted.fetch, source: 'adopted' };
  plant(record, serializeRecord({ ...adopted, fetch, log: describeLog(log, LEFT, gzipSync(LEFT)) }));
  await bringToRest(id);
  expect(await readRecord(archive, secondOf(record))).toMatchObject({
    outcome: 'archived',
    revision: 2,
    supersedes: record,
    log: { key: secondOf(log), ...tallyOf(Buffer.from('served now\n')) },
  });
});

test('a log that is late is looked for again and archived', async () => {
  const id = addJob({ log: 'there in the end\n' });
  simulator.faults.add({ match: { route: 'blob', jobId: id }, times: 2, effect: BLOB_NOT_FOUND });
  await bringToRest(id);
  const record = await expectArchived(archive, simulator, id);
  expect(record.fetch.attempts).toBe(3);
  expect(requestsFor(id, 'blob')).toBe(3);
});

test('a log that never comes is unavailable, with what was tried', async () => {
  const id = addJob({ log: null });
  const beganMs = Date.now();
  await bringToRest(id);
  const record = await recordOf(id);
  expect(record).toMatchObject({
    outcome: 'unavailable',
    log: null,
    conclusion: 'success',
    absence: { api_status: 302, log_status: 404, tries: 3 },
  });
  const [first, last] = [record.absence?.['first_tried_at'], record.absence?.['last_tried_at']].map((at) =>
    Date.parse(String(at)),
  );
  expect(first).toBeGreaterThanOrEqual(beganMs);
  expect((last ?? 0) - (first ?? 0)).toBeGreaterThanOrEqual(300);
  expect(requestsFor(id, 'blob')).toBe(3);
  expect((await archive.versions()).filter((key) => key.includes(String(id)))).toEqual([
    placesOfJob(simulator, id).record,
  ]);
});

test('a log that the API does not know is unavailable too, after as many looks', async () => {
  const id = addJob({ logState: 'hidden' });
  await bringToRest(id);
  expect(await recordOf(id)).toMatchObject({
    outcome: 'unavailable',
    absence: { api_status: 404, log_status: null, tries: 3 },
  });
  expect(requestsFor(id, 'logs')).toBe(3);
  expect(requestsFor(id, 'blob')).toBe(0);
});

test('410 is expired at the first look', async () => {
  const id = addJob({ logState: 'expired' });
  await bringToRest(id);
  expect(await recordOf(id)).toMatchObject({
    outcome: 'expired',
    log: null,
    absence: { api_status: 410, log_status: null, tries: 1 },
  });
  expect(requestsFor(id, 'logs')).toBe(1);
});

test.each([
  ['skipped', { conclusion: 'skipped' }],
  ['cancelled before a runner took it', { conclusion: 'cancelled', runner: null, steps: [] }],
] as const)('a job that was %s has no log, and none is asked for', async (_name, about) => {
  const id = addJob({
    conclusion: about.conclusion,
    ...('runner' in about ? { runner: null, steps: [] } : {}),
  });
  await bringToRest(id);
  const record = await recordOf(id);
  expect(record).toMatchObject({
    outcome: 'not_produced',
    log: null,
    conclusion: about.conclusion,
    absence: { tries: 0, first_tried_at: null, last_tried_at: null },
  });
  expect(requestsFor(id, 'logs')).toBe(0);
});

test('a check run that fired the event is no job', async () => {
  const id = addJob({ runner: null, steps: [], labels: [], conclusion: 'success' });
  await bringToRest(id);
  expect(await recordOf(id)).toMatchObject({ outcome: 'not_a_job', log: null });
  expect(requestsFor(id, 'logs')).toBe(0);
});

test('a delivery of a job that had failed revives it', async () => {
  const id = addJob({ log: 'after the repair\n' });
  // The API sends the request to another origin, which nothing but a repair can mend.
  simulator.faults.add({
    match: { route: 'job', jobId: id },
    times: 1,
    effect: { kind: 'redirect', status: 301, location: 'http://127.0.0.1:9/elsewhere' },
  });
  expect((await simulator.deliveries.completeJob(id)).body).toBe('{"outcome":"queued"}');
  await until(
    'the job has failed',
    async () => (await archiveQueue(everlog))?.failed === 1,
    REST_TIMEOUT_MS,
    () => everlog.process.stderr().slice(-2_000),
  );
  await bringToRest(id);
  expect((await archiveQueue(everlog))?.failed).toBe(0);
  await expectArchived(archive, simulator, id);
  expect((await simulator.deliveries.job(id, 'completed')).body).toBe('{"outcome":"duplicate"}');
});
