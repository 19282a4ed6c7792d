import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutObjectCommand,
  PutObjectLegalHoldCommand,
  type ListObjectsV2CommandOutput,
  type S3Client,
} from '@aws-sdk/client-s3';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { s3Client, type S3Server } from '../support/servers/s3-connection.ts';
import { startS3Fake } from '../support/servers/s3-fake/s3-fake.ts';
import { runS3, SERVICE_HOOK_TIMEOUT_MS } from '../support/servers/services.ts';

/** Keys that servers and clients escape differently if they escape them wrongly. */
const ODD_KEYS = [
  "a//b/../ü +%~&=?!'()*.json",
  'a b/c+d%2Fe',
  'host=github.com/dt=2020-01-20/<>"&.gz',
  '😀/\uFFFD',
];

// What the fake and a real server must do alike: where they differ, the fake proves nothing.
describe.each([
  { name: 'the HTTP fake', start: startS3Fake },
  { name: 'the S3 server of this run', start: runS3 },
])('$name', ({ start }) => {
  let server: S3Server;
  let client: S3Client;

  beforeAll(async () => {
    server = await start();
    client = s3Client(server);
  }, SERVICE_HOOK_TIMEOUT_MS);

  afterAll(async () => {
    client?.destroy();
    await server?.stop();
  });

  async function bucket(...options: [options?: Parameters<S3Server['createBucket']>[1]]): Promise<string> {
    const name = `basics-${randomUUID()}`;
    await server.createBucket(name, ...options);
    return name;
  }

  test('stores and gives back bytes, metadata and type', async () => {
    const object = { Bucket: await bucket(), Key: 'plain' };
    const Body = randomBytes(3 * 1024 * 1024);
    const put = await client.send(
      new PutObjectCommand({
        ...object,
        Body,
        ContentType: 'application/gzip',
        Metadata: { sha256: 'abc', bytes: '5' },
        ChecksumSHA256: createHash('sha256').update(Body).digest('base64'),
      }),
    );
    expect(put.ETag).toBe(`"${createHash('md5').update(Body).digest('hex')}"`);
    const head = await client.send(new HeadObjectCommand(object));
    expect(head).toMatchObject({
      ContentLength: Body.length,
      ContentType: 'application/gzip',
      Metadata: { sha256: 'abc', bytes: '5' },
      ETag: put.ETag,
    });
    const whole = await client.send(new GetObjectCommand(object));
    expect(Buffer.from((await whole.Body?.transformToByteArray()) ?? []).equals(Body)).toBe(true);
    const part = await client.send(new GetObjectCommand({ ...object, Range: 'bytes=10-19' }));
    expect(part.ContentRange).toBe(`bytes 10-19/${Body.length}`);
    expect(Buffer.from((await part.Body?.transformToByteArray()) ?? [])).toEqual(Body.subarray(10, 20));
  });

  test('stores an object of no bytes', async () => {
    const object = { Bucket: await bucket(), Key: 'empty' };
    await client.send(new PutObjectCommand({ ...object, Body: '' }));
    expect((await client.send(new HeadObjectCommand(object))).ContentLength).toBe(0);
    expect(await (await client.send(new GetObjectCommand(object))).Body?.transformToString()).toBe('');
  });

  test.each(ODD_KEYS)('keeps the key %s as it is', async (Key) => {
    const Bucket = await bucket();
    await client.send(new PutObjectCommand({ Bucket, Key, Body: 'odd' }));
    expect(await (await client.send(new GetObjectCommand({ Bucket, Key }))).Body?.transformToString()).toBe(
      'odd',
    );
    const plain = await client.send(new ListObjectsV2Command({ Bucket }));
    expect(plain.Contents?.map((entry) => entry.Key)).toEqual([Key]);
  });

  test('lists in the order of bytes, by pages, prefix and delimiter', async () => {
    const Bucket = await bucket();
    const keys = ['b', 'a/1', 'a/2', 'a/b/3', 'a-', 'a0', 'ab/1'];
    for (const Key of keys) await client.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }));
    const listed: (string | undefined)[] = [];
    let ContinuationToken: string | undefined;
    do {
      const page: ListObjectsV2CommandOutput = await client.send(
        new ListObjectsV2Command({ Bucket, MaxKeys: 2, ContinuationToken }),
      );
      listed.push(...(page.Contents ?? []).map((entry) => entry.Key));
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken !== undefined);
    expect(listed).toEqual(['a-', 'a/1', 'a/2', 'a/b/3', 'a0', 'ab/1', 'b']);
    const folder = await client.send(new ListObjectsV2Command({ Bucket, Prefix: 'a/', Delimiter: '/' }));
    expect(folder.Contents?.map((entry) => entry.Key)).toEqual(['a/1', 'a/2']);
    expect(folder.CommonPrefixes?.map((entry) => entry.Prefix)).toEqual(['a/b/']);
    const after = await client.send(new ListObjectsV2Command({ Bucket, StartAfter: 'a/2' }));
    expect(after.Contents?.map((entry) => entry.Key)).toEqual(['a/b/3', 'a0', 'ab/1', 'b']);
    const none = await client.send(new ListObjectsV2Command({ Bucket, Prefix: 'nothing/' }));
    expect(none.Contents ?? []).toEqual([]);
  });

  test('names what is missing', async () => {
    const Bucket = await bucket();
    await expect(client.send(new GetObjectCommand({ Bucket, Key: 'none' }))).rejects.toMatchObject({
      name: 'NoSuchKey',
    });
    await expect(client.send(new HeadObjectCommand({ Bucket, Key: 'none' }))).rejects.toMatchObject({
      name: 'NotFound',
    });
    const elsewhere = { Bucket: `none-${randomUUID()}`, Key: 'k' };
    await expect(client.send(new GetObjectCommand(elsewhere))).rejects.toMatchObject({
      name: 'NoSuchBucket',
    });
  });

  test('refuses a body whose Content-MD5 is wrong, and keeps nothing', async () => {
    const object = { Bucket: await bucket(), Key: 'damaged' };
    const ContentMD5 = createHash('md5').update('other').digest('base64');
    const put = client.send(new PutObjectCommand({ ...object, Body: 'body', ContentMD5 }));
    await expect(put).rejects.toMatchObject({ name: 'BadDigest' });
    await expect(client.send(new HeadObjectCommand(object))).rejects.toMatchObject({ name: 'NotFound' });
  });

  test('refuses a wrong secret key', async () => {
    const Bucket = await bucket();
    const stranger = s3Client({ ...server, secretAccessKey: 'wrong' });
    const put = stranger.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x' }));
    await expect(put).rejects.toMatchObject({ name: 'SignatureDoesNotMatch' });
    stranger.destroy();
  });

  test('creates only once in a bucket without versions', async () => {
    const object = { Bucket: await bucket(), Key: 'once', IfNoneMatch: '*' };
    await client.send(new PutObjectCommand({ ...object, Body: 'first' }));
    const second = client.send(new PutObjectCommand({ ...object, Body: 'second' }));
    await expect(second).rejects.toMatchObject({ name: 'PreconditionFailed' });
  });

  test('creates only once in a versioned bucket exactly where it says so', async () => {
    const object = { Bucket: await bucket({ versioning: true }), Key: 'once', IfNoneMatch: '*' };
    await client.send(new PutObjectCommand({ ...object, Body: 'first' }));
    const [second] = await Promise.allSettled([
      client.send(new PutObjectCommand({ ...object, Body: 'second' })),
    ]);
    expect(second.status).toBe(server.honoursCreateOnly ? 'rejected' : 'fulfilled');
  });

  test('keeps versions behind overwrites and delete markers', async () => {
    const object = { Bucket: await bucket({ versioning: true }), Key: 'k' };
    const first = await client.send(new PutObjectCommand({ ...object, Body: 'first' }));
    const second = await client.send(new PutObjectCommand({ ...object, Body: 'second' }));
    const marker = await client.send(new DeleteObjectCommand(object));
    expect(marker.DeleteMarker).toBe(true);
    await expect(client.send(new GetObjectCommand(object))).rejects.toMatchObject({ name: 'NoSuchKey' });
    const old = await client.send(new GetObjectCommand({ ...object, VersionId: first.VersionId }));
    expect(await old.Body?.transformToString()).toBe('first');
    const listed = await client.send(new ListObjectVersionsCommand({ Bucket: object.Bucket }));
    expect(listed.Versions?.map((version) => [version.VersionId, version.IsLatest])).toEqual([
      [second.VersionId, false],
      [first.VersionId, false],
    ]);
    expect(listed.DeleteMarkers?.map((version) => version.VersionId)).toEqual([marker.VersionId]);
    await client.send(new DeleteObjectCommand({ ...object, VersionId: marker.VersionId }));
    expect((await client.send(new HeadObjectCommand(object))).VersionId).toBe(second.VersionId);
  });

  test('guards locked and held versions', async () => {
    const object = { Bucket: await bucket({ objectLock: true }), Key: 'locked' };
    const until = new Date(Date.now() + 3_600_000);
    const locked = await client.send(
      new PutObjectCommand({
        ...object,
        Body: 'x',
        ObjectLockMode: 'GOVERNANCE',
        ObjectLockRetainUntilDate: until,
      }),
    );
    const version = { ...object, VersionId: locked.VersionId };
    const head = await client.send(new HeadObjectCommand(version));
    expect(head).toMatchObject({ ObjectLockMode: 'GOVERNANCE', ObjectLockRetainUntilDate: until });
    await expect(client.send(new DeleteObjectCommand(version))).rejects.toMatchObject({
      name: 'AccessDenied',
    });
    await client.send(new PutObjectLegalHoldCommand({ ...version, LegalHold: { Status: 'ON' } }));
    const bypassing = { ...version, BypassGovernanceRetention: true };
    await expect(client.send(new DeleteObjectCommand(bypassing))).rejects.toMatchObject({
      name: 'AccessDenied',
    });
    await client.send(new PutObjectLegalHoldCommand({ ...version, LegalHold: { Status: 'OFF' } }));
    await client.send(new DeleteObjectCommand(bypassing));
    await expect(client.send(new HeadObjectCommand(object))).rejects.toMatchObject({ name: 'NotFound' });
  });
});
