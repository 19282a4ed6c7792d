import { GetObjectCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import type { HeadObjectCommandOutput, S3ClientConfig } from '@aws-sdk/client-s3';
import type { Agent as HttpAgent } from 'node:http';
import type { Agent as HttpsAgent } from 'node:https';
import { Readable } from 'node:stream';
import { giveUp, retryable } from '../../errors.ts';
import { relayBody } from '../object-body.ts';
import { checkObjectKey } from '../object-key.ts';
import { OBJECT_BYTES_MAX } from '../object-store.ts';
import type {
  ObjectHead,
  ObjectStore,
  PutBody,
  PutOptions,
  PutResult,
  StoreAbilities,
} from '../object-store.ts';
import { headObject, probeAbilities } from './abilities.ts';
import { isAbsent, saysAbsent } from './absence.ts';
import { clockOf } from './clock.ts';
import { call, callWithin, toStoreError, withTries } from './context.ts';
import type { S3Context, S3Settings } from './context.ts';
import { openDirectRequests } from './direct.ts';
import { watchListing } from './listing-answer.ts';
import { listObjects, listObjectVersions } from './listing.ts';
import { readRange } from './ranges.ts';
import { lockOf, removeVersion, setLegalHold } from './locks.ts';
import { putOnce, versionIdOf } from './upload.ts';

/** A store that does not even accept a connection for so long is not there. */
const CONNECT_TIMEOUT_MS = 5000;
/** A small request, or a pause within a large one, longer than this is a hang. */
const REQUEST_TIMEOUT_MS = 30_000;
/** Readiness is asked for often and must answer soon. */
const PING_DEADLINE_MS = 5000;
/** Above any concurrency set: a request that waits for a connection would count as one that cannot connect. */
const CONNECTIONS_MAX = 512;

const SILENT = { trace: noWord, debug: noWord, info: noWord, warn: noWord, error: noWord };

export interface S3StoreOptions {
  readonly bucket: string;
  /** Where the archive begins in the bucket, with or without slashes around it; empty for all of it. */
  readonly prefix: string;
  readonly forcePathStyle: boolean;
  /** Else the SDK's own settings; `us-east-1` where an endpoint is given. */
  readonly region?: string;
  /** Else the SDK's own settings. */
  readonly endpoint?: string;
  /** Else the SDK's default chain. */
  readonly credentials?: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  };
  readonly lockMode?: S3Settings['lockMode'];
  /** Needed by `GOVERNANCE` and `COMPLIANCE`. */
  readonly retentionDays?: number;
  readonly kmsKeyId?: string;
  readonly logStorageClass?: string;
  /** Agents to connect with, such as a proxy's; closed with the store. They MUST allow as many connections as there are jobs at once. */
  readonly agents?: { readonly http?: HttpAgent; readonly https?: HttpsAgent };
  /** 30 s. Larger bodies get more in all, but may not stand still for longer. */
  readonly requestTimeoutMs?: number;
  readonly now?: () => Date;
  /** 0 up to 1; spreads the waits between tries. */
  readonly random?: () => number;
  /** Told of bytes of bodies as they are handed to the connection, those of further tries too. */
  readonly onUploadBytes?: (bytes: number) => void;
}

/**
 * Opens an archive in a bucket of any S3-compatible store; calls nothing yet. Writes are conditional where the store honours
 * `If-None-Match`, which the first write or `abilities()` finds out by storing `probe/create-only` below the prefix.
 * @throws EverlogError `config_invalid` for a lock without a retention
 */
export function openS3Store(options: S3StoreOptions): ObjectStore {
  const context = openContext(options);
  let known: Promise<StoreAbilities> | null = null;
  const abilities = async (): Promise<StoreAbilities> => {
    known ??= probeAbilities(context);
    const asked = known;
    try {
      return await asked;
    } catch (error) {
      if (known === asked) known = null;
      throw error;
    }
  };
  return {
    location: context.location,
    canKeepVersions: true,
    abilities,
    putIfAbsent: async (key, body, putOptions) => {
      checkObjectKey(key);
      const { createOnly } = await abilities();
      if (body.bytes > OBJECT_BYTES_MAX) {
        throw giveUp('store_refused', `${key} has ${body.bytes} bytes, more than one PUT may carry`);
      }
      const isThere = async (): Promise<boolean> => !(await isAbsent(context, key));
      const looksFirst = createOnly === 'checked' ? isThere : async (): Promise<boolean> => false;
      return putWhole(context, key, body, putOptions, looksFirst);
    },
    head: async (key, versionId) => {
      checkObjectKey(key);
      const found = await headObject(context, key, versionId);
      return found === null ? null : objectHead(context, key, found);
    },
    read: async (key, versionId) => {
      checkObjectKey(key);
      return openObject(context, key, versionId);
    },
    readRange: async (key, range, pin) => {
      checkObjectKey(key);
      return readRange(context, key, range, pin);
    },
    list: (prefix, startAfter = '') => listObjects(context, prefix, startAfter),
    listVersions: (prefix) => listObjectVersions(context, prefix),
    lockOf: async (key, versionId) => {
      checkObjectKey(key);
      return lockOf(context, key, versionId);
    },
    setLegalHold: async (key, versionId, held) => {
      checkObjectKey(key);
      return setLegalHold(context, key, versionId, held);
    },
    remove: async (key, versionId, { bypassGovernance }) => {
      checkObjectKey(key);
      return removeVersion(context, key, versionId, bypassGovernance);
    },
    clock: async () => clockOf(context),
    ping: async () => ping(context),
    close: async () => context.client.destroy(),
  };
}

function openContext(options: S3StoreOptions): S3Context {
  const { bucket, lockMode = 'none', retentionDays = 0 } = options;
  const trimmed = options.prefix.replace(/^\/+|\/+$/g, '');
  if ((lockMode === 'GOVERNANCE' || lockMode === 'COMPLIANCE') && retentionDays <= 0) {
    throw giveUp('config_invalid', `EVERLOG_LOCK_MODE=${lockMode} needs EVERLOG_RETENTION_DAYS`);
  }
  const client = new S3Client(clientConfig(options));
  return {
    client,
    direct: openDirectRequests(client),
    bucket,
    prefix: trimmed === '' ? '' : `${trimmed}/`,
    location: `s3://${bucket}${trimmed === '' ? '' : `/${trimmed}`}`,
    requestTimeoutMs: options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
    settings: {
      lockMode,
      retentionDays,
      kmsKeyId: options.kmsKeyId ?? null,
      logStorageClass: options.logStorageClass ?? null,
    },
    leftOut: new Set(),
    now: options.now ?? ((): Date => new Date()),
    random: options.random ?? Math.random,
    onUploadBytes: options.onUploadBytes ?? ((): void => {}),
  };
}

function clientConfig(options: S3StoreOptions): S3ClientConfig {
  const region = options.region ?? (options.endpoint === undefined ? undefined : 'us-east-1');
  const { agents, endpoint, credentials, forcePathStyle } = options;
  return {
    forcePathStyle,
    // Our own tries: a body has to be opened again for each, and a refused condition is an answer.
    maxAttempts: 1,
    // Each PUT names its SHA-256; more would be work for both sides, and some stores know no other.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // The SDK's own default writes warnings to the console; what it has to say comes back as errors.
    logger: SILENT,
    requestHandler: {
      logger: SILENT,
      connectionTimeout: Math.min(CONNECT_TIMEOUT_MS, options.requestTimeoutMs ?? CONNECT_TIMEOUT_MS),
      httpAgent: agents?.http ?? { maxSockets: CONNECTIONS_MAX },
      httpsAgent: agents?.https ?? { maxSockets: CONNECTIONS_MAX },
    },
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials: { ...credentials } }),
  };
}

function noWord(): void {}

/** Each try looks first where the store does not: an earlier one may have stored the object although its answer was lost. */
async function putWhole(
  context: S3Context,
  key: string,
  body: PutBody,
  options: PutOptions,
  isThere: () => Promise<boolean>,
): Promise<PutResult> {
  return withTries(context, key, async () => {
    if (await isThere()) return { outcome: 'exists' };
    return putOnce(context, key, body, options);
  });
}

async function openObject(
  context: S3Context,
  key: string,
  versionId: string | undefined,
): Promise<{ head: ObjectHead; body: Readable } | null> {
  const place = { Bucket: context.bucket, Key: context.prefix + key };
  const found = await call(context, key, async (abortSignal) => {
    try {
      return await context.client.send(
        new GetObjectCommand(versionId === undefined ? place : { ...place, VersionId: versionId }),
        { abortSignal },
      );
    } catch (error) {
      if (saysAbsent(error, versionId)) return null;
      throw error;
    }
  });
  if (found === null) return null;
  if (!(found.Body instanceof Readable))
    throw retryable('store_unavailable', `${key}: an answer without a body`);
  const translate = (error: unknown) => toStoreError(context, key, error);
  return {
    head: objectHead(context, key, found),
    body: relayBody(found.Body, translate, context.requestTimeoutMs),
  };
}

function objectHead(
  context: S3Context,
  key: string,
  found: Pick<
    HeadObjectCommandOutput,
    'ContentLength' | 'VersionId' | 'LastModified' | 'Metadata' | 'ChecksumSHA256' | 'ChecksumType'
  >,
): ObjectHead {
  if (found.ContentLength === undefined || found.LastModified === undefined) {
    throw retryable('store_unavailable', `${context.location}: an answer without length or date for ${key}`);
  }
  return {
    key,
    bytes: found.ContentLength,
    versionId: versionIdOf(found.VersionId),
    lastModified: found.LastModified,
    metadata: { ...found.Metadata },
    sha256: found.ChecksumType === 'COMPOSITE' ? null : checksumHex(found.ChecksumSHA256),
  };
}

/** A checksum of parts is not one of the bytes; where its type is not named, its `-<parts>` gives it away. */
function checksumHex(base64: string | undefined): string | null {
  if (base64 === undefined || !/^[A-Za-z0-9+/]{43}=$/.test(base64)) return null;
  return Buffer.from(base64, 'base64').toString('hex');
}

async function ping(context: S3Context): Promise<void> {
  try {
    const deadlineMs = Math.min(PING_DEADLINE_MS, context.requestTimeoutMs);
    await callWithin(context, deadlineMs, (abortSignal) => {
      const { bucket, prefix } = context;
      const command = new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, MaxKeys: 1 });
      watchListing(command, context.location, 'ListBucketResult');
      return context.client.send(command, { abortSignal });
    });
  } catch (error) {
    throw toStoreError(context, 'listing', error);
  }
}
