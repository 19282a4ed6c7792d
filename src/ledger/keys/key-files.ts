import { createPublicKey, verify } from 'node:crypto';
import { z } from 'zod';
import { SIGNING_KEYS_ROOT } from '../../archive/keys.ts';
import { readWhole, type ObjectStore } from '../../store/object-store.ts';
import { giveUp } from '../../errors.ts';
import type { KeyObject, RevocationObject } from '../formats/formats.ts';
import { keyIdOf } from './signer.ts';

/** A ledger's signing keys as they stand in the archive: public halves, which key followed which, and what was revoked. */
export interface SigningKey {
  readonly keyId: string;
  readonly publicKeyPem: string;
  readonly notBefore: string;
  /** The key before this one; null for a ledger's first. */
  readonly previousKeyId: string | null;
  /** Null unless a key of this ledger signed that it is not to be believed from then on. */
  readonly revoked: { readonly at: string; readonly reason: string; readonly byKeyId: string } | null;
  /** Why this key or what revokes it is not to be believed; null where all signatures hold. */
  readonly problem: string | null;
}

/** Keys of one ledger; more were not made by rotation. */
const KEYS_MAX = 1_000;
/** The problem of a key that somebody revoked who may not. */
export const UNSIGNED_REVOCATION = 'its revocation is not signed by a key of this ledger';
const KEY_ID = /^ledger\/keys\/([0-9a-f]{64})(\.revoked)?\.json$/;

const signatureSchema = z.object({ key_id: z.string(), signature: z.base64() });

const keySchema = z.looseObject({
  schema: z.literal('everlog.key/v1'),
  key_id: z.string(),
  algorithm: z.literal('Ed25519'),
  public_key: z.string(),
  not_before: z.iso.datetime(),
  previous_key_id: z.string().nullable(),
  signatures: z.array(signatureSchema).max(10),
});

const revocationSchema = z.looseObject({
  schema: z.literal('everlog.key-revocation/v1'),
  key_id: z.string(),
  revoked_at: z.iso.datetime(),
  reason: z.string(),
  signature: signatureSchema,
});

/** What a key's signatures are over. */
export function keyStatement(key: Pick<KeyObject, 'key_id' | 'not_before' | 'previous_key_id'>): Buffer {
  return Buffer.from(`everlog.key/v1\n${key.key_id}\n${key.not_before}\n${key.previous_key_id ?? ''}\n`);
}

/** What a revocation's signature is over. */
export function revocationStatement(
  revocation: Pick<RevocationObject, 'key_id' | 'revoked_at' | 'reason'>,
): Buffer {
  const { key_id, revoked_at, reason } = revocation;
  return Buffer.from(`everlog.key-revocation/v1\n${key_id}\n${revoked_at}\n${reason}\n`);
}

/**
 * Every key of the ledger, the first one first and each behind the one before it.
 * @throws EverlogError `ledger_damaged` for more than 1,000
 */
export async function listKeys(store: ObjectStore): Promise<readonly SigningKey[]> {
  const found = new Map<string, { file: KeyFile | null; revocation: RevocationFile | null }>();
  for await (const { key } of store.list(SIGNING_KEYS_ROOT)) {
    const [, keyId, isRevocation] = KEY_ID.exec(key) ?? [];
    if (keyId === undefined) continue;
    const one = found.get(keyId) ?? { file: null, revocation: null };
    if (found.size >= KEYS_MAX)
      throw giveUp('ledger_damaged', `more than ${KEYS_MAX} keys below ${SIGNING_KEYS_ROOT}`);
    if (isRevocation === undefined) one.file = await readParsed(store, key, keySchema);
    else one.revocation = await readParsed(store, key, revocationSchema);
    found.set(keyId, one);
  }
  const files = new Map([...found].flatMap(([id, { file }]) => (file === null ? [] : [[id, file] as const])));
  const keys = [...found].map(([keyId, { revocation }]) => signingKey(keyId, files, revocation));
  return inOrderOfRotation(keys);
}

type KeyFile = z.infer<typeof keySchema>;
type RevocationFile = z.infer<typeof revocationSchema>;

async function readParsed<T>(store: ObjectStore, key: string, schema: z.ZodType<T>): Promise<T | null> {
  const found = await readWhole(store, key);
  if (found === null) return null;
  try {
    return schema.parse(JSON.parse(found.bytes.toString('utf8')));
  } catch {
    return null;
  }
}

function signingKey(
  keyId: string,
  files: ReadonlyMap<string, KeyFile>,
  revocation: RevocationFile | null,
): SigningKey {
  const file = files.get(keyId);
  if (file === undefined) {
    const problem = 'its file is missing or unreadable';
    return { keyId, publicKeyPem: '', notBefore: '', previousKeyId: null, revoked: null, problem };
  }
  const isRevoked = revocation !== null && isValidRevocation(keyId, revocation, files);
  return {
    keyId,
    publicKeyPem: file.public_key,
    notBefore: file.not_before,
    previousKeyId: file.previous_key_id,
    revoked: isRevoked
      ? { at: revocation.revoked_at, reason: revocation.reason, byKeyId: revocation.signature.key_id }
      : null,
    problem:
      problemOfKey(keyId, file, files) ?? (revocation === null || isRevoked ? null : UNSIGNED_REVOCATION),
  };
}

function problemOfKey(keyId: string, file: KeyFile, files: ReadonlyMap<string, KeyFile>): string | null {
  if (file.key_id !== keyId || idOfPem(file.public_key) !== keyId) return 'its file holds another key';
  const statement = keyStatement(file);
  if (!isStatementSigned(file, statement, file.signatures)) return 'its file is not signed by itself';
  if (file.previous_key_id === null) return null;
  const previous = files.get(file.previous_key_id);
  if (previous === undefined) return 'the key before it is missing';
  return isStatementSigned(previous, statement, file.signatures)
    ? null
    : 'it is not signed by the key before it';
}

/** By the key itself, or by one that followed it. */
function isValidRevocation(
  keyId: string,
  revocation: RevocationFile,
  files: ReadonlyMap<string, KeyFile>,
): boolean {
  const by = files.get(revocation.signature.key_id);
  if (by === undefined || revocation.key_id !== keyId) return false;
  const isEntitled = by.key_id === keyId || follows(by.key_id, keyId, files);
  return isEntitled && isStatementSigned(by, revocationStatement(revocation), [revocation.signature]);
}

function follows(laterId: string, earlierId: string, files: ReadonlyMap<string, KeyFile>): boolean {
  let file = files.get(laterId);
  for (let steps = 0; file !== undefined && steps < KEYS_MAX; steps += 1) {
    if (problemOfKey(file.key_id, file, files) !== null || file.previous_key_id === null) return false;
    if (file.previous_key_id === earlierId) return true;
    file = files.get(file.previous_key_id);
  }
  return false;
}

function isStatementSigned(
  key: KeyFile,
  statement: Uint8Array,
  signatures: readonly z.infer<typeof signatureSchema>[],
): boolean {
  return signatures.some(
    ({ key_id, signature }) =>
      key_id === key.key_id &&
      idOfPem(key.public_key) === key.key_id &&
      verify(null, statement, createPublicKey(key.public_key), Buffer.from(signature, 'base64')),
  );
}

function idOfPem(pem: string): string | null {
  try {
    const key = createPublicKey(pem);
    return key.asymmetricKeyType === 'ed25519' ? keyIdOf(key) : null;
  } catch {
    return null;
  }
}

function inOrderOfRotation(keys: readonly SigningKey[]): readonly SigningKey[] {
  return keys
    .map((key) => ({ key, depth: lineOf(keys, key.keyId).length }))
    .sort((a, b) => a.depth - b.depth || (a.key.notBefore < b.key.notBefore ? -1 : 1))
    .map(({ key }) => key);
}

/** A key and those before it, newest first. */
export function lineOf(keys: readonly SigningKey[], keyId: string): readonly SigningKey[] {
  const line: SigningKey[] = [];
  let next: string | null = keyId;
  while (next !== null && line.length < KEYS_MAX) {
    const wanted: string = next;
    const key = keys.find((known) => known.keyId === wanted);
    if (key === undefined) break;
    line.push(key);
    next = key.previousKeyId;
  }
  return line;
}

/** A successor of a revoked key that is not of the line that revoked it. */
export interface Stray {
  readonly keyId: string;
  /** The revoked key before it. */
  readonly parent: SigningKey;
  readonly revokedAt: string;
  readonly problem: string;
}

/**
 * The first key, of this one and those before it, that follows a revoked key and is neither of the revoker's line nor of
 * `signerId`'s own; null where there is none. It counts only if it was sealed before that key was revoked: whoever holds a
 * revoked key can sign successors of it with any date.
 */
export function strayFrom(keys: readonly SigningKey[], keyId: string, signerId: string): Stray | null {
  const line = lineOf(keys, keyId);
  const own = lineOf(keys, signerId);
  for (const [index, parent] of line.entries()) {
    const child = line[index - 1];
    if (child === undefined || parent.revoked === null) continue;
    const { byKeyId, at } = parent.revoked;
    const isOwn = byKeyId === parent.keyId;
    if (!isOwn && lineOf(keys, byKeyId).includes(child)) continue;
    if (isOwn && own.includes(child)) continue;
    const problem = `it comes of ${child.keyId}, which follows key ${parent.keyId}, which was revoked, and is not of the line that revoked it`;
    return { keyId: child.keyId, parent, revokedAt: at, problem };
  }
  return null;
}
