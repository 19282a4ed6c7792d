import { createHash, createPrivateKey, createPublicKey, sign, type KeyObject } from 'node:crypto';
import { giveUp } from '../../errors.ts';
import type { Signer } from '../ports.ts';

/**
 * A signer whose private key is in memory.
 * @throws EverlogError `signing_key_invalid` when the PEM holds no Ed25519 private key; the message holds nothing of it.
 */
export function openPemSigner(pem: string): Signer {
  const privateKey = parsePrivateKey(pem);
  const publicKey = createPublicKey(privateKey);
  return {
    keyId: keyIdOf(publicKey),
    publicKeyPem: pemOf(publicKey),
    sign: (bytes) => Promise.resolve(sign(null, bytes, privateKey)),
  };
}

function parsePrivateKey(pem: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    throw giveUp(
      'signing_key_invalid',
      'EVERLOG_SIGNING_KEY is no unencrypted PEM of a private key: make one with `openssl genpkey -algorithm ed25519`',
    );
  }
  if (key.asymmetricKeyType !== 'ed25519') {
    throw giveUp(
      'signing_key_invalid',
      `EVERLOG_SIGNING_KEY is a key of type ${key.asymmetricKeyType ?? 'unknown'}, not Ed25519: make one with \`openssl genpkey -algorithm ed25519\``,
    );
  }
  return key;
}

/** What a key is known by: SHA-256 of its SPKI (DER), lower-case hex. */
export function keyIdOf(publicKey: KeyObject): string {
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}

/** The SPKI as PEM. */
export function pemOf(publicKey: KeyObject): string {
  return publicKey.export({ type: 'spki', format: 'pem' }).toString();
}
