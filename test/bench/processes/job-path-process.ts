/**
 * Everlog's workers and its handler of archive jobs, with a GitHub and a store that are function calls:
 * `job-path-process.ts QUEUE_URL CONCURRENCY`. What is left is the path of a job through the queue and the handler. It prints a line of
 * JSON when it is ready.
 */
import { Readable } from 'node:stream';
import { archiveJob } from '../../../workers/handlers/archive-job.ts';
import type { ArchiveJobDeps, HostAccess } from '../../../workers/archive-run.ts';
import { runWorkers } from '../../../workers/run-workers.ts';
import { openKnownNames } from '../../../src/archive/known-names.ts';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import { openSpool } from '../../../src/spool/spool-space.ts';
import type { GitHubApi } from '../../../src/github/api.ts';
import { openLog } from '../../../src/logger.ts';
import { openRedisStorage } from '../../../src/queue/redis/redis-storage.ts';
import { jobObject } from '../areas/deliveries.ts';

const [queueUrl = '', concurrency = '50'] = process.argv.slice(2);
const { hostname, port } = new URL(queueUrl);
const log = openLog('warn', process.stderr);
const now = (): Date => new Date();
const options = { host: hostname, port: Number(port) };
const storage = openRedisStorage({ options, location: queueUrl, allowUnsafe: false, log });
const never = (): never => {
  throw new Error('not a part of the path of a job');
};

async function* nothing(): AsyncGenerator<never> {}

const store: Pick<ObjectStore, 'putIfAbsent' | 'list' | 'read'> = {
  putIfAbsent: () => Promise.resolve({ outcome: 'created', versionId: null }),
  list: nothing,
  read: () => Promise.resolve(null),
};
const deaf: ObjectStore = new Proxy(Object.create(null), {
  get: (_target, name) => (Object.hasOwn(store, name) ? Reflect.get(store, name) : never),
});

const api: GitHubApi = {
  host: {
    name: 'instant',
    host: '127.0.0.1',
    product: 'ghes',
    apiUrl: 'http://127.0.0.1/api/v3',
    logHosts: [],
    privateCidrs: [],
    maxConcurrency: 90,
  },
  hasOneBudget: true,
  get: (path) =>
    Promise.resolve({
      status: 200,
      headers: {},
      bytes: Buffer.from(JSON.stringify(jobObject(Number(path.slice(path.lastIndexOf('/') + 1))))),
      path,
    }),
  rateState: () => Promise.resolve(null),
};

const text = Buffer.alloc(1_000, '2026-11-20T10:00:00.0000000Z a line of a log\n');
const host: HostAccess = {
  api,
  lookUpLog: () =>
    Promise.resolve({
      kind: 'found',
      answer: {
        apiStatus: 302,
        logHost: '127.0.0.1',
        httpStatus: 200,
        etag: null,
        contentMd5: null,
        requestId: null,
        possiblyTruncated: false,
        requestedAt: now(),
        body: Readable.from([text]),
      },
    }),
};

const deps: ArchiveJobDeps = {
  store: deaf,
  names: openKnownNames(deaf, now),
  hosts: new Map([['127.0.0.1', host]]),
  spool: openSpool(2 ** 40),
  spoolLimits: { folder: '/tmp', logBytesMax: 2 ** 30, storedBytesMax: 2 ** 30, temporaryName: () => 'none' },
  missRules: { waitsMs: [], retentionMs: 90 * 24 * 60 * 60_000 },
  jobDetails: 'auto',
  version: 'bench',
  wasAskedFor: () => Promise.resolve(false),
  onRecorded: () => undefined,
  addPending: () => Promise.resolve(),
  rateLimiter: storage.rateLimiter,
  now,
  random: Math.random,
};

runWorkers({
  storage,
  handlers: {
    'archive-job': (data, context) => archiveJob(deps, data, context),
    'sweep-run': never,
    'installation-changed': never,
    'reconcile-hosts': never,
    'reconcile-repository': never,
    redeliver: never,
    'poll-installations': never,
    'update-index': never,
    'compact-index': never,
    seal: never,
  },
  queues: ['archive'],
  concurrency: Number(concurrency),
  log,
  version: '0.0.0',
  now,
  onJob: () => undefined,
});
process.stdout.write(`${JSON.stringify({ ready: true })}\n`);
