import { createPrivateKey } from 'node:crypto';
import { resolve } from 'node:path';
import type { QueueUrl } from '../queue/queue-url.ts';
import { ARCHIVE_URL_FORM, parseArchiveUrl, type ArchiveUrl } from './archive-url.ts';
import type { Variables } from './variables.ts';

/** What the ledger is written with. */
export interface SealingSettings {
  /** Null: this process writes none. */
  readonly signingKey: SigningKeySetting | null;
  /** A second place for digests, signatures and checkpoints. */
  readonly anchor: ArchiveUrl | null;
  /** An authority for RFC 3161 time stamps. */
  readonly timeStampUrl: string | null;
  readonly intervalMs: number;
}

export type SigningKeySetting =
  | { readonly kind: 'pem'; readonly pem: string }
  | { readonly kind: 'kms'; readonly arn: string }
  /** The key of an embedded queue, in a file beside its folder, made when it is first needed. */
  | { readonly kind: 'file'; readonly path: string };

export const SIGNING_KEY_CURE =
  'set it to the PEM of an Ed25519 private key (`openssl genpkey -algorithm ed25519`) or to awskms:ARN';

const HOUR_MS = 3_600_000;
const SECOND_MS = 1_000;
const KMS = 'awskms:';
const KMS_ARN = /^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:(key|alias)\/[A-Za-z0-9/_-]{1,256}$/;

/** Reads the settings of the ledger. */
export function readSealing(variables: Variables, queue: QueueUrl): SealingSettings {
  return {
    signingKey: readSigningKey(variables, queue),
    anchor: variables.parsed<ArchiveUrl | null>(
      'EVERLOG_ANCHOR_URL',
      null,
      parseArchiveUrl,
      ARCHIVE_URL_FORM,
    ),
    timeStampUrl: variables.parsed<string | null>('EVERLOG_TSA_URL', null, httpUrl, 'an http or https URL'),
    intervalMs: readInterval(variables),
  };
}

/** Digests name their interval in whole seconds. */
function readInterval(variables: Variables): number {
  const ms = variables.duration('EVERLOG_SEAL_INTERVAL', HOUR_MS);
  if (ms >= SECOND_MS && ms % SECOND_MS === 0) return ms;
  variables.problem('EVERLOG_SEAL_INTERVAL', 'is not a whole number of seconds, at least 1s');
  return HOUR_MS;
}

function readSigningKey(variables: Variables, queue: QueueUrl): SigningKeySetting | null {
  const text = variables.secret('EVERLOG_SIGNING_KEY')?.trim() ?? null;
  if (text === null) return queue.kind === 'embedded' ? defaultKey(queue.folder) : null;
  if (text.startsWith(KMS)) {
    const arn = text.slice(KMS.length);
    if (KMS_ARN.test(arn)) return { kind: 'kms', arn };
    variables.problem('EVERLOG_SIGNING_KEY', 'names no key: awskms:arn:aws:kms:REGION:ACCOUNT:key/ID');
    return null;
  }
  const pem = text.includes('\\n') ? text.replaceAll('\\n', '\n') : text;
  const problem = pemProblem(pem);
  if (problem === null) return { kind: 'pem', pem };
  variables.problem('EVERLOG_SIGNING_KEY', `${problem}: ${SIGNING_KEY_CURE}`);
  return null;
}

function defaultKey(queueFolder: string): SigningKeySetting {
  return { kind: 'file', path: `${resolve(queueFolder)}.signing-key.pem` };
}

/** What is wrong with a private key, without a word of it. */
function pemProblem(pem: string): string | null {
  if (pem.includes('ENCRYPTED')) return 'is encrypted, and there is nobody to ask for its password';
  try {
    const type = createPrivateKey(pem).asymmetricKeyType;
    return type === 'ed25519' ? null : `is a key of type ${type ?? 'unknown'}, not Ed25519`;
  } catch {
    return 'is no PEM of a private key';
  }
}

function httpUrl(text: string): string | null {
  const url = URL.canParse(text) ? new URL(text) : null;
  return url?.protocol === 'http:' || url?.protocol === 'https:' ? url.href : null;
}
