import { setTimeout as sleep } from 'node:timers/promises';
import { isNotConnectionError, type IQueueBackend } from 'bullmq';

/**
 * A failed fetch is tried again no sooner. BullMQ asks again at once: on a server that refuses, every worker would send it
 * ten thousand commands a second, and on a failure that is known at once starve the process's own timers and sockets.
 */
const FETCH_AGAIN_MS = 1_000;

/** Has whoever fetches jobs through `backend` wait after a failure. */
export function paceFailures<B extends Pick<IQueueBackend, 'moveToActive' | 'waitForJob'>>(
  backend: B,
  waitMs = FETCH_AGAIN_MS,
): B {
  const take = backend.moveToActive.bind(backend);
  const wait = backend.waitForJob.bind(backend);
  backend.moveToActive = (token, name) => slowToFail(() => take(token, name), waitMs);
  backend.waitForJob = (blockTimeout) => slowToFail(() => wait(blockTimeout), waitMs);
  return backend;
}

async function slowToFail<T>(ask: () => Promise<T>, waitMs: number): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    // BullMQ itself waits for a connection that is away, and a closing one must not be waited for.
    if (!(error instanceof Error) || isNotConnectionError(error)) await sleep(waitMs);
    throw error;
  }
}
