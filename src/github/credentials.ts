import type { Dispatcher } from 'undici';
import { z } from 'zod';
import { openAppRequests, type AppCredentials, type AppRequest } from './app-requests.ts';
import type { GitHubHost } from './host.ts';

/** Credentials of one host: a GitHub App, or one token for every call. */
export type Credentials =
  ({ readonly kind: 'app' } & AppCredentials) | { readonly kind: 'token'; readonly token: string };

/** Whom a call is made for. */
export interface RepositoryRef {
  readonly owner: string;
  readonly repo: string;
  /** From the delivery; null means that it is looked up by repository. */
  readonly installationId: number | null;
}

export interface InstallationToken {
  readonly token: string;
  /** Whose rate budget a call with this token spends. */
  readonly budget: string;
}

/** Tokens for calls, by installation. One per GitHub host: hosts share nothing, as their installation ids may be equal. */
export interface Tokens {
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
  /** Forgets what is known about an installation, after an event said that it changed. */
  forget(installationId: number): void;
}

/** A token is renewed this long before it ends: longer than any call takes. */
const RENEW_BEFORE_MS = 5 * 60_000;
/** Installations remembered per process; beyond it the oldest is minted again when needed. */
const INSTALLATIONS_MAX = 10_000;

interface Minted {
  readonly token: string;
  readonly renewAtMs: number;
}

const installationSchema = z.object({ id: z.int().positive() });
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
      tokenFor: () => Promise.resolve({ token, budget }),
      budgetOf: () => Promise.resolve(budget),
      forget: () => undefined,
    };
  }
  return openAppTokens(openAppRequests(host, credentials, dispatcher, now), now);
}

function openAppTokens(request: AppRequest, now: () => Date): Tokens {
  const minted = new Map<number, Promise<Minted>>();
  const installations = new Map<string, Promise<number>>();

  async function installationOf(repository: RepositoryRef): Promise<number> {
    if (repository.installationId !== null) return repository.installationId;
    const place = `${repository.owner}/${repository.repo}`.toLowerCase();
    return remembered(installations, place, async () => {
      const { owner, repo } = repository;
      const answer = await request('GET /repos/{owner}/{repo}/installation', { owner, repo }, place);
      return installationSchema.parse(answer).id;
    });
  }

  async function mint(id: number): Promise<Minted> {
    const answer = await request(
      'POST /app/installations/{installation_id}/access_tokens',
      { installation_id: id, permissions: { actions: 'read', metadata: 'read' } },
      `installation ${id}`,
    );
    const { token, expires_at } = tokenSchema.parse(answer);
    const lifeMs = Date.parse(expires_at) - now().getTime();
    // A host that gives short tokens must not make us mint one per call.
    return { token, renewAtMs: now().getTime() + lifeMs - Math.min(RENEW_BEFORE_MS, lifeMs / 10) };
  }

  return {
    async tokenFor(repository, options) {
      const id = await installationOf(repository);
      const pending = minted.get(id);
      const known = await pending?.catch(() => null);
      const usable =
        known !== undefined &&
        known !== null &&
        known.renewAtMs > now().getTime() &&
        known.token !== options?.rejected;
      // Only the one that was looked at: somebody else may have asked for a newer one meanwhile.
      if (!usable && minted.get(id) === pending) minted.delete(id);
      const { token } = await remembered(minted, id, () => mint(id));
      return { token, budget: budgetName(id) };
    },
    async budgetOf(repository) {
      return budgetName(await installationOf(repository));
    },
    forget(installationId) {
      minted.delete(installationId);
      installations.clear();
    },
  };
}

function budgetName(installationId: number): string {
  return `installation-${installationId}`;
}

/** One promise per key, so that simultaneous callers share one request; failures are not remembered. */
async function remembered<K, V>(map: Map<K, Promise<V>>, key: K, make: () => Promise<V>): Promise<V> {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  for (const oldest of map.keys()) {
    if (map.size <= INSTALLATIONS_MAX) break;
    map.delete(oldest);
  }
  try {
    return await made;
  } catch (error) {
    if (map.get(key) === made) map.delete(key);
    throw error;
  }
}
