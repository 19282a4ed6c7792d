import { createHash, createPublicKey, verify } from 'node:crypto';
import type { StoredRecord } from '../archive/find/find-records.ts';
import { digestKey, digestSignatureKey } from '../archive/keys.ts';
import { Digests } from '../ledger/export/digests.ts';
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
    }
  | { readonly kind: 'not_sealed' }
  | { readonly kind: 'changed'; readonly why: string };

/** Answers kept: a digest, and what it seals, never changes. */
const ANSWERS_KEPT_MAX = 1_000;

/** Looks records up in the ledger; what was found is kept, as it cannot change without being found changed by `verify`. */
export class Seals {
  readonly #store: ObjectStore;
  readonly #kept = new Map<string, SealState>();

  constructor(store: ObjectStore) {
    this.#store = store;
  }

  /**
   * How a record is sealed: its entry's hashes are compared with the record's own bytes, and the digest's signature with the key
   * in the archive. The chain before that digest is not looked at: `everlog verify` does.
   */
  async of({ key, bytes, record }: StoredRecord): Promise<SealState> {
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const kept = this.#kept.get(`${key} ${sha256}`);
    if (kept !== undefined) return kept;
    const found: { state: SealState } = { state: { kind: 'not_sealed' } };
    const sought = [{ key, writtenMs: Date.parse(record.recorded_at) }];
    await findSealed(this.#store, new Digests(this.#store, () => undefined), sought, {
      onLines: async (digest, lines) => {
        const entry = lines.find((line) => line.entry.key === key)?.entry;
        if (entry === undefined) return;
        if (entry.sha256 !== sha256) {
          found.state = { kind: 'changed', why: 'the record is not the one that was sealed' };
        } else if (
          record.log !== null &&
          entry.type === 'record' &&
          entry.log?.sha256 !== record.log.stored_sha256
        ) {
          found.state = { kind: 'changed', why: 'the record names another log than was sealed with it' };
        } else found.state = await this.#sealedBy(digest.sequence);
      },
      onProblem: (_digest, problem) => {
        found.state = { kind: 'changed', why: problem };
      },
    });
    const { state } = found;
    if (state.kind === 'sealed') {
      if (this.#kept.size >= ANSWERS_KEPT_MAX) this.#kept.clear();
      this.#kept.set(`${key} ${sha256}`, state);
    }
    return state;
  }

  async #sealedBy(sequence: number): Promise<SealState> {
    const digest = await readWhole(this.#store, digestKey(sequence));
    if (digest === null) return { kind: 'changed', why: `digest ${sequence} is gone` };
    const digestSha256 = createHash('sha256').update(digest.bytes).digest('hex');
    const said: unknown = JSON.parse(digest.bytes.toString('utf8'));
    const [keyId, sealedAt] = [textIn(said, 'key_id'), textIn(said, 'created_at')];
    const signature = await readWhole(this.#store, digestSignatureKey(sequence, digestSha256));
    const key = await readWhole(this.#store, `ledger/keys/${keyId}.json`);
    const isSigned =
      signature !== null && key !== null && isSignedBy(keyId, key.bytes, digest.bytes, signature.bytes);
    return { kind: 'sealed', sequence, sealedAt, keyId, digestSha256, isSigned };
  }
}

function isSignedBy(keyId: string, key: Buffer, digest: Buffer, signature: Buffer): boolean {
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
