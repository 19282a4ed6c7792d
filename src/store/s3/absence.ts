import { GetObjectCommand, S3ServiceException } from '@aws-sdk/client-s3';
import { Readable } from 'node:stream';
import { z } from 'zod';
import { callWithin, type S3Context } from './context.ts';
import { statusOf } from './errors.ts';

/**
 * Absence is a statement: that a log is missing, that a job has no record. It rests on the store's own words alone, which no
 * proxy, console or other server in its place has.
 */
const NOTHING_CODES: ReadonlySet<string> = new Set(['NoSuchKey', 'NoSuchVersion']);
/**
 * How stores name the argument that they refuse, as an id that cannot be one of theirs: S3, MinIO, versitygw and Swift answer
 * InvalidArgument, "Invalid version id specified"; Ceph answers NoSuchKey.
 */
const VERSION_ID = /version[-_ ]?id/i;
const argument = z.object({ ArgumentName: z.string() });

/**
 * Whether the store itself says that there is no such object, or no such version of it where one was asked for: a delete marker
 * counts as none. The answer to a HEAD has no words, and so never says it: `isAbsent` asks again.
 */
export function saysAbsent(error: unknown, versionId: string | null | undefined): boolean {
  if (!(error instanceof S3ServiceException)) return false;
  const status = statusOf(error);
  if (status === 404) return NOTHING_CODES.has(error.name);
  if (versionId === null || versionId === undefined) return false;
  if (status === 405) return error.name === 'MethodNotAllowed';
  const named = argument.safeParse(error).data?.ArgumentName ?? '';
  return status === 400 && VERSION_ID.test(`${error.name} ${named} ${error.message}`);
}

/**
 * Asks for a byte of an object, in one try, and answers whether there is none: what it costs to have the store's own words.
 * Errors come as the SDK throws them.
 */
export async function isAbsent(context: S3Context, key: string, versionId?: string): Promise<boolean> {
  const place = { Bucket: context.bucket, Key: context.prefix + key, Range: 'bytes=0-0' };
  try {
    await callWithin(context, context.requestTimeoutMs, async (abortSignal) => {
      const { Body } = await context.client.send(
        new GetObjectCommand(versionId === undefined ? place : { ...place, VersionId: versionId }),
        { abortSignal },
      );
      if (Body instanceof Readable) Body.destroy();
    });
  } catch (error) {
    if (saysAbsent(error, versionId)) return true;
    // An object of no bytes has none to give.
    if (error instanceof S3ServiceException && error.name === 'InvalidRange') return false;
    throw error;
  }
  return false;
}
