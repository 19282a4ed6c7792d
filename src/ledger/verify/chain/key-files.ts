import { createHash, createPublicKey, verify, type KeyObject as CryptoKey } from 'node:crypto';
import { parseKey, SIGNING_KEYS_ROOT } from '../../../archive/keys.ts';
import { giveUp } from '../../../errors.ts';
import type { ObjectStore } from '../../../store/object-store.ts';
import type { KeyObject, RevocationObject } from '../../formats/formats.ts';
import { listStanding, originalOf, reportOverlays } from './ledger-listing.ts';
import { readBytes, sha256Of } from '../objects/object-bytes.ts';
import type { Report } from '../results.ts';
import { parseKeyObject, parseRevocation } from './schemas.ts';

/** The key files of a ledger as they stand, each checked by itself; how far they are believed is for the key ring. */

/** A rotation a day for 25 years; more means that something writes without end. */
const KEYS_MAX = 10_000;
/** Key files measure about 600 bytes. */
const KEY_FILE_BYTES_MAX = 16 * 1024;
export interface LoadedKey {
  readonly object: KeyObject;
  readonly key: CryptoKey;
}

export interface LoadedKeys {
  readonly keys: ReadonlyMap<string, LoadedKey>;
  readonly revocations: readonly RevocationObject[];
  /** SHA-256 of every file of a key or revocation that stands there, sound or not, by its key in the archive. */
  readonly files: ReadonlyMap<string, string>;
}

/**
 * Reads the key files of an archive. What is wrong with one is reported as `MODIFIED` and the file passed over.
 * @throws EverlogError `ledger_damaged` for more than 10,000 files
 */
export async function loadKeys(store: ObjectStore, report: Report): Promise<LoadedKeys> {
  const keys = new Map<string, LoadedKey>();
  const revocations: RevocationObject[] = [];
  const files = new Map<string, string>();
  let count = 0;
  for await (const object of listStanding(store, SIGNING_KEYS_ROOT)) {
    const { key } = object;
    const parsedKey = parseKey(key);
    if (parsedKey === null || !('keyId' in parsedKey)) continue;
    const { keyId: id, type } = parsedKey;
    count += 1;
    if (count > KEYS_MAX) throw tooManyKeys(store.location);
    await reportOverlays(object, report);
    const place = originalOf(object);
    if (place === null) continue;
    const read = await readBytes(store, place, KEY_FILE_BYTES_MAX);
    const bytes = read.state === 'read' ? read.bytes : Buffer.alloc(0);
    files.set(key, sha256Of(bytes));
    if (type === 'key') {
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
  return { keys, revocations, files };
}

function tooManyKeys(location: string): Error {
  return giveUp(
    'ledger_damaged',
    `${location} has more than ${KEYS_MAX.toLocaleString('en-US')} files below ${SIGNING_KEYS_ROOT}, which no rotation makes: find out who writes there, and take the planted ones away`,
  );
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

/** Whether a key's file bears a valid signature by that key. */
export function signedBy(object: KeyObject, signerId: string, key: CryptoKey): boolean {
  const { key_id: id, not_before: from, previous_key_id: previous } = object;
  const statement = Buffer.from(`everlog.key/v1\n${id}\n${from}\n${previous ?? ''}\n`);
  return object.signatures.some(
    ({ key_id, signature }) =>
      key_id === signerId && verify(null, statement, key, Buffer.from(signature, 'base64')),
  );
}
