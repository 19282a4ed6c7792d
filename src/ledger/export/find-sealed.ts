import type { ObjectStore } from '../../store/object-store.ts';
import type { Digests, StoredDigest } from './digests.ts';
import { readSealedLines } from './sealed-lines.ts';
import type { SealedLine } from './sealed-lines.ts';

/** An object whose entry is looked for. */
export interface SoughtObject {
  readonly key: string;
  /** When it was written, by the earlier of its own word and the store's. */
  readonly writtenMs: number;
}

export interface SearchHooks {
  /** The wanted lines of one digest. Several calls may name the same digest. */
  readonly onLines: (digest: StoredDigest, lines: readonly SealedLine[]) => Promise<void>;
  /** A digest whose entries cannot be believed; what it sealed is not found. */
  readonly onProblem: (digest: StoredDigest, problem: string) => void;
  /** Called for every digest looked into. */
  readonly onDigest?: (sequence: number) => void;
}

/** How far clocks may differ between what writes and what seals. */
const CLOCK_SKEW_MS = 5 * 60_000;
/** Where an object is not found by that, clocks may have been this wrong. */
const WRONG_CLOCK_MS = 24 * 60 * 60_000;

/**
 * Finds the ledger's entries of many objects in one walk along the digests: each is looked into once, from the first whose
 * window may hold one of the objects until all have been found. Holds the keys, and one digest's lines at a time.
 * Answers the keys that stand in no digest.
 */
export async function findSealed(
  store: ObjectStore,
  digests: Digests,
  sought: readonly SoughtObject[],
  hooks: SearchHooks,
): Promise<ReadonlySet<string>> {
  const walk = new Walk(store, digests, hooks);
  const missing = await walk.forward(sought, CLOCK_SKEW_MS, Infinity);
  if (missing.size === 0) return missing;
  // What was written after the last window is just not sealed yet; for the rest a clock may have been wrong.
  const late = sought.filter(({ key, writtenMs }) => missing.has(key) && writtenMs < walk.lastWindowEndMs);
  const stillMissing = await walk.forward(late, WRONG_CLOCK_MS, latestOf(late));
  const found = new Set(late.map(({ key }) => key).filter((key) => !stillMissing.has(key)));
  return new Set([...missing].filter((key) => !found.has(key)));
}

class Walk {
  readonly #store: ObjectStore;
  readonly #digests: Digests;
  readonly #hooks: SearchHooks;
  /** Of the last digest that was looked at; before the first: never. */
  lastWindowEndMs = -Infinity;

  constructor(store: ObjectStore, digests: Digests, hooks: SearchHooks) {
    this.#store = store;
    this.#digests = digests;
    this.#hooks = hooks;
  }

  /** Walks until everything was found or a window ends after `untilMs`; answers what was not found. */
  async forward(
    sought: readonly SoughtObject[],
    skewMs: number,
    untilMs: number,
  ): Promise<ReadonlySet<string>> {
    const byTime = [...sought].sort((a, b) => a.writtenMs - b.writtenMs);
    const open = new Set<string>();
    let admitted = 0;
    for (let sequence = 1; ;) {
      const next = byTime[admitted];
      if (open.size === 0 && next === undefined) break;
      const digest: StoredDigest | null =
        open.size === 0 && next !== undefined
          ? await this.#digests.endingFrom(sequence, next.writtenMs - skewMs)
          : await this.#digests.from(sequence);
      if (digest === null || digest.windowEndMs > untilMs) break;
      for (let it = byTime[admitted]; it !== undefined; it = byTime[++admitted]) {
        if (it.writtenMs - skewMs > digest.windowEndMs) break;
        open.add(it.key);
      }
      await this.#lookInto(digest, open);
      this.lastWindowEndMs = Math.max(this.lastWindowEndMs, digest.windowEndMs);
      sequence = digest.sequence + 1;
    }
    for (const { key } of byTime.slice(admitted)) open.add(key);
    return open;
  }

  async #lookInto(digest: StoredDigest, open: Set<string>): Promise<void> {
    this.#hooks.onDigest?.(digest.sequence);
    if (digest.entries.count === 0) return;
    const read = await readSealedLines(this.#store, digest, (key) => open.has(key));
    if (!read.ok) return this.#hooks.onProblem(digest, read.problem);
    for (const { entry } of read.lines) open.delete(entry.key);
    if (read.lines.length > 0) await this.#hooks.onLines(digest, read.lines);
  }
}

function latestOf(sought: readonly SoughtObject[]): number {
  return sought.reduce((latest, { writtenMs }) => Math.max(latest, writtenMs), -Infinity);
}
