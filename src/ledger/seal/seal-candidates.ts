import { compareKeys } from '../../store/object-key.ts';
import { CUSTODY_ROOT, RECORDS_ROOT, RUNS_ROOT } from '../../archive/keys.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { committedKey } from './committed-object.ts';
import type { CommitsToSeal } from '../ports.ts';

/** A key that may have to be sealed. */
export interface SealCandidate {
  readonly key: string;
  /** When the store says that it was written; null where only the pending commits name it. */
  readonly modifiedMs: number | null;
  /** Whether it stands among the pending commits. */
  readonly isPending: boolean;
}

/** Keys read from the queue at once. */
const PAGE_KEYS = 2_000;
/** Roots of what gets entries, in ascending order: listed one after another they give ascending keys. */
const ROOTS = [CUSTODY_ROOT, RECORDS_ROOT, RUNS_ROOT];

/** The pending commits behind `after`, ascending. */
export async function* pendingCandidates(
  pending: CommitsToSeal,
  after: string | null,
): AsyncGenerator<SealCandidate> {
  let last = after;
  for (;;) {
    const keys = await pending.page(last, PAGE_KEYS);
    for (const key of keys) {
      if (last !== null && compareKeys(key, last) <= 0) throw new Error('pending commits out of order');
      last = key;
      yield { key, modifiedMs: null, isPending: true };
    }
    if (keys.length === 0) return;
  }
}

/** What the archive holds that was written at `sinceMs` or later, and the pending commits, ascending, behind `after`. */
export async function* listedCandidates(
  store: ObjectStore,
  pending: CommitsToSeal,
  options: { readonly sinceMs: number; readonly after: string | null },
): AsyncGenerator<SealCandidate> {
  const listed = written(store, options);
  const hinted = pendingCandidates(pending, options.after);
  let [one, other] = await Promise.all([listed.next(), hinted.next()]);
  while (one.done !== true || other.done !== true) {
    const order =
      one.done === true ? 1 : other.done === true ? -1 : compareKeys(one.value.key, other.value.key);
    if (order <= 0 && one.done !== true) yield { ...one.value, isPending: order === 0 };
    else if (order > 0 && other.done !== true) yield other.value;
    const takesListed = order <= 0;
    const takesHinted = order >= 0;
    if (takesListed) one = await listed.next();
    if (takesHinted) other = await hinted.next();
  }
}

async function* written(
  store: ObjectStore,
  { sinceMs, after }: { readonly sinceMs: number; readonly after: string | null },
): AsyncGenerator<SealCandidate> {
  for (const root of ROOTS) {
    if (after !== null && compareKeys(after, root) > 0 && !after.startsWith(root)) continue;
    const startAfter = after?.startsWith(root) === true ? after : undefined;
    for await (const { key, lastModified } of store.list(root, startAfter)) {
      const modifiedMs = lastModified.getTime();
      if (modifiedMs >= sinceMs && committedKey(key) !== null) yield { key, modifiedMs, isPending: false };
    }
  }
}
