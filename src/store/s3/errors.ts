import { S3ServiceException } from '@aws-sdk/client-s3';
import { z } from 'zod';
import { EverlogError, messageOf } from '../../errors.ts';
import type { ErrorCode } from '../../errors.ts';

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
  [
    'InvalidAccessKeyId',
    'the store does not know the access key (yet, in a rotation): correct AWS_ACCESS_KEY_ID',
  ],
  ['SignatureDoesNotMatch', 'correct AWS_SECRET_ACCESS_KEY (and AWS_REGION)'],
  ['InvalidToken', 'correct AWS_SESSION_TOKEN'],
  ['ExpiredToken', 'renew AWS_SESSION_TOKEN, or the role that gives it'],
  ['RequestTimeTooSkewed', "set this machine's clock, or the store's"],
  ['QuotaExceeded', "the store's quota is used up: raise it, or make room"],
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

/**
 * Refusals under 500 that pass by themselves, or once somebody has acted on the store: a race, a slow sender, a rotation of
 * credentials under way, a clock being set, a quota being raised, a bit flipped on the way.
 */
const PASSING_CODES: ReadonlySet<string> = new Set([
  'ConditionalRequestConflict',
  'InvalidAccessKeyId',
  'RequestTimeTooSkewed',
  'OperationAborted',
  'RequestTimeout',
  'RequestLimitExceeded',
  'ExpiredToken',
  'TokenRefreshRequired',
  'BadDigest',
  'XAmzContentSHA256Mismatch',
  'XAmzContentChecksumMismatch',
  'IncompleteBody',
]);

/** Stores have many names for the same: `Throttling`, `SlowDownWrite`, `TooManyRequestsException`, `XMinioAdminBucketQuotaExceeded`. */
const THROTTLED = /throttl|slow_?down|too_?many_?requests|rate_?(?:limit_?)?exceeded|bandwidth|busy/i;
const QUOTA = /quota_?exceeded|quota_?limit/i;
/** Who asked is not known, or not yet. */
const WHO_CODES: ReadonlySet<string> = new Set(['InvalidAccessKeyId']);
/** Headers of a write that some stores do not take, though they store without them. */
export type WriteHeader = 'If-None-Match' | 'x-amz-checksum-sha256';

/** What stands for a code where the answer had none of S3's words: a HEAD's never has, and a page's is none. */
const NO_CODE =
  /^(?:|\d{3}|Unknown|UnknownError|Error|SyntaxError|Bad ?Request|Forbidden|Unauthorized|Not ?Found)$/;
const PAGE_CURE =
  'the answer has none of the words of S3: look for a proxy, an IP allow list or a gateway in between, or see whether the credentials have the rights';

const UNKNOWN_HEADER_CODES: ReadonlySet<string> = new Set([
  'InvalidArgument',
  'InvalidRequest',
  'NotImplemented',
  'UnsupportedArgument',
  'InvalidHeader',
]);

/** HTTP status of the store's answer, or null when it gave none. */
export function statusOf(error: unknown): number | null {
  if (error instanceof S3ServiceException) return error.$metadata.httpStatusCode ?? null;
  return answered.safeParse(error).data?.$metadata.httpStatusCode ?? null;
}

/** An answer that the SDK could not read, such as a page: it throws what its parser did, with the status beside it. */
const answered = z.object({ $metadata: z.object({ httpStatusCode: z.number() }) });

/** The store already has an object with this key. */
export function saysExists(error: unknown): boolean {
  return statusOf(error) === 412;
}

/** Whether the store does not do what was asked, as it does not know a header: 501, or 400 for no other reason that it names. */
export function saysUnknownHeader(error: unknown): boolean {
  const status = statusOf(error);
  if (status === 501) return true;
  const code = answerCode(error);
  return status === 400 && (NO_CODE.test(code) || UNKNOWN_HEADER_CODES.has(code));
}

/** Sorts a failed call into passing trouble and refusals that name the bucket and the cure. `what` is the object or operation. */
export function s3Error(error: unknown, bucket: string, what: string): EverlogError {
  const code = answerCode(error);
  const status = statusOf(error);
  const message = `bucket ${bucket}, ${what}: ${sentenceOf(error, code, status)}`;
  const { cure, passes } = classify(code, status, error);
  const text = cure === null ? message : `${message}; ${cure}`;
  return new EverlogError(
    errorCodeOf(code, status, passes),
    { kind: passes ? 'retry' : 'give_up' },
    text,
    error,
  );
}

/** What mends it, where that is known, and whether it may pass all the same. */
function classify(
  code: string,
  status: number | null,
  error: unknown,
): { cure: string | null; passes: boolean } {
  const cure = CURES.get(QUOTA.test(code) ? 'QuotaExceeded' : code) ?? null;
  if (QUOTA.test(code) || THROTTLED.test(code) || PASSING_CODES.has(code)) return { cure, passes: true };
  if (cure !== null) return { cure, passes: false };
  if (status === 501) return { cure: cannotDo(error), passes: false };
  if (status === null || status >= 500 || status === 408 || status === 429) return { cure, passes: true };
  if (NO_CODE.test(code)) return { cure: PAGE_CURE, passes: true };
  if (status === 403 || status === 401) return { cure: CURES.get('AccessDenied') ?? null, passes: false };
  if (status === 301 || status === 307)
    return { cure: CURES.get('PermanentRedirect') ?? null, passes: false };
  return { cure: 'check EVERLOG_ARCHIVE_URL and the settings of the bucket', passes: false };
}

function cannotDo(error: unknown): string {
  const header = refusedHeaderIn(messageOf(error));
  const what = header === null ? 'this' : `the header ${header}`;
  return `the store cannot do ${what}: choose another store, or other settings`;
}

/** The header of a write that a store's sentence says it does not take; null where it names none. */
export function refusedHeaderIn(sentence: string): WriteHeader | null {
  if (/if-none-match|conditional/i.test(sentence)) return 'If-None-Match';
  return /checksum/i.test(sentence) ? 'x-amz-checksum-sha256' : null;
}

function errorCodeOf(code: string, status: number | null, passes: boolean): ErrorCode {
  if (SETTING_CODES.has(code)) return 'store_misconfigured';
  if (status === 501) return 'store_unsuitable';
  const isWho = WHO_CODES.has(code) || (NO_CODE.test(code) && (status === 403 || status === 401));
  return passes && !isWho ? 'store_unavailable' : 'store_refused';
}

function answerCode(error: unknown): string {
  if (!(error instanceof Error)) return '';
  if (error instanceof S3ServiceException) return error.name;
  if (statusOf(error) !== null) return '';
  if ('code' in error && typeof error.code === 'string') return error.code;
  return error.message === NO_REGION ? 'RegionMissing' : error.name;
}

/** Of an answer: status, code, the store's own sentence made safe to show, and the id its support asks for. */
function sentenceOf(error: unknown, code: string, status: number | null): string {
  if (!(error instanceof S3ServiceException))
    return status === null ? messageOf(error) || code : `the store answered ${status} with a page`;
  const id = error.$metadata.requestId;
  const sentence =
    error.message === code ? '' : `: ${error.message.replace(/\p{C}/gu, ' ').slice(0, SENTENCE_CHARS_MAX)}`;
  return `the store answered ${status ?? 'without a status'} ${code}${id === undefined ? '' : ` (request ${id})`}${sentence}`;
}
