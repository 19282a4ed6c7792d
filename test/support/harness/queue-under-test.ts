import type { Log } from '../../../src/logger.ts';
import type { ArchiveJob, NewJob, QueueName } from '../../../src/queue/catalog.ts';
import { openEmbeddedStorage } from '../../../src/queue/embedded/embedded-storage.ts';
import { parseQueueUrl } from '../../../src/queue/queue-url.ts';
import type { QueueStorage } from '../../../src/queue/queue-storage.ts';
import { openRedisStorage } from '../../../src/queue/redis/redis-storage.ts';
import type { JobContext } from '../../../workers/job-context.ts';
import { runWorkers, STALLS_MAX, type Handlers, type RunningWorkers } from '../../../workers/run-workers.ts';
import { removeTemporaryFolder, temporaryFolder } from '../processes/processes.ts';
import { startRedis } from '../servers/redis-server.ts';

/** The queue room and the worker runtime without GitHub: what their tests have in common. */

/** Keeps nothing. */
export const SILENT: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => SILENT,
};

/** Somewhere that queues outlive the storage which opened them. */
export interface QueuePlace {
  readonly kind: 'redis' | 'embedded';
  /** Opens it. An embedded one belongs to one storage at a time: close that first. */
  open(pendingMax?: number): Promise<QueueStorage>;
  remove(): Promise<void>;
}

export async function redisPlace(): Promise<QueuePlace> {
  const redis = await startRedis();
  return {
    kind: 'redis',
    open: (pendingMax) => Promise.resolve(redisStorage(redis.url, undefined, pendingMax)),
    remove: () => redis.stop(),
  };
}

export function embeddedPlace(): Promise<QueuePlace> {
  const folder = temporaryFolder('everlog-queue-');
  return Promise.resolve({
    kind: 'embedded',
    open: (pendingMax) => openEmbeddedStorage(folder, STALLS_MAX, SILENT, pendingMax),
    remove: () => Promise.resolve(removeTemporaryFolder(folder)),
  });
}

export function redisStorage(
  url: string,
  now?: () => Date,
  pendingMax?: number,
  prefix?: string,
): QueueStorage {
  const parsed = parseQueueUrl(url);
  if (!parsed.ok || parsed.url.kind !== 'redis') throw new Error(`${url} is no queue server`);
  const { options, location } = parsed.url;
  return openRedisStorage({
    options,
    location,
    allowUnsafe: false,
    log: SILENT,
    ...(now === undefined ? {} : { now }),
    ...(pendingMax === undefined ? {} : { pendingMax }),
    ...(prefix === undefined ? {} : { prefix }),
  });
}

/** A completed job of one repository, as a delivery would queue it. */
export function archiveJob(jobId: number, changes: Partial<ArchiveJob> = {}): NewJob {
  const data: ArchiveJob = {
    host: 'github.com',
    owner: 'octo-org',
    repo: 'octo-repo',
    repository_id: 1_296_269,
    installation_id: 1,
    run_id: 29_679_449,
    run_attempt: 1,
    job_id: jobId,
    sender: 'octocat',
    delivery_ids: ['b1f7c2d0-0000-11ee-8c90-0242ac120002'],
    source: 'webhook',
    received_at: '2026-11-20T10:11:12.000Z',
    delivered: null,
    looks: null,
    spool_bytes: null,
    slot_at: null,
    ...changes,
  };
  return { name: 'archive-job', data };
}

export type ArchiveHandler = (data: ArchiveJob, context: JobContext<ArchiveJob>) => Promise<void>;

export interface WorkersSettings {
  readonly concurrency?: number;
  readonly queues?: readonly QueueName[];
  readonly random?: () => number;
  readonly log?: Log;
  /** Others than the one for archive jobs. */
  readonly handlers?: Partial<Handlers>;
  readonly onJob?: (name: string, outcome: string) => void;
}

/** Real workers with a handler of the test's own for archive jobs. */
export function work(
  storage: QueueStorage,
  handler: ArchiveHandler,
  settings: WorkersSettings = {},
): RunningWorkers {
  const handlers: Handlers = {
    'archive-job': handler,
    'sweep-run': () => Promise.resolve(),
    'installation-changed': () => Promise.resolve(),
    'reconcile-hosts': () => Promise.resolve(),
    'reconcile-repository': () => Promise.resolve(),
    redeliver: () => Promise.resolve(),
    'poll-installations': () => Promise.resolve(),
    'update-index': () => Promise.resolve(),
    'compact-index': () => Promise.resolve(),
    seal: () => Promise.resolve(),
    ...settings.handlers,
  };
  return runWorkers({
    storage,
    handlers,
    queues: settings.queues ?? ['archive'],
    concurrency: settings.concurrency ?? 10,
    log: settings.log ?? SILENT,
    version: '0.1.0',
    now: () => new Date(),
    onJob: settings.onJob ?? (() => undefined),
    ...(settings.random === undefined ? {} : { random: settings.random }),
  });
}

/** Something that a test opens for others to pass. */
export interface Gate {
  readonly opened: Promise<void>;
  open(): void;
}

export function closedGate(): Gate {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open: () => open() };
}
