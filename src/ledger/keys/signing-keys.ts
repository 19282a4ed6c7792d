import { revocationKey, signingKeyKey } from '../../archive/keys.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { bytesBody } from '../../store/put-body.ts';
import { giveUp } from '../../errors.ts';
import type { KeyObject, RevocationObject } from '../formats/formats.ts';
import {
  keyStatement,
  lineOf,
  listKeys,
  revocationStatement,
  UNSIGNED_REVOCATION,
  type SigningKey,
} from './key-files.ts';
import type { Signer } from '../ports.ts';
import { findLastDigest } from '../standing-digests.ts';
import { soundNote } from './sound-notes.ts';

export { listKeys, type SigningKey } from './key-files.ts';

const REASON_CHARS_MAX = 1_000;

/**
 * Registers a ledger's first key; does nothing where it stands already.
 * @throws EverlogError `signing_key_unknown` when the ledger has other keys
 */
export async function registerFirstKey(store: ObjectStore, signer: Signer, now: Date): Promise<void> {
  const keys = await listKeys(store);
  if (keys.some((key) => key.keyId === signer.keyId && isOfItsLine(key))) return;
  if (keys.length > 0) throw unknownKey(signer.keyId, keys);
  await putKey(store, signer, { previous: null, now });
}

/**
 * Makes `next` the key that follows `current`: writes its file, signed by both. From then on `next` may seal.
 * @throws EverlogError `signing_key_unknown` when `current` is not of this ledger; `signing_key_revoked`; `usage` when `next`
 *   is already there, or the last digest has no note yet.
 */
export async function rotateKey(
  store: ObjectStore,
  { current, next }: { readonly current: Signer; readonly next: Signer },
  now: Date,
): Promise<SigningKey> {
  const keys = await listKeys(store);
  usableKey(keys, current.keyId);
  await checkNotes(store, keys);
  if (keys.some(({ keyId }) => keyId === next.keyId)) {
    throw giveUp('usage', `key ${next.keyId} is a key of this ledger already: rotate to a new one`);
  }
  await putKey(store, next, { previous: current, now });
  const written = (await listKeys(store)).find(({ keyId }) => keyId === next.keyId);
  if (written === undefined || written.problem !== null)
    throw giveUp('ledger_damaged', `the file of key ${next.keyId} is not what was written`);
  return written;
}

/** The note on a digest is by the digest's own key: one that a crash left out must be written while that key still seals. */
async function checkNotes(store: ObjectStore, keys: readonly SigningKey[]): Promise<void> {
  const last = await findLastDigest(store, 0);
  if (last === null || (await soundNote(store, last.sequence, keys, last.digest.stream)) !== null) return;
  throw giveUp(
    'usage',
    `digest ${last.sequence} has no checkpoint note yet: run \`everlog seal\` with the present key, then rotate`,
  );
}

/**
 * Says that a key's digests are not to be believed from `at` on. `signer` is the key itself or one that followed it. A key
 * can be revoked once.
 * @throws EverlogError `signing_key_unknown`, `signing_key_revoked`, `usage` when the signer may not revoke that key
 */
export async function revokeKey(
  store: ObjectStore,
  revocation: { readonly keyId: string; readonly signer: Signer; readonly reason: string; readonly at: Date },
): Promise<void> {
  const { keyId, signer, reason, at } = revocation;
  if (/[\r\n]/.test(reason) || reason.trim() === '' || reason.length > REASON_CHARS_MAX)
    throw giveUp('usage', `--reason takes one line of 1 to ${REASON_CHARS_MAX} characters`);
  const keys = await listKeys(store);
  const target = keys.find((key) => key.keyId === keyId);
  if (target === undefined) throw unknownKey(keyId, keys);
  if (target.revoked !== null)
    throw giveUp('signing_key_revoked', `key ${keyId} was revoked as of ${target.revoked.at} already`);
  if (!keys.some((key) => key !== target && key.revoked === null && isOfItsLine(key)))
    throw giveUp(
      'usage',
      `key ${keyId} is the only one that may seal: rotate it with \`everlog keys rotate\` first, then revoke it with the new one`,
    );
  const statement = { key_id: keyId, revoked_at: at.toISOString(), reason };
  const object: RevocationObject = {
    schema: 'everlog.key-revocation/v1',
    ...statement,
    signature: await signatureOf(signer, revocationStatement(statement)),
  };
  if (!mayRevoke(keys, signer.keyId, keyId)) {
    throw giveUp(
      'usage',
      `key ${signer.keyId} may not revoke ${keyId}: only that key itself and those that followed it may`,
    );
  }
  await putKeyObject(store, revocationKey(keyId), object);
  const written = (await listKeys(store)).find((key) => key.keyId === keyId);
  if ((written?.revoked ?? null) === null)
    throw giveUp('ledger_damaged', `the revocation of key ${keyId} is not what was written`);
}

function mayRevoke(keys: readonly SigningKey[], byKeyId: string, keyId: string): boolean {
  const line = lineOf(keys, byKeyId);
  const at = line.findIndex((key) => key.keyId === keyId);
  return at >= 0 && line.slice(0, at + 1).every(isOfItsLine);
}

/** A revocation that does not hold takes nothing from a key. */
function isOfItsLine({ problem }: SigningKey): boolean {
  return problem === null || problem === UNSIGNED_REVOCATION;
}

/**
 * The key that may seal. Where digests stand, `lastKeyId` is the last one's key: both are of one line.
 * @throws EverlogError `signing_key_unknown`, `signing_key_revoked`
 */
export function usableKey(keys: readonly SigningKey[], keyId: string, lastKeyId?: string): SigningKey {
  const line = lineOf(keys, keyId);
  const [key] = line;
  if (key === undefined || !line.every(isOfItsLine)) throw unknownKey(keyId, keys);
  // Two that began the ledger at once with different keys: only one did.
  if (lastKeyId !== undefined && lineOf(keys, lastKeyId).at(-1)?.keyId !== line.at(-1)?.keyId)
    throw unknownKey(keyId, keys);
  if (key.revoked !== null) {
    throw giveUp(
      'signing_key_revoked',
      `EVERLOG_SIGNING_KEY is key ${keyId}, which was revoked as of ${key.revoked.at}: set it to a key that is not revoked; \`everlog keys ls\` shows them`,
    );
  }
  return key;
}

function unknownKey(keyId: string, keys: readonly SigningKey[]): Error {
  const last = keys.findLast((key) => key.revoked === null && isOfItsLine(key));
  const known = last === undefined ? '' : ` (the last is ${last.keyId})`;
  return giveUp(
    'signing_key_unknown',
    `key ${keyId} is no key of this archive's ledger: set EVERLOG_SIGNING_KEY to one that is${known}, or bring the new key in with \`everlog keys rotate\``,
  );
}

async function putKey(
  store: ObjectStore,
  signer: Signer,
  { previous, now }: { readonly previous: Signer | null; readonly now: Date },
): Promise<void> {
  const statement = {
    key_id: signer.keyId,
    not_before: now.toISOString(),
    previous_key_id: previous?.keyId ?? null,
  };
  const bytes = keyStatement(statement);
  const signers = previous === null ? [signer] : [previous, signer];
  const signatures = [];
  for (const one of signers) signatures.push(await signatureOf(one, bytes));
  const { key_id, not_before, previous_key_id } = statement;
  const object: KeyObject = {
    schema: 'everlog.key/v1',
    key_id,
    algorithm: 'Ed25519',
    public_key: signer.publicKeyPem,
    not_before,
    previous_key_id,
    signatures,
  };
  await putKeyObject(store, signingKeyKey(signer.keyId), object);
}

async function signatureOf(
  signer: Signer,
  statement: Uint8Array,
): Promise<{ key_id: string; signature: string }> {
  const signature = await signer.sign(statement);
  return { key_id: signer.keyId, signature: Buffer.from(signature).toString('base64') };
}

/** What another process wrote meanwhile stands; whoever reads the keys next judges it. */
async function putKeyObject(
  store: ObjectStore,
  key: string,
  object: KeyObject | RevocationObject,
): Promise<void> {
  const body = bytesBody(Buffer.from(`${JSON.stringify(object)}\n`));
  await store.putIfAbsent(key, body, { contentType: 'application/json', kind: 'other' });
}
