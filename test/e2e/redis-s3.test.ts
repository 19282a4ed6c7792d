import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import type { Simulator } from '../../src/simulator/simulator.ts';
import {
  bucketArchive,
  expectArchived,
  expectNothingElse,
  placesOfJob,
  type ArchiveUnderTest,
} from '../support/oracles/archive-oracle.ts';
import { addSampleJobs, sampleLog, SAMPLE_SIZES } from '../support/github/sample-jobs.ts';
import {
  each,
  githubSettings,
  metricsOf,
  openStage,
  queueAtRest,
  s3Settings,
  scaled,
  type Environment,
  type EverlogProcess,
} from '../support/harness/everlog-under-test.ts';
import { spawnEverlog } from '../support/processes/processes.ts';
import { startRedis } from '../support/servers/redis-server.ts';
import { s3Client, type S3Server } from '../support/servers/s3-connection.ts';
import { newKeyPem } from '../support/harness/sealing-under-test.ts';
import { runS3, SERVICE_HOOK_TIMEOUT_MS } from '../support/servers/services.ts';

/** One receiver and two workers on a real Redis and a real S3. */
const MIXED_JOBS = scaled(200, 2_000);
const TRIPLE_JOBS = scaled(500, 5_000);
/** On two busy cores a job takes some 60 ms in all. */
const DONE_TIMEOUT_MS = scaled(180_000, 1_800_000);
/** As many deliveries as GitHub has been seen to send to one address at once. */
const DELIVERIES_AT_ONCE = 60;
const READS_AT_ONCE = 16;
const PREFIX = 'everlog/eu';

interface Service {
  readonly serve: EverlogProcess;
  readonly workers: readonly EverlogProcess[];
  readonly archive: ArchiveUnderTest;
  readonly simulator: Simulator;
  readonly env: Environment;
}

const stage = openStage();
let s3: S3Server;

beforeAll(async () => {
  s3 = await runS3();
}, SERVICE_HOOK_TIMEOUT_MS);

afterAll(() => stage.close());

/** Each service has a queue server and a bucket of its own, with versions, where an overwritten object leaves a trace. */
async function startService(): Promise<Service> {
  const redis = await startRedis();
  stage.defer(() => redis.stop());
  const simulator = await stage.simulator();
  const bucket = `e2e-${randomUUID()}`;
  await s3.createBucket(bucket, { versioning: true });
  const client = s3Client(s3);
  stage.defer(() => Promise.resolve(client.destroy()));
  const env = {
    ...githubSettings(simulator),
    ...s3Settings(s3, bucket, PREFIX),
    EVERLOG_QUEUE_URL: redis.url,
  };
  const [serve, ...workers] = await Promise.all([
    stage.everlog(['serve'], env),
    stage.everlog(['work'], env),
    stage.everlog(['work'], env),
  ]);
  simulator.deliveries.url = serve.webhooksUrl;
  return { serve, workers, simulator, env, archive: bucketArchive(client, bucket, PREFIX) };
}

/** Runs a command to its good end; gives the last line that it prints. */
async function command(args: readonly string[], env: Environment): Promise<unknown> {
  const child = spawnEverlog(args, env);
  stage.defer(() => child.kill('SIGKILL'));
  const { code } = await child.exited;
  expect({ code, stderr: child.stderr() }).toMatchObject({ code: 0 });
  return JSON.parse(child.stdout().trimEnd().split('\n').at(-1) ?? '');
}

test(
  `${MIXED_JOBS} jobs of many sizes stand in the bucket byte for byte, sealed and verified`,
  async () => {
    const { simulator, archive, serve, env } = await startService();
    // Every tenth log is a generated one, as a runner writes it.
    const jobs = addSampleJobs(simulator, MIXED_JOBS, (index) =>
      index % 10 === 9 ? undefined : sampleLog(SAMPLE_SIZES[index % SAMPLE_SIZES.length] ?? 0, index),
    );
    const answers = await each(jobs, DELIVERIES_AT_ONCE, (id) => simulator.deliveries.completeJob(id));
    expect(answers.map(({ status, body }) => `${status} ${body}`)).toEqual(
      jobs.map(() => '202 {"outcome":"queued"}'),
    );
    expect((await queueAtRest(serve, DONE_TIMEOUT_MS)).failed).toBe(0);
    await each(jobs, READS_AT_ONCE, (id) => expectArchived(archive, simulator, id));
    await expectNothingElse(
      archive,
      jobs.map((id) => placesOfJob(simulator, id)),
    );
    const keyed = { ...env, EVERLOG_SIGNING_KEY: newKeyPem() };
    const sealed = z
      .looseObject({ sequence: z.literal(1), entries: z.number() })
      .parse(await command(['seal', '--json'], keyed));
    expect(sealed.entries).toBeGreaterThanOrEqual(jobs.length);
    const { summary } = z
      .object({ summary: z.looseObject({ findings: z.literal(0), entries: z.number() }) })
      .parse(await command(['verify', '--json'], env));
    expect(summary.entries).toBe(sealed.entries);
    await stage.close();
  },
  DONE_TIMEOUT_MS + 60_000,
);

test(
  `${TRIPLE_JOBS} deliveries, each sent three times at once, make ${TRIPLE_JOBS} logs and records of one version each`,
  async () => {
    const { simulator, archive, serve, workers } = await startService();
    const jobs = addSampleJobs(simulator, TRIPLE_JOBS, (index) =>
      sampleLog(200 + ((index * 7_919) % 30_000), index),
    );
    const sent = await each(jobs, DELIVERIES_AT_ONCE / 3, async (id) => {
      const guid = randomUUID();
      const thrice = [1, 2, 3].map(() => simulator.deliveries.completeJob(id, { guid }));
      return { guid, answers: await Promise.all(thrice) };
    });
    for (const { answers } of sent) {
      expect(answers.map(({ status }) => status)).toEqual([202, 202, 202]);
      expect(answers.some(({ body }) => body === '{"outcome":"queued"}')).toBe(true);
    }
    expect((await queueAtRest(serve, DONE_TIMEOUT_MS)).failed).toBe(0);
    const records = await each(jobs, READS_AT_ONCE, (id) => expectArchived(archive, simulator, id));
    await expectNothingElse(
      archive,
      jobs.map((id) => placesOfJob(simulator, id)),
    );
    expect(records.map((record) => record.fetch.delivery_ids)).toEqual(sent.map(({ guid }) => [guid]));
    // Both workers took their share, or the test would prove nothing of two.
    for (const worker of workers) {
      const archived = (await metricsOf(worker))?.get(
        'everlog_records_total{outcome="archived",source="webhook"}',
      );
      expect(archived).toBeGreaterThan(0);
    }
  },
  DONE_TIMEOUT_MS + 60_000,
);
