import { parseKey } from '../../../archive/keys.ts';
import type { LedgerEntry } from '../../formats/formats.ts';
import type { Result } from '../results.ts';
import type { KeyRing } from './key-ring.ts';

/** The files of keys and revocations, compared with the entries that the ledger has of them. */

/** The digest that an entry stands in. */
export interface SealingDigest {
  readonly sequence: number;
  readonly believed: boolean;
  /** When it was made, or when the latest believed one before it was, if that is later. */
  readonly atMs: number;
}

/** What the last windows let one conclude of a file that no digest has sealed. */
export interface KeyTerms {
  /** End of the last believed window; null where there is none. */
  readonly lastWindowEndMs: number | null;
  /** A key that began this long before the end of the last window had its turn; in a bundle each had. */
  readonly graceMs: number;
}

interface SealedFile {
  readonly sha256: string;
  readonly sequence: number;
}

/** More entries of keys than any ledger has are not remembered: the files themselves are bounded. */
const ENTRIES_MAX = 20_000;

/** Takes the entries of keys and revocations as the ledger is walked along, and judges their files at its end. */
export class SealedKeyFiles {
  readonly #ring: KeyRing;
  readonly #sealed = new Map<string, SealedFile[]>();
  #entries = 0;

  constructor(ring: KeyRing) {
    this.#ring = ring;
  }

  /** Whether it matters for belief which digest sealed which key. */
  get decidesBelief(): boolean {
    return this.#ring.hasRevocations;
  }

  /** Takes an entry; answers false, and does nothing, for one that is of no key and no revocation. */
  take({ type, key, sha256 }: LedgerEntry, { sequence, believed, atMs }: SealingDigest): boolean {
    if (type !== 'key' && type !== 'revocation') return false;
    this.#entries += 1;
    if (this.#entries > ENTRIES_MAX) return true;
    const known = this.#sealed.get(key) ?? [];
    this.#sealed.set(key, [...known, { sha256, sequence }]);
    const parsed = parseKey(key);
    // Only the file that was sealed is the key that was sealed.
    if (believed && parsed?.type === 'key' && this.#ring.files.get(key) === sha256)
      this.#ring.noteSealed(parsed.keyId, atMs);
    return true;
  }

  /** The digest that has a file's first entry, by the file's key. */
  sequences(): ReadonlyMap<string, number> {
    return new Map([...this.#sealed].map(([key, entries]) => [key, entries[0]?.sequence ?? 0]));
  }

  /** What is wrong with the files, and how many are as they were sealed. */
  judge(terms: KeyTerms): { readonly results: readonly Result[]; readonly valid: number } {
    const results: Result[] = [];
    let valid = 0;
    for (const [key, entries] of this.#sealed) {
      const problem = this.#judgeSealed(key, entries);
      if (problem === null) valid += 1;
      else results.push(problem);
    }
    // The ledgers of earlier versions have no such entries at all; the next digest of this one takes the keys in.
    if (this.#sealed.size === 0) return { results, valid };
    for (const key of this.#ring.files.keys()) {
      const parsed = parseKey(key);
      // A revocation is evidence by its signature alone: it only takes belief away.
      if (parsed?.type !== 'key' || this.#sealed.has(key)) continue;
      const notBeforeMs = this.#ring.notBeforeMs(parsed.keyId) ?? -Infinity;
      if (terms.lastWindowEndMs === null || terms.lastWindowEndMs - notBeforeMs <= terms.graceMs) continue;
      results.push({ result: 'UNSEALED', key, detail: 'this key is in no digest' });
    }
    return { results, valid };
  }

  #judgeSealed(key: string, entries: readonly SealedFile[]): Result | null {
    const [first] = entries;
    if (first === undefined) return null;
    const digests = [...new Set(entries.map(({ sequence }) => sequence))].join(', ');
    if (entries.length > 1) {
      const detail = `the ledger has ${entries.length} entries of it, in digest ${digests}`;
      return { result: 'SHADOWED', key, detail };
    }
    const standing = this.#ring.files.get(key);
    if (standing === undefined) {
      return { result: 'MISSING', key, detail: `sealed by digest ${first.sequence}, and gone` };
    }
    if (standing === first.sha256) return null;
    const detail = `it has SHA-256 ${standing}, sealed by digest ${first.sequence} is ${first.sha256}`;
    return { result: 'MODIFIED', key, detail };
  }
}
