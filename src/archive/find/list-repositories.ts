import { findHosts } from './hosts.ts';
import { RECORDS_ROOT, recordsPrefix } from '../keys.ts';
import type { ObjectStore } from '../../store/object-store.ts';

/** A repository that has records, under one of its names, in lower case as in keys. */
export interface RecordedRepository {
  readonly host: string;
  readonly owner: string;
  readonly repo: string;
}

/**
 * Names under which records stand, in the order of their keys, with one short listing each.
 * @throws EverlogError where the store does not answer.
 */
export async function* recordedRepositories(store: ObjectStore): AsyncGenerator<RecordedRepository> {
  for (const host of await findHosts(store)) {
    const root = recordsPrefix({ host });
    let startAfter: string | undefined;
    for (;;) {
      const found = await firstBelow(store, root, startAfter);
      if (found === null) break;
      yield { host, ...found };
      // `0` follows `/` in key order, so this is behind every key of the repository.
      startAfter = `${recordsPrefix({ host, ...found }).slice(0, -1)}0`;
    }
  }
}

async function firstBelow(
  store: ObjectStore,
  root: string,
  startAfter: string | undefined,
): Promise<{ owner: string; repo: string } | null> {
  for await (const { key } of store.list(root, startAfter)) {
    const [, owner, repo] =
      /^host=[^/]+\/owner=([^/]+)\/repo=([^/]+)\//.exec(key.slice(RECORDS_ROOT.length)) ?? [];
    if (owner !== undefined && repo !== undefined) return { owner, repo };
  }
  return null;
}
