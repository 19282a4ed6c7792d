import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { expect } from 'vitest';
import type { SendResult } from '../../../src/simulator/deliveries.ts';
import type { Simulator, SimulatorOptions } from '../../../src/simulator/simulator.ts';
import {
  bucketArchive,
  expectArchived,
  placesOfJob,
  readRecord,
  type ArchiveUnderTest,
} from '../oracles/archive-oracle.ts';
import {
  each,
  githubSettings,
  holdSchedules,
  openStage,
  s3Settings,
  scaled,
  type Environment,
  type EverlogProcess,
  type Stage,
} from './everlog-under-test.ts';
import { startRedis, type RedisOptions, type RedisServer } from '../servers/redis-server.ts';
import { s3Client } from '../servers/s3-connection.ts';
import { startS3Fake, type S3Fake, type S3FakeOptions } from '../servers/s3-fake/s3-fake.ts';

/** The service with everything that it stands on, each part of which a test may take away and give back. */
export interface CrashSite {
  readonly redis: RedisServer;
  readonly simulator: Simulator;
  readonly fake: S3Fake;
  /** With versions, where an object that was written twice shows. */
  readonly bucket: string;
  readonly archive: ArchiveUnderTest;
  readonly env: Environment;
  /** Starts `everlog serve`, where deliveries then go. */
  serve(): Promise<EverlogProcess>;
  /** Starts `everlog work`. */
  work(env?: Environment): Promise<EverlogProcess>;
  /** Lets reconcile find its repositories: until then only what a test does is done. */
  allowReconcile(): void;
  /** Has the queue server forget everything, as one without persistence that was started again. */
  forgetQueue(): Promise<void>;
  /** Points deliveries at a process that receives. */
  deliverTo(process: EverlogProcess): void;
}

export interface CrashSiteOptions {
  readonly redis?: RedisOptions;
  readonly fake?: S3FakeOptions;
  readonly simulator?: SimulatorOptions;
  readonly env?: Environment;
}

export const PREFIX = 'logs';
/** Above what a test holds back at once; the default of ten spares an appliance. */
const GITHUB_REQUESTS_MAX = 90;
const AGAIN_MS = 100;
const READS_AT_ONCE = 16;

/** Starts everything but Everlog itself. */
export async function openCrashSite(stage: Stage, options: CrashSiteOptions = {}): Promise<CrashSite> {
  const redis = await startRedis(options.redis);
  stage.defer(() => redis.stop());
  const simulator = await stage.simulator(options.simulator);
  const quiet = holdSchedules(simulator);
  const fake = await startS3Fake(options.fake);
  stage.defer(() => fake.stop());
  const bucket = `crash-${randomUUID()}`;
  await fake.createBucket(bucket, { versioning: true });
  const client = s3Client(fake);
  stage.defer(() => Promise.resolve(client.destroy()));
  const env = {
    EVERLOG_CONFIG: hostsFile(stage.folder(), simulator),
    ...s3Settings(fake, bucket, PREFIX),
    EVERLOG_QUEUE_URL: redis.url,
    EVERLOG_LISTEN: '127.0.0.1:0',
    EVERLOG_ADMIN_LISTEN: '127.0.0.1:0',
    ...options.env,
  };
  const deliverTo = ({ webhooksUrl }: EverlogProcess): void => {
    simulator.deliveries.url = `${webhooksUrl}/simulated`;
  };
  return {
    redis,
    simulator,
    fake,
    bucket,
    archive: bucketArchive(client, bucket, PREFIX),
    env,
    async serve() {
      const serve = await stage.everlog(['serve'], env);
      deliverTo(serve);
      return serve;
    },
    allowReconcile: () => quiet.remove(),
    async forgetQueue() {
      const connection = new Redis(redis.url, { lazyConnect: true });
      await connection.connect();
      await connection.flushall();
      connection.disconnect();
    },
    work: (own = {}) => stage.everlog(['work'], { ...env, ...own }),
    deliverTo,
  };
}

function hostsFile(folder: string, simulator: Simulator): string {
  const path = join(folder, 'hosts.yaml');
  const settings = githubSettings(simulator);
  const host = {
    name: 'simulated',
    api_url: simulator.apiUrl,
    app_id: simulator.appId,
    private_key: simulator.privateKeyPem,
    webhook_secret: simulator.webhookSecret,
    log_hosts: [settings['EVERLOG_GITHUB_LOG_HOSTS']],
    private_cidrs: [settings['EVERLOG_GITHUB_PRIVATE_CIDRS']],
    max_concurrency: GITHUB_REQUESTS_MAX,
  };
  writeFileSync(path, JSON.stringify({ hosts: [host] }));
  return path;
}

/** Sends a delivery again and again, as somebody who redelivers, until it is acknowledged; answers how often it was not. */
export async function deliverUntilAccepted(send: () => Promise<SendResult>): Promise<number> {
  for (let refused = 0; ; refused += 1) {
    const { status } = await send();
    if (status >= 200 && status < 300) return refused;
    await delay(AGAIN_MS);
  }
}

/** Checks that these jobs and no others are archived, byte for byte, in one version each, and became known in one of these ways. */
export async function expectArchivedOnce(
  { archive, simulator }: CrashSite,
  jobs: readonly number[],
  sources: readonly string[] = ['webhook'],
): Promise<void> {
  await each(jobs, READS_AT_ONCE, async (id) => {
    const { record } = placesOfJob(simulator, id);
    const source = (await readRecord(archive, record)).fetch['source'];
    expect(sources).toContain(source);
    await expectArchived(archive, simulator, id, undefined, String(source));
  });
  const versions = (await archive.versions()).filter((key) => /^v1\/(logs|records)\//.test(key));
  const places = jobs.map((id) => placesOfJob(simulator, id));
  expect(versions.toSorted()).toEqual(places.flatMap(({ log, record }) => [log, record]).toSorted());
}

/** A test with a stage of its own, for tests that run side by side. */
export function onStage(run: (stage: Stage) => Promise<void>): () => Promise<void> {
  return async () => {
    const stage = openStage();
    try {
      await run(stage);
    } finally {
      await stage.close();
    }
  };
}

/** For a group of tests that mostly wait: they run side by side, unless they are to be judged by their figures. */
export const SIDE_BY_SIDE = { concurrent: scaled(1, 0) === 1 };

/** One line for whoever reads the run: what was done to the service, and what it took. */
export function tellFigures(title: string, figures: Readonly<Record<string, number | string>>): void {
  const told = Object.entries(figures).map(([name, figure]) => `${figure} ${name}`);
  process.stdout.write(`${title}: ${told.join(', ')}\n`);
}

/** Seconds since `startedMs` of `performance.now`, for figures. */
export function secondsSince(startedMs: number): string {
  return ((performance.now() - startedMs) / 1000).toFixed(0);
}

/** The most memory that a process has had resident, in MiB. */
export function peakMib({ process: child }: EverlogProcess): number {
  return Math.round(child.peakRssKb() / 1024);
}
