import { randomInt } from 'node:crypto';
import { DelayedError, UnrecoverableError } from 'bullmq';
import { EverlogError, giveUp, messageOf, type ErrorCode } from '../src/errors.ts';
import type { Log } from '../src/logger.ts';
import { CATALOG, type JobData, type JobName, type QueueName } from '../src/queue/catalog.ts';
import { tagOf } from '../src/queue/fair-order.ts';
import type { BullJob, BullWorker, QueueStorage, WorkerSettings } from '../src/queue/queue-storage.ts';
import { readNewerVersion } from '../src/queue/noted/versions.ts';
import type { JobContext } from './job-context.ts';
import { leaveToNewer } from './newer-version.ts';

/**
 * Catalog × handlers → BullMQ workers, and the one place where an error becomes the queue's answer: retry with backoff,
 * put off, or give up.
 */
export type Handlers = {
  readonly [N in JobName]: (data: JobData<N>, context: JobContext<JobData<N>>) => Promise<void>;
};

export interface WorkersDeps {
  readonly storage: QueueStorage;
  readonly handlers: Handlers;
  readonly queues: readonly QueueName[];
  readonly concurrency: number;
  readonly log: Log;
  /** Of this Everlog. */
  readonly version: string;
  readonly now: () => Date;
  /** A number in [0, 1). */
  readonly random?: () => number;
  /** `cause`: the code of the error that ended the run; null where it was none. */
  readonly onJob: (
    name: string,
    outcome: 'done' | 'put_off' | 'retried' | 'failed',
    cause: ErrorCode | 'unexpected' | null,
  ) => void;
}

export interface RunningWorkers {
  /** Takes no more jobs and waits for the running ones; those not done within `drainMs` are left to be resumed. */
  drain(drainMs: number): Promise<void>;
}

/** After a kill a job runs again within this and twice the next: under 30 s in all, with room for a slow server. */
const LOCK_DURATION_MS = 10_000;
const STALLED_INTERVAL_MS = 5_000;
/** A stall is a process that died or hung, not the job's fault; the bound stops a job that kills every process. */
export const STALLS_MAX = 50;
const BACKOFF_FIRST_MS = 1_000;
const BACKOFF_MS_MAX = 5 * 60_000;
/** A job put off to a moment that has passed is put off this far, so that it cannot spin. */
const PUT_OFF_MS_MIN = 10;

/** Starts workers for the given queues. */
export function runWorkers(deps: WorkersDeps): RunningWorkers {
  const random = deps.random ?? (() => randomInt(2 ** 32) / 2 ** 32);
  const settings: WorkerSettings = {
    concurrency: deps.concurrency,
    lockDurationMs: LOCK_DURATION_MS,
    stalledIntervalMs: STALLED_INTERVAL_MS,
    stallsMax: STALLS_MAX,
    backoffMs: (attemptsMade) => backoffMs(attemptsMade, random),
  };
  const workers = deps.queues.map((name) => startWorker(name, deps, settings));
  return {
    async drain(drainMs) {
      const drained = Promise.all(workers.map((worker) => worker.close()));
      const late = new Promise<'late'>((resolve) => {
        setTimeout(resolve, drainMs, 'late').unref();
      });
      if ((await Promise.race([drained, late])) === 'late') {
        deps.log.warn(
          { drain_ms: drainMs },
          'jobs were still running at the end of the drain: they will run again',
        );
      }
    },
  };
}

/** Exponential from a second, at most five minutes apart, full jitter (CONTRACT §3). */
export function backoffMs(attemptsMade: number, random: () => number): number {
  const ceiling = Math.min(BACKOFF_FIRST_MS * 2 ** Math.min(attemptsMade - 1, 30), BACKOFF_MS_MAX);
  return Math.max(1, Math.round(random() * ceiling));
}

function startWorker(queue: QueueName, deps: WorkersDeps, settings: WorkerSettings): BullWorker {
  const order = deps.storage.orderOf(deps.storage.createQueue(queue));
  const worker = deps.storage.createWorker(
    queue,
    (job, token) => {
      const place = tagOf(job.priority);
      if (place !== null) order.started(place.urgency, place.tag);
      return process(job, token, deps);
    },
    settings,
  );
  worker.on('error', (error) => deps.log.debug({ queue, error: error.message }, 'worker connection'));
  worker.on('failed', (job, error) => {
    // Stalled too often: no handler ran to say so.
    if (job !== undefined && job.deferredFailure === undefined) return;
    deps.onJob(job === undefined ? queue : countedKind(job), 'failed', null);
    deps.log.error({ queue, job: job?.id, error: error.message }, 'job failed: it stays in the failed list');
  });
  worker.run().catch((error: unknown) => {
    deps.log.error({ queue, error: messageOf(error) }, 'a worker stopped');
  });
  return worker;
}

async function process(job: BullJob, token: string | undefined, deps: WorkersDeps): Promise<void> {
  const kind = countedKind(job);
  const fields = { job: job.id, kind: job.name, attempt: job.attemptsStarted };
  try {
    await handle(job, deps.handlers);
    deps.onJob(kind, 'done', null);
    deps.log.debug(fields, 'job done');
  } catch (thrown) {
    const { error, note } = await judgeFailure(thrown, job, deps);
    const known = error instanceof EverlogError ? error : null;
    const code = known?.code ?? 'unexpected';
    const details = { ...fields, code, error: messageOf(error) };
    if (known?.remedy.kind === 'wait') {
      const at = Math.max(known.remedy.until.getTime(), deps.now().getTime() + PUT_OFF_MS_MIN);
      // For whoever asks why the job waits; kept beside the job, so that it goes with it.
      const put_off_until = new Date(at).toISOString();
      await job.updateProgress({ put_off_until, reason: messageOf(error), code, ...note });
      await job.moveToDelayed(at, token);
      deps.onJob(kind, 'put_off', code);
      deps.log.info({ ...details, until: new Date(at).toISOString() }, 'job put off');
      throw new DelayedError();
    }
    const last = known?.remedy.kind === 'give_up' || job.attemptsMade + 1 >= (job.opts.attempts ?? 1);
    deps.onJob(kind, last ? 'failed' : 'retried', code);
    if (last) deps.log.error(details, 'job failed: it stays in the failed list');
    else deps.log.warn(details, 'job will be tried again');
    throw last ? new UnrecoverableError(messageOf(error)) : new Error(messageOf(error));
  }
}

/** Of a closed set, for metrics: a newer version's kinds are one. */
function countedKind({ name }: BullJob): string {
  return Object.hasOwn(CATALOG, name) ? name : 'unknown';
}

/** What only a newer version knows is put off or failed by how long it has waited, which is noted with the job. */
async function judgeFailure(
  thrown: unknown,
  job: BullJob,
  { storage, version, now }: WorkersDeps,
): Promise<{ readonly error: unknown; readonly note: Readonly<Record<string, string>> }> {
  if (!(thrown instanceof OfNewerVersion)) return { error: thrown, note: {} };
  // Whose it is, is only said: without the notes the job waits all the same.
  const newer = await readNewerVersion(storage.notes, version).catch(() => null);
  const left = leaveToNewer(thrown.message, job.progress, now(), { own: version, newer });
  // Whoever has it tried again gives it as long again.
  if (left.error.remedy.kind === 'give_up') await job.updateProgress({});
  return { error: left.error, note: { newer_version_since: left.since.toISOString() } };
}

async function handle(job: BullJob, handlers: Handlers): Promise<void> {
  switch (job.name) {
    case 'archive-job':
      return handlers['archive-job'](parseData('archive-job', job.data), jobContext(job));
    case 'sweep-run':
      return handlers['sweep-run'](parseData('sweep-run', job.data), jobContext(job));
    case 'installation-changed':
      return handlers['installation-changed'](parseData('installation-changed', job.data), jobContext(job));
    case 'reconcile-hosts':
      return handlers['reconcile-hosts'](parseData('reconcile-hosts', job.data), jobContext(job));
    case 'reconcile-repository':
      return handlers['reconcile-repository'](parseData('reconcile-repository', job.data), jobContext(job));
    case 'redeliver':
      return handlers.redeliver(parseData('redeliver', job.data), jobContext(job));
    case 'poll-installations':
      return handlers['poll-installations'](parseData('poll-installations', job.data), jobContext(job));
    case 'update-index':
      return handlers['update-index'](parseData('update-index', job.data), jobContext(job));
    case 'compact-index':
      return handlers['compact-index'](parseData('compact-index', job.data), jobContext(job));
    case 'seal':
      return handlers.seal(parseData('seal', job.data), jobContext(job));
    default:
      throw new OfNewerVersion(`this version knows no job called ${job.name}`);
  }
}

function parseData<N extends JobName>(name: N, data: unknown): JobData<N> {
  const result = CATALOG[name].schema.safeParse(data);
  if (result.success) return result.data;
  const { issues } = result.error;
  const [issue] = issues;
  const problem = `${name}: ${issue?.path.join('.') ?? 'data'}: ${issue?.message ?? 'invalid'}`;
  // A word that is not known yet: everything else of the job is as this version has it.
  if (issues.every(({ code }) => code === 'invalid_value')) throw new OfNewerVersion(problem);
  throw giveUp('job_data_invalid', problem);
}

/** Something in a job that this version does not know, and a newer one may. */
class OfNewerVersion extends Error {}

function jobContext<Data>(job: BullJob): JobContext<Data> {
  return { id: job.id ?? '', attempts: job.attemptsStarted, update: (data) => job.updateData(data) };
}
