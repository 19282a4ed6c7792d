import { setTimeout as sleep } from 'node:timers/promises';
import { EverlogError, messageOf } from '../../errors.ts';
import type { Log } from '../../logger.ts';

/** Whether the queue really works, looked at for as long as the service runs. */
export interface QueueWatch {
  /** Resolves at the first trial that went well. */
  readonly works: Promise<void>;
  /** Rejects when nothing but another configuration helps; settles in no other way. */
  readonly failed: Promise<never>;
}

/** While the queue does not work it is tried again at this pace. */
const TRY_AGAIN_MS = 1_000;
/** While it works: trouble is told this soon. */
const LOOK_MS = 10_000;
/** One warning a minute says enough. */
const TELL_EVERY_MS = 60_000;

/** Has `tryQueue` run until `signal`, and says in the server's own words when it fails, at most once a minute, and when it works again. */
export function watchQueue(
  tryQueue: () => Promise<void>,
  log: Log,
  signal: AbortSignal,
  now: () => number = () => performance.now(),
): QueueWatch {
  let resolveWorks: () => void = () => undefined;
  const works = new Promise<void>((resolve) => {
    resolveWorks = resolve;
  });
  const watch = async (): Promise<never> => {
    let toldAtMs = Number.NEGATIVE_INFINITY;
    let failing = false;
    while (!signal.aborted) {
      try {
        await tryQueue();
        if (failing) log.info({}, 'the queue works');
        failing = false;
        resolveWorks();
      } catch (error) {
        if (error instanceof EverlogError && error.remedy.kind === 'give_up') throw error;
        failing = true;
        if (now() - toldAtMs >= TELL_EVERY_MS && !signal.aborted) {
          toldAtMs = now();
          log.warn({ error: messageOf(error) }, 'the queue does not work: waiting for it');
        }
      }
      await sleep(failing ? TRY_AGAIN_MS : LOOK_MS, undefined, { signal }).catch(() => undefined);
    }
    return new Promise<never>(() => undefined);
  };
  return { works, failed: watch() };
}
