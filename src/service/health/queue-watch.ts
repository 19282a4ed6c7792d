import { setTimeout as sleep } from 'node:timers/promises';
import { EverlogError, messageOf, retryable } from '../../errors.ts';
import type { Log } from '../../logger.ts';
import type { QueueStorage } from '../../queue/queue-storage.ts';

/** Whether the queue really works, looked at for as long as the service runs. */
export interface QueueWatch {
  /** Resolves at the first trial that went well. */
  readonly works: Promise<void>;
  /** Rejects when nothing but another configuration helps; settles in no other way. */
  readonly failed: Promise<never>;
  /**
   * Resolves once the queue was found good on the connection that there is now, at once where it was: a job that is added before
   * may be acknowledged into another archive's queue, or one that forgets it.
   * @throws EverlogError `queue_unavailable` while the last trial went wrong
   */
  admit(): Promise<void>;
}

/** While the queue does not work it is tried again at this pace. */
const TRY_AGAIN_MS = 1_000;
/** While it works: trouble is told this soon. */
const LOOK_MS = 10_000;
/** One warning a minute says enough. */
const TELL_EVERY_MS = 60_000;

type Connected = Pick<QueueStorage, 'firstContact' | 'connection'>;

/** What came of a trial, and on which connection it began. */
interface QueueVerdict {
  readonly connection: number;
  readonly trouble: unknown;
}

/**
 * Has `tryQueue` run until `signal`, and soon after each new connection; says in the server's own words when it fails, at most once
 * a minute, and when it works again.
 */
export function watchQueue(
  tryQueue: () => Promise<void>,
  storage: Connected,
  log: Log,
  signal: AbortSignal,
  now: () => number = () => performance.now(),
): QueueWatch {
  let resolveWorks: () => void = () => undefined;
  const works = new Promise<void>((resolve) => {
    resolveWorks = resolve;
  });
  const judge = judgeOf(tryQueue, storage);
  const watch = async (): Promise<never> => {
    let toldAtMs = Number.NEGATIVE_INFINITY;
    let worked = false;
    let failing = false;
    while (!signal.aborted) {
      const { trouble } = await judge.again();
      if (trouble === null) {
        if (failing) log.info({}, 'the queue works');
        failing = false;
        worked = true;
        resolveWorks();
      } else {
        if (isFinal(trouble, worked)) throw trouble;
        failing = true;
        if (now() - toldAtMs >= TELL_EVERY_MS && !signal.aborted) {
          toldAtMs = now();
          log.warn({ error: messageOf(trouble) }, 'the queue does not work: waiting for it');
        }
      }
      await untilDue(() => judge.isGood(), signal, now);
    }
    return new Promise<never>(() => undefined);
  };
  return { works, failed: watch(), admit: () => admit(judge) };
}

/** A server that grows unsafe under a running service may be mended; who starts on one is told, and ends. */
function isFinal(trouble: unknown, worked: boolean): trouble is EverlogError {
  if (!(trouble instanceof EverlogError) || trouble.remedy.kind !== 'give_up') return false;
  return !(worked && trouble.code === 'queue_unsafe');
}

/** Waits until the next look: ten seconds while all is well, else one. */
async function untilDue(isGood: () => boolean, signal: AbortSignal, now: () => number): Promise<void> {
  const lookedMs = now();
  do await sleep(TRY_AGAIN_MS, undefined, { signal }).catch(() => undefined);
  while (!signal.aborted && isGood() && now() - lookedMs < LOOK_MS);
}

interface Judge {
  /** What the last trial found, where it was made on the connection that there is now. */
  standing(): QueueVerdict | null;
  isGood(): boolean;
  /** Makes a trial, or waits for the one under way. */
  again(): Promise<QueueVerdict>;
}

function judgeOf(tryQueue: () => Promise<void>, storage: Connected): Judge {
  let last: QueueVerdict | null = null;
  let underWay: Promise<QueueVerdict> | null = null;
  const attempt = async (): Promise<QueueVerdict> => {
    await storage.firstContact;
    const { connection } = storage;
    let trouble: unknown = null;
    try {
      await tryQueue();
    } catch (error) {
      trouble = error ?? new Error('a trial failed without saying why');
    }
    last = { connection, trouble };
    underWay = null;
    return last;
  };
  const standing = (): QueueVerdict | null => (last?.connection === storage.connection ? last : null);
  return {
    standing,
    isGood: () => standing()?.trouble === null,
    again: () => (underWay ??= attempt()),
  };
}

/** Two trials at most: one under way may have begun on the connection before. */
async function admit(judge: Judge): Promise<void> {
  for (let tries = 0; tries < 2 && judge.standing() === null; tries += 1) await judge.again();
  const standing = judge.standing();
  if (standing?.trouble === null) return;
  const words =
    standing === null ? 'the connection to the queue has just changed' : messageOf(standing.trouble);
  throw retryable('queue_unavailable', `the queue is not used: ${words}`, standing?.trouble);
}
