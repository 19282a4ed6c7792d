import { App } from '@octokit/app';
import { Octokit } from '@octokit/core';
import { fetch, type Dispatcher } from 'undici';
import { z } from 'zod';
import { EverlogError, giveUp, messageOf, retryable, waitUntil } from '../errors.ts';
import { codedCause } from './network/connections.ts';
import type { GitHubHost } from './host.ts';
import { networkFailure } from './network/network-failure.ts';
import { pauseAskedFor, type Headers } from './rate-limit.ts';
import { installationSuspended, isGitHubsOwn, notGitHubs, saysSuspended } from './refusals.ts';
import { gatherBytes } from '../gather-bytes.ts';

/**
 * Calls that are made as the App itself, signed with its private key. `@octokit/app` makes the JWT and allows for clock
 * skew. Its own installation tokens are not used: `@octokit/auth-app` 8.3 shares pending ones between hosts whose
 * installation ids are equal.
 */
export type AppRequest = (
  route: string,
  parameters: Readonly<Record<string, unknown>>,
  about: string,
) => Promise<unknown>;

/** The same, with the answer as it came. */
export type RawAppRequest = (...call: Parameters<AppRequest>) => Promise<AppAnswer>;

/** An answer of 2xx. */
export interface AppAnswer {
  /** As it came: ids may be larger than the numbers that JSON.parse can hold (deliveries have them since 2026). */
  readonly text: string;
  /** The `Link` header, which leads to the next page. */
  readonly link: string | null;
  /** When the host answered, by its own clock. */
  readonly date: Date | null;
}

/** A page of a hundred installations or deliveries is well under one; more is not GitHub. */
const APP_BODY_BYTES_MAX = 8 * 1024 * 1024;
/** An App call answers in well under a second; GitHub gives up after ten. */
const APP_REQUEST_TIMEOUT_MS = 30_000;

const requestErrorSchema = z.object({
  status: z.int(),
  message: z.string(),
  response: z.object({ headers: z.record(z.string(), z.unknown()), data: z.unknown() }).optional(),
});

/** What a GitHub App proves itself with. */
export interface AppCredentials {
  readonly appId: number;
  /** PEM. */
  readonly privateKey: string;
}

/** Opens the App calls of one host; they answer parsed JSON. Failures are coded as `Tokens.tokenFor` says. */
export function openAppRequests(
  host: GitHubHost,
  credentials: AppCredentials,
  dispatcher: Dispatcher,
  now: () => Date,
): AppRequest {
  const request = openRawAppRequests(host, credentials, dispatcher, now);
  return async (route, parameters, about) => {
    const { text } = await request(route, parameters, about);
    try {
      return JSON.parse(text);
    } catch {
      throw retryable('github_unexpected', `${host.name}: the answer for ${about} is not JSON`);
    }
  };
}

/** The same calls, with answers as they came. */
export function openRawAppRequests(
  host: GitHubHost,
  credentials: AppCredentials,
  dispatcher: Dispatcher,
  now: () => Date,
): RawAppRequest {
  const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const fetchHere = (url: string, options: Parameters<typeof fetch>[1]) =>
    fetch(url, { ...options, dispatcher, signal: AbortSignal.timeout(APP_REQUEST_TIMEOUT_MS) });
  const app = new App({
    appId: credentials.appId,
    privateKey: credentials.privateKey,
    log: silent,
    Octokit: Octokit.defaults({ baseUrl: host.apiUrl, log: silent, request: { fetch: fetchHere } }),
  });
  return async (route, parameters, about) => {
    try {
      const answer: { data: unknown; headers: { link?: string | undefined; date?: string | undefined } } =
        await app.octokit.request(route, {
          ...parameters,
          request: { parseSuccessResponseBody: false },
        });
      const { link, date } = answer.headers;
      return { text: await bodyText(answer.data), link: link ?? null, date: dateOf(date) };
    } catch (error) {
      throw appRequestError(error, host, about, now());
    }
  };
}

/** The moment in a `Date` header; null where there is none. */
export function dateOf(header: string | undefined): Date | null {
  const date = new Date(header ?? '');
  return Number.isNaN(date.getTime()) ? null : date;
}

/** Octokit hands the body over as a stream, or as an empty text where there is none. */
async function bodyText(body: unknown): Promise<string> {
  if (!(body instanceof ReadableStream)) return '';
  const tooLong = (): Error => retryable('github_unexpected', `an answer over ${APP_BODY_BYTES_MAX} bytes`);
  return (await gatherBytes(body, APP_BODY_BYTES_MAX, tooLong)).toString('utf8');
}

function appRequestError(error: unknown, host: GitHubHost, about: string, now: Date): Error {
  if (error instanceof EverlogError) return error;
  const coded = codedCause(error);
  if (coded !== null) return coded;
  const parsed = requestErrorSchema.safeParse(error);
  if (!parsed.success)
    return giveUp('unauthorised', `${host.name}: the App key cannot sign: ${messageOf(error)}`, error);
  const { status, message, response } = parsed.data;
  const headers = textHeaders(response?.headers ?? {});
  const pause = pauseAskedFor(status, headers, message, now);
  if (pause !== null) return waitUntil('github_rate_limited', pause, `${host.name}: rate limit for the App`);
  if (response === undefined || status >= 500) {
    return retryable(
      'github_unavailable',
      `${host.name}: no answer for ${about}: ${response === undefined ? networkFailure(error) : `${status} ${message}`}`,
    );
  }
  if (status >= 400 && !isGitHubsOwn(status, headers, response.data))
    return notGitHubs(host.name, status, headers, about);
  switch (status) {
    case 401:
      return retryable('unauthorised', `${host.name}: GitHub refuses the App's key or id: ${message}`);
    case 403:
      return saysSuspended(message)
        ? installationSuspended(`${host.name}: ${about}`, now)
        : giveUp('installation_gone', `${host.name}: GitHub refuses ${about}: ${message}`);
    case 404:
      return giveUp('installation_gone', `${host.name}: the App is not installed for ${about}`);
    case 422:
      return retryable(
        'unauthorised',
        `${host.name}: ${about} has not granted the App "actions: read" and "metadata: read": ${message}`,
      );
    default:
      return retryable(
        'github_unexpected',
        `${host.name}: unexpected answer ${status} for ${about}: ${message}`,
      );
  }
}

function textHeaders(headers: Readonly<Record<string, unknown>>): Headers {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, typeof value === 'string' ? value : undefined]),
  );
}
