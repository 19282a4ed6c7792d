import { verify, type KeyObject as CryptoKey } from 'node:crypto';
import type { KeyObject, RevocationObject } from '../../formats/formats.ts';
import { signedBy, type LoadedKeys } from './key-files.ts';

/**
 * The keys of a ledger and how far they are believed. Believed are: the root key (the pinned one, else that of the earliest
 * digest); every key that a believed key signed at its rotation; and a key that a believed key itself names as the one
 * before it.
 *
 * Whoever holds a revoked key can sign successors of it with any date. So once a key is revoked, a successor counts only if the
 * key that revoked it is that successor or came after it, or if a digest made before the moment of the revocation sealed the
 * successor's file. Of a key that revoked itself, the first successor to sign a believed digest counts where none was sealed.
 */

/** A sealer's clock may be off by so much from the clock of the machine that made the key. */
const CLOCK_SKEW_MS = 5 * 60_000;

export type KeyJudgement =
  | { readonly trust: 'believed'; readonly key: CryptoKey }
  | { readonly trust: 'unknown' | 'revoked'; readonly problem: string };

interface Revoked {
  readonly atMs: number;
  readonly byKeyId: string;
}

/** Belief and revocations decide each other; what a key says that they take away falls within so many rounds. */
const ROUNDS = 3;

/** The believed keys and the times at which they stopped being so. */
export class KeyRing {
  readonly #loaded: LoadedKeys;
  readonly #root: string | null;
  #believed: ReadonlySet<string> = new Set();
  #revoked: ReadonlyMap<string, Revoked> = new Map();
  /** When the first believed digest was made that sealed a key's file. */
  readonly #sealedAtMs = new Map<string, number>();
  /** Of keys that revoked themselves, the successor that signed first. */
  readonly #followed = new Map<string, string>();
  readonly pinned: boolean;

  constructor(loaded: LoadedKeys, root: string | null, pinned: boolean) {
    this.#loaded = loaded;
    this.#root = root;
    this.pinned = pinned;
    this.#decide();
  }

  /** The key that the caller trusts; null where it is the archive's own first. */
  get pinnedKeyId(): string | null {
    return this.pinned ? this.#root : null;
  }

  /** Whether belief depends on which digest sealed which key. */
  get hasRevocations(): boolean {
    return this.#loaded.revocations.length > 0;
  }

  /** Files of keys and revocations as they stand. */
  get files(): LoadedKeys['files'] {
    return this.#loaded.files;
  }

  /** When a key says that it begins; null where it has no sound file. */
  notBeforeMs(keyId: string): number | null {
    const loaded = this.#loaded.keys.get(keyId);
    return loaded === undefined ? null : Date.parse(loaded.object.not_before);
  }

  /** Takes note that a believed digest, not made before `atMs`, sealed a key's file. */
  noteSealed(keyId: string, atMs: number): void {
    if (this.#sealedAtMs.has(keyId)) return;
    this.#sealedAtMs.set(keyId, atMs);
    if (this.hasRevocations) this.#decide();
  }

  /** Takes note that a believed digest was signed by a key. */
  noteSigned(keyId: string): void {
    for (const [child, parent] of this.#lineOf(keyId)) {
      const isOwn = this.#revoked.get(parent)?.byKeyId === parent;
      if (!isOwn || this.#followed.has(parent)) continue;
      this.#followed.set(parent, child);
      this.#decide();
    }
  }

  /** What a signature of this key is worth that was made at `atMs`. */
  judge(keyId: string, atMs: number): KeyJudgement {
    const loaded = this.#loaded.keys.get(keyId);
    if (loaded === undefined) {
      return { trust: 'unknown', problem: `there is no sound key file of ${keyId}` };
    }
    if (!this.#believed.has(keyId)) {
      const stray = this.#lineOf(keyId).find(([child, parent]) => !this.#counts(child, parent));
      if (stray !== undefined) return { trust: 'unknown', problem: strayProblem(stray) };
      const root = this.pinned ? 'the pinned key' : 'the key of the first digest';
      return { trust: 'unknown', problem: `key ${keyId} is not linked to ${root} by signatures` };
    }
    if (atMs < Date.parse(loaded.object.not_before) - CLOCK_SKEW_MS) {
      return { trust: 'unknown', problem: `key ${keyId} is only valid from ${loaded.object.not_before}` };
    }
    const revokedAtMs = this.#revoked.get(keyId)?.atMs;
    if (revokedAtMs !== undefined && atMs >= revokedAtMs) {
      const at = new Date(revokedAtMs).toISOString();
      return { trust: 'revoked', problem: `key ${keyId} was revoked at ${at}` };
    }
    return { trust: 'believed', key: loaded.key };
  }

  /** Believed keys, also those revoked since; for notes, which carry no time of their own. */
  believedKeys(): CryptoKey[] {
    return [...this.#believed].flatMap((id) => {
      const loaded = this.#loaded.keys.get(id);
      return loaded === undefined ? [] : [loaded.key];
    });
  }

  /** The revocations that nobody entitled signed: somebody planted them. */
  plantedRevocations(): RevocationObject[] {
    return this.#loaded.revocations.filter(
      (it) => this.#believed.has(it.key_id) && !this.#isEntitled(it, this.#believed),
    );
  }

  /** When a key was revoked, RFC 3339; null where it was not. */
  revokedAt(keyId: string): string | null {
    const atMs = this.#revoked.get(keyId)?.atMs;
    return atMs === undefined ? null : new Date(atMs).toISOString();
  }

  /** What a key is believed for; null where it is not. */
  believedBy(keyId: string): 'pinned' | 'rotation' | 'archive' | null {
    if (!this.#believed.has(keyId) || !this.#loaded.keys.has(keyId)) return null;
    if (!this.pinned) return 'archive';
    return keyId === this.#root ? 'pinned' : 'rotation';
  }

  #decide(): void {
    this.#revoked = new Map();
    for (let round = 0; round < ROUNDS; round += 1) {
      this.#believed = this.#reachable();
      this.#revoked = this.#revocations();
    }
  }

  #reachable(): ReadonlySet<string> {
    const believed = new Set(this.#root === null ? [] : [this.#root]);
    for (let before = -1; before !== believed.size;) {
      before = believed.size;
      for (const [id, { object, key }] of this.#loaded.keys) {
        const previous = object.previous_key_id;
        if (previous === null) continue;
        if (believed.has(id) && signedBy(object, id, key)) believed.add(previous);
        else if (believed.has(previous) && this.#rotatedBy(object, previous)) believed.add(id);
      }
    }
    return believed;
  }

  #rotatedBy(object: KeyObject, previous: string): boolean {
    const signer = this.#loaded.keys.get(previous);
    if (signer === undefined || !signedBy(object, previous, signer.key)) return false;
    return this.#counts(object.key_id, previous);
  }

  /** Whether a key's successor is one, whatever became of that key. */
  #counts(child: string, parent: string): boolean {
    const revoked = this.#revoked.get(parent);
    if (revoked === undefined) return true;
    const { atMs, byKeyId } = revoked;
    if (byKeyId !== parent && this.#comesFrom(byKeyId, child)) return true;
    if (this.#isSealedBefore(child, atMs)) return true;
    if (byKeyId !== parent || (this.notBeforeMs(child) ?? Infinity) >= atMs) return false;
    const followed = this.#followed.get(parent);
    if (followed !== undefined) return followed === child;
    return ![...this.#loaded.keys].some(
      ([id, { object }]) => object.previous_key_id === parent && this.#isSealedBefore(id, atMs),
    );
  }

  #isSealedBefore(keyId: string, atMs: number): boolean {
    return (this.#sealedAtMs.get(keyId) ?? Infinity) < atMs;
  }

  /** The earliest entitled revocation of each key. */
  #revocations(): ReadonlyMap<string, Revoked> {
    const revoked = new Map<string, Revoked>();
    for (const revocation of this.#loaded.revocations) {
      if (!this.#isEntitled(revocation, this.#believed)) continue;
      const { key_id: id, signature } = revocation;
      const atMs = Date.parse(revocation.revoked_at);
      const known = revoked.get(id);
      if (known === undefined || atMs < known.atMs) revoked.set(id, { atMs, byKeyId: signature.key_id });
    }
    return revoked;
  }

  /** Signed by the key itself or by a believed one that came after it. */
  #isEntitled(revocation: RevocationObject, believed: ReadonlySet<string>): boolean {
    const signer = revocation.signature.key_id;
    const loaded = this.#loaded.keys.get(signer);
    if (loaded === undefined || !believed.has(signer) || !this.#comesFrom(signer, revocation.key_id)) {
      return false;
    }
    const { key_id: id, revoked_at: at, reason } = revocation;
    const statement = Buffer.from(`everlog.key-revocation/v1\n${id}\n${at}\n${reason}\n`);
    return verify(null, statement, loaded.key, Buffer.from(revocation.signature.signature, 'base64'));
  }

  /** A key and those before it, as pairs of each with the one before it. */
  #lineOf(keyId: string): (readonly [child: string, parent: string])[] {
    const line: (readonly [string, string])[] = [];
    for (let child = keyId; line.length <= this.#loaded.keys.size;) {
      const parent = this.#loaded.keys.get(child)?.object.previous_key_id ?? null;
      if (parent === null) break;
      line.push([child, parent]);
      child = parent;
    }
    return line;
  }

  #comesFrom(later: string, earlier: string): boolean {
    return later === earlier || this.#lineOf(later).some(([, parent]) => parent === earlier);
  }
}

function strayProblem([child, parent]: readonly [string, string]): string {
  return `key ${child} follows key ${parent}, which was revoked, and is neither of the line that revoked it nor sealed before`;
}
