import { parseCustody } from '../../archive/custody/custody-format.ts';
import { forEachInFlight } from '../../in-flight.ts';
import { CUSTODY_ROOT, parseKey } from '../../archive/keys.ts';
import { readWhole } from '../../store/object-store.ts';
import type { ObjectStore } from '../../store/object-store.ts';

/** A custody object that says that something was removed. */
export interface Erasure {
  /** Of the custody object. */
  readonly key: string;
  readonly word: 'erased' | 'expired';
  readonly writtenMs: number;
  /** What of the chosen jobs it names. */
  readonly objects: ReadonlySet<string>;
  /** Whether it names objects of other repositories too: then it must not go into a bundle. */
  readonly isForeign: boolean;
}

const WORDS: Readonly<Record<string, Erasure['word']>> = { purge: 'erased', expiry: 'expired' };
const READ_IN_FLIGHT_MAX = 16;
/** Clocks of what removes and what records may differ by so much. */
const CLOCK_SKEW_MS = 24 * 60 * 60_000;
/** Erasures of one export; far more than its jobs are worth would fill memory. */
const ERASURES_MAX = 100_000;

/** Which repository a key is of, as in keys; null where it is of none. */
export function repositoryOfKey(key: string): string | null {
  const parsed = parseKey(key);
  if (parsed === null || !('address' in parsed)) return null;
  const { host, owner, repo } = parsed.address;
  return `${host}/${owner}/${repo}`;
}

/**
 * The custody objects that say who removed objects of chosen jobs, from `sinceMs` on. Reads every custody object since then.
 * @param isChosen whether a key is of a chosen job
 * @param repositories those of the chosen jobs, as `repositoryOfKey` writes them
 */
export async function findErasures(
  store: ObjectStore,
  sinceMs: number,
  isChosen: (key: string) => boolean,
  repositories: ReadonlySet<string>,
): Promise<readonly Erasure[]> {
  const day = new Date(Math.max(0, sinceMs - CLOCK_SKEW_MS)).toISOString().slice(0, 10);
  const found: Erasure[] = [];
  // `dt=2026-11-20` sorts before everything in that day's folder.
  await forEachInFlight(
    store.list(CUSTODY_ROOT, `${CUSTODY_ROOT}dt=${day}`),
    READ_IN_FLIGHT_MAX,
    async (it) => {
      if (parseKey(it.key)?.type !== 'custody' || found.length >= ERASURES_MAX) return;
      const read = await readWhole(store, it.key);
      const parsed = read === null ? null : parseCustody(read.bytes, it.key);
      const custody = parsed?.ok === true ? parsed.custody : null;
      const word = custody === null ? undefined : WORDS[custody.action];
      if (custody === null || word === undefined) return;
      const keys = custody.objects.map(({ key }) => key);
      const objects = new Set(keys.filter(isChosen));
      if (objects.size === 0) return;
      const isForeign = keys.some((key) => !repositories.has(repositoryOfKey(key) ?? ''));
      const atMs = Date.parse(custody.at);
      const storedMs = it.lastModified.getTime();
      const writtenMs = Number.isNaN(atMs) ? storedMs : Math.min(atMs, storedMs);
      found.push({ key: it.key, word, writtenMs, objects, isForeign });
    },
  );
  return found;
}
