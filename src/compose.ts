import { randomInt, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { archiveJob } from '../workers/handlers/archive-job.ts';
import type { HostAccess } from '../workers/archive-run.ts';
import { installationChanged } from '../workers/handlers/installation-changed.ts';
import { reconcileHosts } from '../workers/handlers/reconcile-hosts.ts';
import { reconcileRepository } from '../workers/handlers/reconcile-repository.ts';
import { sweepRun } from '../workers/handlers/sweep-run.ts';
import type { ReconcileHost } from '../workers/reconcile/targets.ts';
import { runWorkers, STALLS_MAX, type Handlers, type RunningWorkers } from '../workers/run-workers.ts';
import { openFolderStore } from './archive/folder-object-store.ts';
import { openKnownNames } from './archive/known-names.ts';
import type { ObjectStore } from './archive/object-store.ts';
import { proxyAgents } from './archive/s3-proxy.ts';
import { openS3Store } from './archive/s3-object-store.ts';
import { openSpool, type Spool } from './archive/spool-space.ts';
import type { ArchiveUrl, Config } from './config.ts';
import { openApi } from './github/api.ts';
import { openAppRequests } from './github/app-requests.ts';
import { openConnections } from './github/connections.ts';
import { openTokens, type Tokens } from './github/credentials.ts';
import { lookUpLog } from './github/job-log.ts';
import { listInstallations } from './github/repositories.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { NewJob, QueueName } from './queue/catalog.ts';
import { openEmbeddedStorage } from './queue/embedded-storage.ts';
import { openJobQueue, type JobQueue } from './queue/job-queue.ts';
import type { QueueStorage } from './queue/queue-storage.ts';
import { openRedisStorage } from './queue/redis-storage.ts';
import { createAdmin, type Dependency } from './receiver/admin.ts';
import { createReceiver } from './receiver/app.ts';
import { listenHttp, type HttpListener } from './receiver/serve.ts';

/** The only file that knows every adapter: it builds them from the configuration and hands them to the rooms. */

/** Opens the archive that the configuration names. */
export async function openArchive(
  config: Pick<Config, 's3' | 'proxies'>,
  archive: ArchiveUrl,
): Promise<ObjectStore> {
  if (archive.kind === 'folder') return openFolderStore({ folder: archive.folder });
  const { forcePathStyle, lockMode, retentionDays, kmsKeyId, logStorageClass } = config.s3;
  const agents = proxyAgents(config.proxies);
  return openS3Store({
    ...(agents === undefined ? {} : { agents }),
    bucket: archive.bucket,
    prefix: archive.prefix,
    forcePathStyle,
    lockMode,
    ...(retentionDays === null ? {} : { retentionDays }),
    ...(kmsKeyId === null ? {} : { kmsKeyId }),
    ...(logStorageClass === null ? {} : { logStorageClass }),
  });
}

/** The queue as a process holds it. */
export interface OpenQueue {
  readonly queue: JobQueue;
  readonly storage: QueueStorage;
  /** Judges whether the server may lose jobs; rejects with `queue_unsafe` or, while it does not answer, `queue_unavailable`. */
  check(): Promise<void>;
  /** Resolves if the embedded queue's folder was lost to another process. */
  readonly lost: Promise<void>;
}

/** Opens the queue: connects to the server without waiting for it, or takes the embedded one's folder. */
export async function openQueue(config: Config, log: Log): Promise<OpenQueue> {
  if (config.queue.kind === 'embedded') {
    const storage = await openEmbeddedStorage(config.queue.folder, STALLS_MAX, log);
    return { queue: openJobQueue(storage), storage, check: () => Promise.resolve(), lost: storage.lost };
  }
  const { options, location } = config.queue;
  const storage = openRedisStorage({ options, location, allowUnsafe: config.allowUnsafeQueue, log });
  const never = new Promise<void>(() => undefined);
  return { queue: openJobQueue(storage), storage, check: () => storage.check(), lost: never };
}

/** The receiver's address, listening. */
export function listenForDeliveries(
  config: Config,
  queue: JobQueue,
  log: Log,
  metrics: Metrics,
): Promise<HttpListener> | null {
  if (config.listen === null) return null;
  const app = createReceiver({
    hosts: config.hosts.map(({ github, appId, webhookSecrets }) => ({
      name: github.name,
      host: github.host,
      product: github.product,
      appId,
      webhookSecrets,
    })),
    enqueue: (job) => queue.add(job),
    now: () => new Date(),
    log,
    onDelivery: (event, outcome, reason) => metrics.delivery(event, outcome, reason),
  });
  return listenHttp({ app, ...config.listen });
}

/** The admin address, listening. */
export function listenForAdmin(
  config: Config,
  dependencies: readonly Dependency[],
  metrics: Metrics,
): Promise<HttpListener> | null {
  if (config.adminListen === null) return null;
  return listenHttp({ app: createAdmin(dependencies, metrics), ...config.adminListen });
}

export interface Workforce {
  readonly workers: RunningWorkers;
  readonly spool: Spool;
  close(): Promise<void>;
}

/** Workers for the given queues, with everything that their handlers need. */
export function startWorkforce(
  config: Config,
  queues: readonly QueueName[],
  open: Pick<OpenQueue, 'storage' | 'queue'>,
  store: ObjectStore,
  log: Log,
  metrics: Metrics,
): Workforce {
  const now = (): Date => new Date();
  const spool = openSpool(config.spoolBytesMax);
  const { hosts, tokens, reconcilable, close } = openHosts(config, now);
  const deps = {
    store,
    names: openKnownNames(store, now),
    hosts,
    spool,
    spoolLimits: {
      folder: config.spoolFolder,
      logBytesMax: config.jobLogBytesMax,
      temporaryName: () => `everlog-spool-${randomUUID()}`,
    },
    missRules: { waitsMs: config.missingLogRetriesMs, retentionMs: config.logRetentionMs },
    jobDetails: config.jobDetails,
    version: readVersion(),
    now,
    state: open.storage.state,
    enqueue: (job: NewJob) => open.queue.add(job),
    random: () => randomInt(2 ** 32) / 2 ** 32,
    onRecorded: (outcome: string, source: string, bytes: number) => metrics.recorded(outcome, source, bytes),
    reconcileHosts: reconcilable,
    reconcileIntervalMs: config.reconcileIntervalMs,
    reconcileLookbackMs: config.reconcileLookbackMs,
    reconcileShare: config.reconcileBudgetShare,
    onReconciled: () => undefined,
    log,
  };
  const handlers: Handlers = {
    'archive-job': (data, context) => archiveJob(deps, data, context),
    'sweep-run': (data, context) => sweepRun(deps, data, context),
    'reconcile-hosts': () => reconcileHosts(deps),
    'reconcile-repository': (data, context) => reconcileRepository(deps, data, context),
    'installation-changed': async (data) => {
      tokens.get(data.host)?.forget(data.installation_id);
      await installationChanged({ state: open.storage.state, queue: open.queue }, data);
    },
  };
  const workers = runWorkers({
    storage: open.storage,
    handlers,
    queues,
    concurrency: config.concurrency,
    log,
    now,
    onJob: (name, outcome) => metrics.jobRun(name, outcome),
  });
  return { workers, spool, close };
}

/** Every host that there are credentials for, by the name in keys. */
export interface OpenHosts {
  readonly hosts: ReadonlyMap<string, HostAccess>;
  readonly tokens: ReadonlyMap<string, Tokens>;
  readonly reconcilable: ReadonlyMap<string, ReconcileHost>;
  readonly close: () => Promise<void>;
}

/** Opens the hosts of the configuration; nothing is asked of them yet. */
export function openHosts(config: Config, now: () => Date): OpenHosts {
  const hosts = new Map<string, HostAccess>();
  const reconcilable = new Map<string, ReconcileHost>();
  const tokens = new Map<string, Tokens>();
  const closers: (() => Promise<void>)[] = [];
  for (const { github, credentials } of config.hosts) {
    if (credentials === null) continue;
    const connections = openConnections(github, config.proxies);
    const hostTokens = openTokens(github, credentials, connections.dispatcher, now);
    const api = openApi(github, connections, hostTokens, now);
    hosts.set(github.host, { api, lookUpLog: (ref) => lookUpLog(api, connections, ref, now) });
    tokens.set(github.host, hostTokens);
    const appRequests =
      credentials.kind === 'app' ? openAppRequests(github, credentials, connections.dispatcher, now) : null;
    const installations = appRequests === null ? null : () => listInstallations(appRequests);
    reconcilable.set(github.host, { api, installations });
    closers.push(() => connections.close());
  }
  return {
    hosts,
    tokens,
    reconcilable,
    async close() {
      await Promise.all(closers.map((close) => close()));
    },
  };
}

/** Everlog's version, from the package it was installed as. */
export function readVersion(): string {
  // The file stands one folder up from the sources and two from the build.
  for (const path of ['../package.json', '../../package.json']) {
    try {
      const found: unknown = JSON.parse(readFileSync(fileURLToPath(new URL(path, import.meta.url)), 'utf8'));
      if (isPackage(found)) return found.version;
    } catch {
      continue;
    }
  }
  throw new Error('package.json was not found beside the program');
}

function isPackage(value: unknown): value is { name: string; version: string } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'name' in value &&
    value.name === 'everlog' &&
    'version' in value
  );
}
