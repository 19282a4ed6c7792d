import { z } from 'zod';
import { EverlogError } from '../errors.ts';
import type { AppRequest } from './app-requests.ts';

/** Whom a call is made for. */
export interface RepositoryRef {
  readonly owner: string;
  readonly repo: string;
  /** From the delivery; null means that it is looked up by repository, as is one that GitHub does not know. */
  readonly installationId: number | null;
}

/** Which installation of the App a repository belongs to, on one host. */
export interface RepositoryInstallations {
  /** The one given with the repository, unless it was corrected; else the one that GitHub names. */
  of(repository: RepositoryRef): Promise<number>;
  /**
   * Has GitHub name the repository's installation, to be used in place of `used` from then on. False when it is that one, or
   * there is none.
   */
  replaceInstallation(repository: RepositoryRef, used: number): Promise<boolean>;
  forget(): void;
}

/** A repository that is not to be seen is not asked about with every call for it. */
const ASK_AGAIN_MS = 60_000;
/** Installations and repositories remembered per process; beyond it the oldest is asked for again when needed. */
const REMEMBERED_MAX = 10_000;

const installationSchema = z.object({ id: z.int().positive() });

export function openRepositoryInstallations(request: AppRequest, now: () => Date): RepositoryInstallations {
  const known = new Map<string, Promise<number>>();
  const answers = new Map<string, { readonly atMs: number; readonly id: Promise<number> }>();

  async function lookUp({ owner, repo }: RepositoryRef): Promise<number> {
    const about = `${owner}/${repo}`;
    const answer = await request('GET /repos/{owner}/{repo}/installation', { owner, repo }, about);
    return installationSchema.parse(answer).id;
  }

  return {
    async of(repository) {
      const place = cacheKey(repository);
      const given = known.get(place) ?? repository.installationId;
      return given ?? remembered(known, place, () => lookUp(repository));
    },
    async replaceInstallation(repository, used) {
      if (repository.owner === '' || repository.repo === '') return false;
      const place = cacheKey(repository);
      const last = answers.get(place);
      const isFresh = last !== undefined && last.atMs + ASK_AGAIN_MS > now().getTime();
      const answer = isFresh ? last : { atMs: now().getTime(), id: lookUp(repository) };
      keepBounded(answers, place, answer);
      try {
        const id = await answer.id;
        if (id === used) return false;
        keepBounded(known, place, answer.id);
        return true;
      } catch (error) {
        if (isGone(error)) return false;
        if (answers.get(place) === answer) answers.delete(place);
        throw error;
      }
    },
    forget() {
      known.clear();
      answers.clear();
    },
  };
}

/** Whether GitHub knows no such installation, or none for that repository. */
export function isGone(error: unknown): boolean {
  return error instanceof EverlogError && error.code === 'installation_gone';
}

/** One promise per key, so that simultaneous callers share one request; failures are not remembered. */
export async function remembered<K, V>(map: Map<K, Promise<V>>, key: K, make: () => Promise<V>): Promise<V> {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  keepBounded(map, key, made);
  try {
    return await made;
  } catch (error) {
    if (map.get(key) === made) map.delete(key);
    throw error;
  }
}

/** What is given with a repository is corrected apart from what is looked up without. */
function cacheKey({ owner, repo, installationId }: RepositoryRef): string {
  return `${owner}/${repo}/${installationId ?? ''}`.toLowerCase();
}

function keepBounded<K, V>(map: Map<K, V>, key: K, value: V): void {
  map.set(key, value);
  for (const oldest of map.keys()) {
    if (map.size <= REMEMBERED_MAX) break;
    map.delete(oldest);
  }
}
