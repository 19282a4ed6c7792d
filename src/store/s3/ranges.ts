import { GetObjectCommand, S3ServiceException } from '@aws-sdk/client-s3';
import { Readable } from 'node:stream';
import { retryable } from '../../errors.ts';
import { checkRange, RANGE_BYTES_MAX } from '../object-store.ts';
import type { ByteRange, ObjectPin, RangeRead } from '../object-store.ts';
import { saysAbsent } from './absence.ts';
import { headObject } from './abilities.ts';
import { call } from './context.ts';
import type { S3Context } from './context.ts';
import { statusOf } from './errors.ts';
import { versionIdOf } from './upload.ts';
import { gatherBytes } from '../../gather-bytes.ts';

const NOT_THE_PINNED_ONE = 'PreconditionFailed';
const RANGE_NOT_SATISFIABLE = 416;

/** Reads a part of an object with one request; a store that answers with the whole object is at fault. */
export async function readRange(
  context: S3Context,
  key: string,
  range: ByteRange,
  pin: ObjectPin | undefined,
): Promise<RangeRead | null> {
  checkRange(range);
  return call(context, key, async (abortSignal) => {
    try {
      return await getRange(context, key, range, pin, abortSignal);
    } catch (error) {
      if (saysAbsent(error, pin?.versionId)) return null;
      if (error instanceof S3ServiceException && error.name === NOT_THE_PINNED_ONE) return null;
      if (statusOf(error) === RANGE_NOT_SATISFIABLE) return behindTheEnd(context, key, pin);
      throw error;
    }
  });
}

async function getRange(
  context: S3Context,
  key: string,
  range: ByteRange,
  pin: ObjectPin | undefined,
  abortSignal: AbortSignal,
): Promise<RangeRead> {
  const found = await context.client.send(
    new GetObjectCommand({
      Bucket: context.bucket,
      Key: context.prefix + key,
      Range: 'last' in range ? `bytes=-${range.last}` : `bytes=${range.from}-${range.to - 1}`,
      ...pinned(pin),
    }),
    { abortSignal },
  );
  const [, first, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(found.ContentRange ?? '') ?? [];
  if (first === undefined || total === undefined || !(found.Body instanceof Readable)) {
    if (found.Body instanceof Readable) found.Body.destroy();
    throw retryable(
      'store_unavailable',
      `${context.location} answered a range of ${key} with something else`,
    );
  }
  const tooLong = (): Error => new Error(`a range of ${key} is longer than asked for`);
  const bytes = await gatherBytes(found.Body, RANGE_BYTES_MAX, tooLong);
  if (bytes.byteLength !== found.ContentLength) {
    throw retryable('store_unavailable', `a range of ${key} was cut short`);
  }
  const etag = found.ETag ?? null;
  return {
    bytes,
    from: Number(first),
    total: Number(total),
    pin: { versionId: versionIdOf(found.VersionId), etag },
  };
}

function pinned(pin: ObjectPin | undefined): { VersionId?: string; IfMatch?: string } {
  const { versionId = null, etag = null } = pin ?? {};
  return {
    ...(versionId === null ? {} : { VersionId: versionId }),
    ...(etag === null ? {} : { IfMatch: etag }),
  };
}

/** An empty object has no range at all, and a range may begin behind an object's end. */
async function behindTheEnd(
  context: S3Context,
  key: string,
  pin: ObjectPin | undefined,
): Promise<RangeRead | null> {
  const head = await headObject(context, key, pin?.versionId ?? undefined);
  const etag = head?.ETag ?? null;
  if (head?.ContentLength === undefined || (pin !== undefined && pin.etag !== null && pin.etag !== etag))
    return null;
  const total = head.ContentLength;
  const found = { versionId: versionIdOf(head.VersionId), etag };
  return { bytes: Buffer.alloc(0), from: total, total, pin: found };
}
