import {
  GetPublicKeyCommand,
  KMSClient,
  KMSServiceException,
  SignCommand,
  type KMSClientConfig,
} from '@aws-sdk/client-kms';
import { createPublicKey, verify, type KeyObject } from 'node:crypto';
import type { Agent as HttpAgent } from 'node:http';
import type { Agent as HttpsAgent } from 'node:https';
import { giveUp, messageOf, retryable, type EverlogError } from '../../errors.ts';
import { DIGEST_BYTES_MAX } from '../formats/digest.ts';
import type { Signer } from '../ports.ts';
import { keyIdOf, pemOf } from './signer.ts';

export interface KmsSignerOptions {
  /** ARN of a key of spec `ECC_NIST_EDWARDS25519`, or of an alias of one. Its region is where the service is asked. */
  readonly keyArn: string;
  /** Else the SDK's own settings. */
  readonly endpoint?: string;
  /** Else the SDK's default chain. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** Agents to connect with, such as a proxy's. */
  readonly agents?: { readonly http?: HttpAgent; readonly https?: HttpsAgent };
}

/** A signer that holds a connection. */
export interface KmsSigner extends Signer {
  close(): void;
}

const ALGORITHM = 'ED25519_SHA_512';
/** A service that does not accept a connection for so long is not there. */
const CONNECT_TIMEOUT_MS = 5_000;
/** A signature takes some ten milliseconds; longer than this is a hang. */
const REQUEST_TIMEOUT_MS = 10_000;
/** Tries of one call, by the SDK, with its own waits: a seal is tried again as a whole. */
const TRIES_MAX = 3;
const SIGNATURE_BYTES = 64;
const ARN = /^arn:[a-z-]+:kms:([a-z0-9-]+):\d{12}:(key|alias)\/.{1,256}$/;
/** Names of errors that pass by themselves. */
const PASSING =
  /Throttling|LimitExceeded|TooManyRequests|Timeout|Unavailable|Internal|Dependency|ECONN|ENOTFOUND|EAI_AGAIN|EPIPE/;

/**
 * Opens a signer whose private key never leaves AWS KMS; asks for the public key.
 * @throws EverlogError `signing_key_invalid` for an ARN or key that is not fit, `signing_refused` (give up), `signing_unavailable` (retry)
 */
export async function openKmsSigner(options: KmsSignerOptions): Promise<KmsSigner> {
  const { keyArn } = options;
  const region = ARN.exec(keyArn)?.[1];
  if (region === undefined) {
    throw giveUp(
      'signing_key_invalid',
      'EVERLOG_SIGNING_KEY=awskms:… needs the ARN of a key or alias, as arn:aws:kms:REGION:ACCOUNT:key/ID',
    );
  }
  const client = new KMSClient(kmsConfig(options, region));
  try {
    const publicKey = await publicKeyOf(client, keyArn);
    return {
      keyId: keyIdOf(publicKey),
      publicKeyPem: pemOf(publicKey),
      sign: (bytes) => signBytes(client, keyArn, publicKey, bytes),
      close: () => client.destroy(),
    };
  } catch (error) {
    client.destroy();
    throw error;
  }
}

function kmsConfig(options: KmsSignerOptions, region: string): KMSClientConfig {
  const { endpoint, credentials, agents } = options;
  return {
    region,
    maxAttempts: TRIES_MAX,
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      throwOnRequestTimeout: true,
      ...(agents?.http === undefined ? {} : { httpAgent: agents.http }),
      ...(agents?.https === undefined ? {} : { httpsAgent: agents.https }),
    },
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials: { ...credentials } }),
  };
}

async function publicKeyOf(client: KMSClient, keyArn: string): Promise<KeyObject> {
  const found = await asked(keyArn, () => client.send(new GetPublicKeyCommand({ KeyId: keyArn })));
  if (found.SigningAlgorithms?.includes(ALGORITHM) !== true || found.PublicKey === undefined) {
    throw giveUp(
      'signing_key_invalid',
      `${keyArn} cannot sign ${ALGORITHM}: EVERLOG_SIGNING_KEY needs a key of spec ECC_NIST_EDWARDS25519 for signing`,
    );
  }
  const key = createPublicKey({ key: Buffer.from(found.PublicKey), format: 'der', type: 'spki' });
  if (key.asymmetricKeyType !== 'ed25519') {
    throw giveUp('signing_key_invalid', `${keyArn} is no Ed25519 key`);
  }
  return key;
}

/** What the service signed is checked here: nothing is committed under a signature that does not hold. */
async function signBytes(
  client: KMSClient,
  keyArn: string,
  publicKey: KeyObject,
  bytes: Uint8Array,
): Promise<Uint8Array> {
  if (bytes.byteLength > DIGEST_BYTES_MAX) throw new Error(`${bytes.byteLength} bytes to sign at once`);
  const answer = await asked(keyArn, () =>
    client.send(
      new SignCommand({ KeyId: keyArn, Message: bytes, MessageType: 'RAW', SigningAlgorithm: ALGORITHM }),
    ),
  );
  const signature = answer.Signature;
  if (signature?.byteLength !== SIGNATURE_BYTES || !verify(null, bytes, publicKey, signature)) {
    throw retryable(
      'signing_unavailable',
      `${keyArn}: the key service answered with no signature of its key`,
    );
  }
  return signature;
}

async function asked<T>(keyArn: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw toSigningError(keyArn, error);
  }
}

function toSigningError(keyArn: string, error: unknown): EverlogError {
  const name = error instanceof Error ? error.name : '';
  const status = error instanceof KMSServiceException ? (error.$metadata.httpStatusCode ?? 0) : 0;
  const isAnswer = error instanceof KMSServiceException && status >= 400 && status < 500;
  const what = `${keyArn}: ${name === '' ? 'failed' : name}: ${messageOf(error)}`;
  if (isAnswer && !PASSING.test(name)) {
    const cure = 'see that the key is enabled and that kms:GetPublicKey and kms:Sign are allowed';
    return giveUp('signing_refused', `${what}; ${cure}`, error);
  }
  if (name === 'CredentialsProviderError')
    return giveUp('signing_refused', `${what}; give AWS credentials`, error);
  return retryable('signing_unavailable', what, error);
}
