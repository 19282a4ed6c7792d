import {
  COMMITS_ROOT,
  JOBS_ROOT,
  parsePartKey,
  partitionPrefix,
  type PartName,
} from '../archive/index-keys.ts';
import type { ObjectStore } from '../store/object-store.ts';

/** A part as it was listed. */
export interface Part extends PartName {
  readonly key: string;
  readonly bytes: number;
}

/** Partitions `first` to `last`, both included; all where one is missing. */
export interface Partitions {
  readonly first?: string;
  readonly last?: string;
}

/** The parts that make up a table, by partition, ascending: those that a wider one contains are left out. */
export async function listParts(
  store: Pick<ObjectStore, 'list'>,
  table: PartName['table'],
  partitions: Partitions,
): Promise<ReadonlyMap<string, readonly Part[]>> {
  const root = table === 'jobs' ? JOBS_ROOT : COMMITS_ROOT;
  const { first, last } = partitions;
  const found = new Map<string, Part[]>();
  const startAfter = first === undefined ? undefined : partitionPrefix(table, first);
  for await (const { key, bytes } of store.list(root, startAfter)) {
    const name = parsePartKey(key);
    if (name === null) continue;
    if (last !== undefined && name.partition > last) break;
    const parts = found.get(name.partition) ?? [];
    parts.push({ ...name, key, bytes });
    found.set(name.partition, parts);
  }
  return new Map([...found].map(([partition, parts]) => [partition, widest(parts)]));
}

/** The parts of one partition that no other contains, the latest first. */
export function widest(parts: readonly Part[]): readonly Part[] {
  const latestFirst = [...parts].sort((a, b) => b.to - a.to || a.from - b.from);
  let reachesDownTo = Infinity;
  return latestFirst.filter(({ from }) => {
    // All before it end at its end or later, so it is contained in one that begins no later.
    if (from >= reachesDownTo) return false;
    reachesDownTo = from;
    return true;
  });
}
