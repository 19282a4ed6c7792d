import type { S3Client } from '@aws-sdk/client-s3';
import { setTimeout as sleep } from 'node:timers/promises';
import { EverlogError, retryable } from '../../errors.ts';
import type { DirectRequests } from './direct.ts';
import { s3Error, type WriteHeader } from './errors.ts';

/** Tries of one call. The queue tries the whole job again, so more here would only hold its memory longer. */
const TRIES_MAX = 3;
/** First wait before another try, doubled for the next; a store that throttles asks for about this. */
const BACKOFF_BASE_MS = 250;

/** How objects are stored. */
export interface S3Settings {
  /** `bucket`: the bucket's default retention does it. */
  readonly lockMode: 'none' | 'GOVERNANCE' | 'COMPLIANCE' | 'bucket';
  readonly retentionDays: number;
  /** Null for the bucket's default encryption. */
  readonly kmsKeyId: string | null;
  /** For logs from 128 KiB; null for the bucket's default class. */
  readonly logStorageClass: string | null;
}

/** What every call to the bucket shares. */
export interface S3Context {
  readonly client: S3Client;
  readonly direct: DirectRequests;
  readonly bucket: string;
  /** Empty, or ending in `/`. */
  readonly prefix: string;
  readonly location: string;
  /** How long a call without a large body may take, and how long a body may stand still. */
  readonly requestTimeoutMs: number;
  readonly now: () => Date;
  readonly settings: S3Settings;
  /** Headers that this store was found not to take, and that are left out since. */
  readonly leftOut: Set<WriteHeader | 'x-amz-checksum-mode'>;
  /** Told of bytes of bodies as they are handed to the connection, those of further tries too. */
  readonly onUploadBytes: (bytes: number) => void;
  /** 0 up to 1. */
  readonly random: () => number;
}

/**
 * One call under a hard deadline: whatever the SDK does, this settles. Errors come as the SDK throws them. `run` MUST
 * hand the signal to the SDK, so that the connection is given up too.
 */
export async function callWithin<T>(
  context: S3Context,
  deadlineMs: number,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const giveUpCall = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(retryable('store_unavailable', `${context.location} did not answer within ${deadlineMs} ms`));
      giveUpCall.abort();
    }, deadlineMs);
  });
  try {
    return await Promise.race([run(giveUpCall.signal), deadline]);
  } finally {
    clearTimeout(timer);
  }
}

/** Runs `attempt` up to three times while the trouble is passing; throws `EverlogError`s only. `what` names the object or operation. */
export async function withTries<T>(
  context: S3Context,
  what: string,
  attempt: () => Promise<T>,
  triesMax = TRIES_MAX,
): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await attempt();
    } catch (error) {
      const failure = toStoreError(context, what, error);
      // Bytes that are not those announced will not be the second time either.
      const isFinal = failure.remedy.kind !== 'retry' || failure.code === 'object_corrupt';
      if (isFinal || tries >= triesMax) throw failure;
      const backoffMs = BACKOFF_BASE_MS * 2 ** (tries - 1);
      await sleep(backoffMs / 2 + context.random() * (backoffMs / 2));
    }
  }
}

/** A small call: deadline of one request, several tries. */
export async function call<T>(
  context: S3Context,
  what: string,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return withTries(context, what, () => callWithin(context, context.requestTimeoutMs, run));
}

/** Any failure of a call as what the port promises. */
export function toStoreError(context: S3Context, what: string, error: unknown): EverlogError {
  return error instanceof EverlogError ? error : s3Error(error, context.bucket, what);
}
