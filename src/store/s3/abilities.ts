import { GetBucketVersioningCommand, HeadObjectCommand } from '@aws-sdk/client-s3';
import type { HeadObjectCommandOutput } from '@aws-sdk/client-s3';
import { EverlogError, messageOf, retryable } from '../../errors.ts';
import type { PutResult, StoreAbilities } from '../object-store.ts';
import { bytesBody } from '../put-body.ts';
import { isAbsent } from './absence.ts';
import { call, callWithin, withTries } from './context.ts';
import type { S3Context } from './context.ts';
import { refusedHeaderIn, saysUnknownHeader, statusOf, type WriteHeader } from './errors.ts';
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
  const first = await putProbeAsTaken(context);
  if (context.leftOut.has('If-None-Match')) return confirmUnconditional(context);
  if (first.outcome === 'exists') return 'atomic';
  // Refused the first time: an earlier probe left the object. Stored twice: the condition is ignored.
  return (await putProbe(context)).outcome === 'exists' ? 'atomic' : 'checked';
}

/**
 * Stores the probe, leaving out headers that the store does not take: the signature covers the bytes all the same, and without
 * the condition objects are looked up before they are written.
 * @throws EverlogError the first refusal, where leaving out helps nothing
 */
async function putProbeAsTaken(context: S3Context): Promise<PutResult> {
  let refused: unknown = null;
  for (;;) {
    try {
      return await putProbe(context);
    } catch (error) {
      refused ??= error;
      const header = headerToLeaveOut(context, error);
      if (header === null) {
        context.leftOut.clear();
        throw refused;
      }
      context.leftOut.add(header);
    }
  }
}

/** The next header to try without: the one that the store names; the condition for 501, as stores mean it, else the checksum. */
function headerToLeaveOut({ leftOut }: S3Context, error: unknown): WriteHeader | null {
  if (!(error instanceof EverlogError) || !saysUnknownHeader(error.cause)) return null;
  const named = refusedHeaderIn(messageOf(error.cause));
  const usual: readonly WriteHeader[] = ['If-None-Match', 'x-amz-checksum-sha256'];
  const inTurn = statusOf(error.cause) === 501 ? usual : usual.toReversed();
  return [...(named === null ? [] : [named]), ...inTurn].find((header) => !leftOut.has(header)) ?? null;
}

/** Without the condition two writers can race, so that it is left out for no passing trouble. */
async function confirmUnconditional(context: S3Context): Promise<StoreAbilities['createOnly']> {
  context.leftOut.delete('If-None-Match');
  try {
    return (await putProbe(context)).outcome === 'exists' ? 'atomic' : 'checked';
  } catch (error) {
    if (!(error instanceof EverlogError) || !saysUnknownHeader(error.cause)) throw error;
    context.leftOut.add('If-None-Match');
    return 'checked';
  }
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

/** The same in one try. Errors come as the SDK throws them. */
async function headOnce(
  context: S3Context,
  key: string,
  versionId?: string,
): Promise<HeadObjectCommandOutput | null> {
  const isAsked = !context.leftOut.has('x-amz-checksum-mode');
  const place = {
    Bucket: context.bucket,
    Key: context.prefix + key,
    ...(isAsked ? { ChecksumMode: 'ENABLED' as const } : {}),
  };
  try {
    return await callWithin(context, context.requestTimeoutMs, async (abortSignal) =>
      context.client.send(
        new HeadObjectCommand(versionId === undefined ? place : { ...place, VersionId: versionId }),
        { abortSignal },
      ),
    );
  } catch (error) {
    const status = statusOf(error);
    if (saysNothing(status)) {
      if (await isAbsent(context, key, versionId)) return null;
      throw retryable('store_unavailable', `${context.location}: a HEAD of ${key} found nothing, a GET did`);
    }
    if (!saysUnknownHeader(error)) throw error;
    if (versionId !== undefined && status === 400 && (await isAbsent(context, key, versionId))) return null;
    if (isAsked) return headWithoutChecksum(context, key, versionId);
    throw error;
  }
}

/** What may mean that there is no object, or a delete marker, but has no words: nor is it known whether a store answered. */
function saysNothing(status: number | null): boolean {
  return status === 404 || status === 405;
}

/** The same for a store that may not know the header, which is left out from then on where that helped. */
async function headWithoutChecksum(
  context: S3Context,
  key: string,
  versionId: string | undefined,
): Promise<HeadObjectCommandOutput | null> {
  context.leftOut.add('x-amz-checksum-mode');
  try {
    const found = await headOnce(context, key, versionId);
    if (found === null) context.leftOut.delete('x-amz-checksum-mode');
    return found;
  } catch (error) {
    context.leftOut.delete('x-amz-checksum-mode');
    throw error;
  }
}
