import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import { randomUUID } from 'node:crypto';

export interface S3Reach {
  /** For example `http://127.0.0.1:8080`; buckets are addressed by path. */
  endpoint: string;
  accessKeyId: string;
  secretAccessKey: string;
  region: 'us-east-1';
}

/** What a test needs to know of an S3 server; plain data, so that it can cross from one process to another. */
export interface S3Coordinates extends S3Reach {
  kind: 'ceph' | 'fake' | 'given';
  /**
   * Whether `If-None-Match: *` on a PUT is honoured (412) in every bucket, versioned ones too.
   * False where it is ignored there: the PUT overwrites and answers 200, as on Ceph 16.
   */
  honoursCreateOnly: boolean;
}

export interface BucketOptions {
  versioning?: boolean;
  /** Implies versioning. */
  objectLock?: boolean;
}

export interface S3Server extends S3Coordinates {
  createBucket(name: string, options?: BucketOptions): Promise<void>;
  /** Ends a server that was started here; leaves a given one alone. */
  stop(): Promise<void>;
}

/** An SDK client as Everlog's own tests use it: path style, and no retries that would hide an answer. */
export function s3Client(server: S3Reach): S3Client {
  return new S3Client({
    endpoint: server.endpoint,
    region: server.region,
    credentials: { accessKeyId: server.accessKeyId, secretAccessKey: server.secretAccessKey },
    forcePathStyle: true,
    maxAttempts: 1,
  });
}

/** A server that is up, with the methods tests use. */
export function s3Server(coordinates: S3Coordinates, stop: () => Promise<void>): S3Server {
  return {
    ...coordinates,
    createBucket: async (name, options) => createBucket(coordinates, name, options),
    stop,
  };
}

/**
 * Finds out by trying whether the server honours `If-None-Match: *` in a versioned bucket, where some ignore it
 * without a word: each version is a new object to them.
 */
export async function probeCreateOnly(reach: S3Reach): Promise<boolean> {
  const client = s3Client(reach);
  const object = { Bucket: `everlog-probe-${randomUUID()}`, Key: 'probe' };
  try {
    await createBucket(reach, object.Bucket, { versioning: true });
    const first = await client.send(new PutObjectCommand({ ...object, Body: 'first' }));
    const second = await putUnlessRefused(client, object);
    for (const { VersionId } of [first, ...(second === 'refused' ? [] : [second])]) {
      await client.send(new DeleteObjectCommand({ ...object, VersionId }));
    }
    await client.send(new DeleteBucketCommand({ Bucket: object.Bucket }));
    return second === 'refused';
  } finally {
    client.destroy();
  }
}

async function putUnlessRefused(
  client: S3Client,
  object: { Bucket: string; Key: string },
): Promise<{ VersionId?: string | undefined } | 'refused'> {
  try {
    return await client.send(new PutObjectCommand({ ...object, Body: 'second', IfNoneMatch: '*' }));
  } catch (error) {
    if (error instanceof S3ServiceException && error.$metadata.httpStatusCode === 412) return 'refused';
    throw error;
  }
}

async function createBucket(reach: S3Reach, name: string, options: BucketOptions = {}): Promise<void> {
  const client = s3Client(reach);
  try {
    await client.send(
      new CreateBucketCommand({
        Bucket: name,
        ...(options.objectLock ? { ObjectLockEnabledForBucket: true } : {}),
      }),
    );
    if (options.versioning === true && options.objectLock !== true) {
      await client.send(
        new PutBucketVersioningCommand({ Bucket: name, VersioningConfiguration: { Status: 'Enabled' } }),
      );
    }
  } finally {
    client.destroy();
  }
}
