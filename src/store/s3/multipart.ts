import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { CompletedPart } from '@aws-sdk/client-s3';
import { createHash } from 'node:crypto';
import { giveUp, retryable } from '../../errors.ts';
import { checkedChunks } from '../object-body.ts';
import type { PutBody, PutOptions, PutResult } from '../object-store.ts';
import { call, callWithin, toStoreError, withTries } from './context.ts';
import type { S3Context } from './context.ts';
import { saysExists, saysMissing } from './errors.ts';
import { classHeader, objectFields, setHeaders, uploadDeadlineMs, versionIdOf } from './upload.ts';

/** One part is held in memory, so that another try needs no second reading; 10,000 of these are 160 GiB. */
const PART_BYTES = 16 * 1024 * 1024;
/** S3's limits. */
const PARTS_MAX = 10_000;
const OBJECT_BYTES_MAX = 5 * 1024 ** 4;
/** Putting thousands of parts together takes S3 minutes. */
const COMPLETE_DEADLINE_MS = 10 * 60 * 1000;

interface Upload {
  readonly Bucket: string;
  readonly Key: string;
  readonly UploadId: string;
}

/**
 * Stores an object too large for one PUT, in parts one after another. The object appears whole at the end, under
 * `If-None-Match: *`. After a failure the parts are thrown away, and once the object stands those that a killed process left.
 * `isThere` looks the key up: before the bytes are sent, and once more before the end, because some stores honour the
 * condition for a PUT and ignore it there. One try each time.
 */
export async function putInParts(
  context: S3Context,
  key: string,
  body: PutBody,
  options: PutOptions,
  isThere: () => Promise<boolean>,
): Promise<PutResult> {
  if (body.bytes > OBJECT_BYTES_MAX) {
    throw giveUp('store_refused', `${key} has ${body.bytes} bytes, more than S3 stores in one object`);
  }
  const result: PutResult = (await withTries(context, key, isThere))
    ? { outcome: 'exists' }
    : await upload(context, key, body, options, isThere);
  await abandonLeftovers(context, key);
  return result;
}

async function upload(
  context: S3Context,
  key: string,
  body: PutBody,
  options: PutOptions,
  isThere: () => Promise<boolean>,
): Promise<PutResult> {
  const begun = await begin(context, key, body, options);
  let result: PutResult | null = null;
  try {
    const parts = await sendParts(context, begun, key, body);
    result = await complete(context, begun, key, parts, isThere);
    return result;
  } catch (error) {
    // Another process that had the same job has stored the object and thrown away what we had sent.
    if (await isThere().catch(() => false)) return { outcome: 'exists' };
    throw error;
  } finally {
    if (result?.outcome !== 'created') await abandon(context, begun, key);
  }
}

async function begin(context: S3Context, key: string, body: PutBody, options: PutOptions): Promise<Upload> {
  const place = { Bucket: context.bucket, Key: context.prefix + key };
  const command = new CreateMultipartUploadCommand({
    ...objectFields(context, key, options),
    ...place,
    ChecksumAlgorithm: 'SHA256',
  });
  setHeaders(command, classHeader(context, body, options));
  // One try: a second one after an answer that was lost would leave an upload that nobody can end.
  const begun = await withTries(
    context,
    key,
    () =>
      callWithin(context, context.requestTimeoutMs, (abortSignal) =>
        context.client.send(command, { abortSignal }),
      ),
    1,
  );
  if (begun.UploadId === undefined) throw retryable('store_unavailable', `${key}: the store named no upload`);
  return { ...place, UploadId: begun.UploadId };
}

async function sendParts(
  context: S3Context,
  upload: Upload,
  key: string,
  body: PutBody,
): Promise<CompletedPart[]> {
  const partBytes = Math.max(PART_BYTES, Math.ceil(body.bytes / PARTS_MAX));
  const buffer = Buffer.allocUnsafe(partBytes);
  const parts: CompletedPart[] = [];
  let filled = 0;
  const flush = async (): Promise<void> => {
    parts.push(await sendPart(context, upload, key, parts.length + 1, buffer.subarray(0, filled)));
    filled = 0;
  };
  try {
    for await (const chunk of checkedChunks(key, body)) {
      for (let at = 0; at < chunk.byteLength;) {
        const copied = chunk.copy(buffer, filled, at);
        filled += copied;
        at += copied;
        if (filled === partBytes) await flush();
      }
    }
    if (filled > 0) await flush();
  } catch (error) {
    throw toStoreError(context, key, error);
  }
  return parts;
}

async function sendPart(
  context: S3Context,
  upload: Upload,
  key: string,
  PartNumber: number,
  bytes: Buffer,
): Promise<CompletedPart> {
  const sha256 = createHash('sha256').update(bytes).digest();
  const ChecksumSHA256 = sha256.toString('base64');
  const sent = await withTries(context, key, () => {
    const command = new UploadPartCommand({
      ...upload,
      PartNumber,
      Body: bytes,
      ContentLength: bytes.byteLength,
      ChecksumSHA256,
    });
    setHeaders(command, { 'x-amz-content-sha256': sha256.toString('hex') });
    context.onUploadBytes(bytes.byteLength);
    return callWithin(context, uploadDeadlineMs(context, bytes.byteLength), (abortSignal) =>
      context.client.send(command, { abortSignal }),
    );
  });
  return {
    PartNumber,
    ETag: sent.ETag,
    // Stores that do not know the checksum refuse to be told it again.
    ...(sent.ChecksumSHA256 === undefined ? {} : { ChecksumSHA256: sent.ChecksumSHA256 }),
  };
}

async function complete(
  context: S3Context,
  upload: Upload,
  key: string,
  Parts: CompletedPart[],
  isThere: () => Promise<boolean>,
): Promise<PutResult> {
  return withTries(context, key, async () => {
    if (await isThere()) return { outcome: 'exists' };
    try {
      const stored = await callWithin(context, COMPLETE_DEADLINE_MS, (abortSignal) =>
        context.client.send(
          new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts }, IfNoneMatch: '*' }),
          { abortSignal },
        ),
      );
      return { outcome: 'created', versionId: versionIdOf(stored.VersionId) };
    } catch (error) {
      if (saysExists(error)) return { outcome: 'exists' };
      // The upload is gone: an earlier try had ended it and its answer was lost.
      if (saysMissing(error) && (await isThere())) return { outcome: 'exists' };
      throw error;
    }
  });
}

/** A failure here must not hide the one before it; the bucket's rule for incomplete uploads removes what stays. */
async function abandon(context: S3Context, upload: Upload, key: string): Promise<void> {
  try {
    await call(context, key, (abortSignal) =>
      context.client.send(new AbortMultipartUploadCommand(upload), { abortSignal }),
    );
  } catch {
    // An upload that a lost answer had already ended is gone, which is what is wanted.
  }
}

/**
 * Uploads of an object that stands can only fail: whoever begins one and dies leaves parts that nobody sees and everybody pays
 * for. Where the right to list them is missing, the bucket's rule for incomplete uploads removes them later.
 */
async function abandonLeftovers(context: S3Context, key: string): Promise<void> {
  const place = { Bucket: context.bucket, Key: context.prefix + key };
  try {
    const { Uploads = [] } = await call(context, key, (abortSignal) =>
      context.client.send(new ListMultipartUploadsCommand({ Bucket: place.Bucket, Prefix: place.Key }), {
        abortSignal,
      }),
    );
    for (const { Key, UploadId } of Uploads) {
      if (Key === place.Key && UploadId !== undefined) await abandon(context, { ...place, UploadId }, key);
    }
  } catch {
    // The object is stored, which is what was asked for.
  }
}
