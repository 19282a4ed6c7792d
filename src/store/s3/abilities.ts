import {
  GetBucketVersioningCommand,
  GetObjectCommand,
  HeadObjectCommand,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import type { HeadObjectCommandOutput } from '@aws-sdk/client-s3';
import { Readable } from 'node:stream';
import { EverlogError, retryable } from '../../errors.ts';
import type { PutResult, StoreAbilities } from '../object-store.ts';
import { bytesBody } from '../put-body.ts';
import { call, callWithin, withTries } from './context.ts';
import type { S3Context } from './context.ts';
import { saysMissing, statusOf } from './errors.ts';
import { putOnce, versionIdOf } from './upload.ts';

/** Written once per archive; not locked, and no part of the evidence. */
const PROBE_KEY = 'probe/create-only';
const PROBE_BODY = bytesBody(
  Buffer.from('Everlog stores this to learn whether the store refuses a second object of the same name.\n'),
);

/** Tries out what the bucket does with a second object, and asks whether it keeps versions. */
export async function probeAbilities(context: S3Context): Promise<StoreAbilities> {
  const createOnly = await probeCreateOnly(context);
  return { createOnly, versions: await keepsVersions(context) };
}

async function probeCreateOnly(context: S3Context): Promise<StoreAbilities['createOnly']> {
  // Refused the first time: an earlier probe left the object. Stored twice: the condition is ignored.
  for (let put = 1; put <= 2; put += 1) {
    const { outcome } = await putProbe(context);
    if (outcome === 'exists') return 'atomic';
  }
  return 'checked';
}

async function putProbe(context: S3Context): Promise<PutResult> {
  return withTries(context, PROBE_KEY, async () =>
    putOnce(context, PROBE_KEY, PROBE_BODY, { contentType: 'text/plain', kind: 'other' }),
  );
}

/** Credentials may hold no right to ask; then the version of the probe object tells. */
async function keepsVersions(context: S3Context): Promise<boolean> {
  try {
    const answer = await call(context, 'asking for versioning', (abortSignal) =>
      context.client.send(new GetBucketVersioningCommand({ Bucket: context.bucket }), { abortSignal }),
    );
    return answer.Status === 'Enabled';
  } catch (error) {
    if (!(error instanceof EverlogError) || error.code !== 'store_refused') throw error;
  }
  const probe = await headObject(context, PROBE_KEY);
  return versionIdOf(probe?.VersionId) !== null;
}

/** The headers of a version, the newest unless one is named, with its checksum; null when there is none. */
export async function headObject(
  context: S3Context,
  key: string,
  versionId?: string,
): Promise<HeadObjectCommandOutput | null> {
  return withTries(context, key, async () => headOnce(context, key, versionId));
}

/** The same in one try, for use within another's tries. Errors come as the SDK throws them. */
export async function headOnce(
  context: S3Context,
  key: string,
  versionId?: string,
): Promise<HeadObjectCommandOutput | null> {
  const place = { Bucket: context.bucket, Key: context.prefix + key, ChecksumMode: 'ENABLED' } as const;
  try {
    return await callWithin(context, context.requestTimeoutMs, async (abortSignal) =>
      context.client.send(
        new HeadObjectCommand(versionId === undefined ? place : { ...place, VersionId: versionId }),
        { abortSignal },
      ),
    );
  } catch (error) {
    if (saysMissing(error)) return null;
    if (versionId === undefined || statusOf(error) !== 400) throw error;
    await refuseUnlessForeign(context, key, versionId);
    return null;
  }
}

/** The answer to a HEAD has no code. An id that cannot be the store's, as in an archive that was moved, is no failure; the rest is. */
async function refuseUnlessForeign(context: S3Context, key: string, versionId: string): Promise<void> {
  try {
    await callWithin(context, context.requestTimeoutMs, async (abortSignal) => {
      const { Body } = await context.client.send(
        new GetObjectCommand({
          Bucket: context.bucket,
          Key: context.prefix + key,
          VersionId: versionId,
          Range: 'bytes=0-0',
        }),
        { abortSignal },
      );
      if (Body instanceof Readable) Body.destroy();
    });
  } catch (error) {
    const isForeign = error instanceof S3ServiceException && error.name === 'InvalidArgument';
    if (!isForeign && !saysMissing(error)) throw error;
    return;
  }
  throw retryable('store_unavailable', `${context.location}: ${key} was refused, and given when asked again`);
}
