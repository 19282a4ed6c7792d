import { randomFillSync } from 'node:crypto';
import { mkdirSync, readdirSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { seededRandom } from '../../src/simulator/random.ts';
import type { Simulator } from '../../src/simulator/simulator.ts';
import {
  deliverUntilAccepted,
  expectArchivedOnce,
  onStage,
  SIDE_BY_SIDE,
  openCrashSite,
  peakMib,
  secondsSince,
  tellFigures,
  type CrashSite,
} from '../support/harness/crash-site.ts';
import {
  each,
  metricsOf,
  queueAtRest,
  scaled,
  until,
  type EverlogProcess,
  type Stage,
} from '../support/harness/everlog-under-test.ts';
import { addRuns } from '../support/harness/reconcile-under-test.ts';
import { spawnEverlog, spawnManaged } from '../support/processes/processes.ts';
import { addSampleJobs, sampleLog } from '../support/github/sample-jobs.ts';

/** What Everlog stands on fails for a while under load: nothing is lost, memory and disk stay bounded (P2, P10, P13). */
const DONE_TIMEOUT_MS = scaled(150_000, 3_000_000);
const TIMEOUT_MS = DONE_TIMEOUT_MS + scaled(60_000, 600_000);
const DELIVERIES_AT_ONCE = 8;
/** What a worker on a queue server keeps resident at most. */
const WORKER_MIB_MAX = 400_000_000 / 1024 / 1024;
/** Room for ten jobs at once: they reserve 64 MiB each. */
const SPOOL_BYTES_MAX = 640 * 1024 * 1024;
const SAMPLE_MS = 200;
const SEED = 4;
/** More than the spool keeps in memory, of bytes that no compression makes fewer. */
const SPOOL_FILE_LOG = randomFillSync(Buffer.allocUnsafe(3 * 1024 * 1024));

/** Every fifteenth log goes through a spool file. */
function mixedLog(index: number): Buffer {
  return index % 15 === 3 ? SPOOL_FILE_LOG : sampleLog(500 + ((index * 7_919) % 60_000), index);
}

async function deliverAll({ simulator }: CrashSite, jobs: readonly number[]): Promise<number> {
  const refused = await each(jobs, DELIVERIES_AT_ONCE, (id) =>
    deliverUntilAccepted(() => simulator.deliveries.completeJob(id)),
  );
  return refused.reduce((sum, times) => sum + times, 0);
}

/** A link is followed at once and once: each answer of the log host had an answer of the API of its own, and none was too old. */
function expectFreshLinks(simulator: Simulator): number {
  const links = simulator.requests.count('logs');
  const fetches = simulator.requests.count('blob');
  expect(fetches).toBeLessThanOrEqual(links);
  const stale = simulator.requests.entries.filter(({ route, status }) => route === 'blob' && status === 403);
  expect(stale).toEqual([]);
  return fetches;
}

/** Bytes in files of the spool, which have no name any more and are seen through the process that holds them. */
function spooledBytes(pid: number): number {
  const folder = `/proc/${pid}/fd`;
  let bytes = 0;
  for (const fd of readdirSync(folder)) {
    try {
      if (readlinkSync(join(folder, fd)).includes('everlog-spool-')) bytes += statSync(join(folder, fd)).size;
    } catch {
      // Closed since it was listed.
    }
  }
  return bytes;
}

/** Chance may fail a job so often that its next try is minutes away. */
const HURRY_MS = 5_000;

/** Brings forward what waits for its next try, as the passing of time would. */
function hurry(stage: Stage, { redis }: CrashSite): NodeJS.Timeout {
  const connection = new Redis(redis.url, { maxRetriesPerRequest: null });
  const queue = new Queue('archive', { connection, prefix: 'everlog' });
  const hurrying = setInterval(() => void queue.promoteJobs(), HURRY_MS);
  stage.defer(async () => {
    clearInterval(hurrying);
    await queue.close();
    connection.disconnect();
  });
  return hurrying;
}

interface SpoolWatch {
  /** Ends the watch; the most that was reserved, and the most that lay in files. */
  stop(): Promise<{ reservedMax: number; inFilesMax: number }>;
}

function watchSpool(worker: EverlogProcess): SpoolWatch {
  const seen = { reservedMax: 0, inFilesMax: 0 };
  const stopping = new AbortController();
  const watch = (async () => {
    while (!stopping.signal.aborted) {
      const reserved = (await metricsOf(worker))?.get('everlog_spool_reserved_bytes') ?? 0;
      seen.reservedMax = Math.max(seen.reservedMax, reserved);
      seen.inFilesMax = Math.max(seen.inFilesMax, spooledBytes(worker.process.pid));
      await delay(SAMPLE_MS);
    }
  })();
  return {
    async stop() {
      stopping.abort();
      await watch;
      return seen;
    },
  };
}

const LOST_QUEUE_JOBS = scaled(120, 10_000);
const LOST_QUEUE_KILLS = scaled(3, 10);
const RECONCILES_MAX = 2;

const reportSchema = z.looseObject({
  gaps: z.array(z.unknown()),
  queued: z.number(),
  archived: z.number(),
  api_calls: z.number(),
});

const STORE_OUTAGE_MS = scaled(10_000, 60_000);
const STORE_OUTAGE_JOBS = scaled(60, 1_000);
/** Far shorter than the outage: a link that is kept for later is of no use. */
const LINK_LIFETIME_MS = 3_000;

const FAULTY_JOBS = scaled(50, 1_000);
/** A request that is never answered is given up after 30 s. */
const HANGS = scaled(4, 40);

const FULL_DISK_JOBS = scaled(12, 100);
/** Room for two of the logs at a time. */
const SMALL_DISK = '8m';
const ENTRY = resolve(import.meta.dirname, '../../dist/src/cli/main.js');

/**
 * A worker whose spool is a file system of 8 MiB, seen by it alone, which takes a mount namespace; where those are forbidden, one
 * whose spool folder has gone, which fails in the same place, until `makeRoom` brings it back.
 */
async function startOnSmallDisk(
  stage: Stage,
  site: CrashSite,
  spool: string,
): Promise<{ worker: EverlogProcess['process']; told: string; makeRoom(): void }> {
  const env = { ...site.env, EVERLOG_SPOOL_DIR: spool };
  const mount = `mount -t tmpfs -o size=${SMALL_DISK} tmpfs "$0" && exec "$@"`;
  const namespace = process.getuid?.() === 0 ? ['--mount'] : ['--map-root-user', '--mount'];
  const command = [process.execPath, ENTRY, 'work', '--json'];
  const worker = spawnManaged('unshare', [...namespace, 'sh', '-c', mount, spool, ...command], { env });
  stage.defer(() => worker.kill('SIGKILL'));
  const isUp = worker
    .waitForLine(({ json }) => json?.['admin'] !== undefined, 30_000)
    .then(
      () => true,
      () => false,
    );
  if (await isUp) return { worker, told: '8 MiB', makeRoom: () => undefined };
  const { process: child } = await site.work({ EVERLOG_SPOOL_DIR: spool });
  rmSync(spool, { recursive: true });
  return { worker: child, told: 'missing (no mount allowed)', makeRoom: () => mkdirSync(spool) };
}

const BLOCKED_MS = 15_000;
const BLOCKED_JOBS = scaled(24, 400);

describe('what Everlog stands on fails for a while under load', SIDE_BY_SIDE, () => {
  test(
    `a queue server without persistence is killed ${LOST_QUEUE_KILLS} times under ${LOST_QUEUE_JOBS} jobs: reconcile accounts for all`,
    onStage(async (stage) => {
      const startedMs = performance.now();
      const site = await openCrashSite(stage, {
        redis: { appendonly: false },
        env: { EVERLOG_ALLOW_UNSAFE_QUEUE: 'true' },
      });
      const [serve] = await Promise.all([site.serve(), site.work(), site.work()]);
      const { world } = site.simulator;
      const installationId = world.addInstallation({ login: 'Octo-Org' }).id;
      const { id } = world.addRepository({ name: 'Busy', installationId });
      const log = (index: number): string => sampleLog(500 + (index % 5_000), index).toString('latin1');
      const jobs = addRuns(site.simulator, id, LOST_QUEUE_JOBS, { log }).jobIds;
      const share = Math.ceil(jobs.length / LOST_QUEUE_KILLS);
      for (let kill = 0; kill < LOST_QUEUE_KILLS; kill += 1) {
        await deliverAll(site, jobs.slice(kill * share, (kill + 1) * share));
        await site.redis.restart();
      }
      expect((await queueAtRest(serve, DONE_TIMEOUT_MS)).failed).toBe(0);
      const before = (await site.archive.versions()).filter((key) => key.startsWith('v1/records/')).length;
      expect(before).toBeLessThan(jobs.length);

      site.allowReconcile();
      let reconciles = 0;
      let calls = 0;
      for (let code: number | null = 4; code !== 0; reconciles += 1) {
        expect(reconciles).toBeLessThan(RECONCILES_MAX);
        const command = spawnEverlog(['reconcile', '--wait', '--json'], site.env);
        ({ code } = await command.exited);
        expect({ code, stderr: command.stderr() }).toMatchObject({ code: code === 0 ? 0 : 4 });
        calls += reportSchema.parse(JSON.parse(command.stdout())).api_calls;
      }
      await expectArchivedOnce(site, jobs, ['webhook', 'reconcile']);
      const lost = jobs.length - before;
      tellFigures('queue lost', {
        kills: LOST_QUEUE_KILLS,
        jobs: jobs.length,
        'acknowledged and lost with the queue': lost,
        'reconciles until none was missing': reconciles,
        'API calls': calls,
        s: secondsSince(startedMs),
      });
    }),
    TIMEOUT_MS,
  );

  test(
    `the store is gone for ${STORE_OUTAGE_MS / 1_000} s under ${STORE_OUTAGE_JOBS} jobs: work waits, and links are asked for anew`,
    onStage(async (stage) => {
      const startedMs = performance.now();
      const site = await openCrashSite(stage, {
        simulator: { linkLifetimeMs: LINK_LIFETIME_MS },
        env: { EVERLOG_SPOOL_MAX_BYTES: String(SPOOL_BYTES_MAX) },
      });
      const [serve, worker] = await Promise.all([site.serve(), site.work()]);
      const jobs = addSampleJobs(site.simulator, STORE_OUTAGE_JOBS, mixedLog);
      const spool = watchSpool(worker);
      const delivered = deliverAll(site, jobs);
      await until(
        'work has begun',
        () => site.simulator.requests.count('blob') > jobs.length / 10,
        DONE_TIMEOUT_MS,
      );
      site.fake.outage(true);
      const ready = await fetch(`${worker.adminUrl}/readyz`);
      expect(ready.status).toBe(503);
      await delay(STORE_OUTAGE_MS);
      // The receiver needs no store: deliveries were taken meanwhile.
      expect(await delivered).toBe(0);
      site.fake.outage(false);
      const resumedMs = performance.now();
      expect((await queueAtRest(serve, DONE_TIMEOUT_MS)).failed).toBe(0);
      const { reservedMax, inFilesMax } = await spool.stop();
      await expectArchivedOnce(site, jobs);
      const fetches = expectFreshLinks(site.simulator);
      expect(reservedMax).toBeLessThanOrEqual(SPOOL_BYTES_MAX);
      expect(inFilesMax).toBeLessThanOrEqual(SPOOL_BYTES_MAX);
      expect(peakMib(worker)).toBeLessThan(WORKER_MIB_MAX);
      tellFigures('store gone', {
        's outage': STORE_OUTAGE_MS / 1_000,
        jobs: jobs.length,
        's until all were archived after it': secondsSince(resumedMs),
        'log fetches': fetches,
        'MiB resident at most': peakMib(worker),
        'MiB in the spool at most': Math.round(inFilesMax / 1024 / 1024),
        s: secondsSince(startedMs),
      });
    }),
    TIMEOUT_MS,
  );

  test(
    `half of all requests to the store fail under ${FAULTY_JOBS} jobs: all are archived, once`,
    onStage(async (stage) => {
      const startedMs = performance.now();
      const site = await openCrashSite(stage, {
        fake: { random: seededRandom(SEED) },
        env: { EVERLOG_SPOOL_MAX_BYTES: String(SPOOL_BYTES_MAX) },
      });
      const [serve, worker] = await Promise.all([site.serve(), site.work()]);
      const jobs = addSampleJobs(site.simulator, FAULTY_JOBS, mixedLog);
      const { faults } = site.fake;
      faults.add({ times: HANGS, probability: 0.05, effect: { kind: 'hang' } });
      // Each takes its share of what those before it spare: 15 % each of 500, 503 and resets, 5 % lost answers.
      faults.add({ probability: 0.15, effect: { kind: 'status', status: 500 } });
      faults.add({ probability: 0.176, effect: { kind: 'status', status: 503 } });
      faults.add({ probability: 0.214, effect: { kind: 'reset' } });
      faults.add({ probability: 0.09, effect: { kind: 'cut_after_store' } });
      const spool = watchSpool(worker);
      expect(await deliverAll(site, jobs)).toBe(0);
      const hurrying = hurry(stage, site);
      expect((await queueAtRest(serve, DONE_TIMEOUT_MS)).failed).toBe(0);
      clearInterval(hurrying);
      faults.clear();
      const { reservedMax, inFilesMax } = await spool.stop();
      await expectArchivedOnce(site, jobs);
      const fetches = expectFreshLinks(site.simulator);
      expect(reservedMax).toBeLessThanOrEqual(SPOOL_BYTES_MAX);
      expect(peakMib(worker)).toBeLessThan(WORKER_MIB_MAX);
      tellFigures('faulty store', {
        '% of requests failed': 50,
        jobs: jobs.length,
        'log fetches': fetches,
        'MiB resident at most': peakMib(worker),
        'MiB in the spool at most': Math.round(inFilesMax / 1024 / 1024),
        s: secondsSince(startedMs),
      });
    }),
    TIMEOUT_MS,
  );

  test(
    `the spool's disk is full under ${FULL_DISK_JOBS} logs: what finds no room waits for it`,
    onStage(async (stage) => {
      const startedMs = performance.now();
      const site = await openCrashSite(stage);
      const serve = await site.serve();
      const folder = stage.folder();
      const spool = join(folder, 'spool');
      mkdirSync(spool);
      const disk = await startOnSmallDisk(stage, site, spool);
      const jobs = addSampleJobs(site.simulator, FULL_DISK_JOBS, () => SPOOL_FILE_LOG);
      await deliverAll(site, jobs);
      await until(
        'a log found no room',
        () => disk.worker.stderr().includes('spool_unavailable'),
        DONE_TIMEOUT_MS,
      );
      disk.makeRoom();
      expect((await queueAtRest(serve, DONE_TIMEOUT_MS)).failed).toBe(0);
      expect(disk.worker.running).toBe(true);
      await expectArchivedOnce(site, jobs);
      const refused = disk.worker.stderr().split('spool_unavailable').length - 1;
      tellFigures('full disk', {
        disk: disk.told,
        jobs: jobs.length,
        'tries that found no room': refused,
        s: secondsSince(startedMs),
      });
    }),
    TIMEOUT_MS,
  );

  test(
    `a worker stands still for ${BLOCKED_MS / 1_000} s under ${BLOCKED_JOBS} jobs: others do its work, and it does no harm afterwards`,
    onStage(async (stage) => {
      const startedMs = performance.now();
      const site = await openCrashSite(stage);
      const { simulator } = site;
      const [serve, blocked] = await Promise.all([site.serve(), site.work(), site.work()]);
      const jobs = addSampleJobs(simulator, BLOCKED_JOBS, mixedLog);
      // The log host takes its time, so that jobs are under way when the worker is stopped.
      const slow = simulator.faults.add({ match: { route: 'blob' }, effect: { kind: 'delay', ms: 1_500 } });
      const delivered = deliverAll(site, jobs);
      await until('work has begun', () => slow.hits > 5, DONE_TIMEOUT_MS);
      await blocked.process.kill('SIGSTOP');
      await delivered;
      await delay(BLOCKED_MS);
      await blocked.process.kill('SIGCONT');
      expect((await queueAtRest(serve, DONE_TIMEOUT_MS)).failed).toBe(0);
      await expectArchivedOnce(site, jobs);
      const fetches = jobs.map(
        (id) =>
          simulator.requests.entries.filter(({ route, jobId }) => route === 'blob' && jobId === id).length,
      );
      const again = fetches.filter((count) => count > 1).length;
      expect(Math.max(...fetches)).toBeLessThanOrEqual(2);
      // Else it held no job, and nothing was shown.
      expect(again).toBeGreaterThan(0);
      tellFigures('blocked worker', {
        's blocked': BLOCKED_MS / 1_000,
        jobs: jobs.length,
        'fetched twice': again,
        s: secondsSince(startedMs),
      });
    }),
    TIMEOUT_MS,
  );
});
