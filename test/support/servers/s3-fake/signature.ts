import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { decode, queryPairs, S3Error, uriEncode, type S3Request } from './protocol.ts';

/** AWS refuses a request whose date is further off than this. */
const CLOCK_SKEW_MAX_MS = 15 * 60 * 1000;
const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/;

export interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
}

/**
 * Checks a request's Signature Version 4 from its own bytes, as AWS would. Throws the S3Error AWS would answer.
 * Signed links (in the query) are not accepted.
 */
export function verifySignature(request: S3Request, users: readonly Credentials[], nowMs: number): void {
  const authorization = request.headers['authorization'];
  if (authorization === undefined) throw new S3Error('AccessDenied', 'Anonymous access is not allowed');
  const match = AUTHORIZATION.exec(authorization);
  if (match === null) throw new S3Error('InvalidArgument', 'The Authorization header is malformed');
  const [, accessKeyId = '', day = '', region = '', signedHeaders = '', signature = ''] = match;
  const credentials = users.find((user) => user.accessKeyId === accessKeyId);
  if (credentials === undefined) {
    throw new S3Error('InvalidAccessKeyId', 'The access key id does not exist');
  }
  const stamp = request.headers['x-amz-date'] ?? '';
  checkTime(stamp, day, nowMs);
  const signed = signedHeaders.split(';');
  checkSignedHeaders(request, signed);
  const scope = `${day}/${region}/s3/aws4_request`;
  const digest = createHash('sha256').update(canonicalRequest(request, signed)).digest('hex');
  const text = `AWS4-HMAC-SHA256\n${stamp}\n${scope}\n${digest}`;
  let key: Buffer = Buffer.from(`AWS4${credentials.secretAccessKey}`);
  for (const part of [day, region, 's3', 'aws4_request', text]) {
    key = createHmac('sha256', key).update(part).digest();
  }
  if (!timingSafeEqual(key, Buffer.from(signature, 'hex'))) {
    throw new S3Error('SignatureDoesNotMatch', 'The signature does not match the request');
  }
}

function checkTime(stamp: string, day: string, nowMs: number): void {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(stamp);
  if (match === null || !stamp.startsWith(day)) {
    throw new S3Error('AccessDenied', 'The request needs an x-amz-date of the day it was signed for');
  }
  const [, year, month, date, hour, minute, second] = match.map(Number);
  const signedMs = Date.UTC(year ?? 0, (month ?? 1) - 1, date, hour, minute, second);
  if (Math.abs(nowMs - signedMs) > CLOCK_SKEW_MAX_MS) {
    throw new S3Error('RequestTimeTooSkewed', 'The request was signed too far from the server time');
  }
}

function checkSignedHeaders(request: S3Request, signed: readonly string[]): void {
  const mustBeSigned = Object.keys(request.headers).filter(
    (name) => name === 'host' || name.startsWith('x-amz-'),
  );
  const missing = mustBeSigned.filter((name) => !signed.includes(name));
  if (missing.length > 0) {
    throw new S3Error('AccessDenied', `There were headers that were not signed: ${missing.join(', ')}`);
  }
  if (request.headers['x-amz-content-sha256'] === undefined) {
    throw new S3Error('InvalidRequest', 'Missing required header: x-amz-content-sha256');
  }
}

function canonicalRequest(request: S3Request, signed: readonly string[]): string {
  const path = request.rawPath
    .split('/')
    .map((segment) => uriEncode(decode(segment)))
    .join('/');
  const query = queryPairs(request.rawQuery)
    .map(([name, value]) => [uriEncode(name), uriEncode(value)] as const)
    .sort(([nameA, valueA], [nameB, valueB]) =>
      nameA === nameB ? order(valueA, valueB) : order(nameA, nameB),
    )
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
  const headers = signed.map((name) => {
    const value = request.headers[name] ?? '';
    return `${name}:${value.trim().replaceAll(/ +/g, ' ')}\n`;
  });
  const payload = request.headers['x-amz-content-sha256'] ?? '';
  return [request.method, path, query, headers.join(''), signed.join(';'), payload].join('\n');
}

function order(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
