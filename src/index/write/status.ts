import { COMMITS_ROOT, JOBS_ROOT, parsePartKey, REBUILD_KEY } from '../../archive/index-keys.ts';
import { readDigest } from '../ledger-entries.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { readThrough } from '../through.ts';

/** What stands of the index, and how far the ledger is ahead of it. */
export interface IndexStatus {
  /** Null where there is no index. */
  readonly through: number | null;
  readonly recordedThrough: Date | null;
  /** Digests that are not indexed yet. */
  readonly behind: number;
  /** Whether it is being made anew, or that was broken off. */
  readonly rebuilding: boolean;
  readonly files: number;
  readonly bytes: number;
  /** First and last day that has rows; null where there is none. */
  readonly days: { readonly first: string; readonly last: string } | null;
}

/** Digests looked for behind the index at most; more are told as this many. */
const BEHIND_MAX = 10_000;

/** Looks at the index and the end of the ledger; reads no rows. */
export async function indexStatus(archive: ObjectStore, index: ObjectStore): Promise<IndexStatus> {
  const through = await readThrough(index);
  let behind = 0;
  while (behind < BEHIND_MAX && (await readDigest(archive, (through?.sequence ?? 0) + behind + 1)) !== null)
    behind += 1;
  let [files, bytes] = [0, 0];
  const days: string[] = [];
  for (const root of [JOBS_ROOT, COMMITS_ROOT]) {
    for await (const object of index.list(root)) {
      const part = parsePartKey(object.key);
      if (part === null) continue;
      files += 1;
      bytes += object.bytes;
      if (part.table === 'jobs') days.push(part.partition);
    }
  }
  const first = days.at(0);
  const last = days.at(-1);
  return {
    through: through?.sequence ?? null,
    recordedThrough: through?.recordedThrough ?? null,
    behind,
    rebuilding: (await index.head(REBUILD_KEY)) !== null,
    files,
    bytes,
    days: first === undefined || last === undefined ? null : { first, last },
  };
}
