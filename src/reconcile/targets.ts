import { EverlogError, messageOf } from '../errors.ts';
import type { GitHubApi } from '../github/api.ts';
import {
  findRepository,
  listInstallationRepositories,
  listTokenRepositories,
  type Installation,
  type ListedRepository,
} from '../github/repositories.ts';

/** Which repositories of which hosts are looked into. */

/** One GitHub host as reconcile needs it. */
export interface ReconcileHost {
  readonly api: GitHubApi;
  /** The App's installations; null where a token serves for every call. */
  readonly installations: (() => AsyncIterable<Installation>) | null;
}

/** One repository, one owner, or everything (null). */
export type ComparedScope =
  | { readonly kind: 'repository'; readonly owner: string; readonly repo: string }
  | { readonly kind: 'owner'; readonly owner: string }
  | null;

export interface ComparedTarget extends ListedRepository {
  readonly host: string;
}

/** A part of the scope that is not looked into. */
export interface Skipped {
  readonly host: string;
  readonly installation: number | null;
  readonly account: string | null;
  readonly suspended: boolean;
  readonly reason: string;
  /** Null for a suspended installation, which nobody can look into and which waits as it is. */
  readonly error: EverlogError | null;
}

/** Lists the repositories of a scope. What cannot be listed is told to `onSkipped`, and the rest goes on. */
export async function* listTargets(
  hosts: ReadonlyMap<string, ReconcileHost>,
  scope: ComparedScope,
  onSkipped: (skipped: Skipped) => void,
): AsyncGenerator<ComparedTarget> {
  for (const [name, host] of hosts) {
    const about = { host: name, installation: null, account: null };
    const listed =
      scope?.kind === 'repository' ? listOne(host, scope) : listHost(name, host, scope, onSkipped);
    yield* tolerant(name, listed, about, onSkipped);
  }
}

async function* listHost(
  name: string,
  { api, installations }: ReconcileHost,
  scope: Extract<ComparedScope, { kind: 'owner' }> | null,
  onSkipped: (skipped: Skipped) => void,
): AsyncGenerator<ListedRepository> {
  if (installations === null) {
    yield* listTokenRepositories(api, scope?.owner ?? null);
    return;
  }
  for await (const { id, account, suspended } of installations()) {
    if (scope !== null && !isNamed(account, scope.owner)) continue;
    const about = { host: name, installation: id, account };
    if (suspended) onSkipped({ ...about, suspended, reason: 'the installation is suspended', error: null });
    else yield* tolerant(name, listInstallationRepositories(api, id), about, onSkipped);
  }
}

/** The repository with the installation that sees it, which the queue and the records name. */
async function* listOne(
  { api, installations }: ReconcileHost,
  scope: Extract<ComparedScope, { kind: 'repository' }>,
): AsyncGenerator<ListedRepository> {
  const { owner, repo } = scope;
  const found = await findRepository(api, { owner, repo, installationId: null }).catch((error: unknown) => {
    // Where the App is not installed, nothing is to be seen: of several hosts another may know the name.
    if (error instanceof EverlogError && error.code === 'installation_gone') return null;
    throw error;
  });
  if (found === null) return;
  for await (const { id, account } of installations?.() ?? []) {
    if (!isNamed(account, found.owner)) continue;
    yield { ...found, installationId: id };
    return;
  }
  yield found;
}

async function* tolerant(
  host: string,
  listed: AsyncIterable<ListedRepository>,
  about: Pick<Skipped, 'host' | 'installation' | 'account'>,
  onSkipped: (skipped: Skipped) => void,
): AsyncGenerator<ComparedTarget> {
  try {
    for await (const repository of listed) yield { ...repository, host };
  } catch (error) {
    if (!(error instanceof EverlogError)) throw error;
    onSkipped({ ...about, suspended: false, reason: messageOf(error), error });
  }
}

function isNamed(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}
