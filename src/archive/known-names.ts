import { bytesBody } from '../store/put-body.ts';
import { idToNameKey, idToNamesPrefix, nameToIdKey, parseIdToNameKey } from './keys.ts';
import type { ObjectStore } from '../store/object-store.ts';
import type { RepositoryName } from './repository-names.ts';

/**
 * Which names a repository id has borne, as the archive knows them: written from first sight, so that a job is found
 * under any name and a renamed repository is not archived twice.
 */
export interface KnownNames {
  /** Every name of the repository, the given one included and first; the given one is written down if it is new. */
  namesOf(repository: NamedRepository): Promise<readonly RepositoryName[]>;
}

export interface NamedRepository {
  readonly host: string;
  readonly owner: string;
  readonly repo: string;
  /** Null where GitHub did not say; then the given name is all there is. */
  readonly repositoryId: number | null;
}

/** Repositories remembered per process; about 200 bytes each. */
const REPOSITORIES_MAX = 20_000;
/** Another process may have seen a new name: what is remembered is read again after this. */
const REMEMBERED_MS = 10 * 60_000;

/** Opens the names of one archive. */
export function openKnownNames(store: ObjectStore, now: () => Date): KnownNames {
  const remembered = new Map<string, { names: readonly RepositoryName[]; untilMs: number }>();

  return {
    async namesOf(repository) {
      const own = { owner: repository.owner.toLowerCase(), repo: repository.repo.toLowerCase() };
      if (repository.repositoryId === null) return [own];
      const id = `${repository.host}/${repository.repositoryId}`;
      const known = remembered.get(id);
      if (
        known !== undefined &&
        known.untilMs > now().getTime() &&
        known.names.some((name) => isSameName(name, own))
      ) {
        return [own, ...known.names.filter((name) => !isSameName(name, own))];
      }
      const names = await readNames(store, repository.host, repository.repositoryId);
      if (!names.some((name) => isSameName(name, own))) {
        await writeName(store, repository, repository.repositoryId, now());
        names.push(own);
      }
      remembered.delete(id);
      remembered.set(id, { names, untilMs: now().getTime() + REMEMBERED_MS });
      for (const oldest of remembered.keys()) {
        if (remembered.size <= REPOSITORIES_MAX) break;
        remembered.delete(oldest);
      }
      return [own, ...names.filter((name) => !isSameName(name, own))];
    },
  };
}

async function readNames(store: ObjectStore, host: string, repositoryId: number): Promise<RepositoryName[]> {
  const names: RepositoryName[] = [];
  for await (const { key } of store.list(idToNamesPrefix(host, repositoryId))) {
    const name = parseIdToNameKey(key);
    if (name !== null) names.push(name);
  }
  return names;
}

/** The name's own object first: the id's object is the one that is read to know whether both are written. */
async function writeName(
  store: ObjectStore,
  repository: NamedRepository,
  repositoryId: number,
  firstSeenAt: Date,
): Promise<void> {
  const { host, owner, repo } = repository;
  const body = bytesBody(
    Buffer.from(
      `${JSON.stringify({
        schema: 'everlog.name/v1',
        host,
        owner,
        repo,
        repository_id: repositoryId,
        first_seen_at: firstSeenAt.toISOString(),
      })}\n`,
    ),
  );
  const options = { contentType: 'application/json', kind: 'other' } as const;
  await store.putIfAbsent(nameToIdKey(host, owner, repo, repositoryId), body, options);
  await store.putIfAbsent(idToNameKey(host, repositoryId, owner, repo), body, options);
}

function isSameName(one: RepositoryName, other: RepositoryName): boolean {
  return one.owner === other.owner && one.repo === other.repo;
}
