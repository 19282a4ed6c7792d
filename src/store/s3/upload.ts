import { PutObjectCommand } from '@aws-sdk/client-s3';
import type { PutObjectCommandInput } from '@aws-sdk/client-s3';
import { pipeline } from 'node:stream';
import type { Readable } from 'node:stream';
import { retryable } from '../../errors.ts';
import { asStream, bodyMismatch, checkingStream } from '../object-body.ts';
import type { PutBody, PutOptions, PutResult } from '../object-store.ts';
import { callWithin } from './context.ts';
import type { S3Context } from './context.ts';
import { saysExists } from './errors.ts';
import type { CommandWithStack } from './direct.ts';

/** Bodies in memory up to this size go out in one write and need no watch. */
const SMALL_BODY_BYTES = 1024 * 1024;
/** An upload slower than this counts as hung even while it moves: 5 GiB then take at most 6 h. */
const UPLOAD_BYTES_PER_SECOND_MIN = 256 * 1024;
/** Smaller objects cost more in the infrequent-access classes than in the standard one. */
const STORAGE_CLASS_BYTES_MIN = 128 * 1024;
const DAY_MS = 24 * 60 * 60 * 1000;

/** What the archive promises never to change, and so locks; the probe object and the index are not. */
const LOCKED_ROOTS = ['v1/', 'ledger/'];

/** How long sending `bytes` may take in all. */
function uploadDeadlineMs(context: S3Context, bytes: number): number {
  return context.requestTimeoutMs + Math.ceil((bytes / UPLOAD_BYTES_PER_SECOND_MIN) * 1000);
}

/** One PUT under `If-None-Match: *`, where the store takes that. Errors come as the SDK throws them. */
export async function putOnce(
  context: S3Context,
  key: string,
  body: PutBody,
  options: PutOptions,
): Promise<PutResult> {
  try {
    const stored = await sendUpload(context, key, body, async (Body, abortSignal) => {
      if (Body instanceof Uint8Array && context.direct.isReady()) {
        return putDirectly(context, key, body, Body, options, abortSignal);
      }
      const command = new PutObjectCommand({
        ...objectFields(context, key, options),
        Bucket: context.bucket,
        Key: context.prefix + key,
        Body,
        ContentLength: body.bytes,
        ...(context.leftOut.has('x-amz-checksum-sha256') ? {} : { ChecksumSHA256: base64Of(body.sha256) }),
        ...(context.leftOut.has('If-None-Match') ? {} : { IfNoneMatch: '*' }),
      });
      // The hash is known: the signature covers the bytes without reading them again, over plain http too.
      setHeaders(command, { ...classHeader(context, body, options), 'x-amz-content-sha256': body.sha256 });
      context.direct.learnFrom(command, context.prefix + key);
      return context.client.send(command, { abortSignal });
    });
    return { outcome: 'created', versionId: versionIdOf(stored.VersionId) };
  } catch (error) {
    if (saysExists(error)) return { outcome: 'exists' };
    throw error;
  }
}

/** The same request as the command's. */
async function putDirectly(
  context: S3Context,
  key: string,
  body: PutBody,
  bytes: Uint8Array,
  options: PutOptions,
  signal: AbortSignal,
): Promise<{ readonly VersionId: string | undefined }> {
  const headers = {
    ...fieldHeaders(objectFields(context, key, options)),
    ...classHeader(context, body, options),
    ...(context.leftOut.has('x-amz-checksum-sha256')
      ? {}
      : { 'x-amz-checksum-sha256': base64Of(body.sha256) }),
    // Signed: the store compares it with the bytes, whether it keeps a checksum or not.
    'x-amz-content-sha256': body.sha256,
    ...(context.leftOut.has('If-None-Match') ? {} : { 'if-none-match': '*' }),
  };
  const path = context.prefix + key;
  const stored = await context.direct.send({ method: 'PUT', path, headers, body: bytes }, signal);
  return { VersionId: stored.headers['x-amz-version-id'] };
}

function base64Of(hex: string): string {
  return Buffer.from(hex, 'hex').toString('base64');
}

/** Stores without versions, and objects from before they were turned on, have none (S3 says `null` in words). */
export function versionIdOf(versionId: string | undefined): string | null {
  return versionId === undefined || versionId === '' || versionId === 'null' ? null : versionId;
}

/** What a PUT says of an object beside its bytes. */
function objectFields(
  context: S3Context,
  key: string,
  options: PutOptions,
): Pick<
  PutObjectCommandInput,
  | 'ContentType'
  | 'Metadata'
  | 'ServerSideEncryption'
  | 'SSEKMSKeyId'
  | 'BucketKeyEnabled'
  | 'ObjectLockMode'
  | 'ObjectLockRetainUntilDate'
> {
  const { lockMode, retentionDays, kmsKeyId } = context.settings;
  const isLocked = lockMode === 'GOVERNANCE' || lockMode === 'COMPLIANCE';
  const isLockedRoot = LOCKED_ROOTS.some((root) => key.startsWith(root));
  const usual = isLockedRoot ? new Date(context.now().getTime() + retentionDays * DAY_MS) : null;
  const retainUntil = options.retainUntil ?? usual;
  return {
    ContentType: options.contentType,
    ...(options.metadata === undefined ? {} : { Metadata: { ...options.metadata } }),
    ...(kmsKeyId === null
      ? {}
      : { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: kmsKeyId, BucketKeyEnabled: true }),
    ...(isLocked && retainUntil !== null
      ? { ObjectLockMode: lockMode, ObjectLockRetainUntilDate: retainUntil }
      : {}),
  };
}

type ObjectFields = ReturnType<typeof objectFields>;

const FIELD_HEADERS: Readonly<Record<string, string>> = {
  ContentType: 'content-type',
  ServerSideEncryption: 'x-amz-server-side-encryption',
  SSEKMSKeyId: 'x-amz-server-side-encryption-aws-kms-key-id',
  BucketKeyEnabled: 'x-amz-server-side-encryption-bucket-key-enabled',
  ObjectLockMode: 'x-amz-object-lock-mode',
  ObjectLockRetainUntilDate: 'x-amz-object-lock-retain-until-date',
} satisfies Record<Exclude<keyof ObjectFields, 'Metadata'>, string>;

/** The fields as the SDK writes them into headers. */
function fieldHeaders({ Metadata, ...fields }: ObjectFields): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [field, value] of Object.entries(fields)) {
    const header = FIELD_HEADERS[field];
    if (header === undefined || value === undefined) throw new Error(`no header for ${field}`);
    headers[header] = value instanceof Date ? value.toISOString() : String(value);
  }
  for (const [name, value] of Object.entries(Metadata ?? {})) headers[`x-amz-meta-${name}`] = value;
  return headers;
}

/** As a header, because stores have classes that the SDK's types do not know. */
function classHeader(context: S3Context, body: PutBody, options: PutOptions): Record<string, string> {
  const { logStorageClass } = context.settings;
  if (logStorageClass === null || options.kind !== 'log' || body.bytes < STORAGE_CLASS_BYTES_MIN) return {};
  return { 'x-amz-storage-class': logStorageClass };
}

/** Adds headers to a command before it is signed. */
function setHeaders(command: CommandWithStack<'build'>, headers: Readonly<Record<string, string>>): void {
  command.middlewareStack.add(
    (next) => (args) => {
      if ('request' in args && hasHeaders(args.request)) Object.assign(args.request.headers, headers);
      return next(args);
    },
    { step: 'build', name: 'everlogHeaders' },
  );
}

function hasHeaders(request: unknown): request is { headers: Record<string, string> } {
  return typeof request === 'object' && request !== null && 'headers' in request;
}

/** Opens the body and sends it: under a deadline by size, given up sooner when it stands still or breaks. */
async function sendUpload<T>(
  context: S3Context,
  key: string,
  body: PutBody,
  put: (body: Uint8Array | Readable, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const opened = body.open();
  if (opened instanceof Uint8Array && opened.byteLength !== body.bytes) {
    throw bodyMismatch(key, `${opened.byteLength} bytes in memory, ${body.bytes} announced`);
  }
  if (opened instanceof Uint8Array && opened.byteLength <= SMALL_BODY_BYTES) {
    context.onUploadBytes(opened.byteLength);
    return callWithin(context, context.requestTimeoutMs, async (signal) => put(opened, signal));
  }
  return callWithin(context, uploadDeadlineMs(context, body.bytes), async (signal) =>
    sendWatched(context, key, body, asStream(opened), async (stream, stop) =>
      put(stream, AbortSignal.any([signal, stop])),
    ),
  );
}

async function sendWatched<T>(
  context: S3Context,
  key: string,
  body: PutBody,
  source: Readable,
  put: (stream: Readable, stop: AbortSignal) => Promise<T>,
): Promise<T> {
  const stop = new AbortController();
  let movedAt = performance.now();
  const counted = checkingStream(key, body, {
    hashed: false,
    onBytes: (bytes) => {
      movedAt = performance.now();
      context.onUploadBytes(bytes);
    },
  });
  let fail: (error: unknown) => void = () => {};
  const failed = new Promise<never>((_resolve, reject) => {
    fail = (error) => {
      reject(error instanceof Error ? error : new Error(String(error)));
      stop.abort();
    };
  });
  const stallMs = context.requestTimeoutMs;
  const watch = setInterval(
    () => {
      if (performance.now() - movedAt < stallMs) return;
      fail(
        retryable('store_unavailable', `${context.location}: sending ${key} stood still for ${stallMs} ms`),
      );
    },
    Math.max(1, stallMs / 4),
  );
  pipeline(source, counted, (error) => {
    if (error) fail(error);
  });
  try {
    return await Promise.race([put(counted, stop.signal), failed]);
  } finally {
    clearInterval(watch);
    // What the request has not read after all: the store may answer early.
    failed.catch(() => {});
    counted.destroy();
  }
}
