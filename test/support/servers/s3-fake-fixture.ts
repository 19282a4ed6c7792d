import type { S3Client } from '@aws-sdk/client-s3';
import { randomUUID } from 'node:crypto';
import { onTestFinished } from 'vitest';
import { s3Client, type BucketOptions } from './s3-connection.ts';
import { startS3Fake, type S3Fake, type S3FakeOptions } from './s3-fake/s3-fake.ts';

/** A fake with one bucket of its own and a client, stopped when the test that asked has finished. */
export async function startWithBucket(
  bucket: BucketOptions = {},
  options: S3FakeOptions = {},
): Promise<{ fake: S3Fake; client: S3Client; Bucket: string }> {
  const fake = await startS3Fake(options);
  const client = s3Client(fake);
  onTestFinished(async () => {
    client.destroy();
    await fake.stop();
  });
  const Bucket = `bucket-${randomUUID()}`;
  await fake.createBucket(Bucket, bucket);
  return { fake, client, Bucket };
}

/** What an SDK error must match. */
export function failure(name: string, httpStatusCode: number): object {
  return { name, $metadata: { httpStatusCode } };
}
