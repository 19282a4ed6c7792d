import { createPublicKey, verify } from 'node:crypto';
import { digestSignatureKey, signingKeyKey } from '../../archive/keys.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { EverlogError, giveUp, messageOf } from '../../errors.ts';
import type { Log } from '../../logger.ts';
import { anchoredThrough } from '../witness/anchor.ts';
import { lineOf, listKeys, strayFrom, type SigningKey } from '../keys/key-files.ts';
import { readObject } from '../object-facts.ts';
import type { Anchor, CommitsToSeal, Signer } from '../ports.ts';
import { registerFirstKey, usableKey } from '../keys/signing-keys.ts';
import { findLastDigest, type Standing } from '../standing-digests.ts';
import { openSealedKeys } from './sealed-keys.ts';

/** A ledger that may be continued. */
export interface LedgerState {
  /** Null before the first digest. */
  readonly last: Standing | null;
  readonly keys: readonly SigningKey[];
  /** The signer's key. */
  readonly key: SigningKey;
}

export interface LedgerStateDeps {
  readonly store: ObjectStore;
  readonly signer: Signer;
  readonly pending: Pick<CommitsToSeal, 'mark'>;
  readonly anchor: Anchor | null;
  readonly now: () => Date;
  readonly log: Log;
}

const SIGNATURE_BYTES = 64;

/**
 * Finds the last digest and sees that this signer may add another: its key is one of the ledger's and not revoked, the last
 * digest is signed, and the second place holds no later one. Registers the key of a ledger that begins.
 * @throws EverlogError `signing_key_unknown`, `signing_key_revoked`, `ledger_damaged` (give up)
 */
export async function openLedger(deps: LedgerStateDeps): Promise<LedgerState> {
  const { store, signer, pending, now } = deps;
  let keys = await listKeys(store);
  const isSigned = isSignedByKnown(store, keys);
  const last = await findLastDigest(store, (await pending.mark()) ?? 0, isSigned);
  if (last === null) {
    await registerFirstKey(store, signer, now());
    keys = await listKeys(store);
  }
  const key = usableKey(keys, signer.keyId, last?.digest.key_id);
  await refuseStrays(deps, keys, last);
  if (deps.anchor !== null) await checkAnchor(deps, deps.anchor, last?.sequence ?? 0);
  return { last, keys, key };
}

/** Nothing is built on a digest that nobody signed: it would be vouched for by what follows it. */
function isSignedByKnown(
  store: ObjectStore,
  keys: readonly SigningKey[],
): (standing: Standing) => Promise<boolean> {
  return async ({ sequence, sha256, bytes, digest }) => {
    const key = keys.find(({ keyId }) => keyId === digest.key_id);
    if (key === undefined || key.publicKeyPem === '') return false;
    const name = digestSignatureKey(sequence, sha256);
    const signature = (await readObject(store, name, SIGNATURE_BYTES))?.content ?? null;
    return signature !== null && verify(null, bytes, createPublicKey(key.publicKeyPem), signature);
  };
}

/**
 * Whoever holds a revoked key can sign successors of it, and digests by those: neither this sealer nor the last digest may be
 * by one, unless it was sealed before that key was revoked.
 */
async function refuseStrays(
  { store, signer, log }: LedgerStateDeps,
  keys: readonly SigningKey[],
  last: Standing | null,
): Promise<void> {
  for (const keyId of new Set([signer.keyId, last?.digest.key_id ?? signer.keyId])) {
    const stray = strayFrom(keys, keyId, signer.keyId);
    if (stray === null) continue;
    const sealed = openSealedKeys(store, last, ({ key, detail }) =>
      log.warn({ key, detail }, 'not readable'),
    );
    const comesOf = (id: string): boolean => lineOf(keys, id).some((one) => one.keyId === stray.keyId);
    if (await sealed.isSealedBefore(signingKeyKey(stray.keyId), Date.parse(stray.revokedAt), comesOf))
      continue;
    if (keyId === signer.keyId)
      throw giveUp(
        'signing_key_revoked',
        `EVERLOG_SIGNING_KEY is key ${keyId}: ${stray.problem}. Set it to a key of that line; \`everlog keys ls\` shows them`,
      );
    throw giveUp(
      'ledger_damaged',
      `digest ${last?.sequence ?? 0}, the last, is by key ${keyId}: ${stray.problem}. Run \`everlog verify\``,
    );
  }
}

/** A ledger that lost its end must not grow another. */
async function checkAnchor(deps: LedgerStateDeps, anchor: Anchor, sequence: number): Promise<void> {
  let anchored: number;
  try {
    anchored = await anchoredThrough(anchor, sequence);
  } catch (error) {
    if (!(error instanceof EverlogError)) throw error;
    deps.log.warn({ problem: messageOf(error) }, 'the second place could not be asked for its last digest');
    return;
  }
  if (anchored <= sequence) return;
  throw giveUp(
    'ledger_damaged',
    `${anchor.location} holds digests up to ${anchored}, the archive up to ${sequence}: either the archive's last digests are gone (run \`everlog verify\`, and put them back), or EVERLOG_ANCHOR_URL is another ledger's place`,
  );
}
