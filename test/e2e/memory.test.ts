import { createHash, randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createGunzip } from 'node:zlib';
import { pipeline } from 'node:stream/promises';
import { Readable, Writable } from 'node:stream';
import { afterEach, expect, test } from 'vitest';
import { defaultSteps } from '../../src/simulator/logs/default-job.ts';
import { readWholeLog, type LogSource } from '../../src/simulator/logs/log-source.ts';
import { generatedLog } from '../../src/simulator/logs/log-text.ts';
import type { Simulator } from '../../src/simulator/simulator.ts';
import { placesOfJob } from '../support/oracles/archive-oracle.ts';
import {
  each,
  githubSettings,
  openStage,
  queueAtRest,
  s3Settings,
  scaled,
  type EverlogProcess,
} from '../support/harness/everlog-under-test.ts';
import { startRedis } from '../support/servers/redis-server.ts';
import { startS3Fake, type S3Fake } from '../support/servers/s3-fake/s3-fake.ts';

/** What a worker on Redis keeps resident at most, whatever the size of its logs: a gigabyte, and fifty times 20 MB, when soaking. */
const BLOCK_BYTES = scaled(10_000_000, 20_000_000);
/** More than the limit even when not soaking, so that a log kept whole would show. */
const LARGE_LOG_BLOCKS = scaled(30, 50);
const LARGE_LOG_MB = (LARGE_LOG_BLOCKS * BLOCK_BYTES) / 1_000_000;
const ONE_LOG_RSS_KB_MAX = 250_000_000 / 1024;
const MANY_LOGS = 50;
const MANY_LOGS_RSS_KB_MAX = 400_000_000 / 1024;
/** Compression takes some 25 s for a gigabyte on an idle core. */
const DONE_TIMEOUT_MS = 300_000;

let stage = openStage();

afterEach(async () => {
  await stage.close();
  stage = openStage();
});

interface Site {
  readonly simulator: Simulator;
  readonly fake: S3Fake;
  readonly bucket: string;
  readonly worker: EverlogProcess;
}

/** A worker alone is measured: the receiver, the store and GitHub are other processes. */
async function openSite(): Promise<Site> {
  const redis = await startRedis();
  stage.defer(() => redis.stop());
  const simulator = await stage.simulator();
  const fake = await startS3Fake();
  stage.defer(() => fake.stop());
  const bucket = `memory-${randomUUID()}`;
  await fake.createBucket(bucket);
  const { EVERLOG_GITHUB_API_URL, EVERLOG_GITHUB_LOG_HOSTS, ...settings } = githubSettings(simulator);
  const folder = stage.folder();
  const config = join(folder, 'hosts.yaml');
  // The default of ten requests at once spares an appliance; here fifty logs are to be read at once.
  writeFileSync(
    config,
    JSON.stringify({
      hosts: [
        {
          name: 'simulated',
          api_url: EVERLOG_GITHUB_API_URL,
          app_id: simulator.appId,
          private_key: simulator.privateKeyPem,
          webhook_secret: simulator.webhookSecret,
          log_hosts: [EVERLOG_GITHUB_LOG_HOSTS],
          private_cidrs: ['127.0.0.0/8'],
          max_concurrency: 60,
        },
      ],
    }),
  );
  const env = {
    ...s3Settings(fake, bucket, 'logs'),
    EVERLOG_CONFIG: config,
    EVERLOG_QUEUE_URL: redis.url,
    EVERLOG_CONCURRENCY: String(MANY_LOGS),
    EVERLOG_LISTEN: settings['EVERLOG_LISTEN'] ?? '',
    EVERLOG_ADMIN_LISTEN: settings['EVERLOG_ADMIN_LISTEN'] ?? '',
  };
  const [serve, worker] = await Promise.all([stage.everlog(['serve'], env), stage.everlog(['work'], env)]);
  simulator.deliveries.url = `${serve.webhooksUrl}/simulated`;
  const { id: installationId } = simulator.world.addInstallation({ login: 'octo-org' });
  simulator.world.addRepository({ id: REPOSITORY_ID, name: 'large', installationId });
  return { simulator, fake, bucket, worker };
}

const REPOSITORY_ID = 5_000;

function addJob({ world }: Simulator, log: LogSource): number {
  const { id: runId } = world.run(world.addRun({ repositoryId: REPOSITORY_ID }));
  return world.addJob({ runId, log }).facts.id;
}

/** A log as a runner writes it, a block of it, to be repeated: far beyond what a compressor looks back. */
function oneBlock(): Buffer {
  const log = generatedLog({
    seed: 1,
    jobName: 'build',
    repository: 'octo-org/large',
    steps: defaultSteps(Date.parse('2026-11-20T10:00:00Z'), Date.parse('2026-11-20T11:00:00Z'), 'success'),
    bytes: BLOCK_BYTES,
  });
  const block = readWholeLog(log);
  expect(block.length).toBeGreaterThanOrEqual(BLOCK_BYTES);
  return block;
}

/** A first line of its own, then the block, `times` times. `reading` is told when a reader begins and ends. */
function repeated(
  block: Buffer,
  times: number,
  title: string,
  reading: (change: 1 | -1) => void = () => undefined,
): LogSource {
  const first = Buffer.from(`2026-11-20T10:11:12.1234567Z ${title}\n`);
  return {
    bytes: first.length + block.length * times,
    *chunks() {
      reading(1);
      try {
        yield first;
        for (let time = 0; time < times; time += 1) {
          for (let at = 0; at < block.length; at += 65_536) yield block.subarray(at, at + 65_536);
        }
      } finally {
        reading(-1);
      }
    },
  };
}

function sha256Of(log: LogSource): string {
  const hash = createHash('sha256');
  for (const chunk of log.chunks()) hash.update(chunk);
  return hash.digest('hex');
}

/** Checks what the store was told of a log against what GitHub served; `whole` also unpacks what it holds. */
async function expectStored(site: Site, jobId: number, whole: boolean): Promise<void> {
  const { log } = site.simulator.world.job(jobId);
  if (log === null) throw new Error('the job has no log');
  const key = `logs/${placesOfJob(site.simulator, jobId).log}`;
  const object = site.fake.objects(site.bucket).find((stored) => stored.key === key);
  const sha256 = sha256Of(log);
  expect({ key, ...object?.metadata }).toMatchObject({ key, sha256, bytes: String(log.bytes) });
  if (!whole) return;
  const kept = createHash('sha256');
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      kept.update(chunk);
      done();
    },
  });
  await pipeline(Readable.from([await site.fake.read(site.bucket, key)]), createGunzip(), sink);
  expect(kept.digest('hex')).toBe(sha256);
}

test(
  `a log of ${LARGE_LOG_MB} MB is archived by a worker that never has 250 MB resident`,
  async () => {
    const site = await openSite();
    const id = addJob(site.simulator, repeated(oneBlock(), LARGE_LOG_BLOCKS, 'a large log'));
    const restKb = site.worker.process.rssKb();
    expect((await site.simulator.deliveries.completeJob(id)).status).toBe(202);
    expect((await queueAtRest(site.worker, DONE_TIMEOUT_MS)).failed).toBe(0);
    const peakKb = site.worker.process.peakRssKb();
    process.stdout.write(`${LARGE_LOG_MB} MB log: ${mib(peakKb)} resident at most, ${mib(restKb)} at rest\n`);
    await expectStored(site, id, true);
    expect(peakKb).toBeLessThan(ONE_LOG_RSS_KB_MAX);
  },
  DONE_TIMEOUT_MS + 60_000,
);

test(
  `${MANY_LOGS} logs of ${BLOCK_BYTES / 1_000_000} MB at once are archived by a worker that never has 400 MB resident`,
  async () => {
    const site = await openSite();
    const block = oneBlock();
    let reading = 0;
    let readingMax = 0;
    const ids = Array.from({ length: MANY_LOGS }, (_, index) =>
      addJob(
        site.simulator,
        repeated(block, 1, `log ${index}`, (change) => {
          reading += change;
          readingMax = Math.max(readingMax, reading);
        }),
      ),
    );
    await each(ids, MANY_LOGS, (id) => site.simulator.deliveries.completeJob(id));
    expect((await queueAtRest(site.worker, DONE_TIMEOUT_MS)).failed).toBe(0);
    const peakKb = site.worker.process.peakRssKb();
    process.stdout.write(
      `${MANY_LOGS} logs of ${BLOCK_BYTES / 1_000_000} MB: ${mib(peakKb)} resident at most, ${readingMax} at once\n`,
    );
    // One in ten is unpacked; the store has checked the bytes of all against the digests sent with them.
    await each([...ids.entries()], 4, ([index, id]) => expectStored(site, id, index % 10 === 0));
    expect(readingMax).toBeGreaterThanOrEqual(MANY_LOGS * 0.9);
    expect(peakKb).toBeLessThan(MANY_LOGS_RSS_KB_MAX);
  },
  DONE_TIMEOUT_MS + 60_000,
);

function mib(kb: number): string {
  return `${Math.round(kb / 1024)} MiB`;
}
