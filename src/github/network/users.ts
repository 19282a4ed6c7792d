import { request, type Dispatcher } from 'undici';
import { z } from 'zod';
import { retryable, type EverlogError } from '../../errors.ts';
import type { GitHubHost } from '../host.ts';
import { checkLiteralAddress } from '../log/log-hosts.ts';
import type { Connections } from './connections.ts';

/** What GitHub answers for a person who logs in; all calls go over Everlog's own checked connections. */
export interface GitHubUsers {
  /** Where a person agrees to be known; `challenge` is PKCE's (RFC 7636, S256). */
  authorizeUrl(request: {
    readonly state: string;
    readonly challenge: string;
    readonly redirectUrl: string;
  }): string;
  /** A token for the code, and whose it is; null where GitHub does not take the code. */
  exchange(
    code: string,
    verifier: string,
    redirectUrl: string,
  ): Promise<{ token: string; id: number; login: string } | null>;
  /** Whose the token is; null where GitHub takes it no longer. */
  holder(token: string): Promise<number | null>;
  /**
   * Id of the repository of this name, or of the one that bore it last, as the person's token sees it; null where it sees none.
   * @throws EverlogError `github_unavailable` where GitHub does not say
   */
  repositoryId(token: string, owner: string, repo: string): Promise<number | null>;
  /**
   * Whether the person's token sees the repository of this id, whatever it is called now.
   * @throws EverlogError `github_unavailable` where GitHub does not say
   */
  seesRepository(token: string, id: number): Promise<boolean>;
}

const TIMEOUT_MS = 10_000;
/** A user or repository object has a few kilobytes. */
const BODY_BYTES_MAX = 1024 * 1024;
/** What GitHub answers of what a token does not see: bad token, not allowed, not there, withheld by law. */
const UNSEEN: ReadonlySet<number> = new Set([401, 403, 404, 451]);
/** What GitHub answers of a repository that is called otherwise now. */
const MOVED: ReadonlySet<number> = new Set([301, 302, 307, 308]);
const tokenSchema = z.looseObject({ access_token: z.string().min(1) });
const userSchema = z.looseObject({ id: z.int().positive(), login: z.string() });
const repositorySchema = z.looseObject({ id: z.int().positive() });

/** A host's OAuth and its API as a person sees it, over the host's checked connections. */
export function openGitHubUsers(
  host: GitHubHost,
  connections: Connections,
  app: { readonly clientId: string; readonly clientSecret: string },
): GitHubUsers {
  const web = host.product === 'ghes' ? new URL(host.apiUrl).origin : `https://${host.host}`;
  const asked = askerOf(host, connections);
  const { seenIn, seenById } = sightOf(host, asked);
  return {
    authorizeUrl({ state, challenge, redirectUrl }) {
      const url = new URL(`${web}/login/oauth/authorize`);
      const query = {
        client_id: app.clientId,
        redirect_uri: redirectUrl,
        state,
        code_challenge: challenge,
        code_challenge_method: 'S256',
      };
      for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
      return url.href;
    },
    async exchange(code, verifier, redirectUrl) {
      if (!/^[A-Za-z0-9_-]{1,200}$/.test(code)) return null;
      const form = {
        client_id: app.clientId,
        client_secret: app.clientSecret,
        code,
        redirect_uri: redirectUrl,
        code_verifier: verifier,
      };
      const answer = tokenSchema.safeParse(
        (await asked(new URL(`${web}/login/oauth/access_token`), { form })).body,
      );
      if (!answer.success) return null;
      const token = answer.data.access_token;
      const user = userSchema.safeParse((await asked(new URL(`${host.apiUrl}/user`), { token })).body);
      return user.success ? { token, id: user.data.id, login: user.data.login } : null;
    },
    async holder(token) {
      const answer = await asked(new URL(`${host.apiUrl}/user`), { token });
      if (UNSEEN.has(answer.status) && !isRateLimit(answer)) return null;
      const user = userSchema.safeParse(answer.body);
      if (answer.status !== 200 || !user.success) throw unsaid(host, answer);
      return user.data.id;
    },
    async repositoryId(token, owner, repo) {
      const url = new URL(`${host.apiUrl}/repos/${encodeURIComponent(owner)}/${encodeURIComponent(repo)}`);
      const answer = await asked(url, { token });
      if (!MOVED.has(answer.status)) return seenIn(answer);
      // Only to the same API's word on an id: a token goes nowhere else.
      const [, id] = /\/repositories\/(\d{1,15})$/.exec(String(answer.headers['location'])) ?? [];
      return id === undefined ? null : seenById(token, Number(id));
    },
    seesRepository: async (token, id) => (await seenById(token, id)) === id,
  };
}

interface AskOptions {
  readonly token?: string;
  readonly form?: Readonly<Record<string, string>>;
}

type AskUser = (url: URL, options: AskOptions) => Promise<Asked>;

/** Asks GitHub over a host's checked connections. */
function askerOf(host: GitHubHost, connections: Connections): AskUser {
  return async (url, options) => {
    checkLiteralAddress(url, connections.addresses, host);
    try {
      const answer = await request(url, {
        method: options.form === undefined ? 'GET' : 'POST',
        dispatcher: connections.dispatcher,
        signal: AbortSignal.timeout(TIMEOUT_MS),
        headers: {
          'user-agent': 'everlog',
          accept: 'application/json',
          ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
          ...(options.form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
        },
        ...(options.form === undefined ? {} : { body: new URLSearchParams(options.form).toString() }),
      });
      const text = await boundedText(answer.body);
      const { statusCode: status, headers } = answer;
      return { status, headers, body: text === '' || MOVED.has(status) ? null : JSON.parse(text) };
    } catch (error) {
      throw retryable('github_unavailable', `${host.name}: GitHub does not answer a login`, error);
    }
  };
}

/** What a person's token sees of repositories. */
function sightOf(
  host: GitHubHost,
  asked: AskUser,
): {
  readonly seenIn: (answer: Asked) => number | null;
  readonly seenById: (token: string, id: number) => Promise<number | null>;
} {
  /** The id of the repository that an answer is about; null where the token sees none. */
  function seenIn(answer: Asked): number | null {
    if (UNSEEN.has(answer.status) && !isRateLimit(answer)) return null;
    const repository = repositorySchema.safeParse(answer.body);
    if (answer.status !== 200 || !repository.success) throw unsaid(host, answer);
    return repository.data.id;
  }
  return {
    seenIn,
    seenById: async (token, id) =>
      seenIn(await asked(new URL(`${host.apiUrl}/repositories/${id}`), { token })),
  };
}

function unsaid({ name }: GitHubHost, { status }: Asked): EverlogError {
  return retryable('github_unavailable', `${name}: GitHub answered ${status} to what a person may read`);
}

interface Asked {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: unknown;
}

/** GitHub refuses by 403 also who has asked too often, which says nothing of what they may read. */
function isRateLimit({ headers }: Asked): boolean {
  return headers['retry-after'] !== undefined || headers['x-ratelimit-remaining'] === '0';
}

async function boundedText(body: Dispatcher.ResponseData['body']): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    if (!Buffer.isBuffer(chunk)) throw new Error('the HTTP client gave text for bytes');
    bytes += chunk.byteLength;
    if (bytes > BODY_BYTES_MAX) throw new Error(`an answer over ${BODY_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
