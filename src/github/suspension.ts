import { waitUntil, type EverlogError } from '../errors.ts';

/**
 * A suspended installation: GitHub mints no token for it, and refuses those it has given, with 403 and words alone. Its jobs
 * wait until it returns; nothing is concluded from what it may not see meanwhile.
 */

/** It is looked at again this often, beside the event that ends its suspension. */
const RECHECK_MS = 60 * 60_000;

/** Whether a 403's words are those for a suspended installation. */
export function saysSuspended(text: string): boolean {
  return /installation has been suspended/i.test(text);
}

/** The error that puts a suspended installation's job off. */
export function installationSuspended(which: string, now: Date): EverlogError {
  const until = new Date(now.getTime() + RECHECK_MS);
  return waitUntil('installation_suspended', until, `${which} is suspended`);
}
