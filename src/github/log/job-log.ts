import { createHash, type Hash } from 'node:crypto';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { request, type Dispatcher } from 'undici';
import { codeOf, messageOf, retryable } from '../../errors.ts';
import type { GitHubApi } from '../api.ts';
import { codedCause, type Connections } from '../network/connections.ts';
import type { RepositoryRef } from '../credentials.ts';
import { checkLogLocation } from './log-hosts.ts';
import { isStoresOwn } from './log-evidence.ts';
import { saysIpAllowList } from '../refusals.ts';
import { networkFailure } from '../network/network-failure.ts';
import type { Permit } from '../permits.ts';
import { headerText, type Headers } from '../rate-limit.ts';

/**
 * A job's log: the API answers 302 with a link to another host that lives about a minute; the link is followed by hand,
 * at once and without credentials (DESIGN decision 7). The link is a signature: it is never logged or kept.
 */
export interface LogRef extends RepositoryRef {
  readonly jobId: number;
}

/** What the log host said of a log that is there. */
export interface LogAnswer {
  readonly apiStatus: number;
  readonly logHost: string;
  readonly httpStatus: number;
  readonly etag: string | null;
  readonly contentMd5: string | null;
  readonly requestId: string | null;
  /** The host cannot vouch that the log is whole: an append blob that was never sealed, or a body of unstated length. */
  readonly possiblyTruncated: boolean;
  readonly requestedAt: Date;
  /**
   * GitHub's bytes, any transfer encoding removed. Ends only when the body was whole by every sign the host gave.
   * Iteration throws EverlogError `log_cut` or `log_host_unavailable` (retry) otherwise.
   */
  readonly body: AsyncIterable<Buffer>;
}

export type LogLookup =
  | { readonly kind: 'found'; readonly answer: LogAnswer }
  | {
      readonly kind: 'absent';
      readonly why: 'missing' | 'expired' | 'forbidden';
      readonly apiStatus: number;
      readonly logStatus: number | null;
      /** The owner's IP allow list leaves this service out. */
      readonly byIpList?: boolean;
    };

/** A link that a host calls expired is asked for anew this often within one try. */
const LINKS_MAX = 3;
/** Hops after the API's own redirect. */
const HOPS_MAX = 3;
/** The longest that one log may take: ten GiB at three MiB a second, and a stuck host is let go within the hour. */
const LOG_TIMEOUT_MS = 60 * 60_000;
/** What is read of an error's body: GitHub's and stores' are below a KB. */
const ERROR_BODY_BYTES = 4096;
/** Types of an error page; a log is text/plain, octets, or untyped. */
const NOT_A_LOG = /^\s*(?:application|text)\/(?:[a-z.+-]*\+)?(?:xml|html|json)\b/i;

/**
 * Asks for a job's log and opens it.
 * @throws EverlogError `log_host_refused`, `address_refused` (give up), `log_link_expired`, `log_host_unavailable`,
 * `github_unexpected` (retry), and those of `GitHubApi.get`.
 */
export async function lookUpLog(
  api: GitHubApi,
  connections: Connections,
  ref: LogRef,
  now: () => Date,
): Promise<LogLookup> {
  const permit = await connections.permits.forLog();
  let isOpen = false;
  try {
    const lookup = await lookUpInTurn(api, connections, ref, now, permit);
    isOpen = lookup.kind === 'found';
    return lookup;
  } finally {
    // An open log keeps it until its body has been read or let go.
    if (!isOpen) permit.release();
  }
}

async function lookUpInTurn(
  api: GitHubApi,
  connections: Connections,
  ref: LogRef,
  now: () => Date,
  permit: Permit,
): Promise<LogLookup> {
  const name = api.host.name;
  for (let links = 0; links < LINKS_MAX; links += 1) {
    const requestedAt = now();
    const path = `/repos/${ref.owner}/${ref.repo}/actions/jobs/${ref.jobId}/logs`;
    const answer = await api.get(path, ref, permit);
    const { status: apiStatus } = answer;
    if (apiStatus === 404) return { kind: 'absent', why: 'missing', apiStatus, logStatus: null };
    if (apiStatus === 410) return { kind: 'absent', why: 'expired', apiStatus, logStatus: null };
    if (isForbidden(apiStatus)) {
      const byIpList = saysIpAllowList(answer.bytes.toString('utf8', 0, ERROR_BODY_BYTES));
      return { kind: 'absent', why: 'forbidden', apiStatus, logStatus: null, byIpList };
    }
    const location = headerText(answer.headers, 'location');
    if (apiStatus !== 302 || location === null) {
      throw retryable(
        'github_unexpected',
        `${name}: the log endpoint answers ${apiStatus} where 302 is documented`,
      );
    }
    const followed = await follow(location, api, connections);
    const logStatus = followed.statusCode;
    if (logStatus === 200) {
      followed.body.once('close', () => permit.release());
      return { kind: 'found', answer: logAnswer(followed, apiStatus, requestedAt, name) };
    }
    if (logStatus === 404 || logStatus === 410) {
      if (!isStoresOwn(followed.headers, await beginningOf(followed))) {
        throw retryable(
          'log_host_unavailable',
          `${name}: ${logStatus} of log host ${followed.host} is not a store's own answer: a proxy or gateway stands between`,
        );
      }
      return { kind: 'absent', why: logStatus === 404 ? 'missing' : 'expired', apiStatus, logStatus };
    }
    await discard(followed);
    if (logStatus !== 403 && logStatus !== 401) {
      throw retryable('log_host_unavailable', `${name}: log host ${followed.host} answers ${logStatus}`);
    }
  }
  throw retryable('log_link_expired', `${name}: the log host refused ${LINKS_MAX} fresh links`);
}

/** 451: GitHub has blocked the repository for legal reasons. */
export function isForbidden(apiStatus: number): boolean {
  return apiStatus === 403 || apiStatus === 451;
}

interface Followed {
  readonly host: string;
  readonly statusCode: number;
  readonly headers: Headers;
  readonly body: Dispatcher.ResponseData['body'];
}

async function follow(location: string, api: GitHubApi, connections: Connections): Promise<Followed> {
  const { host } = api;
  let target = checkLogLocation(location, new URL(host.apiUrl), host, connections.addresses);
  for (let hops = 0; hops <= HOPS_MAX; hops += 1) {
    const answer = await getWithoutCredentials(target, connections, host.name);
    if (answer.statusCode < 300 || answer.statusCode > 399) return answer;
    await discard(answer);
    const next = headerText(answer.headers, 'location');
    if (next === null) {
      throw retryable('github_unexpected', `${host.name}: ${answer.host} redirects to nowhere`);
    }
    target = checkLogLocation(next, target, host, connections.addresses);
  }
  throw retryable('github_unexpected', `${host.name}: more than ${HOPS_MAX} redirects to a log`);
}

async function getWithoutCredentials(target: URL, connections: Connections, name: string): Promise<Followed> {
  try {
    const answer = await request(target, {
      dispatcher: connections.dispatcher,
      headers: { 'user-agent': 'everlog', accept: '*/*', 'accept-encoding': 'identity' },
      signal: AbortSignal.timeout(LOG_TIMEOUT_MS),
    });
    // Whoever reads is told by the reading itself; a body let go unread must not end the process by an unheard error.
    answer.body.on('error', () => undefined);
    return { host: target.host, statusCode: answer.statusCode, headers: answer.headers, body: answer.body };
  } catch (error) {
    throw (
      codedCause(error) ??
      retryable(
        'log_host_unavailable',
        `${name}: no answer from log host ${target.host}: ${networkFailure(error)}`,
      )
    );
  }
}

function logAnswer(followed: Followed, apiStatus: number, requestedAt: Date, name: string): LogAnswer {
  const { headers, host, statusCode } = followed;
  // The bare type: what follows it is the host's own words, which may say back the link.
  const [page] = NOT_A_LOG.exec(headerText(headers, 'content-type') ?? '') ?? [];
  if (page !== undefined) {
    followed.body.destroy();
    throw retryable(
      'github_unexpected',
      `${name}: log host ${host} answers 200 with a page of ${page.trim()}`,
    );
  }
  const contentMd5 = headerText(headers, 'content-md5');
  const unsealed =
    headerText(headers, 'x-ms-blob-type') === 'AppendBlob' &&
    headerText(headers, 'x-ms-blob-sealed') !== 'true';
  const measured = headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
  return {
    apiStatus,
    logHost: host,
    httpStatus: statusCode,
    etag: headerText(headers, 'etag'),
    contentMd5,
    requestId: headerText(headers, 'x-ms-request-id') ?? headerText(headers, 'x-amz-request-id'),
    possiblyTruncated: unsealed || !measured,
    requestedAt,
    body: wholeBody(followed, contentMd5, name),
  };
}

async function* wholeBody(
  followed: Followed,
  contentMd5: string | null,
  name: string,
): AsyncGenerator<Buffer> {
  const { body, headers, host } = followed;
  const encoding = (headerText(headers, 'content-encoding') ?? 'identity').trim().toLowerCase();
  if (encoding !== 'identity' && encoding !== 'gzip' && encoding !== 'x-gzip') {
    body.destroy();
    throw retryable(
      'github_unexpected',
      `${name}: log host ${host} sends an encoding that was not asked for`,
    );
  }
  const sent = createHash('md5');
  const decoded = encoding === 'identity' ? null : createHash('md5');
  try {
    const received = hashed(body, contentMd5 === null ? null : sent);
    yield* decoded === null ? received : hashed(gunzippedLog(received), decoded);
  } catch (error) {
    throw (
      codedCause(error) ??
      retryable('log_cut', `${name}: the log from ${host} broke off: ${networkErrorCode(error)}`)
    );
  } finally {
    body.destroy();
  }
  // A store sends the digest of what it stores, whatever encoding a proxy on the way has added.
  if (contentMd5 !== null && ![sent, decoded].some((md5) => md5?.digest('base64') === contentMd5)) {
    throw retryable('log_cut', `${name}: the log from ${host} does not match its Content-MD5`);
  }
}

async function* hashed(body: AsyncIterable<unknown>, md5: Hash | null): AsyncGenerator<Buffer> {
  for await (const chunk of body) {
    if (!Buffer.isBuffer(chunk)) throw new Error('the HTTP client gave text for bytes');
    md5?.update(chunk);
    yield chunk;
  }
}

/** Node's gunzip fails on a missing or wrong trailer, so a cut body cannot pass. */
async function* gunzippedLog(received: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const gunzip = createGunzip();
  // The error reaches the reader through the stream itself.
  pipeline(received, gunzip, () => undefined);
  for await (const chunk of gunzip) {
    if (!Buffer.isBuffer(chunk)) throw new Error('zlib gave text for bytes');
    yield chunk;
  }
}

/** The beginning of an error's body. */
async function beginningOf({ body }: Followed): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body) {
      if (!Buffer.isBuffer(chunk)) throw new Error('the HTTP client gave text for bytes');
      chunks.push(chunk);
      bytes += chunk.byteLength;
      if (bytes >= ERROR_BODY_BYTES) break;
    }
  } catch {
    // What was read is judged: a body that breaks off proves no more than it said.
  } finally {
    body.destroy();
  }
  return Buffer.concat(chunks).toString('utf8', 0, ERROR_BODY_BYTES);
}

/** Reads away a short error body, so that the connection can be used again; gives up on a long one. */
async function discard(followed: Followed): Promise<void> {
  await followed.body.dump({ limit: 64 * 1024 }).catch(() => undefined);
}

/** The kind of a network failure, without the URL that some messages carry. */
function networkErrorCode(error: unknown): string {
  return codeOf(error) ?? messageOf(error).replace(/https?:\/\/\S+/g, 'a link');
}
