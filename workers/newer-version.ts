import { z } from 'zod';
import { curable, waitUntil, type EverlogError } from '../src/errors.ts';

/**
 * While versions are changed, older workers leave to newer ones what only those know: they put it off, and fail it when no newer
 * one has come for so long that the change is over.
 */

/** How long an older worker leaves alone what it does not know; by then a change of versions has often ended. */
const WAIT_MS = 5 * 60_000;
/** A change of versions, or one that was taken back, is over by then: somebody has to look. */
export const NEWER_VERSION_WAIT_MS_MAX = 7 * 24 * 60 * 60_000;

const leftSchema = z.object({ newer_version_since: z.iso.datetime() });

/** A job that this version cannot do: the answer to it, and since when it waits for a newer one, to be kept with it. */
export interface LeftToNewer {
  readonly error: EverlogError;
  readonly since: Date;
}

/**
 * What becomes of a job with something that this version does not know (`problem`), where `progress` is what was noted on the job
 * when it was last put off. Pure.
 */
export function leaveToNewer(
  problem: string,
  progress: unknown,
  now: Date,
  versions: { readonly own: string; readonly newer: string | null },
): LeftToNewer {
  const left = leftSchema.safeParse(progress);
  const since = left.success ? new Date(left.data.newer_version_since) : now;
  const { own, newer } = versions;
  const needed =
    newer === null ? `one newer than ${own}` : `version ${newer}, which has used this queue; this is ${own}`;
  if (now.getTime() - since.getTime() < NEWER_VERSION_WAIT_MS_MAX) {
    const until = new Date(now.getTime() + WAIT_MS);
    const what = `${problem}: left to a newer version of Everlog (${needed})`;
    return { error: waitUntil('newer_version', until, what), since };
  }
  const what = `${problem}, and no newer version of Everlog has taken it in 7 days: it needs ${needed}`;
  const cure = 'update the workers, then have it tried again with `everlog failed retry`';
  return { error: curable('newer_version', 'give_up', what, cure), since };
}
