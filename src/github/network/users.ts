import { request } from 'undici';
import { z } from 'zod';
import { retryable } from '../../errors.ts';
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
  /** Id of the repository of this name, as the person's token sees it; null where it sees none. */
  repositoryId(token: string, owner: string, repo: string): Promise<number | null>;
}

const TIMEOUT_MS = 10_000;
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
  async function asked(
    url: URL,
    options: { readonly token?: string; readonly form?: Readonly<Record<string, string>> },
  ): Promise<{ status: number; body: unknown }> {
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
      const text = await answer.body.text();
      return { status: answer.statusCode, body: text === '' ? null : JSON.parse(text) };
    } catch (error) {
      throw retryable('github_unavailable', `${host.name}: GitHub does not answer a login`, error);
    }
  }
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
    async repositoryId(token, owner, repo) {
      const url = new URL(`${host.apiUrl}/repos/${encodeURIComponent(owner)}/${encodeURIComponent(repo)}`);
      const { status, body } = await asked(url, { token });
      const repository = repositorySchema.safeParse(body);
      return status === 200 && repository.success ? repository.data.id : null;
    },
  };
}
