import { createHash, createPublicKey, verify } from 'node:crypto';
import type { StoredRecord } from '../archive/find/find-records.ts';
import { digestSignatureKey, revocationKey, signingKeyKey } from '../archive/keys.ts';
import { Digests, type StoredDigest } from '../ledger/export/digests.ts';
import { findSealed } from '../ledger/export/find-sealed.ts';
import { readWhole, type ObjectStore } from '../store/object-store.ts';

/** What the ledger says of a record, looked up now. */
export type SealState =
  | {
      readonly kind: 'sealed';
      readonly sequence: number;
      readonly sealedAt: string;
      readonly keyId: string;
      readonly digestSha256: string;
      /** Whether the digest's signature is good under the key that the archive names. */
      readonly isSigned: boolean;
      /** Whether the archive holds a revocation of that key; from when on it counts is for `verify`. */
      readonly isRevoked: boolean;
    }
  /** In no digest; `isOverdue` where two that came after it do not have it, which `verify` calls UNSEALED. */
  | { readonly kind: 'not_sealed'; readonly isOverdue: boolean }
  /** Not found, and a part of the ledger that may have it cannot be read. */
  | { readonly kind: 'unreadable'; readonly why: string }
  | { readonly kind: 'changed'; readonly why: string };

const ANSWERS_KEPT_MAX = 1_000;
/** How long an answer is given again: a key may be revoked, and what was sealed be tampered with. */
const KEPT_MS = 60_000;

/** Looks records up in the ledger; what was found is kept for a minute. */
export class Seals {
  readonly #store: ObjectStore;
  readonly #now: () => Date;
  readonly #kept = new Map<string, { readonly state: SealState; readonly untilMs: number }>();

  constructor(store: ObjectStore, now: () => Date) {
    this.#store = store;
    this.#now = now;
  }

  /**
   * How a record is sealed: its entry's hashes are compared with the record's own bytes, and the digest's signature with the key
   * in the archive. The chain before that digest is not looked at: `everlog verify` does.
   */
  async of({ key, bytes, record }: StoredRecord): Promise<SealState> {
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const kept = this.#kept.get(`${key} ${sha256}`);
    const nowMs = this.#now().getTime();
    if (kept !== undefined && kept.untilMs > nowMs) return kept.state;
    const found: { state: SealState | null; why: string | null } = { state: null, why: null };
    const writtenMs = Date.parse(record.recorded_at);
    const digests = new Digests(this.#store, (digestName, problem) => {
      found.why = `${digestName}: ${problem}`;
    });
    await findSealed(this.#store, digests, [{ key, writtenMs }], {
      onLines: async (digest, lines) => {
        const entry = lines.find((line) => line.entry.key === key)?.entry;
        if (entry === undefined) return;
        if (entry.sha256 !== sha256) {
          found.state = { kind: 'changed', why: 'the record is not the one that was sealed' };
        } else if ((entry.type === 'record' ? entry.log?.sha256 : undefined) !== record.log?.stored_sha256) {
          found.state = { kind: 'changed', why: 'the record names another log than was sealed with it' };
        } else found.state = await this.#sealedBy(digest);
      },
      onProblem: ({ sequence }, problem) => {
        found.why = `digest ${sequence}: ${problem}`;
      },
    });
    if (found.state === null && found.why !== null) return { kind: 'unreadable', why: found.why };
    if (found.state === null) return { kind: 'not_sealed', isOverdue: await isOverdue(digests, writtenMs) };
    const { state } = found;
    if (state.kind === 'sealed') {
      if (this.#kept.size >= ANSWERS_KEPT_MAX) this.#kept.clear();
      this.#kept.set(`${key} ${sha256}`, { state, untilMs: nowMs + KEPT_MS });
    }
    return state;
  }

  /** Of the digest whose entries were read: its own bytes are what the signature must be of. */
  async #sealedBy({ sequence, sha256, keyId, bytes }: StoredDigest): Promise<SealState> {
    const sealedAt = textIn(JSON.parse(bytes.toString('utf8')), 'created_at');
    if (!/^[0-9a-f]{64}$/.test(keyId)) return { kind: 'changed', why: `digest ${sequence} names no key` };
    const signature = await readWhole(this.#store, digestSignatureKey(sequence, sha256));
    const key = await readWhole(this.#store, signingKeyKey(keyId));
    const isRevoked = (await this.#store.head(revocationKey(keyId))) !== null;
    const isSigned =
      signature !== null && key !== null && isDigestSigned(keyId, key.bytes, bytes, signature.bytes);
    return { kind: 'sealed', sequence, sealedAt, keyId, digestSha256: sha256, isSigned, isRevoked };
  }
}

/** Whether two digests were made since the one that should have had it. */
async function isOverdue(digests: Digests, writtenMs: number): Promise<boolean> {
  const first = await digests.endingFrom(1, writtenMs);
  return first !== null && (await digests.from(first.sequence + 2)) !== null;
}

function isDigestSigned(keyId: string, key: Buffer, digest: Buffer, signature: Buffer): boolean {
  try {
    const parsed: unknown = JSON.parse(key.toString('utf8'));
    const publicKey = createPublicKey(textIn(parsed, 'public_key'));
    const spki = publicKey.export({ type: 'spki', format: 'der' });
    const isNamed = createHash('sha256').update(spki).digest('hex') === keyId;
    return isNamed && verify(null, digest, publicKey, signature);
  } catch {
    return false;
  }
}

function textIn(value: unknown, name: string): string {
  if (typeof value !== 'object' || value === null) return '';
  const found: unknown = Object.entries(value).find(([key]) => key === name)?.[1];
  return typeof found === 'string' ? found : '';
}
