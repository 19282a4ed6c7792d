import { parseKey, placePrefix, RUNS_ROOT } from '../archive/keys.ts';
import type { ObjectStore } from '../store/object-store.ts';
import type { RepositoryName } from '../archive/repository-names.ts';
import type { RunEntry } from '../archive/run-object.ts';

/** The newest object of every attempt that the archive accounts for, by run and attempt. */
export type KnownAttempts = ReadonlyMap<number, ReadonlyMap<number, RunEntry>>;

/**
 * Looks up which attempts of these runs have an object, under any of the repository's names. Runs of one page were created
 * soon after one another, so their ids lie close together and one listing from the first to the last finds them all: a
 * request per 1,000 objects, not one per run.
 */
export async function findKnownAttempts(
  store: ObjectStore,
  host: string,
  names: readonly RepositoryName[],
  runIds: readonly number[],
): Promise<KnownAttempts> {
  const wanted = new Set(runIds);
  const known = new Map<number, Map<number, RunEntry>>();
  for (const name of names) {
    const prefix = placePrefix(RUNS_ROOT, { host, ...name });
    for (const { first, last } of idRanges(runIds)) {
      for await (const { key, lastModified } of store.list(prefix, `${prefix}${first}`)) {
        // `/` comes before `0`, so this is behind every key of the last run.
        if (key >= `${prefix}${last}0`) break;
        const parsed = parseKey(key);
        if (parsed?.type !== 'run' || !wanted.has(parsed.address.runId)) continue;
        note(known, { key, address: parsed.address, revision: parsed.revision, lastModified });
      }
    }
  }
  return known;
}

/**
 * Ranges of ids that hold all of these. Keys are compared as text, where 9 comes after 10: so there is a range for each
 * count of digits, within which text and number agree. Pure.
 */
export function idRanges(ids: readonly number[]): { first: number; last: number }[] {
  const ranges = new Map<number, { first: number; last: number }>();
  for (const id of ids) {
    const digits = String(id).length;
    const range = ranges.get(digits) ?? { first: id, last: id };
    ranges.set(digits, { first: Math.min(range.first, id), last: Math.max(range.last, id) });
  }
  return [...ranges.values()];
}

function note(known: Map<number, Map<number, RunEntry>>, entry: RunEntry): void {
  const { runId, runAttempt } = entry.address;
  const attempts = known.get(runId) ?? new Map<number, RunEntry>();
  known.set(runId, attempts);
  const standing = attempts.get(runAttempt);
  if (standing === undefined || entry.revision > standing.revision) attempts.set(runAttempt, entry);
}
