import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { link, open, readFile, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DIGESTS_ROOT } from '../../archive/keys.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import type { Config } from '../../config.ts';
import type { SigningKeySetting } from '../../config/sealing-variables.ts';
import { codeOf, giveUp, messageOf } from '../../errors.ts';
import { openPemSigner } from '../../ledger/keys/signer.ts';
import type { Signer } from '../../ledger/ports.ts';
import { makeFolders } from '../../folders.ts';

/** A signer, and the end of its connections. */
export interface OpenSigner {
  readonly signer: Signer;
  close(): void;
}

/**
 * Opens the key that a setting names. The key of an embedded queue is made when it is not there, unless the archive has
 * digests, which another key has signed.
 * @throws EverlogError `config_invalid`, `signing_key_invalid`, `signing_refused` (give up), `signing_unavailable` (retry)
 */
export async function openSigner(
  setting: SigningKeySetting,
  config: Pick<Config, 'proxies'>,
  store: Pick<ObjectStore, 'list' | 'location'>,
): Promise<OpenSigner> {
  if (setting.kind === 'kms') {
    const { openKmsSigner } = await import('../../ledger/keys/kms-signer.ts');
    const { proxyAgents } = await import('../../store/s3/proxy.ts');
    const agents = proxyAgents(config.proxies);
    const signer = await openKmsSigner({
      keyArn: setting.arn,
      ...(agents === undefined ? {} : { agents }),
    });
    return { signer, close: () => signer.close() };
  }
  const pem = setting.kind === 'pem' ? setting.pem : await standingKey(setting.path, store);
  return { signer: openPemSigner(pem), close: () => undefined };
}

/** A new private key, PEM. */
export function newPrivateKeyPem(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

async function standingKey(path: string, store: Pick<ObjectStore, 'list' | 'location'>): Promise<string> {
  const standing = await keyIn(path);
  if (standing !== null) return standing;
  if (await hasDigests(store)) {
    throw giveUp(
      'config_invalid',
      `EVERLOG_SIGNING_KEY is missing: ${store.location} has digests already, and the key that this queue would use is not at ${path}. Put it back there, or set EVERLOG_SIGNING_KEY to a key of that ledger.`,
    );
  }
  // Of two that make it at once, one does, and both use that one.
  await writeNewKey(path, newPrivateKeyPem());
  const made = await keyIn(path);
  if (made === null) throw new Error(`the signing key at ${path} is gone as soon as it was made`);
  return made;
}

/** The private key in a file; null where there is none. */
export async function keyIn(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw giveUp('config_invalid', `the signing key at ${path} cannot be read: ${messageOf(error)}`);
  }
}

async function hasDigests(store: Pick<ObjectStore, 'list'>): Promise<boolean> {
  for await (const { key } of store.list(DIGESTS_ROOT)) return key !== '';
  return false;
}

/**
 * Writes a private key to a file that only its owner can read, whole or not at all. Answers false and changes nothing where
 * there is one.
 * @throws EverlogError `config_invalid` when it cannot be written
 */
export async function writeNewKey(path: string, pem: string): Promise<boolean> {
  const temporary = `${path}.${randomBytes(8).toString('hex')}`;
  try {
    await makeFolders(dirname(path));
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(pem);
      await file.sync();
    } finally {
      await file.close();
    }
    await link(temporary, path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw giveUp('config_invalid', `the signing key cannot be written to ${path}: ${messageOf(error)}`);
  } finally {
    await rm(temporary, { force: true });
  }
}
