import { request } from 'undici';
import { giveUp, retryable, waitUntil } from '../errors.ts';
import { openApiVersion, type ApiVersion } from './api-version.ts';
import { codedCause, type Connections } from './network/connections.ts';
import type { InstallationToken, RepositoryRef, Tokens } from './credentials.ts';
import type { GitHubHost } from './host.ts';
import { checkLiteralAddress } from './log/log-hosts.ts';
import { networkFailure } from './network/network-failure.ts';
import type { Permit } from './permits.ts';
import { headerText, pauseAskedFor, rateStateOf, type Headers, type RateState } from './rate-limit.ts';
import { installationSuspended, isGitHubsOwn, notGitHubs, saysSuspended } from './refusals.ts';
import { gatherBytes } from '../gather-bytes.ts';

/**
 * GitHub's REST API as Everlog uses it: authenticated GET requests whose answers are kept as bytes. Bodies are bounded,
 * redirects (a renamed repository answers 301) are followed on the same origin only.
 */

/** An answer that is the caller's to judge: any status but those that are the same for every call. */
export interface ApiAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Buffer;
  /** The path that answered in the end, after redirects. */
  readonly path: string;
}

export interface GitHubApi {
  readonly host: GitHubHost;
  /** Set where every call spends the same rate budget: that of a token. */
  readonly hasOneBudget?: boolean;
  /**
   * GETs a path below the API's base. Answers 2xx, 302 (not followed), and what GitHub itself says with 403, 404, 410, 422
   * and 451: the same of a proxy or gateway is an outage. Takes a permit of the host's unless one is `held` already.
   * @throws EverlogError `github_rate_limited`, `installation_suspended` (wait), `github_unavailable`, `github_unexpected`,
   * `unauthorised` (retry), `github_refused` (give up).
   */
  get(path: string, repository: RepositoryRef, held?: Permit): Promise<ApiAnswer>;
  /** The newest rate state seen for the installation that a repository belongs to; null where none is known. */
  rateState(repository: RepositoryRef): Promise<RateState | null>;
}

/** Answers of GitHub's API are a few hundred KB at most (a list of 100 jobs with many steps); more is not GitHub. */
const API_BODY_BYTES_MAX = 32 * 1024 * 1024;
/** A call is over within seconds; GitHub itself ends its calls after ten. */
const API_TIMEOUT_MS = 30_000;
/** One rename answers one redirect; three allow for a chain. */
const REDIRECTS_MAX = 3;
const USER_AGENT = 'everlog';

/** Opens the API of one host. `onRate` is told every rate state that an answer gives. */
export function openApi(
  host: GitHubHost,
  connections: Connections,
  tokens: Tokens,
  now: () => Date,
  onRate: (budget: string, state: RateState) => void = () => undefined,
): GitHubApi {
  const rates = new Map<string, RateState>();
  const version = openApiVersion(now);

  async function once(url: URL, token: InstallationToken): Promise<Omit<ApiAnswer, 'path'>> {
    const answer = await sendAs(token.token, url, connections, host, version);
    const state = rateStateOf(answer.headers, now());
    if (state !== null) {
      rates.set(token.budget, state);
      onRate(token.budget, state);
    }
    return answer;
  }

  async function getInTurn(path: string, repository: RepositoryRef): Promise<ApiAnswer> {
    const base = new URL(host.apiUrl);
    let url = new URL(host.apiUrl + path);
    let token = await tokens.tokenFor(repository);
    let renewed = false;
    for (let redirects = 0; redirects <= REDIRECTS_MAX;) {
      const answer = await once(url, token);
      if (answer.status === 401 && !renewed) {
        renewed = true;
        token = await tokens.tokenFor(repository, { rejected: token.token });
        continue;
      }
      if (isRetiredVersion(answer, now())) {
        version.forget();
        throw retryable('github_unexpected', `${host.name}: GitHub has retired the API version asked for`);
      }
      // Before anybody concludes that access was withdrawn: it may be another installation's.
      if (isUnseen(answer, path, repository) && (await tokens.isMisdirected(repository))) {
        throw retryable(
          'github_unexpected',
          `${host.name}: ${path} is of another installation than was given`,
        );
      }
      if (!isRename(answer.status)) return checkedAnswer({ ...answer, path: url.pathname }, host, now());
      url = sameOrigin(headerText(answer.headers, 'location'), url, base, host);
      redirects += 1;
    }
    throw retryable('github_unexpected', `${host.name}: more than ${REDIRECTS_MAX} redirects for ${path}`);
  }

  return {
    host,
    hasOneBudget: tokens.hasOneBudget,
    async get(path, repository, held) {
      const permit = held ?? (await connections.permits.forCall());
      try {
        return await getInTurn(path, repository);
      } finally {
        if (held === undefined) permit.release();
      }
    },
    async rateState(repository) {
      return rates.get(await tokens.budgetOf(repository)) ?? null;
    },
  };
}

function isOwn({ status, headers, bytes }: Omit<ApiAnswer, 'path'>): boolean {
  try {
    return isGitHubsOwn(status, headers, JSON.parse(bytes.toString('utf8')));
  } catch {
    return false;
  }
}

/** Whether GitHub says of the repository itself that it is not to be seen. */
function isUnseen(answer: Omit<ApiAnswer, 'path'>, path: string, { owner, repo }: RepositoryRef): boolean {
  return answer.status === 404 && path === `/repos/${owner}/${repo}` && isOwn(answer);
}

/** 302 is the log link's own answer and the caller's to follow. */
function isRename(status: number): boolean {
  return status === 301 || status === 307 || status === 308;
}

/** A retired API version answers 410 as a deleted log does; what tells them apart is a sunset that is over. */
function isRetiredVersion(answer: Omit<ApiAnswer, 'path'>, now: Date): boolean {
  const sunset = Date.parse(headerText(answer.headers, 'sunset') ?? '');
  return answer.status === 410 && sunset <= now.getTime() && isOwn(answer);
}

function sameOrigin(location: string | null, from: URL, base: URL, host: GitHubHost): URL {
  const target = location !== null && URL.canParse(location, from.href) ? new URL(location, from.href) : null;
  if (target !== null && target.origin === base.origin && target.username === '') return target;
  throw giveUp(
    'github_refused',
    `${host.name}: the API redirects to another origin, which would be given the token`,
  );
}

/** Statuses that mean the same for every call become errors here. */
function checkedAnswer(answer: ApiAnswer, host: GitHubHost, now: Date): ApiAnswer {
  const { status, headers, bytes, path } = answer;
  const body = bytes.toString('utf8', 0, 2048);
  const pause = pauseAskedFor(status, headers, body, now);
  if (pause !== null) throw waitUntil('github_rate_limited', pause, `${host.name}: rate limited (${status})`);
  if (status >= 400 && status < 500 && status !== 408 && !isOwn(answer)) {
    throw notGitHubs(host.name, status, headers, path);
  }
  if (status === 403 && saysSuspended(body)) {
    throw installationSuspended(`${host.name}: the installation that sees ${path}`, now);
  }
  if (status === 401) throw retryable('unauthorised', `${host.name}: GitHub refuses the token for ${path}`);
  if (status >= 500 || status === 408) {
    throw retryable('github_unavailable', `${host.name}: ${status} for ${path}`);
  }
  if (status === 400) throw giveUp('github_refused', `${host.name}: GitHub calls ${path} a bad request`);
  return answer;
}

/** Sends a call with a token and the API version that the host offers. */
async function sendAs(
  token: string,
  url: URL,
  connections: Connections,
  host: GitHubHost,
  version: ApiVersion,
): Promise<Omit<ApiAnswer, 'path'>> {
  const authorization = `Bearer ${token}`;
  // With the token, as an appliance in private mode answers nobody without one.
  const asked = await version.current(() =>
    sendRequest(new URL(`${host.apiUrl}/versions`), connections, host, {
      accept: 'application/json',
      authorization,
    }),
  );
  return sendRequest(url, connections, host, {
    accept: 'application/vnd.github+json',
    authorization,
    ...(asked === null ? {} : { 'x-github-api-version': asked }),
  });
}

async function sendRequest(
  url: URL,
  connections: Connections,
  host: GitHubHost,
  headers: Record<string, string>,
): Promise<Omit<ApiAnswer, 'path'>> {
  checkLiteralAddress(url, connections.addresses, host);
  try {
    const answer = await request(url, {
      dispatcher: connections.dispatcher,
      headers: { 'user-agent': USER_AGENT, ...headers },
      signal: AbortSignal.timeout(API_TIMEOUT_MS),
    });
    return {
      status: answer.statusCode,
      headers: answer.headers,
      bytes: await gatherBytes(answer.body, API_BODY_BYTES_MAX, tooLong),
    };
  } catch (error) {
    throw (
      codedCause(error) ??
      retryable('github_unavailable', `${host.name}: no answer from the API: ${networkFailure(error)}`, error)
    );
  }
}

function tooLong(): Error {
  return new Error(`an API answer over ${API_BODY_BYTES_MAX} bytes`);
}
