import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { startService, UP } from '../../../src/service/service.ts';
import { loadConfig } from '../../../src/config.ts';
import type { HostConfig } from '../../../src/config/github-hosts.ts';
import {
  GHES_CONCURRENT_REQUESTS_MAX,
  CONCURRENT_REQUESTS_MAX,
  type Product,
} from '../../../src/github/host.ts';
import { openLog } from '../../../src/logger.ts';
import type { JobQueue } from '../../../src/queue/job-queue.ts';
import type { Simulator, SimulatorOptions } from '../../../src/simulator/simulator.ts';
import { folderArchive, placesOf, type ArchiveUnderTest } from '../oracles/archive-oracle.ts';
import { holdSchedules, until, type Environment, type Stage } from '../harness/everlog-under-test.ts';

/**
 * The whole service in this process: real receiver, queue, workers and store against simulated GitHubs that pass for hosts of any
 * kind, which no simulated address could do by configuration alone.
 */

const POLL_TIMEOUT_MS = 45_000;

type QueuedState = Awaited<ReturnType<JobQueue['stateOf']>>;

/** A simulated GitHub under the name of a real one. */
export interface HostUnderTest {
  readonly product: Product;
  /** As it stands in keys and records. */
  readonly name: string;
  readonly simulator: Simulator;
}

export const KINDS: readonly Product[] = ['github.com', 'ghe.com', 'ghes'];

const NAMES: Readonly<Record<Product, string>> = {
  'github.com': 'github.com',
  'ghe.com': 'acme.ghe.com',
  ghes: 'github.example.com',
};

/** What sets the products apart on the wire. */
const HABITS: Readonly<Record<Product, SimulatorOptions>> = {
  'github.com': { rateLimit: { limit: 15_000, windowMs: 3_600_000 } },
  'ghe.com': { rateLimit: { limit: 15_000, windowMs: 3_600_000 } },
  ghes: { rateLimit: null, apiPrefix: '/api/v3', sameOriginLogs: true },
};

export async function startHost(
  stage: Stage,
  product: Product,
  options: SimulatorOptions = {},
): Promise<HostUnderTest> {
  const simulator = await stage.simulator({ ...HABITS[product], ...options });
  if (product === 'ghes') simulator.world.apiVersions = ['2022-11-28'];
  return { product, name: NAMES[product], simulator };
}

/** On which only what a test does is done. */
export async function startQuietHost(stage: Stage, product: Product): Promise<HostUnderTest> {
  const host = await startHost(stage, product);
  holdSchedules(host.simulator);
  return host;
}

/** The configuration of such a host, with further log hosts if need be. */
export function hostConfig(
  { product, name, simulator }: HostUnderTest,
  further: { logHosts?: readonly string[]; maxConcurrency?: number } = {},
): HostConfig {
  const fallback = product === 'ghes' ? GHES_CONCURRENT_REQUESTS_MAX : CONCURRENT_REQUESTS_MAX;
  return {
    github: {
      name,
      host: name,
      product,
      apiUrl: simulator.apiUrl,
      logHosts: [
        ...(product === 'ghes' ? [] : [new URL(simulator.logOrigin).host]),
        ...(further.logHosts ?? []),
      ],
      privateCidrs: ['127.0.0.0/8'],
      maxConcurrency: further.maxConcurrency ?? fallback,
    },
    credentials: { kind: 'app', appId: simulator.appId, privateKey: simulator.privateKeyPem },
    appId: simulator.appId,
    webhookSecrets: [simulator.webhookSecret],
  };
}

/** A running service and what a test may see of it. */
export interface ServiceUnderTest {
  readonly archive: ArchiveUnderTest;
  readonly lines: readonly string[];
  /** Where a job stands in the queue. */
  stateOf(host: string, jobId: number): Promise<QueuedState>;
  /** Resolves when the job has ended, failed, or been put off for longer than `patienceMs`. */
  settled(host: string, jobId: number, patienceMs?: number): Promise<QueuedState>;
  counts(): Promise<{ waiting: number; active: number; delayed: number; failed: number }>;
  /** Brings forward every job that was put off, as the passing of time would. */
  hurry(): Promise<void>;
  /** Lets the queue forget a job that has ended, as it does after an hour. */
  forget(host: string, jobId: number): Promise<void>;
}

/** Starts the service for these hosts, with a folder for an archive. Each call needs a database of its own. */
export async function startFetchPath(
  stage: Stage,
  queueUrl: string,
  hosts: readonly HostConfig[],
  env: Environment = {},
): Promise<ServiceUnderTest & { readonly webhooksUrl: string }> {
  const folder = stage.folder();
  const lines: string[] = [];
  const config = loadConfig(
    {},
    {
      EVERLOG_QUEUE_URL: queueUrl,
      EVERLOG_ARCHIVE_URL: folder,
      EVERLOG_LISTEN: '127.0.0.1:0',
      EVERLOG_ADMIN_LISTEN: 'off',
      EVERLOG_MISSING_LOG_RETRIES: '150ms,150ms',
      ...env,
    },
  );
  const log = openLog('debug', { write: (line) => void lines.push(line) });
  const service = await startService({ ...config, hosts }, UP, log);
  stage.defer(() => service.stop());
  const redis = new Redis(queueUrl, { maxRetriesPerRequest: null });
  const queue = new Queue('archive', { connection: redis, prefix: 'everlog' });
  stage.defer(async () => {
    await queue.close();
    redis.disconnect();
  });
  const idOf = (host: string, jobId: number): string => `job-${host}-${jobId}`;
  const stateOf = (host: string, jobId: number): Promise<QueuedState> =>
    service.open.queue.stateOf(idOf(host, jobId));
  return {
    archive: folderArchive(folder),
    lines,
    webhooksUrl: `${service.webhooks?.url ?? ''}/webhooks`,
    stateOf,
    async settled(host, jobId, patienceMs = POLL_TIMEOUT_MS) {
      return until(
        `job ${jobId} of ${host} has settled`,
        async () => {
          const found = await stateOf(host, jobId);
          const parked =
            found.state === 'put_off' && (found.nextAt?.getTime() ?? 0) > Date.now() + patienceMs;
          return found.state === 'done' || found.state === 'failed' || parked ? found : null;
        },
        POLL_TIMEOUT_MS,
        () =>
          lines
            .filter((line) => line.includes(idOf(host, jobId)))
            .slice(-12)
            .join(''),
      );
    },
    async counts() {
      return (await service.open.queue.counts()).archive;
    },
    async hurry() {
      await queue.promoteJobs();
    },
    async forget(host, jobId) {
      const id = idOf(host, jobId);
      await redis.zrem('everlog:archive:completed', id);
      await redis.del(`everlog:archive:${id}`);
    },
  };
}

/** Where the contract puts a simulated job of a host. `known` is the name by which it was first heard of. */
export function placesOn(
  host: HostUnderTest,
  jobId: number,
  known?: { owner: string; name: string },
): { record: string; log: string } {
  const { facts, repositoryId } = host.simulator.world.job(jobId);
  const { owner, name } = known ?? host.simulator.world.repository(repositoryId);
  const day = (facts.completed_at ?? '').slice(0, 10);
  const { run_id: runId, run_attempt: attempt } = facts;
  return placesOf({ owner, repo: name, runId, attempt, jobId, day }, host.name);
}
