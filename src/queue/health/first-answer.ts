import { setTimeout as sleep } from 'node:timers/promises';
import { EverlogError } from '../../errors.ts';

/** Between two tries. */
const LOOK_MS = 200;

/**
 * Asks for at most `timeoutMs`, as a connection that has just begun cannot answer at once.
 * @throws what does not pass at once, and after the time what does
 */
export async function firstAnswer(ask: () => Promise<void>, timeoutMs: number): Promise<void> {
  const deadlineMs = Date.now() + timeoutMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      const passing = error instanceof EverlogError && error.remedy.kind === 'retry';
      if (!passing || Date.now() > deadlineMs) throw error;
    }
    await sleep(LOOK_MS);
  }
}
