import { NAMES_ROOT } from '../archive/keys.ts';
import type { ListedObject, ObjectStore } from '../store/object-store.ts';

/** How long the names of repositories are taken to be the same: an address under a new name may lead nowhere for so long. */
const KEPT_MS = 60_000;
/** Keys of names held; of a larger archive each is asked for. A hundred bytes each. */
const KEYS_MAX = 200_000;

/**
 * A store whose names of repositories are listed once a minute for all readers: whoever asks for addresses at random costs
 * one listing each, that of the place where the records would be.
 */
export function withKeptNames(store: ObjectStore, now: () => Date): ObjectStore {
  let kept: { readonly objects: Promise<readonly ListedObject[] | null>; readonly untilMs: number } | null =
    null;
  const names = (): Promise<readonly ListedObject[] | null> => {
    if (kept === null || kept.untilMs < now().getTime()) {
      const objects = listNames(store);
      kept = { objects, untilMs: now().getTime() + KEPT_MS };
      objects.catch(() => (kept = null));
    }
    return kept.objects;
  };
  async function* list(prefix: string, startAfter?: string): AsyncGenerator<ListedObject> {
    const all = prefix.startsWith(NAMES_ROOT) && startAfter === undefined ? await names() : null;
    if (all === null) {
      yield* store.list(prefix, startAfter);
      return;
    }
    for (let at = firstIndexFrom(all, prefix); all[at]?.key.startsWith(prefix) === true; at += 1) {
      const found = all[at];
      if (found !== undefined) yield found;
    }
  }
  return { ...store, list };
}

/** All of them in the order of their keys; null where they are too many to hold. */
async function listNames(store: ObjectStore): Promise<readonly ListedObject[] | null> {
  const objects: ListedObject[] = [];
  for await (const object of store.list(NAMES_ROOT)) {
    objects.push(object);
    if (objects.length > KEYS_MAX) return null;
  }
  return objects.sort((a, b) => (a.key < b.key ? -1 : 1));
}

/** Index of the first key that is not before this one. */
function firstIndexFrom(objects: readonly ListedObject[], key: string): number {
  let [from, to] = [0, objects.length];
  while (from < to) {
    const middle = Math.floor((from + to) / 2);
    if ((objects[middle]?.key ?? '') < key) from = middle + 1;
    else to = middle;
  }
  return from;
}
