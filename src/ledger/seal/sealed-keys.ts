import { createGunzip } from 'node:zlib';
import { pipeline } from 'node:stream';
import { digestFolder } from '../../archive/keys.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { compareKeys } from '../../store/object-key.ts';
import { EverlogError, messageOf } from '../../errors.ts';
import { linesOf } from '../formats/lines.ts';
import type { SealFinding } from '../seal-report.ts';
import { readSealed, type Standing } from '../standing-digests.ts';

/** A key that may stand in a digest made at `sinceMs` or later, and in none made before. */
export interface Suspect {
  readonly key: string;
  readonly sinceMs: number;
}

/** Which keys earlier digests sealed. */
export interface SealedKeys {
  /** Those of `suspects`, ascending by key, that stand in the entries of an earlier digest. */
  alreadySealed(suspects: readonly Suspect[]): Promise<ReadonlySet<string>>;
  /** Whether a key stands in the entries of a digest that was made before `beforeMs` by a key for which `isOwn` is false. */
  isSealedBefore(key: string, beforeMs: number, isOwn: (keyId: string) => boolean): Promise<boolean>;
}

/** Digests that are kept between lookups, which mostly ask for the last ones. */
const DIGESTS_KEPT_MAX = 512;
const ENTRY_KEY = /^\{"type":"[a-z]+","key":("(?:[^"\\]|\\.)*")/;

/**
 * Looks keys up in the ledger up to `last`. Starts with the first digest that can hold a key, where a key that came twice
 * is found at once; a key that nobody sealed costs the entries of every digest since.
 */
export function openSealedKeys(
  store: ObjectStore,
  last: Standing | null,
  onFinding: (finding: SealFinding) => void,
): SealedKeys {
  if (last === null)
    return { alreadySealed: () => Promise.resolve(new Set()), isSealedBefore: () => Promise.resolve(false) };
  return new LedgerSearch(store, last, onFinding);
}

class LedgerSearch implements SealedKeys {
  private readonly store: ObjectStore;
  private readonly last: Standing;
  private readonly onFinding: (finding: SealFinding) => void;
  private readonly kept = new Map<number, Standing>();
  private readonly told = new Set<string>();

  constructor(store: ObjectStore, last: Standing, onFinding: (finding: SealFinding) => void) {
    this.store = store;
    this.last = last;
    this.onFinding = onFinding;
  }

  async alreadySealed(suspects: readonly Suspect[]): Promise<ReadonlySet<string>> {
    const found = new Set<string>();
    const waiting = await this.byFirstDigest(suspects);
    const wanted = new Set<string>();
    let next = 0;
    let sequence = waiting[0]?.from ?? this.last.sequence + 1;
    while (sequence <= this.last.sequence) {
      for (let one = waiting[next]; one !== undefined && one.from <= sequence; one = waiting[next]) {
        wanted.add(one.key);
        next += 1;
      }
      for (const key of await this.search(sequence, wanted)) {
        found.add(key);
        wanted.delete(key);
      }
      const nextFrom = waiting[next]?.from ?? this.last.sequence + 1;
      sequence = wanted.size === 0 ? Math.max(nextFrom, sequence + 1) : sequence + 1;
    }
    return found;
  }

  async isSealedBefore(key: string, beforeMs: number, isOwn: (keyId: string) => boolean): Promise<boolean> {
    const wanted = new Set([key]);
    const end = await this.firstSince(beforeMs);
    for (let sequence = 1; sequence < end; sequence += 1) {
      if (isOwn((await this.digestAt(sequence)).digest.key_id)) continue;
      if ((await this.search(sequence, wanted)).length > 0) return true;
    }
    return false;
  }

  private async byFirstDigest(suspects: readonly Suspect[]): Promise<{ key: string; from: number }[]> {
    const since = new Map<number, number>();
    const waiting: { key: string; from: number }[] = [];
    for (const { key, sinceMs } of suspects) {
      const from = since.get(sinceMs) ?? (await this.firstSince(sinceMs));
      since.set(sinceMs, from);
      waiting.push({ key, from });
    }
    return waiting.sort((a, b) => a.from - b.from);
  }

  /** The first digest made at that moment or later; digests' times never go back. */
  private async firstSince(moment: number): Promise<number> {
    let low = 1;
    let high = this.last.sequence + 1;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (createdMs(await this.digestAt(middle)) >= moment) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  private async digestAt(sequence: number): Promise<Standing> {
    const known = sequence === this.last.sequence ? this.last : this.kept.get(sequence);
    const digest = known ?? (await readSealed(this.store, sequence));
    // The one asked for last is the last to go.
    this.kept.delete(sequence);
    const [oldest] = this.kept.keys();
    if (this.kept.size >= DIGESTS_KEPT_MAX && oldest !== undefined) this.kept.delete(oldest);
    this.kept.set(sequence, digest);
    return digest;
  }

  private async search(sequence: number, wanted: ReadonlySet<string>): Promise<string[]> {
    const { digest } = await this.digestAt(sequence);
    if (digest.entries.count === 0 || wanted.size === 0) return [];
    const key = digestFolder(sequence) + digest.entries.file;
    const greatest = greatestOf(wanted);
    const hits: string[] = [];
    try {
      for await (const entryKey of entryKeys(this.store, key)) {
        if (wanted.has(entryKey)) hits.push(entryKey);
        if (hits.length === wanted.size || compareKeys(entryKey, greatest) >= 0) break;
      }
    } catch (error) {
      if (error instanceof EverlogError && error.remedy.kind !== 'give_up') throw error;
      // Stopping would let whoever damages one file stop the ledger; at worst a key is sealed twice.
      this.tell(key, messageOf(error));
    }
    return hits;
  }

  private tell(key: string, detail: string): void {
    if (this.told.has(key) || this.told.size >= DIGESTS_KEPT_MAX) return;
    this.told.add(key);
    this.onFinding({ kind: 'entries_unreadable', key, detail });
  }
}

function createdMs({ digest }: Standing): number {
  return Date.parse(digest.created_at);
}

function greatestOf(keys: ReadonlySet<string>): string {
  let last = '';
  for (const key of keys) if (compareKeys(key, last) > 0) last = key;
  return last;
}

async function* entryKeys(store: ObjectStore, key: string): AsyncGenerator<string> {
  const found = await store.read(key);
  if (found === null) throw new Error('it is missing');
  const gunzip = createGunzip();
  // A failure of the body destroys `gunzip`, whose reader then sees it.
  pipeline(found.body, gunzip, () => undefined);
  try {
    for await (const line of linesOf(gunzip)) {
      const [, quoted] = ENTRY_KEY.exec(line) ?? [];
      const entryKey: unknown = quoted === undefined ? null : JSON.parse(quoted);
      if (typeof entryKey !== 'string') throw new Error('it holds a line that is no entry');
      yield entryKey;
    }
  } finally {
    gunzip.destroy();
    found.body.destroy();
  }
}
