import { z } from 'zod';
import { retryable, waitUntil, type EverlogError } from '../errors.ts';
import { headerText, type Headers } from './rate-limit.ts';

/**
 * What a refusal says, and whether it is GitHub's at all. Proxies, gateways and sign-in pages answer 403 and 404 too, and
 * know nothing of jobs: only GitHub's own words are evidence (CONTRACT §5), anything else is an outage.
 *
 * A suspended installation: GitHub mints no token for it, and refuses those it has given, with 403 and words alone. Its jobs
 * wait until it returns; nothing is concluded from what it may not see meanwhile.
 */

/** It is looked at again this often, beside the event that ends its suspension. */
const RECHECK_MS = 60 * 60_000;

const JSON_TYPE = /^\s*application\/(?:[a-z0-9.+-]+\+)?json\b/i;

const refusalSchema = z.looseObject({
  message: z.string(),
  documentation_url: z.string().optional().catch(undefined),
  status: z.union([z.string(), z.number()]).optional().catch(undefined),
});

/**
 * Whether a refusal is GitHub's own: JSON with a message, and beside it what gateways that speak JSON do not have: the address of
 * the documentation, the status once more, or the id that GitHub gives every request.
 */
export function isGitHubsOwn(status: number, headers: Headers, body: unknown): boolean {
  if (!JSON_TYPE.test(headerText(headers, 'content-type') ?? '')) return false;
  const parsed = refusalSchema.safeParse(body);
  if (!parsed.success) return false;
  const { documentation_url, status: repeated } = parsed.data;
  return (
    documentation_url !== undefined ||
    (repeated !== undefined && String(repeated) === String(status)) ||
    headerText(headers, 'x-github-request-id') !== null
  );
}

/** The error for an answer that is not GitHub's: to be asked again, never a fact about what was asked for. */
export function notGitHubs(host: string, status: number, headers: Headers, about: string): EverlogError {
  const [type] = /^[\w.+-]+\/[\w.+-]+/.exec(headerText(headers, 'content-type') ?? '') ?? ['no content type'];
  return retryable(
    'github_unavailable',
    `${host}: ${status} for ${about} is not GitHub's own answer (${type}): a proxy, gateway or sign-in page stands between`,
  );
}

/** Whether a 403's words are those for a suspended installation. */
export function saysSuspended(text: string): boolean {
  return /installation has been suspended/i.test(text);
}

/** Whether a 403's words are those for an address that the owner's IP allow list leaves out. */
export function saysIpAllowList(text: string): boolean {
  return /\bIP allow list\b/i.test(text);
}

/** The error that puts a suspended installation's job off. */
export function installationSuspended(which: string, now: Date): EverlogError {
  const until = new Date(now.getTime() + RECHECK_MS);
  return waitUntil('installation_suspended', until, `${which} is suspended`);
}
