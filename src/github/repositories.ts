import { z } from 'zod';
import { EverlogError, giveUp, retryable } from '../errors.ts';
import type { GitHubApi } from './api.ts';
import type { AppRequest } from './app-requests.ts';
import type { RepositoryRef } from './credentials.ts';
import { answerValue, nextPath } from './lists.ts';

/** Which repositories there are to look into: by installation for an App, by owner for a token. */

/** A repository by its present name. */
export interface ListedRepository {
  readonly id: number;
  readonly owner: string;
  readonly repo: string;
  readonly installationId: number | null;
  /** The newest of what GitHub says of its activity; null where it says nothing. */
  readonly activeAt: Date | null;
}

/** One account that has installed the App. */
export interface Installation {
  readonly id: number;
  readonly account: string;
  readonly suspended: boolean;
}

/** 100 each: no App has a million installations, no installation a million repositories. */
const PAGES_MAX = 10_000;
const PAGE_ITEMS = 100;

const repositorySchema = z.looseObject({
  id: z.int().positive(),
  name: z.string(),
  owner: z.looseObject({ login: z.string() }),
  pushed_at: z.string().nullish(),
  updated_at: z.string().nullish(),
});
const repositoryPageSchema = z.union([
  z.array(repositorySchema),
  z.object({ repositories: z.array(repositorySchema) }).transform(({ repositories }) => repositories),
]);
const installationsSchema = z.array(
  z.looseObject({
    id: z.int().positive(),
    account: z.looseObject({ login: z.string().nullish(), slug: z.string().nullish() }).nullish(),
    suspended_at: z.string().nullish(),
  }),
);

/** The App's installations, suspended ones included. */
export async function* listInstallations(request: AppRequest): AsyncGenerator<Installation> {
  for (let page = 1; page <= PAGES_MAX; page += 1) {
    const answer = await request(
      'GET /app/installations',
      { per_page: PAGE_ITEMS, page },
      'its installations',
    );
    const parsed = installationsSchema.safeParse(answer);
    if (!parsed.success) throw retryable('github_unexpected', 'the answer is not a list of installations');
    const installations = parsed.data;
    for (const { id, account, suspended_at } of installations) {
      const suspended = suspended_at !== null && suspended_at !== undefined;
      yield { id, account: account?.login ?? account?.slug ?? String(id), suspended };
    }
    if (installations.length < PAGE_ITEMS) return;
  }
}

/**
 * Whether an installation exists, asked for by its id: a list that leaves it out may be short.
 * @throws EverlogError as `AppRequest` does, but for GitHub's own 404.
 */
export async function isInstalled(request: AppRequest, id: number): Promise<boolean> {
  try {
    await request('GET /app/installations/{installation_id}', { installation_id: id }, `installation ${id}`);
    return true;
  } catch (error) {
    if (error instanceof EverlogError && error.code === 'installation_gone') return false;
    throw error;
  }
}

/** The repositories that an installation may see. */
export function listInstallationRepositories(
  api: GitHubApi,
  installationId: number,
): AsyncGenerator<ListedRepository> {
  const path = `/installation/repositories?per_page=${PAGE_ITEMS}`;
  return listRepositoryPages(api, path, { owner: '', repo: '', installationId });
}

/** The repositories that a token may see: of one organisation or user, or (null) all that it was given. */
export async function* listTokenRepositories(
  api: GitHubApi,
  owner: string | null,
): AsyncGenerator<ListedRepository> {
  const as: RepositoryRef = { owner: owner ?? '', repo: '', installationId: null };
  if (owner === null) {
    yield* listRepositoryPages(api, `/user/repos?per_page=${PAGE_ITEMS}`, as);
    return;
  }
  const organisation = await api.get(`/orgs/${owner}/repos?per_page=1`, as);
  const kind = organisation.status === 200 ? 'orgs' : 'users';
  yield* listRepositoryPages(api, `/${kind}/${owner}/repos?per_page=${PAGE_ITEMS}`, as);
}

/** One repository by any name it has borne; null when it cannot be seen. */
export async function findRepository(
  api: GitHubApi,
  repository: RepositoryRef,
): Promise<ListedRepository | null> {
  const answer = await api.get(`/repos/${repository.owner}/${repository.repo}`, repository);
  if (answer.status !== 200) return null;
  const parsed = repositorySchema.safeParse(answerValue(answer, api));
  if (parsed.success) return listedRepository(parsed.data, repository.installationId);
  throw retryable('github_unexpected', `${api.host.name}: ${answer.path} is not a repository`);
}

async function* listRepositoryPages(
  api: GitHubApi,
  first: string,
  as: RepositoryRef,
): AsyncGenerator<ListedRepository> {
  let path: string | null = first;
  for (let pages = 0; path !== null && pages < PAGES_MAX; pages += 1) {
    const answer = await api.get(path, as);
    if (answer.status !== 200) {
      throw giveUp('github_refused', `${api.host.name}: GitHub does not list ${path} (${answer.status})`);
    }
    const page = repositoryPageSchema.safeParse(answerValue(answer, api));
    if (!page.success)
      throw retryable('github_unexpected', `${api.host.name}: ${answer.path} is not a list of repositories`);
    for (const repository of page.data) yield listedRepository(repository, as.installationId);
    path = nextPath(answer, api);
  }
}

function listedRepository(
  { id, name, owner, pushed_at, updated_at }: z.infer<typeof repositorySchema>,
  installationId: number | null,
): ListedRepository {
  const moments = [pushed_at, updated_at].map((at) => Date.parse(at ?? '')).filter((ms) => !Number.isNaN(ms));
  const activeAt = moments.length === 0 ? null : new Date(Math.max(...moments));
  return { id, owner: owner.login, repo: name, installationId, activeAt };
}
