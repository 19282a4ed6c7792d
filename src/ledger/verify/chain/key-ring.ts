import { createHash, createPublicKey, verify, type KeyObject as CryptoKey } from 'node:crypto';
import { SIGNING_KEYS_ROOT } from '../../../archive/keys.ts';
import type { ObjectStore } from '../../../store/object-store.ts';
import type { KeyObject, RevocationObject } from '../../formats/formats.ts';
import { listStanding, originalOf, reportOverlays } from './ledger-listing.ts';
import { readBytes } from '../objects/object-bytes.ts';
import type { Report } from '../results.ts';
import { parseKeyObject, parseRevocation } from './schemas.ts';

/**
 * The keys of a ledger and how far they are believed. Believed are: the root key (the pinned one, else that of the earliest
 * digest); every key that a believed key signed at its rotation; and a key that a believed key itself names as the one
 * before it. A key that was revoked before it signed a successor vouches for none.
 */

/** A rotation a day for 25 years; more means that something writes without end. */
const KEYS_MAX = 10_000;
/** Key files measure about 600 bytes. */
const KEY_FILE_BYTES_MAX = 16 * 1024;
/** A sealer's clock may be off by so much from the clock of the machine that made the key. */
const CLOCK_SKEW_MS = 5 * 60_000;

export interface LoadedKey {
  readonly object: KeyObject;
  readonly key: CryptoKey;
}

export interface LoadedKeys {
  readonly keys: ReadonlyMap<string, LoadedKey>;
  readonly revocations: readonly RevocationObject[];
}

export type KeyJudgement =
  | { readonly trust: 'believed'; readonly key: CryptoKey }
  | { readonly trust: 'unknown' | 'revoked'; readonly problem: string };

/** Reads the key files of an archive. What is wrong with one is reported as `MODIFIED` and the file passed over. */
export async function loadKeys(store: ObjectStore, report: Report): Promise<LoadedKeys> {
  const keys = new Map<string, LoadedKey>();
  const revocations: RevocationObject[] = [];
  let files = 0;
  for await (const object of listStanding(store, SIGNING_KEYS_ROOT)) {
    const { key } = object;
    const [, id, revoked] =
      /^([0-9a-f]{64})(\.revoked)?\.json$/.exec(key.slice(SIGNING_KEYS_ROOT.length)) ?? [];
    if (id === undefined) continue;
    files += 1;
    if (files > KEYS_MAX) throw new Error(`more than ${KEYS_MAX} key files below ${SIGNING_KEYS_ROOT}`);
    await reportOverlays(object, report);
    const place = originalOf(object);
    if (place === null) continue;
    const read = await readBytes(store, place, KEY_FILE_BYTES_MAX);
    const bytes = read.state === 'read' ? read.bytes : Buffer.alloc(0);
    if (revoked === undefined) {
      const loaded = loadKey(id, bytes);
      if (typeof loaded === 'string')
        await report({ result: 'MODIFIED', key, detail: `not this key: ${loaded}` });
      else keys.set(id, loaded);
    } else {
      const parsed = parseRevocation(bytes);
      if (parsed.ok && parsed.value.key_id === id) revocations.push(parsed.value);
      else {
        const problem = parsed.ok ? 'it is about another key' : parsed.problem;
        await report({ result: 'MODIFIED', key, detail: `not a revocation of this key: ${problem}` });
      }
    }
  }
  return { keys, revocations };
}

/** A key file's key, or what is wrong with it: the key must be the one it is named for and sign for itself. */
function loadKey(id: string, bytes: Buffer): LoadedKey | string {
  const parsed = parseKeyObject(bytes);
  if (!parsed.ok) return parsed.problem;
  const object = parsed.value;
  let key: CryptoKey;
  try {
    key = createPublicKey(object.public_key);
  } catch {
    return 'public_key is no public key in PEM';
  }
  if (key.asymmetricKeyType !== 'ed25519') return 'public_key is no Ed25519 key';
  const spki = createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('hex');
  if (spki !== id || object.key_id !== id) return `public_key has the SHA-256 ${spki}`;
  return signedBy(object, id, key) ? { object, key } : 'it has no valid signature by the key itself';
}

/** The believed keys and the times at which they stopped being so. */
export class KeyRing {
  readonly #loaded: LoadedKeys;
  readonly #root: string | null;
  readonly #believed = new Set<string>();
  /** Earliest believed revocation, by key. */
  readonly #revokedAtMs = new Map<string, number>();
  readonly pinned: boolean;

  constructor(loaded: LoadedKeys, root: string | null, pinned: boolean) {
    this.#loaded = loaded;
    this.#root = root;
    this.pinned = pinned;
    if (root !== null) this.#believed.add(root);
    this.#believeReachable();
    this.#believeRevocations();
    // Once more from the root: a key that only a revoked one vouches for is not to be believed after all.
    this.#believed.clear();
    if (root !== null) this.#believed.add(root);
    this.#believeReachable();
  }

  /** What a signature of this key is worth that was made at `atMs`. */
  judge(keyId: string, atMs: number): KeyJudgement {
    const loaded = this.#loaded.keys.get(keyId);
    if (loaded === undefined) {
      return { trust: 'unknown', problem: `there is no sound key file of ${keyId}` };
    }
    if (!this.#believed.has(keyId)) {
      const root = this.pinned ? 'the pinned key' : 'the key of the first digest';
      return { trust: 'unknown', problem: `key ${keyId} is not linked to ${root} by signatures` };
    }
    if (atMs < Date.parse(loaded.object.not_before) - CLOCK_SKEW_MS) {
      return { trust: 'unknown', problem: `key ${keyId} is only valid from ${loaded.object.not_before}` };
    }
    const revokedAtMs = this.#revokedAtMs.get(keyId);
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
    return this.#loaded.revocations.filter((it) => this.#believed.has(it.key_id) && !this.#isEntitled(it));
  }

  /** When a key was revoked, RFC 3339; null where it was not. */
  revokedAt(keyId: string): string | null {
    const atMs = this.#revokedAtMs.get(keyId);
    return atMs === undefined ? null : new Date(atMs).toISOString();
  }

  /** What a key is believed for; null where it is not. */
  believedBy(keyId: string): 'pinned' | 'rotation' | 'archive' | null {
    if (!this.#believed.has(keyId) || !this.#loaded.keys.has(keyId)) return null;
    if (!this.pinned) return 'archive';
    return keyId === this.#root ? 'pinned' : 'rotation';
  }

  #believeReachable(): void {
    for (let before = -1; before !== this.#believed.size;) {
      before = this.#believed.size;
      for (const [id, { object, key }] of this.#loaded.keys) {
        const previous = object.previous_key_id;
        if (previous === null) continue;
        if (this.#believed.has(id) && signedBy(object, id, key)) this.#believed.add(previous);
        else if (this.#believed.has(previous) && this.#rotatedBy(object, previous)) this.#believed.add(id);
      }
    }
  }

  #rotatedBy(object: KeyObject, previous: string): boolean {
    const signer = this.#loaded.keys.get(previous);
    if (signer === undefined || !signedBy(object, previous, signer.key)) return false;
    const revokedAtMs = this.#revokedAtMs.get(previous);
    return revokedAtMs === undefined || Date.parse(object.not_before) < revokedAtMs;
  }

  #believeRevocations(): void {
    for (const revocation of this.#loaded.revocations) {
      if (!this.#isEntitled(revocation)) continue;
      const atMs = Date.parse(revocation.revoked_at);
      const known = this.#revokedAtMs.get(revocation.key_id);
      this.#revokedAtMs.set(revocation.key_id, known === undefined ? atMs : Math.min(known, atMs));
    }
  }

  /** Signed by the key itself or by a believed one that came after it. */
  #isEntitled(revocation: RevocationObject): boolean {
    const signer = revocation.signature.key_id;
    const loaded = this.#loaded.keys.get(signer);
    if (loaded === undefined || !this.#believed.has(signer) || !this.#comesFrom(signer, revocation.key_id)) {
      return false;
    }
    const { key_id: id, revoked_at: at, reason } = revocation;
    const statement = Buffer.from(`everlog.key-revocation/v1\n${id}\n${at}\n${reason}\n`);
    return verify(null, statement, loaded.key, Buffer.from(revocation.signature.signature, 'base64'));
  }

  #comesFrom(later: string, earlier: string): boolean {
    let at: string | null = later;
    for (let steps = 0; at !== null && steps <= this.#loaded.keys.size; steps += 1) {
      if (at === earlier) return true;
      at = this.#loaded.keys.get(at)?.object.previous_key_id ?? null;
    }
    return false;
  }
}

function signedBy(object: KeyObject, signerId: string, key: CryptoKey): boolean {
  const { key_id: id, not_before: from, previous_key_id: previous } = object;
  const statement = Buffer.from(`everlog.key/v1\n${id}\n${from}\n${previous ?? ''}\n`);
  return object.signatures.some(
    ({ key_id, signature }) =>
      key_id === signerId && verify(null, statement, key, Buffer.from(signature, 'base64')),
  );
}
