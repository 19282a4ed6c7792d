import { randomInt, randomUUID } from 'node:crypto';
import { archiveJob } from '../../workers/handlers/archive-job.ts';
import type { Recorded } from '../../workers/archive-run.ts';
import type { LedgerEnd } from './sealing/closed-ledger.ts';
import { withSealingOutbox } from './sealing/sealing-outbox.ts';
import { installationChanged } from '../../workers/handlers/installation-changed.ts';
import { pollInstallations } from '../../workers/handlers/poll-installations.ts';
import { redeliver } from '../../workers/handlers/redeliver.ts';
import { compactParts, updateIndex } from '../../workers/handlers/update-index.ts';
import { compactIndexOf, tellRecent, updateIndexOf } from './indexing.ts';
import { sealInterval } from '../../workers/handlers/seal.ts';
import { sweepRun } from '../../workers/handlers/sweep-run.ts';
import { wasAskedFor, type RedeliveryDeps } from '../redelivery/redelivery.ts';
import { runWorkers, type Handlers, type RunningWorkers } from '../../workers/run-workers.ts';
import { openKnownNames } from '../archive/known-names.ts';
import { OBJECT_BYTES_MAX } from '../store/object-store.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { openSpool, type Spool } from '../spool/spool-space.ts';
import { removeAbandonedSpoolFiles } from '../spool/spool-folder.ts';
import { openHosts, type OpenHosts } from './hosts.ts';
import type { OpenQueue } from './queue.ts';
import { reconcileHandlers } from './reconcile-handlers.ts';
import type { Sealing } from './sealing/sealing.ts';
import { readVersion } from './version.ts';
import type { Config } from '../config.ts';
import { SIGNING_KEY_CURE } from '../config/sealing-variables.ts';
import { giveUp } from '../errors.ts';
import type { RateState } from '../github/rate-limit.ts';
import type { InSpan } from '../spans.ts';
import type { SealReport } from '../ledger/seal/seal.ts';
import type { Log } from '../logger.ts';
import type { Metrics } from '../metrics.ts';
import type { NewJob, QueueName } from '../queue/catalog.ts';
import { closeGap } from '../queue/gap-note.ts';
import type { JobQueue } from '../queue/job-queue.ts';
import { createAdmin, type Dependency } from '../receiver/admin.ts';
import { createReceiver } from '../receiver/app.ts';
import { listenHttp, type HttpListener } from '../receiver/serve.ts';

/** With what lies in `compose/`, all that knows every adapter: it builds them from the configuration and hands them to the rooms. */

/** The receiver's address, listening. */
export function listenForDeliveries(
  config: Config,
  enqueue: JobQueue['add'],
  log: Log,
  metrics: Metrics,
  inSpan: InSpan,
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
    enqueue,
    now: () => new Date(),
    log,
    onDelivery: (delivery) => metrics.delivery(delivery),
    inSpan,
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
  /** What is left of the rate limit of the installation that has the least, by host. */
  rateLimits(): ReadonlyMap<string, RateState>;
  close(): Promise<void>;
}

/** Workers for the given queues, with everything that their handlers need; they begin once the queue works. */
export function startWorkforce(
  config: Config,
  queues: readonly QueueName[],
  open: Pick<OpenQueue, 'storage' | 'queue'>,
  store: ObjectStore,
  log: Log,
  metrics: Metrics,
  sealing: Sealing | null,
  end: LedgerEnd,
  queueWorks: Promise<void>,
  inSpan: InSpan,
): Workforce {
  const now = (): Date => new Date();
  const spool = openSpool(config.spoolBytesMax);
  void removeAbandonedSpoolFiles(config.spoolFolder, now().getTime());
  const opened = openHosts(config, now, inSpan);
  const recent = tellRecent(config, store, log);
  const workers = startLater(queueWorks, () =>
    runWorkers({
      storage: open.storage,
      handlers: handlersOf(config, opened, open, {
        store: recent.store,
        spool,
        log,
        metrics,
        now,
        sealing,
        end,
      }),
      queues,
      concurrency: config.concurrency,
      log,
      version: readVersion(),
      now,
      onJob: (name, outcome, cause) => metrics.jobRun(name, outcome, cause),
    }),
  );
  return {
    workers,
    spool,
    rateLimits: () => opened.rateLimits(now()),
    async close() {
      await recent.close();
      await opened.close();
    },
  };
}

/** A worker on a queue that refuses work would only ask it again and again. */
function startLater(queueWorks: Promise<void>, start: () => RunningWorkers): RunningWorkers {
  let running: RunningWorkers | null = null;
  let drained = false;
  const begin = async (): Promise<void> => {
    await queueWorks;
    if (!drained) running = start();
  };
  void begin();
  return {
    async drain(drainMs) {
      drained = true;
      await running?.drain(drainMs);
    },
  };
}

interface Surroundings {
  readonly store: ObjectStore;
  readonly spool: Spool;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly now: () => Date;
  readonly sealing: Sealing | null;
  readonly end: LedgerEnd;
}

function handlersOf(
  config: Config,
  opened: OpenHosts,
  { storage, queue }: Pick<OpenQueue, 'storage' | 'queue'>,
  { store, spool, log, metrics, now, sealing, end }: Surroundings,
): Handlers {
  const { notes, pending } = queue;
  const deps = {
    store: withSealingOutbox(store, pending, end),
    addPending: (keys: readonly string[]) => pending.add(keys),
    names: openKnownNames(store, now),
    hosts: opened.hosts,
    spool,
    spoolLimits: {
      folder: config.spoolFolder,
      logBytesMax: config.jobLogBytesMax,
      storedBytesMax: OBJECT_BYTES_MAX,
      temporaryName: () => randomUUID(),
    },
    missRules: { waitsMs: config.missingLogRetriesMs, retentionMs: config.logRetentionMs },
    jobDetails: config.jobDetails,
    version: readVersion(),
    now,
    rateLimiter: storage.rateLimiter,
    notes,
    enqueue: (job: NewJob) => addCounted(queue, metrics, job),
    random: () => randomInt(2 ** 32) / 2 ** 32,
    onRecorded: (record: Recorded) => metrics.recorded(record),
    wasAskedFor: (host: string, guid: string) => wasAskedFor(notes, host, guid),
    installations: opened.installations,
    isInstalled: opened.isInstalled,
    reconcileHosts: opened.reconcilable,
    reconcileIntervalMs: config.reconcileIntervalMs,
    reconcileLookbackMs: config.reconcileLookbackMs,
    reconcileShare: config.reconcileBudgetShare,
    log,
  };
  const redeliveries = new Map<string, RedeliveryDeps>();
  for (const [host, deliveries] of opened.deliveryLogs) redeliveries.set(host, { ...deps, deliveries });
  // What ends well is no gap any more.
  const closing = async (work: () => Promise<void>, queueId: string): Promise<void> => {
    // Before anything is fetched that could not be kept.
    await end.refuseIfClosed();
    await work();
    await closeGap(notes, queueId);
  };
  return {
    'archive-job': (data, context) => closing(() => archiveJob(deps, data, context), context.id),
    'sweep-run': (data, context) => closing(() => sweepRun(deps, data, context), context.id),
    ...reconcileHandlers(deps, notes),
    seal: () => sealInterval({ seal: () => sealWith(sealing), log }),
    ...indexHandlers(config, store, log),
    redeliver: (data, context) => redeliver({ redeliveries, log }, data, context),
    'poll-installations': (data) => pollInstallations(deps, data),
    'installation-changed': async (data) => {
      opened.tokens.get(data.host)?.forget(data.installation_id);
      await installationChanged({ rateLimiter: storage.rateLimiter, queue }, data);
    },
  };
}

/** Each run opens the index's place anew: it is written to once an interval. */
function indexHandlers(
  config: Config,
  store: ObjectStore,
  log: Log,
): Pick<Handlers, 'update-index' | 'compact-index'> {
  const deps = {
    update: () => updateIndexOf(config, store, log),
    compact: () => compactIndexOf(config),
    log,
  };
  return { 'update-index': () => updateIndex(deps), 'compact-index': () => compactParts(deps) };
}

/** The queue of seals is worked only where there is a key. */
function sealWith(sealing: Sealing | null): Promise<SealReport> {
  if (sealing === null) throw giveUp('config_invalid', `EVERLOG_SIGNING_KEY is missing: ${SIGNING_KEY_CURE}`);
  return sealing.seal({ final: false });
}

async function addCounted(queue: JobQueue, metrics: Metrics, job: NewJob): Promise<'queued' | 'duplicate'> {
  const answer = await queue.add(job);
  if (answer === 'queued' && job.name === 'archive-job') metrics.found(job.data.source);
  return answer;
}
