import type { Dispatcher } from 'undici';
import { z } from 'zod';
import { openAppRequests, type AppCredentials, type AppRequest } from './app-requests.ts';
import type { GitHubHost } from './host.ts';
import {
  isGone,
  openRepositoryInstallations,
  remembered,
  type RepositoryRef,
} from './repository-installations.ts';

/** Credentials of one host: a GitHub App, or one token for every call. */
export type Credentials =
  ({ readonly kind: 'app' } & AppCredentials) | { readonly kind: 'token'; readonly token: string };

export type { RepositoryRef } from './repository-installations.ts';

export interface InstallationToken {
  readonly token: string;
  /** Whose rate budget a call with this token spends: the installation’s number, or `token`. */
  readonly budget: string;
}

/** Tokens for calls, by installation. One per GitHub host: hosts share nothing, as their installation ids may be equal. */
export interface Tokens {
  /** Whether all calls spend one budget. */
  readonly hasOneBudget: boolean;
  /**
   * A token that is good for at least a few minutes. `rejected` is one that GitHub has answered with 401: never given again.
   * @throws EverlogError `installation_suspended` (wait), `installation_gone` or `unauthorised` (give up),
   * `github_rate_limited` (wait), `github_unavailable` (retry).
   */
  tokenFor(
    repository: RepositoryRef,
    options?: { rejected?: string },
  ): Promise<{ token: string; budget: string }>;
  /** Whose rate budget a call for a repository spends. Asks GitHub only where the installation is not known. */
  budgetOf(repository: RepositoryRef): Promise<string>;
  /**
   * Whether the installation given for a repository that cannot be seen with it is not the repository's own: it was moved to
   * another account, or its delivery named the wrong one. From then on the right one is used.
   */
  isMisdirected(repository: RepositoryRef): Promise<boolean>;
  /** Forgets what is known about an installation, after an event said that it changed. */
  forget(installationId: number): void;
}

/** A token is renewed this long before it ends: longer than any call takes. */
const RENEW_BEFORE_MS = 5 * 60_000;
/** A life that is over by our clock when the token is made says that the clock is wrong: GitHub's 401 is waited for. */
const LIFE_BY_WRONG_CLOCK_MS = 60_000;

interface Minted {
  readonly token: string;
  readonly renewAtMs: number;
}

const tokenSchema = z.object({ token: z.string().min(1), expires_at: z.string() });

/** Opens the tokens of one host. */
export function openTokens(
  host: GitHubHost,
  credentials: Credentials,
  dispatcher: Dispatcher,
  now: () => Date,
): Tokens {
  if (credentials.kind === 'token') {
    const { token } = credentials;
    const budget = 'token';
    return {
      hasOneBudget: true,
      tokenFor: () => Promise.resolve({ token, budget }),
      budgetOf: () => Promise.resolve(budget),
      isMisdirected: () => Promise.resolve(false),
      forget: () => undefined,
    };
  }
  return openAppTokens(openAppRequests(host, credentials, dispatcher, now), now);
}

function openAppTokens(request: AppRequest, now: () => Date): Tokens {
  const minted = new Map<number, Promise<Minted>>();
  const installations = openRepositoryInstallations(request, now);

  async function mint(id: number): Promise<Minted> {
    const answer = await request(
      'POST /app/installations/{installation_id}/access_tokens',
      { installation_id: id, permissions: { actions: 'read', metadata: 'read' } },
      `installation ${id}`,
    );
    const { token, expires_at } = tokenSchema.parse(answer);
    const leftMs = Date.parse(expires_at) - now().getTime();
    const lifeMs = leftMs > 0 ? leftMs : LIFE_BY_WRONG_CLOCK_MS;
    // A host that gives short tokens must not make us mint one per call.
    return { token, renewAtMs: now().getTime() + lifeMs - Math.min(RENEW_BEFORE_MS, lifeMs / 10) };
  }

  async function tokenOf(id: number, rejected: string | undefined): Promise<InstallationToken> {
    const pending = minted.get(id);
    const known = await pending?.catch(() => null);
    const usable =
      known !== undefined && known !== null && known.renewAtMs > now().getTime() && known.token !== rejected;
    // Only the one that was looked at: somebody else may have asked for a newer one meanwhile.
    if (!usable && minted.get(id) === pending) minted.delete(id);
    const { token } = await remembered(minted, id, () => mint(id));
    return { token, budget: String(id) };
  }

  return {
    hasOneBudget: false,
    async tokenFor(repository, options) {
      const id = await installations.of(repository);
      try {
        return await tokenOf(id, options?.rejected);
      } catch (error) {
        if (!isGone(error) || !(await installations.replaceInstallation(repository, id))) throw error;
        return tokenOf(await installations.of(repository), options?.rejected);
      }
    },
    async isMisdirected(repository) {
      return installations.replaceInstallation(repository, await installations.of(repository));
    },
    async budgetOf(repository) {
      return String(await installations.of(repository));
    },
    forget(installationId) {
      minted.delete(installationId);
      installations.forget();
    },
  };
}
