import { S3ServiceException } from '@aws-sdk/client-s3';
import { giveUp, messageOf, retryable } from '../../errors.ts';
import type { EverlogError } from '../../errors.ts';

/** The SDK has no code for this. */
const NO_REGION = 'Region is missing';
/** How much of a store's own explanation is quoted. */
const SENTENCE_CHARS_MAX = 300;

/** Codes that somebody has to act on, with what to do. Codes are S3's, the SDK's, OpenSSL's and the system's. */
const CURES: ReadonlyMap<string, string> = new Map([
  ['NoSuchBucket', 'create the bucket, or correct EVERLOG_ARCHIVE_URL'],
  ['InvalidBucketName', 'correct the bucket in EVERLOG_ARCHIVE_URL'],
  [
    'AccessDenied',
    'allow s3:ListBucket on the bucket and s3:GetObject and s3:PutObject on its objects (with a KMS key also its use)',
  ],
  ['AllAccessDisabled', 'ask the owner of the account why access to the bucket is disabled'],
  ['AccountProblem', 'ask the owner of the account'],
  ['InvalidAccessKeyId', 'the store does not know the access key: correct AWS_ACCESS_KEY_ID'],
  ['SignatureDoesNotMatch', 'correct AWS_SECRET_ACCESS_KEY (and AWS_REGION)'],
  ['InvalidToken', 'correct AWS_SESSION_TOKEN'],
  ['RequestTimeTooSkewed', "set this machine's clock"],
  ['AuthorizationHeaderMalformed', "set AWS_REGION to the bucket's region"],
  ['PermanentRedirect', "set AWS_REGION to the bucket's region"],
  ['IllegalLocationConstraintException', "set AWS_REGION to the bucket's region"],
  [
    'CredentialsProviderError',
    'give credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role',
  ],
  ['RegionMissing', 'set AWS_REGION'],
  ['InvalidStorageClass', 'correct EVERLOG_LOG_STORAGE_CLASS'],
  ['KMS.NotFoundException', 'correct EVERLOG_KMS_KEY_ID'],
  ['KMS.DisabledException', 'enable the KMS key'],
  ['InvalidRetentionPeriod', 'correct EVERLOG_RETENTION_DAYS'],
  [
    'ObjectLockConfigurationNotFoundError',
    'turn Object Lock on for the bucket, or set EVERLOG_LOCK_MODE=none',
  ],
  ['CERT_HAS_EXPIRED', "renew the store's certificate"],
  ['ERR_TLS_CERT_ALTNAME_INVALID', "the certificate names another host: correct the endpoint's URL"],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'name its CA in NODE_EXTRA_CA_CERTS'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'name its CA in NODE_EXTRA_CA_CERTS'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'name its CA in NODE_EXTRA_CA_CERTS'],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'name its CA in NODE_EXTRA_CA_CERTS'],
]);

/** What no access right mends: a setting is missing or wrong. */
const SETTING_CODES: ReadonlySet<string> = new Set(['RegionMissing', 'NoSuchBucket', 'InvalidBucketName']);

/** Refusals under 500 that pass by themselves: a race, a slow sender, a rotation of credentials under way, a bit flipped on the way. */
const PASSING_CODES: ReadonlySet<string> = new Set([
  'ConditionalRequestConflict',
  'OperationAborted',
  'RequestTimeout',
  'SlowDown',
  'Throttling',
  'ThrottlingException',
  'TooManyRequestsException',
  'RequestLimitExceeded',
  'ExpiredToken',
  'TokenRefreshRequired',
  'BadDigest',
  'XAmzContentSHA256Mismatch',
  'XAmzContentChecksumMismatch',
  'IncompleteBody',
]);

/** HTTP status of the store's answer, or null when it gave none. */
export function statusOf(error: unknown): number | null {
  return error instanceof S3ServiceException ? (error.$metadata.httpStatusCode ?? null) : null;
}

/** The store already has an object with this key. */
export function saysExists(error: unknown): boolean {
  return statusOf(error) === 412;
}

/** There is no such object or version (a delete marker answers 405), while the bucket itself is there. */
export function saysMissing(error: unknown): boolean {
  if (!(error instanceof S3ServiceException) || error.name === 'NoSuchBucket') return false;
  return error.$metadata.httpStatusCode === 404 || error.$metadata.httpStatusCode === 405;
}

/** Sorts a failed call into passing trouble and refusals that name the bucket and the cure. `what` is the object or operation. */
export function s3Error(error: unknown, bucket: string, what: string): EverlogError {
  const code = codeOf(error);
  const status = statusOf(error);
  const message = `bucket ${bucket}, ${what}: ${describe(error, code, status)}`;
  const cure = CURES.get(code) ?? cureByStatus(code, status);
  if (cure === null) return retryable('store_unavailable', message, error);
  const isSetting = SETTING_CODES.has(code);
  return giveUp(isSetting ? 'store_misconfigured' : 'store_refused', `${message}; ${cure}`, error);
}

function cureByStatus(code: string, status: number | null): string | null {
  if (status === null || status >= 500 || status === 408 || status === 429) {
    return status === 501 ? 'the store cannot do this: choose another, or other settings' : null;
  }
  if (PASSING_CODES.has(code)) return null;
  if (status === 403 || status === 401) return CURES.get('AccessDenied') ?? null;
  if (status === 301 || status === 307) return CURES.get('PermanentRedirect') ?? null;
  return 'check EVERLOG_ARCHIVE_URL and the settings of the bucket';
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  if (error instanceof S3ServiceException) return error.name;
  if ('code' in error && typeof error.code === 'string') return error.code;
  return error.message === NO_REGION ? 'RegionMissing' : error.name;
}

/** Of an answer: status, code, the store's own sentence made safe to show, and the id its support asks for. */
function describe(error: unknown, code: string, status: number | null): string {
  if (!(error instanceof S3ServiceException)) return messageOf(error) || code;
  const id = error.$metadata.requestId;
  const sentence =
    error.message === code ? '' : `: ${error.message.replace(/\p{C}/gu, ' ').slice(0, SENTENCE_CHARS_MAX)}`;
  return `the store answered ${status ?? 'without a status'} ${code}${id === undefined ? '' : ` (request ${id})`}${sentence}`;
}
