import { giveUp } from '../errors.ts';
import { idToNamesPrefix, NAMES_ROOT, parseIdToNameKey, placePrefix } from './keys.ts';
import type { ObjectStore } from '../store/object-store.ts';

/** One name of a repository, in lower case as in keys. */
export interface RepositoryName {
  readonly owner: string;
  readonly repo: string;
}

/** What the archive knows of a name: the repository ids that bore it, and every name those have borne. */
export interface NameHistory {
  /** The name asked for comes first, also when the archive has never seen it. */
  readonly names: readonly RepositoryName[];
  readonly repositoryIds: ReadonlySet<number>;
}

/** More ids of a name, or names of an id, than this were not written by Everlog: a rename is an act of a person. */
const NAMES_MAX = 1_000;

/**
 * Every name that the repository called `owner/repo` has borne, so that an old address finds a renamed repository's
 * records and the reverse. A name that several repositories have borne in turn brings the names of all of them.
 * @throws EverlogError `object_corrupt` when there are more than 1,000.
 */
export async function findNameHistory(
  store: ObjectStore,
  host: string,
  owner: string,
  repo: string,
): Promise<NameHistory> {
  const asked: RepositoryName = { owner: owner.toLowerCase(), repo: repo.toLowerCase() };
  const names = new Map([[`${asked.owner}/${asked.repo}`, asked]]);
  const repositoryIds = new Set<number>();

  const prefix = placePrefix(NAMES_ROOT, { host, owner, repo });
  for await (const { key } of store.list(prefix)) {
    const [, id] = /^(\d{1,15})\.json$/.exec(key.slice(prefix.length)) ?? [];
    if (id !== undefined) repositoryIds.add(Number(id));
    checkCount(repositoryIds.size, prefix);
  }
  for (const id of repositoryIds) {
    const namesPrefix = idToNamesPrefix(host, id);
    for await (const { key } of store.list(namesPrefix)) {
      const name = parseIdToNameKey(key);
      if (name !== null) names.set(`${name.owner}/${name.repo}`, name);
      checkCount(names.size, namesPrefix);
    }
  }
  return { names: [...names.values()], repositoryIds };
}

function checkCount(count: number, prefix: string): void {
  if (count > NAMES_MAX) {
    throw giveUp('object_corrupt', `more than ${NAMES_MAX} repository names stand below ${prefix}`);
  }
}
