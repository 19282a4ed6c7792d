import { setTimeout as sleep } from 'node:timers/promises';
import { listenForAdmin, listenForDeliveries, startWorkforce, type Workforce } from './compose.ts';
import { openArchive } from './archive.ts';
import { watchWrites, type WatchedArchive } from './health/archive-readiness.ts';
import { openObservation } from './health/observation.ts';
import { watchQueue, type QueueWatch } from './health/queue-watch.ts';
import { triedAtMost } from './health/readiness.ts';
import { ownArchive } from './own-archive.ts';
import { openQueue, requireOwnQueueOf, type OpenQueue } from './queue.ts';
import { openLedgerEnd, type LedgerEnd } from './sealing/closed-ledger.ts';
import { openSealing, type Sealing } from './sealing/sealing.ts';
import { announceProcess, keepSchedules } from './schedules.ts';
import { tracedStore } from './tracing/traced-access.ts';
import { startTracing } from './tracing/start-tracing.ts';
import { readVersion } from './version.ts';
import { listenForWeb } from './web/web.ts';
import type { Budgets } from './web/web-status.ts';
import type { Config } from '../config.ts';
import { WEB_LISTEN } from '../config/web-variables.ts';
import { SIGNING_KEY_CURE } from '../config/sealing-variables.ts';
import { listenForCommands } from '../control/socket-server.ts';
import { EverlogError, messageOf } from '../errors.ts';
import type { Log } from '../logger.ts';
import { createMetrics, type Metrics } from '../metrics.ts';
import type { ServiceRole } from '../metrics/gauges.ts';
import { QUEUE_NAMES, type QueueName } from '../queue/catalog.ts';
import type { JobQueue } from '../queue/job-queue.ts';
import type { Dependency } from '../receiver/admin.ts';
import type { HttpListener } from '../receiver/serve.ts';
import { demandSpoolFolder } from '../spool/spool-folder.ts';
import type { ObjectStore } from '../store/object-store.ts';

/** What a process of the service does. */
export interface Roles {
  readonly receive: boolean;
  readonly queues: readonly QueueName[];
  /** Whether what runs by the clock does so. */
  readonly schedules: boolean;
  /** Whether it serves the web page where the configuration asks for it; with an embedded queue it does unless told not to. */
  readonly web?: boolean;
}

export const UP: Roles = { receive: true, queues: QUEUE_NAMES, schedules: true, web: true };
export const SERVE: Roles = { receive: true, queues: [], schedules: false };

/** A service that runs in this process. */
export interface Service {
  readonly webhooks: HttpListener | null;
  readonly admin: HttpListener | null;
  /** The web page; null where it is off. */
  readonly web: HttpListener | null;
  readonly open: OpenQueue;
  /** Appends a digest to the ledger; null where this process has no signing key. */
  readonly seal: Sealing['seal'] | null;
  /** Rejects when the service cannot go on: the queue is unsafe, or its folder was lost. */
  readonly failed: Promise<never>;
  /** Takes no more work, lets the running work end, and closes everything; under 30 s. */
  stop(): Promise<void>;
}

/** The contract allows 30 s in all: the rest is for closing what remains. */
const DRAIN_MS = 25_000;
const HTTP_DRAIN_MS = 5_000;
const CLOSE_TIMEOUT_MS = 3_000;
const FIRST_ANSWER_MS = 1_000;

/** Starts receiver and workers as `roles` say. */
export async function startService(config: Config, roles: Roles, log: Log): Promise<Service> {
  tellSettings(config, log);
  const metrics = createMetrics(readVersion());
  const { inSpan, ...tracing } = await startTracing(config.tracing.isWanted, readVersion());
  const open = await openQueue(config, log, tracing.telemetry);
  const stopping = new AbortController();
  const { signal } = stopping;
  const tryQueue = queueTrial(config, open, roles);
  const watch = watchQueue(tryQueue, open.storage, log, signal);
  const add = admitted(watch, open.queue);
  const worksAtOnce = await worksSoon(watch);
  const opened = await openForWork(config, roles, log);
  const watched = opened === null ? null : watchWrites(opened, config.archive.kind === 'folder');
  const store = watched === null ? null : tracedStore(watched.store, inSpan);
  const sealing = store === null ? null : await sealingOf(config, roles, open, store, log, metrics, signal);
  const queues = roles.queues.filter((name) => name !== 'seal' || sealing !== null);
  const end = store === null ? null : openLedgerEnd(store, () => new Date());
  const workforce =
    store === null || end === null
      ? null
      : startWorkforce(config, queues, open, store, log, metrics, sealing, end, watch.works, inSpan);
  metrics.onScrape(openObservation(config, open.queue, rolesTold(config, roles, queues), workforce));
  if (roles.schedules) whenItWorks(watch, () => keepSchedules(config, queues, open.queue, log, signal));
  const socket =
    config.queue.kind === 'embedded'
      ? await listenForCommands(config.queue.folder, { ...open.queue, add, seal: sealing?.seal ?? null })
      : null;
  const webhooks = roles.receive ? await listenForDeliveries(config, add, log, metrics, inSpan) : null;
  whenItWorks(watch, () => announceProcess(config, webhooks !== null, open.queue, log, signal));
  const admin = await listenForAdmin(config, dependenciesOf(tryQueue, watched, end), metrics);
  const usualWeb = config.queue.kind === 'embedded' ? WEB_LISTEN : null;
  const web =
    roles.web === true && store !== null
      ? await listenForWeb(config, store, open.queue, log, usualWeb, budgetsOf(workforce))
      : null;
  log.info(
    {
      webhooks: webhooks?.url ?? null,
      admin: admin?.url ?? null,
      web: web?.listener.url ?? null,
      queue: open.queue.location,
      archive: store?.location,
    },
    worksAtOnce ? 'everlog is up' : 'everlog is up, but its queue does not work yet',
  );
  return {
    webhooks,
    admin,
    web: web?.listener ?? null,
    open,
    seal: sealing?.seal ?? null,
    failed: Promise.race([watch.failed, lostFolder(open)]),
    async stop() {
      stopping.abort();
      await Promise.all([webhooks?.close(HTTP_DRAIN_MS), web?.close()]);
      await workforce?.workers.drain(DRAIN_MS - HTTP_DRAIN_MS);
      const closing = Promise.allSettled([
        admin?.close(0),
        socket?.close(),
        workforce?.close(),
        sealing?.close(),
        open.queue.close(),
        tracing.close(),
        store?.close(),
      ]);
      await Promise.race([closing, sleep(CLOSE_TIMEOUT_MS)]);
      log.info({}, 'everlog has stopped');
    },
  };
}

/** The parts of the work that this process really does, for its metrics. */
function rolesTold(
  { listen }: Config,
  { receive }: Roles,
  queues: readonly QueueName[],
): readonly ServiceRole[] {
  return receive && listen !== null ? ['receiver', ...queues] : queues;
}

/** Whether the queue works within a second, which is all that a server takes that is there; rejects when only another configuration helps. */
function worksSoon(watch: QueueWatch): Promise<boolean> {
  const worked = async (): Promise<boolean> => {
    await watch.works;
    return true;
  };
  return Promise.race([worked(), watch.failed, sleep(FIRST_ANSWER_MS, false)]);
}

/** Adds to a queue once it was found good, and while it is. */
function admitted(watch: QueueWatch, queue: Pick<JobQueue, 'add'>): JobQueue['add'] {
  return async (job) => {
    await watch.admit();
    return queue.add(job);
  };
}

/** Nothing is written to a queue that may be another's. */
function whenItWorks({ works }: QueueWatch, begin: () => Promise<void>): void {
  void works.then(begin);
}

/** What the process cannot work without, each tried at most every five seconds. */
function dependenciesOf(
  tryQueue: () => Promise<void>,
  archive: WatchedArchive | null,
  end: LedgerEnd | null,
): readonly Dependency[] {
  const queue: Dependency = { name: 'queue', ready: triedAtMost(tryQueue) };
  if (archive === null) return [queue];
  // An archive whose ledger was closed takes nothing, however well it answers.
  const ready = async (): Promise<void> => {
    await archive.ready();
    await end?.refuseIfClosed();
  };
  return [queue, { name: 'archive', ready: triedAtMost(ready) }];
}

/** Says at start what of the configuration a person should know. */
function tellSettings(config: Config, log: Log): void {
  for (const name of config.unknownVariables)
    log.warn({ variable: name }, 'unknown variable: is it misspelt?');
  if (config.proxies.httpsProxy !== null || config.proxies.httpProxy !== null) {
    log.info(
      {},
      'behind a proxy the names of log hosts are checked, but not their addresses: the proxy resolves them',
    );
  }
  if (config.tracing.problem !== null) {
    const { variable, what } = config.tracing.problem;
    log.warn({ variable }, `no traces are sent: ${variable} ${what}`);
  }
  for (const name of config.ignoredVariables)
    log.warn({ variable: name }, 'this variable is ignored, as EVERLOG_CONFIG describes the hosts');
  for (const name of config.barePorts)
    log.warn(
      { variable: name },
      'a port alone: it is listened on at 127.0.0.1, which only this machine reaches',
    );
}

/** The sealer, where this process is to seal and has a key; a key that is wrong is told now. */
async function sealingOf(
  config: Config,
  roles: Roles,
  { queue }: OpenQueue,
  store: ObjectStore,
  log: Log,
  metrics: Metrics,
  signal: AbortSignal,
): Promise<Sealing | null> {
  if (!roles.queues.includes('seal')) return null;
  const sealing = openSealing(config, queue, store, log, {
    signal,
    onSealed: (report) => {
      if (report.outcome === 'sealed') metrics.sealed(report);
      if (report.outcome === 'closed')
        metrics.sealed({ digests: 0, entries: 0, findingCount: report.findings.length });
    },
  });
  if (sealing === null)
    log.warn(
      { variable: 'EVERLOG_SIGNING_KEY' },
      `this process writes no ledger, as it has no signing key: ${SIGNING_KEY_CURE}`,
    );
  await sealing?.tryKey();
  return sealing;
}

/**
 * What the queue must be and do: safe, this archive's own, and able to add and take a job. All of it each time: a server that lost
 * everything lost the mark too, and another that took its place may evict.
 */
function queueTrial(config: Config, { check, queue }: OpenQueue, roles: Roles): () => Promise<void> {
  const knowsArchive = roles.queues.length > 0 || config.archiveNamed;
  const archive = ownArchive(config, { reads: roles.queues.length > 0 });
  return async () => {
    await check();
    await queue.tryWork();
    if (knowsArchive) await requireOwnQueueOf(config, archive, queue);
  };
}

/** The archive of a process that works, once it and the spool were tried; null for one that only receives. */
async function openForWork(config: Config, { queues }: Roles, log: Log): Promise<ObjectStore | null> {
  if (queues.length === 0) return null;
  if (queues.includes('archive')) await demandSpoolFolder(config.spoolFolder);
  const store = await openArchive(config, config.archive);
  await probeStore(store, log);
  return store;
}

/** A store that says no is a mistake to be mended now; one that does not answer may come back. */
async function probeStore(store: ObjectStore, log: Log): Promise<void> {
  try {
    const { createOnly } = await store.abilities();
    if (createOnly === 'checked') {
      log.warn(
        { archive: store.location },
        'the store ignores If-None-Match: objects are looked up before they are written, which two writers can race',
      );
    }
  } catch (error) {
    if (error instanceof EverlogError && (error.remedy.kind === 'give_up' || error.code === 'store_refused'))
      throw error;
    log.warn(
      { archive: store.location, error: messageOf(error) },
      'the archive does not answer: work waits for it',
    );
  }
}

async function lostFolder(open: OpenQueue): Promise<never> {
  await open.lost;
  throw new EverlogError('queue_locked', { kind: 'give_up' }, 'the lock on the embedded queue was lost');
}

function budgetsOf(workforce: Workforce | null): Budgets | null {
  return workforce === null ? null : () => workforce.rateLimits();
}
