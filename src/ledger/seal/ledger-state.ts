import { createPublicKey, verify } from 'node:crypto';
import { digestSignatureKey } from '../../archive/keys.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { EverlogError, giveUp, messageOf } from '../../errors.ts';
import type { Log } from '../../logger.ts';
import { anchoredThrough } from '../witness/anchor.ts';
import { listKeys, type SigningKey } from '../keys/key-files.ts';
import { readObject } from '../object-facts.ts';
import type { Anchor, PendingCommits, Signer } from '../ports.ts';
import { registerFirstKey, usableKey } from '../keys/signing-keys.ts';
import { findLastDigest, type Standing } from '../standing-digests.ts';

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
  readonly pending: Pick<PendingCommits, 'mark'>;
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
  const last = await findLastDigest(store, (await pending.mark()) ?? 0);
  if (last === null) await registerFirstKey(store, signer, now());
  const keys = await listKeys(store);
  const key = usableKey(keys, signer.keyId, last?.digest.key_id);
  if (last !== null) await checkSignature(store, last, keys);
  if (deps.anchor !== null) await checkAnchor(deps, deps.anchor, last?.sequence ?? 0);
  return { last, keys, key };
}

/** Nothing is built on a digest that nobody signed: it would be vouched for by what follows it. */
async function checkSignature(
  store: ObjectStore,
  last: Standing,
  keys: readonly SigningKey[],
): Promise<void> {
  const name = digestSignatureKey(last.sequence, last.sha256);
  const key = keys.find(({ keyId }) => keyId === last.digest.key_id);
  const signature = (await readObject(store, name, SIGNATURE_BYTES))?.content ?? null;
  const isSigned =
    key !== undefined &&
    key.publicKeyPem !== '' &&
    signature !== null &&
    verify(null, last.bytes, createPublicKey(key.publicKeyPem), signature);
  if (isSigned) return;
  throw giveUp(
    'ledger_damaged',
    `digest ${last.sequence}, the last, is not signed by a key of this ledger (${name}): run \`everlog verify\``,
  );
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
