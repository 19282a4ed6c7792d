import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { destination } from 'pino';
import { openArchive } from '../service/archive.ts';
import { openQueue, refuseForeignQueueOf } from '../service/queue.ts';
import { openSealing } from '../service/sealing/sealing.ts';
import { readVersion } from '../service/version.ts';
import { loadConfig, type Config } from '../config.ts';
import { SIGNING_KEY_CURE } from '../config/sealing-variables.ts';
import type { QueueControl, SealAnswer } from '../control/requests.ts';
import { reachService, type RemoteControl } from '../control/socket-client.ts';
import { giveUp } from '../errors.ts';
import { openLog } from '../logger.ts';
import { holdsQueue } from '../queue/embedded/queue-folder.ts';
import type { JobQueue } from '../queue/job-queue.ts';
import { noteVersion } from '../queue/noted/versions.ts';
import type { QueuedState } from '../queue/queued-state.ts';
import { openLocalRateLimiter, type RateLimiter } from '../queue/rate-limiter.ts';
import { firstAnswer } from '../queue/health/first-answer.ts';

/**
 * How a command that queues work gets at the queue: a queue server directly, an embedded queue by the service that owns
 * it, and where none runs the command is that service for as long as it takes (CONTRACT §1).
 */
export interface CommandQueue {
  readonly control: QueueControl;
  /** What is agreed with the workers; with a service reached by its socket, the command's own. */
  readonly rateLimiter: RateLimiter;
  /** Whether the command waits for the work without being told to: an embedded queue may have nobody else. */
  readonly waits: boolean;
  /**
   * Appends a digest to the ledger, once no other sealer is at work; `onBusy` is told once when it waits for one. By the service
   * that owns an embedded queue, else by the command itself.
   * @throws EverlogError `config_invalid` without a signing key, and what the ledger throws
   */
  seal(options: { readonly final: boolean }, onBusy: () => void): Promise<Sealed>;
  close(): Promise<void>;
}

/** What became of a seal that was waited for. */
export type Sealed = Exclude<SealAnswer, { outcome: 'busy' }>;

/** How often waiting looks at the jobs. */
const LOOK_MS = 200;
/** A server that has not answered a command by then is down. */
const ANSWER_TIMEOUT_MS = 10_000;
/** A sealer at work holds its claim for minutes at most; one that died lets go of it within that time. */
const BUSY_WAIT_MS_MAX = 15 * 60_000;
const BUSY_LOOK_MS = 500;

/**
 * Opens the queue for a command that only looks at it, takes something out or tells it something. It begins none: without
 * `mayBegin` an embedded queue that was never begun is not there.
 * @throws EverlogError `not_found` where there is no queue, `queue_foreign` where it is another archive's
 */
export async function openCommandQueue({ mayBegin = false } = {}): Promise<CommandQueue> {
  const config = loadConfig({});
  const remote = config.queue.kind === 'embedded' ? await reachService(config.queue.folder) : null;
  if (remote !== null) return reached(config, remote);
  if (!mayBegin) requireQueue(config);
  const open = await openQueue(config, openLog('warn', destination({ fd: 2, sync: true })));
  try {
    await firstAnswer(() => open.check(), ANSWER_TIMEOUT_MS);
    if (config.archiveNamed) await refuseForeignQueueOf(config, open.queue);
    if (mayBegin) await noteVersion(open.queue.notes, readVersion(), new Date());
  } catch (error) {
    await open.queue.close();
    throw error;
  }
  const { queue, storage } = open;
  return {
    control: queue,
    rateLimiter: storage.rateLimiter,
    waits: false,
    seal: (options, onBusy) => whenFree(() => sealHere(config, queue, options), onBusy),
    close: () => queue.close(),
  };
}

/**
 * Refuses a command that needs the queue where none was ever begun, before it looks at anything else.
 * @throws EverlogError `not_found` that says where the queue would be
 */
export function requireQueue({ queue }: Pick<Config, 'queue'>): void {
  if (queue.kind !== 'embedded' || holdsQueue(queue.folder)) return;
  throw giveUp(
    'not_found',
    `there is no queue here: it would be in ${resolve(queue.folder)}, and no service ever ran on it. Run the command where the service runs, or set EVERLOG_QUEUE_URL as the service has it.`,
  );
}

/** Seals in this process, which holds the queue. */
async function sealHere(
  config: Config,
  queue: JobQueue,
  options: { readonly final: boolean },
): Promise<SealAnswer> {
  await refuseForeignQueueOf(config, queue);
  const archive = await openArchive(config, config.archive);
  const sealing = openSealing(config, queue, archive, openLog('warn', destination({ fd: 2, sync: true })));
  try {
    if (sealing === null)
      throw giveUp('config_invalid', `EVERLOG_SIGNING_KEY is missing: ${SIGNING_KEY_CURE}`);
    return await sealing.seal(options);
  } finally {
    await sealing?.close();
    await archive.close();
  }
}

async function whenFree(seal: () => Promise<SealAnswer>, onBusy: () => void): Promise<Sealed> {
  const deadlineMs = Date.now() + BUSY_WAIT_MS_MAX;
  for (let told = false; ; told = true) {
    const answer = await seal();
    if (answer.outcome !== 'busy') return answer;
    if (Date.now() > deadlineMs)
      throw giveUp('ledger_busy', 'another sealer is at work and does not end: try again later');
    if (!told) onBusy();
    await sleep(BUSY_LOOK_MS);
  }
}

/** Opens the queue for a command that adds work, and workers with it where nobody else would do that work. */
export async function openWorkingQueue(): Promise<CommandQueue> {
  const config = loadConfig({});
  if (config.queue.kind !== 'embedded') return openCommandQueue({ mayBegin: true });
  const remote = await reachService(config.queue.folder);
  if (remote !== null) return reached(config, remote);
  const quiet: Config = { ...loadConfig({ github: true }), listen: null, adminListen: null };
  const log = openLog('warn', destination({ fd: 2, sync: true }));
  const { startService } = await import('../service/service.ts');
  const service = await startService(
    quiet,
    { receive: false, queues: ['archive', 'upkeep'], schedules: false },
    log,
  );
  const { queue, storage } = service.open;
  return {
    control: queue,
    rateLimiter: storage.rateLimiter,
    waits: true,
    seal: (options, onBusy) => whenFree(() => sealHere(config, queue, options), onBusy),
    close: () => service.stop(),
  };
}

async function reached(config: Config, remote: RemoteControl): Promise<CommandQueue> {
  try {
    if (config.archiveNamed) await refuseForeignQueueOf(config, remote);
  } catch (error) {
    await remote.close();
    throw error;
  }
  const state = openLocalRateLimiter(() => new Date());
  return {
    control: remote,
    rateLimiter: state,
    waits: true,
    seal: ({ final }, onBusy) => whenFree(() => remote.seal(final), onBusy),
    close: () => remote.close(),
  };
}

/** Waits until every job has ended or been put off; answers where each stands then. */
export async function settled(
  control: QueueControl,
  ids: readonly string[],
  onProgress: (ended: number) => void,
): Promise<ReadonlyMap<string, QueuedState>> {
  const states = new Map<string, QueuedState>();
  for (;;) {
    for (const id of ids) {
      const known = states.get(id);
      if (known === undefined || isUnderWay(known)) states.set(id, await control.stateOf(id));
    }
    const moving = [...states.values()].filter(isUnderWay).length;
    onProgress(states.size - moving);
    if (moving === 0) return states;
    await sleep(LOOK_MS);
  }
}

function isUnderWay(state: QueuedState): boolean {
  return state.state === 'waiting' || state.state === 'running';
}
