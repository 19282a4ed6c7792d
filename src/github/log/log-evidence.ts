import { headerText, type Headers } from '../rate-limit.ts';

/**
 * Whether a log host's 404 or 410 is the word of a store that knows its objects. Azure, S3, GCS and MinIO name the error in XML and
 * sign their answers with a request id; GitHub Enterprise Server, which serves logs itself, answers in JSON. A page of a proxy or
 * gateway, or an answer that says nothing, is no evidence that a log is not there.
 */

/** Headers that only stores of logs and GitHub itself send. */
const STORE_HEADERS = [
  'x-ms-request-id',
  'x-ms-error-code',
  'x-amz-request-id',
  'x-minio-error-code',
  'x-guploader-uploadid',
  'x-github-request-id',
  'x-vss-e2eid',
  'activityid',
] as const;
const PAGE = /^\s*text\/html\b/i;
const XML_CODE = /<Error>[\s\S]*<Code>\s*\w+\s*<\/Code>/;

/** `body` is the beginning of the answer's body. */
export function isStoresOwn(headers: Headers, body: string): boolean {
  if (PAGE.test(headerText(headers, 'content-type') ?? '')) return false;
  if (STORE_HEADERS.some((name) => headerText(headers, name) !== null)) return true;
  return XML_CODE.test(body) || hasMessage(body);
}

function hasMessage(body: string): boolean {
  try {
    const value: unknown = JSON.parse(body.replace(/^\uFEFF/, ''));
    return typeof value === 'object' && value !== null && 'message' in value;
  } catch {
    return false;
  }
}
