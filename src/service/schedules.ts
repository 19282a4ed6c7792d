import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import { messageOf } from '../errors.ts';
import type { Log } from '../logger.ts';
import type { QueueName } from '../queue/catalog.ts';
import type { JobQueue } from '../queue/job-queue.ts';
import { noteReceiverSettings } from '../redelivery/receiver-note.ts';
import { noteVersion } from '../queue/noted/versions.ts';
import type { Schedule } from '../queue/schedules.ts';
import { readVersion } from './version.ts';

/** What runs by the clock, and what a receiver has to say of itself when it starts. */

/** GitHub sends nothing again by itself, and a failed delivery is a log that nobody has asked for yet. */
const REDELIVER_EVERY_MS = 10 * 60_000;
/** GitHub's own events say it sooner; this is for those that were lost. */
const POLL_INSTALLATIONS_EVERY_MS = 60 * 60_000;
/** A new schedule first runs soon, and not in one moment with all others: from and to. */
const FIRST_APP_CALLS_MS = [3_000, 10_000] as const;
/** What the queue held goes first: then reconcile has less to find. */
const FIRST_RECONCILE_MS = [30_000, 60_000] as const;
/** Fresh enough for those who seal every second, and not missed for long where digests are rare. */
const INDEX_EVERY_MS_MIN = 10_000;
const INDEX_EVERY_MS_MAX = 60 * 60_000;
/** A digest is mostly there by then. */
const BEHIND_SEAL_MS = 30_000;
/** By two in the morning (UTC) the day before has mostly been sealed. */
const COMPACT_AT_MS = 2 * 60 * 60_000;
const DAY_MS = 24 * 60 * 60_000;
/** Schedules are looked after this often: a queue server that has lost everything is given them again. */
const LOOK_AFTER_MS = 60_000;
/** While the queue server does not answer it is asked again at this pace. */
const AGAIN_MS = 5_000;

/** What a configuration asks of the upkeep queue. */
function upkeepSchedules(config: Config, random: () => number): readonly Schedule[] {
  const between = (fromMs: number, toMs: number): number => Math.round(fromMs + random() * (toMs - fromMs));
  const hosts = config.hosts.filter(({ credentials }) => credentials !== null);
  const apps = hosts.filter(({ credentials }) => credentials?.kind === 'app');
  return [
    ...apps.map(({ github: { host } }): Schedule => ({
      job: { name: 'redeliver', data: { host } },
      everyMs: REDELIVER_EVERY_MS,
      firstAfterMs: between(...FIRST_APP_CALLS_MS),
    })),
    ...apps.map(({ github: { host } }): Schedule => ({
      job: { name: 'poll-installations', data: { host } },
      everyMs: POLL_INSTALLATIONS_EVERY_MS,
      firstAfterMs: between(...FIRST_APP_CALLS_MS),
    })),
    ...indexSchedules(config, new Date()),
    ...(hosts.length === 0
      ? []
      : [
          {
            job: { name: 'reconcile-hosts' as const, data: {} },
            everyMs: config.reconcileIntervalMs,
            // Whoever looks more often than that waits for no more than an interval.
            firstAfterMs: Math.min(between(...FIRST_RECONCILE_MS), config.reconcileIntervalMs),
          },
        ]),
  ];
}

/** A digest at each interval, at whole multiples of it, so that processes that start at different moments agree. */
function sealSchedules(config: Config, now: Date): readonly Schedule[] {
  const everyMs = config.sealing.intervalMs;
  const firstAfterMs = everyMs - (now.getTime() % everyMs);
  return [{ job: { name: 'seal', data: {} }, everyMs, firstAfterMs }];
}

/** The index follows the ledger: looked after once an interval, behind the digest; its days are merged once a day. */
function indexSchedules(config: Config, now: Date): readonly Schedule[] {
  const everyMs = Math.min(Math.max(config.sealing.intervalMs, INDEX_EVERY_MS_MIN), INDEX_EVERY_MS_MAX);
  const firstAfterMs = everyMs - (now.getTime() % everyMs) + Math.min(BEHIND_SEAL_MS, everyMs / 2);
  return [
    { job: { name: 'update-index', data: {} }, everyMs, firstAfterMs },
    {
      job: { name: 'compact-index', data: {} },
      everyMs: DAY_MS,
      firstAfterMs: DAY_MS - (now.getTime() % DAY_MS) + COMPACT_AT_MS,
    },
  ];
}

/** Keeps the schedules of these queues until `signal`. Any number of workers may; each schedule runs once for all of them. */
export async function keepSchedules(
  config: Config,
  queues: readonly QueueName[],
  queue: Pick<JobQueue, 'schedule'>,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const upkeep = upkeepSchedules(config, () => randomInt(2 ** 32) / 2 ** 32);
  const keep = async (): Promise<boolean> => {
    try {
      if (queues.includes('upkeep')) await queue.schedule('upkeep', upkeep);
      if (queues.includes('seal')) await queue.schedule('seal', sealSchedules(config, new Date()));
      return true;
    } catch (error) {
      log.debug({ error: messageOf(error) }, 'the schedules could not be looked after');
      return false;
    }
  };
  while (!signal.aborted) {
    const kept = await keep();
    await sleep(kept ? LOOK_AFTER_MS : AGAIN_MS, undefined, { signal }).catch(() => undefined);
  }
}

/**
 * Notes with the queue, as soon as it answers, that this version uses it and, where the process `receives`, the receiver's
 * settings. Where those have changed, deliveries that failed before are asked for again at once.
 */
export async function announceProcess(
  config: Config,
  receives: boolean,
  queue: Pick<JobQueue, 'notes' | 'add'>,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const open = [
    () => noteVersion(queue.notes, readVersion(), new Date()),
    ...(receives ? config.hosts : []).map((host) => () => announceReceiver(host, queue, log)),
  ];
  while (!signal.aborted) {
    const [next] = open;
    if (next === undefined) return;
    try {
      await next();
      open.shift();
    } catch (error) {
      log.debug({ error: messageOf(error) }, 'this process could not be announced');
      await sleep(AGAIN_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}

async function announceReceiver(
  { github, appId, webhookSecrets }: Config['hosts'][number],
  queue: Pick<JobQueue, 'notes' | 'add'>,
  log: Log,
): Promise<void> {
  const settings = [github.name, github.host, github.product, String(appId), ...webhookSecrets];
  const noted = await noteReceiverSettings(queue.notes, github.host, settings, new Date());
  if (noted !== 'changed') return;
  log.info({ host: github.host }, 'the receiver has new settings: what failed before is tried again');
  await queue.add({ name: 'redeliver', data: { host: github.host } });
}
