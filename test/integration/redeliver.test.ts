import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { z } from 'zod';
import type { Simulator } from '../../src/simulator/simulator.ts';
import {
  expectArchived,
  expectNothingElse,
  folderArchive,
  placesOfJob,
  readRecord,
  type ArchiveUnderTest,
} from '../support/oracles/archive-oracle.ts';
import {
  each,
  githubSettings,
  openStage,
  queueAtRest,
  scaled,
  until,
  type EverlogProcess,
  type Stage,
} from '../support/harness/everlog-under-test.ts';
import { freePort, spawnEverlog } from '../support/processes/processes.ts';
import { startRedis } from '../support/servers/redis-server.ts';
import { addSampleJobs, sampleLog } from '../support/github/sample-jobs.ts';

/** What GitHub could not deliver, asked for again by `everlog redeliver` and by the service itself. */
vi.setConfig({ testTimeout: scaled(120_000, 600_000) });

const FAILED_JOBS = scaled(40, 300);
const DELIVERIES_AT_ONCE = 20;
const DONE_TIMEOUT_MS = scaled(90_000, 500_000);

const entrySchema = z.object({
  guid: z.string(),
  delivery_id: z.string(),
  event: z.string(),
  status_code: z.number(),
  attempts: z.number(),
});
const documentSchema = z.object({
  redelivered: z.array(entrySchema),
  waiting: z.array(entrySchema),
  final: z.array(entrySchema),
  exhausted: z.array(entrySchema),
  reached_back_to: z.string().nullable(),
  complete: z.boolean(),
});
type Document = z.infer<typeof documentSchema>;

let stage: Stage;
let simulator: Simulator;
let archive: ArchiveUnderTest;
let env: Record<string, string>;
let webhooksPort: number;

beforeEach(async () => {
  stage = openStage();
  const redis = await startRedis();
  stage.defer(() => redis.stop());
  simulator = await stage.simulator();
  const folder = stage.folder();
  archive = folderArchive(folder);
  webhooksPort = await freePort();
  env = {
    ...githubSettings(simulator),
    EVERLOG_QUEUE_URL: redis.url,
    EVERLOG_ARCHIVE_URL: folder,
    EVERLOG_LISTEN: `127.0.0.1:${webhooksPort}`,
  };
  simulator.deliveries.url = `http://127.0.0.1:${webhooksPort}/webhooks`;
}, 60_000);

afterEach(() => stage.close());

function serve(changes: Record<string, string> = {}): Promise<EverlogProcess> {
  return stage.everlog(['serve'], { ...env, ...changes });
}

function startWork(): Promise<EverlogProcess> {
  return stage.everlog(['work'], env);
}

/** Runs the command to its end, and waits until what it asked for was attempted. */
async function redeliver(
  changes: Record<string, string> = {},
): Promise<{ exit: number | null; document: Document }> {
  const child = spawnEverlog(['redeliver', '--json'], { ...env, ...changes });
  const { code } = await child.exited;
  expect(child.stderr()).not.toContain('bug in Everlog');
  await simulator.deliveries.settle();
  return { exit: code, document: documentSchema.parse(JSON.parse(child.stdout())) };
}

function attemptsOf(guid: string): number {
  return simulator.deliveries.log.filter((delivery) => delivery.guid === guid).length;
}

function statusesOf(list: Document['final']): readonly number[] {
  return list.map(({ status_code }) => status_code).sort((one, other) => one - other);
}

/** A receiver that answers what a test says. */
async function startAnswering(status: (path: string) => number): Promise<string> {
  const server: Server = createServer((request, response) => {
    request.resume();
    request.on('end', () => response.writeHead(status(request.url ?? '')).end());
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  stage.defer(() => new Promise<void>((resolve) => void server.close(() => resolve())));
  const address: string | AddressInfo | null = server.address();
  if (address === null || typeof address === 'string') throw new Error('it listens on no port');
  return `http://127.0.0.1:${address.port}`;
}

test(`${FAILED_JOBS} deliveries that found no receiver are sent again, and each job is archived once`, async () => {
  const jobs = addSampleJobs(simulator, FAILED_JOBS, (index) => sampleLog(200 + index * 37, index));
  const failed = await each(jobs, DELIVERIES_AT_ONCE, (id) => simulator.deliveries.completeJob(id));
  expect(new Set(failed.map(({ status }) => status))).toEqual(new Set([0]));
  // Neither of these is Everlog's loss.
  await simulator.deliveries.job(jobs[0] ?? 0, 'in_progress');
  await simulator.deliveries.send('push', { ref: 'refs/heads/main' });
  const receiver = await serve();

  const first = await redeliver();
  expect(first.exit).toBe(0);
  expect(first.document.redelivered.map(({ guid }) => guid).sort()).toEqual(
    failed.map(({ guid }) => guid).sort(),
  );
  expect(first.document).toMatchObject({ waiting: [], final: [], exhausted: [], complete: true });
  expect(Date.parse(first.document.reached_back_to ?? '')).toBeLessThanOrEqual(Date.now());
  const second = await redeliver();
  expect(second).toMatchObject({ exit: 0, document: { redelivered: [], waiting: [], complete: true } });

  await startWork();
  expect((await queueAtRest(receiver, DONE_TIMEOUT_MS)).failed).toBe(0);
  for (const [index, id] of jobs.entries()) {
    const record = await readRecord(archive, placesOfJob(simulator, id).record);
    expect(record.fetch).toMatchObject({ source: 'redelivery', delivery_ids: [failed[index]?.guid] });
    expect(attemptsOf(failed[index]?.guid ?? '')).toBe(2);
  }
  await expectNothingElse(
    archive,
    jobs.map((id) => placesOfJob(simulator, id)),
  );
});

test('what failed by a wrong secret is tried three times, and again at once when the secret was mended', async () => {
  const jobs = addSampleJobs(simulator, 5, (index) => sampleLog(500, index));
  const wrong = await serve({ EVERLOG_GITHUB_WEBHOOK_SECRET: 'not-the-one-in-the-app' });
  await until(
    'the receiver has noted its settings',
    async () => (await fetch(`${wrong.adminUrl}/readyz`)).ok,
    DONE_TIMEOUT_MS,
  );
  const failed = await each(jobs, 5, (id) => simulator.deliveries.completeJob(id));
  expect(failed.map(({ status }) => status)).toEqual([401, 401, 401, 401, 401]);
  for (let round = 1; round <= 3; round += 1) {
    const { exit, document } = await redeliver();
    expect(document.redelivered.map(({ attempts }) => attempts)).toEqual(jobs.map(() => round));
    expect({ exit, exhausted: document.exhausted }).toEqual({ exit: 0, exhausted: [] });
  }
  const last = await redeliver();
  expect(last.exit).toBe(4);
  expect(last.document.redelivered).toEqual([]);
  expect(last.document.exhausted).toMatchObject(jobs.map(() => ({ status_code: 401, attempts: 4 })));

  await wrong.process.stop();
  const right = await serve();
  await startWork();
  await until(
    'GitHub delivered all of them',
    () => failed.every(({ guid }) => attemptsOf(guid) === 5),
    DONE_TIMEOUT_MS,
    () => right.process.stderr().slice(-2_000),
  );
  await queueAtRest(right, DONE_TIMEOUT_MS);
  for (const id of jobs) {
    const record = await expectArchived(archive, simulator, id, undefined, 'redelivery');
    expect(record.outcome).toBe('archived');
  }
  expect((await redeliver()).exit).toBe(0);
});

test('400 and 413 are final; everything else is tried three times', async () => {
  const jobs = addSampleJobs(simulator, 6, (index) => sampleLog(500, index));
  const statuses = [400, 413, 404, 415, 500, 503];
  const url = await startAnswering((path) => Number(path.slice(1)));
  const failed = await Promise.all(
    jobs.map((id, index) => simulator.deliveries.completeJob(id, { url: `${url}/${statuses[index]}` })),
  );
  expect(failed.map(({ status }) => status)).toEqual(statuses);
  for (let round = 1; round <= 3; round += 1) {
    const { exit, document } = await redeliver();
    expect(exit).toBe(4);
    expect(statusesOf(document.redelivered)).toEqual([404, 415, 500, 503]);
    expect(statusesOf(document.final)).toEqual([400, 413]);
  }
  const { document } = await redeliver();
  expect(document.redelivered).toEqual([]);
  expect(statusesOf(document.exhausted)).toEqual([404, 415, 500, 503]);
  expect(failed.map(({ guid }) => attemptsOf(guid))).toEqual([1, 1, 4, 4, 4, 4]);
});

test('a list of several pages is walked to its end', async () => {
  const url = await startAnswering(() => 202);
  const [job = 0] = addSampleJobs(simulator, 1, () => sampleLog(500, 1));
  await each(Array.from({ length: 350 }), DELIVERIES_AT_ONCE, () =>
    simulator.deliveries.job(job, 'queued', { url }),
  );
  const walked = (): number =>
    simulator.requests.entries.filter(({ route }) => route === 'hook_deliveries').length;
  const first = await redeliver();
  expect(first.document).toMatchObject({ redelivered: [], complete: true });
  expect(walked()).toBe(4);
});

test('a token alone cannot ask: said clearly, exit 2', async () => {
  const { EVERLOG_GITHUB_APP_ID: _id, EVERLOG_GITHUB_PRIVATE_KEY: _key, ...others } = env;
  const child = spawnEverlog(['redeliver'], { ...others, EVERLOG_GITHUB_TOKEN: 'ghp_token' });
  expect((await child.exited).code).toBe(2);
  expect(child.stderr()).toContain('needs App credentials');
  expect(child.stdout()).toBe('');
});

test('a service that runs asks by itself, and the embedded queue’s command asks by way of it', async () => {
  const folder = stage.folder();
  const embedded = { ...env, EVERLOG_QUEUE_URL: `embedded:${folder}/queue` };
  const jobs = addSampleJobs(simulator, 3, (index) => sampleLog(500, index));
  const [bySchedule = 0, byCommand = 0, ofAnother = 0] = jobs;
  const failed = await simulator.deliveries.completeJob(bySchedule);
  expect(failed.status).toBe(0);
  const up = await stage.everlog(['up'], embedded);
  await until(
    'the schedule asked',
    () => attemptsOf(failed.guid) === 2,
    DONE_TIMEOUT_MS,
    () => up.process.stderr().slice(-2_000),
  );
  const refused = await simulator.deliveries.completeJob(byCommand, { secret: 'wrong' });
  expect(refused.status).toBe(401);
  const { exit, document } = await redeliver(embedded);
  expect(exit).toBe(0);
  expect(document.redelivered).toMatchObject([{ guid: refused.guid, event: 'workflow_job', attempts: 1 }]);
  expect((await simulator.deliveries.completeJob(ofAnother)).status).toBe(202);
  await queueAtRest(up, DONE_TIMEOUT_MS);
  const sources = await each(jobs, 1, async (id) => {
    const record = await readRecord(archive, placesOfJob(simulator, id).record);
    return record.fetch['source'];
  });
  expect(sources).toEqual(['redelivery', 'redelivery', 'webhook']);
});
