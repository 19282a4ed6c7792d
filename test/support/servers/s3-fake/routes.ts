import { isKnownChecksum } from './body.ts';
import { Bucket } from './bucket.ts';
import {
  deleteObjects,
  getObjectLock,
  getVersioning,
  putObjectLock,
  putVersioning,
} from './bucket-settings.ts';
import { listObjects, listVersions } from './listing.ts';
import {
  deleteObject,
  getLegalHold,
  getObject,
  getRetention,
  putLegalHold,
  putObject,
  putRetention,
  type ServerState,
} from './objects.ts';
import { S3Error, type S3Request, type S3Response } from './protocol.ts';

const KEY_MAX_BYTES = 1024;
/** Query parameters that name what a request is about rather than how it is answered. */
const SUBRESOURCES = ['delete', 'legal-hold', 'object-lock', 'retention', 'versioning', 'versions'] as const;
const PARAMETERS = new Set([
  'continuation-token',
  'delimiter',
  'encoding-type',
  'key-marker',
  'list-type',
  'max-keys',
  'prefix',
  'start-after',
  'version-id-marker',
  'versionId',
  'x-id',
]);
const UNDERSTOOD_HEADERS = new Set([
  'x-amz-bucket-object-lock-enabled',
  'x-amz-bypass-governance-retention',
  'x-amz-checksum-algorithm',
  'x-amz-checksum-mode',
  'x-amz-checksum-type',
  'x-amz-content-sha256',
  'x-amz-date',
  'x-amz-decoded-content-length',
  'x-amz-object-lock-legal-hold',
  'x-amz-object-lock-mode',
  'x-amz-object-lock-retain-until-date',
  'x-amz-sdk-checksum-algorithm',
  'x-amz-server-side-encryption',
  'x-amz-server-side-encryption-aws-kms-key-id',
  'x-amz-server-side-encryption-bucket-key-enabled',
  'x-amz-server-side-encryption-context',
  'x-amz-storage-class',
  'x-amz-trailer',
  'x-amz-user-agent',
]);

export interface RoutedState extends ServerState {
  readonly buckets: Map<string, Bucket>;
}

type BucketOperation = (
  state: ServerState,
  bucket: Bucket,
  request: S3Request,
) => S3Response | Promise<S3Response>;

/** By method, level (bucket or object) and subresource. */
const OPERATIONS: Readonly<Record<string, BucketOperation>> = {
  'GET bucket versioning': (_, bucket) => getVersioning(bucket),
  'PUT bucket versioning': putVersioning,
  'GET bucket object-lock': (_, bucket) => getObjectLock(bucket),
  'PUT bucket object-lock': putObjectLock,
  'GET bucket versions': (_, bucket, request) => listVersions(bucket, request),
  'POST bucket delete': deleteObjects,
  'HEAD bucket': () => ({ status: 200 }),
  'GET bucket': (_, bucket, request) => {
    if (request.query.get('list-type') === '2') return listObjects(bucket, request);
    throw new S3Error('NotImplemented', 'Only version 2 of the listing');
  },
  'GET object': (_, bucket, request) => getObject(bucket, request),
  'HEAD object': (_, bucket, request) => getObject(bucket, request),
  'PUT object': putObject,
  'DELETE object': deleteObject,
  'GET object retention': (_, bucket, request) => getRetention(bucket, request),
  'PUT object retention': putRetention,
  'GET object legal-hold': (_, bucket, request) => getLegalHold(bucket, request),
  'PUT object legal-hold': putLegalHold,
};

/** Carries out one signed request. What this server does not model is refused with 501, never ignored. */
export async function route(state: RoutedState, request: S3Request): Promise<S3Response> {
  refuseNotUnderstood(request);
  const level = request.key === '' ? 'bucket' : 'object';
  const subresource = SUBRESOURCES.find((name) => request.query.has(name));
  if (request.bucket === '') throw new S3Error('NotImplemented', 'Requests to the service itself');
  if (level === 'bucket' && subresource === undefined) {
    if (request.method === 'PUT') return putBucket(state, request);
    if (request.method === 'DELETE') return deleteBucket(state, request);
  }
  const bucket = state.buckets.get(request.bucket);
  if (bucket === undefined) throw new S3Error('NoSuchBucket', 'The specified bucket does not exist');
  const name = [request.method, level, ...(subresource === undefined ? [] : [subresource])].join(' ');
  const operation = OPERATIONS[name];
  if (operation === undefined) throw new S3Error('NotImplemented', name);
  return operation(state, bucket, request);
}

export function makeBucket(state: RoutedState, name: string, objectLock: boolean): Bucket {
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name)) {
    throw new S3Error('InvalidBucketName', 'The specified bucket is not valid.');
  }
  if (state.buckets.has(name)) {
    throw new S3Error('BucketAlreadyOwnedByYou', 'Your previous request to create the bucket succeeded');
  }
  const bucket = new Bucket(name, state.nowMs());
  bucket.objectLock = objectLock;
  if (objectLock) bucket.versioning = 'Enabled';
  state.buckets.set(name, bucket);
  return bucket;
}

function putBucket(state: RoutedState, request: S3Request): S3Response {
  makeBucket(state, request.bucket, request.headers['x-amz-bucket-object-lock-enabled'] === 'true');
  return { status: 200, headers: { location: `/${request.bucket}` } };
}

function deleteBucket(state: RoutedState, request: S3Request): S3Response {
  const bucket = state.buckets.get(request.bucket);
  if (bucket === undefined) throw new S3Error('NoSuchBucket', 'The specified bucket does not exist');
  if (!bucket.isEmpty) throw new S3Error('BucketNotEmpty', 'The bucket you tried to delete is not empty');
  state.buckets.delete(request.bucket);
  return { status: 204 };
}

function refuseNotUnderstood(request: S3Request): void {
  const subresources: readonly string[] = SUBRESOURCES;
  for (const name of request.query.keys()) {
    if (!subresources.includes(name) && !PARAMETERS.has(name)) {
      throw new S3Error('NotImplemented', `The query parameter ${name}`);
    }
  }
  for (const name of Object.keys(request.headers)) {
    if (!name.startsWith('x-amz-') || name.startsWith('x-amz-meta-')) continue;
    if (!UNDERSTOOD_HEADERS.has(name) && !isKnownChecksum(name)) {
      throw new S3Error('NotImplemented', `The header ${name}`);
    }
  }
  const conditions = ['if-modified-since', 'if-unmodified-since'];
  if (request.method === 'DELETE') conditions.push('if-match', 'if-none-match');
  for (const name of conditions) {
    if (name in request.headers) throw new S3Error('NotImplemented', `${request.method} with ${name}`);
  }
  if (Buffer.byteLength(request.key) > KEY_MAX_BYTES) {
    throw new S3Error('KeyTooLongError', 'Your key is too long');
  }
}
