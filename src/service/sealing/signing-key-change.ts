import { link, rename, rm } from 'node:fs/promises';
import type { ObjectStore } from '../../store/object-store.ts';
import type { Config } from '../../config.ts';
import type { SigningKeySetting } from '../../config/sealing-variables.ts';
import { giveUp } from '../../errors.ts';
import { openPemSigner } from '../../ledger/keys/signer.ts';
import { revokeKey, rotateKey, type SigningKey } from '../../ledger/keys/signing-keys.ts';
import { keyIn, newPrivateKeyPem, openSigner, writeNewKey, type OpenSigner } from './signing.ts';

export { listKeys, type SigningKey } from '../../ledger/keys/signing-keys.ts';

/** What a rotation was asked to make. */
export type NextKey =
  | { readonly kind: 'kms'; readonly arn: string }
  /** A new key in a file that is not there yet. */
  | { readonly kind: 'file'; readonly path: string }
  /** A new key in place of an embedded queue's own. */
  | { readonly kind: 'in_place' };

export interface Rotation {
  readonly key: SigningKey;
  /** What to set EVERLOG_SIGNING_KEY, or its file, to; null: the new key has taken the old one's place. */
  readonly set: { readonly variable: string; readonly value: string } | null;
  /** Where the old key of an embedded queue was kept; null: where it was. */
  readonly keptAt: string | null;
}

/** Characters of a key's id in a file's name. */
const ID_CHARACTERS = 16;

/**
 * Makes a new key the ledger's, signed by the configured one. The private key is in its file before the archive knows of it.
 * @throws EverlogError `usage` when a file is in the way; see `rotateKey` of the ledger for the rest
 */
export async function rotateTo(config: Config, store: ObjectStore, to: NextKey): Promise<Rotation> {
  const setting = settingOf(config);
  const current = await openCurrent(config, store, setting);
  try {
    if (to.kind === 'kms') {
      const next = await openSigner(to, config, store);
      try {
        const key = await rotateKey(store, { current: current.signer, next: next.signer }, new Date());
        return { key, set: { variable: 'EVERLOG_SIGNING_KEY', value: `awskms:${to.arn}` }, keptAt: null };
      } finally {
        next.close();
      }
    }
    const pem = newPrivateKeyPem();
    const next = openPemSigner(pem);
    const path = to.kind === 'file' ? to.path : besidePath(defaultPath(setting), next.keyId);
    if (!(await writeNewKey(path, pem)))
      throw giveUp('usage', `--to ${path}: there is something already, which is not overwritten`);
    const key = await rotateKey(store, { current: current.signer, next }, new Date()).catch(
      async (error: unknown) => {
        await rm(path, { force: true });
        throw error;
      },
    );
    if (to.kind === 'file')
      return { key, set: { variable: 'EVERLOG_SIGNING_KEY_FILE', value: path }, keptAt: null };
    const standing = defaultPath(setting);
    const keptAt = besidePath(standing, current.signer.keyId);
    await link(standing, keptAt);
    await rename(path, standing);
    return { key, set: null, keptAt };
  } finally {
    current.close();
  }
}

/** Says by the configured key that a key's digests are not to be believed from `at` on; see `revokeKey` of the ledger. */
export async function revoke(
  config: Config,
  store: ObjectStore,
  revocation: { readonly keyId: string; readonly reason: string; readonly at: Date },
): Promise<{ readonly byKeyId: string }> {
  const current = await openCurrent(config, store, settingOf(config));
  try {
    await revokeKey(store, { ...revocation, signer: current.signer });
    return { byKeyId: current.signer.keyId };
  } finally {
    current.close();
  }
}

function settingOf(config: Config): SigningKeySetting {
  if (config.sealing.signingKey === null) throw new Error('the command needs a signing key');
  return config.sealing.signingKey;
}

/** The configured key. One that would have to be made first is of no ledger. */
async function openCurrent(
  config: Config,
  store: ObjectStore,
  setting: SigningKeySetting,
): Promise<OpenSigner> {
  if (setting.kind === 'file' && (await keyIn(setting.path)) === null) {
    throw giveUp(
      'not_found',
      `there is no signing key at ${setting.path}: nothing was sealed yet, or EVERLOG_SIGNING_KEY is to be set`,
    );
  }
  return openSigner(setting, config, store);
}

function defaultPath(setting: SigningKeySetting): string {
  if (setting.kind === 'file') return setting.path;
  throw giveUp('usage', '--to is missing: give a new FILE or awskms:ARN');
}

/** `queue.signing-key.pem` → `queue.signing-key.<id>.pem`. */
function besidePath(path: string, keyId: string): string {
  return path.replace(/\.pem$/, `.${keyId.slice(0, ID_CHARACTERS)}.pem`);
}
