import { ChecksumAlgorithm, HeadObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { request as httpRequest } from 'undici';
import { describe, expect, test } from 'vitest';
import { s3Client } from '../support/servers/s3-connection.ts';
import { failure, startWithBucket } from '../support/servers/s3-fake-fixture.ts';
import { signedPut } from '../support/servers/signed-put.ts';

function sha256(bytes: string | Buffer): string {
  return createHash('sha256').update(bytes).digest('base64');
}

describe('digests', () => {
  test('echoes a right SHA-256 and gives it back when asked', async () => {
    const { client, Bucket } = await startWithBucket();
    const object = { Bucket, Key: 'k' };
    const ChecksumSHA256 = sha256('body');
    const put = await client.send(new PutObjectCommand({ ...object, Body: 'body', ChecksumSHA256 }));
    expect(put.ChecksumSHA256).toBe(ChecksumSHA256);
    const head = await client.send(new HeadObjectCommand({ ...object, ChecksumMode: 'ENABLED' }));
    expect(head.ChecksumSHA256).toBe(ChecksumSHA256);
    const unasked = await client.send(new HeadObjectCommand(object));
    expect(unasked.ChecksumSHA256).toBeUndefined();
  });

  test.each([
    { name: 'SHA-256', digest: { ChecksumSHA256: sha256('other') } },
    { name: 'CRC-32', digest: { ChecksumCRC32: 'AAAAAA==' } },
    { name: 'Content-MD5', digest: { ContentMD5: createHash('md5').update('other').digest('base64') } },
  ])('refuses a body with a wrong $name and keeps nothing', async ({ digest }) => {
    const { fake, client, Bucket } = await startWithBucket();
    const put = client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'body', ...digest }));
    await expect(put).rejects.toMatchObject(failure('BadDigest', 400));
    expect(fake.objects(Bucket)).toEqual([]);
  });

  test('checks the trailer of a streamed body', async () => {
    const { fake, client, Bucket } = await startWithBucket();
    const bytes = randomBytes(300_000);
    const pieces = [bytes.subarray(0, 1), bytes.subarray(1, 70_000), bytes.subarray(70_000)];
    const put = await client.send(
      new PutObjectCommand({
        Bucket,
        Key: 'streamed',
        Body: Readable.from(pieces),
        ContentLength: bytes.length,
        ContentEncoding: 'gzip',
        ChecksumAlgorithm: ChecksumAlgorithm.SHA256,
      }),
    );
    expect(put.ChecksumSHA256).toBe(sha256(bytes));
    expect((await fake.read(Bucket, 'streamed')).equals(bytes)).toBe(true);
    expect(fake.objects(Bucket)[0]).toMatchObject({
      size: bytes.length,
      checksums: { sha256: sha256(bytes) },
    });
    const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'streamed' }));
    expect(head.ContentEncoding).toBe('gzip');
  });

  test.each([
    {
      name: 'a wrong trailer',
      body: '4\r\nbody\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n',
      code: 'BadDigest',
    },
    { name: 'no trailer', body: '4\r\nbody\r\n0\r\n\r\n', code: 'IncompleteBody' },
    { name: 'a body cut short', body: '4\r\nbody\r\n', code: 'IncompleteBody' },
    { name: 'a chunk that is no chunk', body: 'zz\r\nbody\r\n', code: 'IncompleteBody' },
  ])('refuses $name', async ({ body, code }) => {
    const { fake, Bucket } = await startWithBucket();
    const answer = await signedPut(fake, `/${Bucket}/k`, body, {
      'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
      'x-amz-decoded-content-length': '4',
      'x-amz-trailer': 'x-amz-checksum-crc32',
    });
    expect(answer).toContain(`<Code>${code}</Code>`);
    expect(fake.objects(Bucket)).toEqual([]);
  });

  test('refuses a body other than the one signed', async () => {
    const { fake, Bucket } = await startWithBucket();
    const signedFor = createHash('sha256').update('other').digest('hex');
    const answer = await signedPut(fake, `/${Bucket}/k`, 'body', { 'x-amz-content-sha256': signedFor });
    expect(answer).toContain('<Code>XAmzContentSHA256Mismatch</Code>');
  });
});

describe('signatures', () => {
  test('refuses strangers, unknown keys and changed headers', async () => {
    const { fake, Bucket } = await startWithBucket();
    const anonymous = await httpRequest(`${fake.endpoint}/${Bucket}/k`);
    expect(anonymous.statusCode).toBe(403);
    expect(await anonymous.body.text()).toContain('<Code>AccessDenied</Code>');
    for (const [wrong, name] of [
      [{ accessKeyId: 'OTHER' }, 'InvalidAccessKeyId'],
      [{ secretAccessKey: 'other' }, 'SignatureDoesNotMatch'],
    ] as const) {
      const client = s3Client({ ...fake, ...wrong });
      const put = client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x' }));
      await expect(put).rejects.toMatchObject(failure(name, 403));
      client.destroy();
    }
  });

  test('refuses a header changed after signing, and one that was added', async () => {
    const { client, Bucket } = await startWithBucket();
    const tamper = (name: string, value: string): S3Client => {
      const tampered = client;
      tampered.middlewareStack.add(
        (next) => async (args) => {
          const { request } = args;
          if (isSdkRequest(request)) request.headers[name] = value;
          return next(args);
        },
        { step: 'finalizeRequest', priority: 'low', name: `tamper-${name}` },
      );
      return tampered;
    };
    const put = new PutObjectCommand({ Bucket, Key: 'k', Body: 'x', Metadata: { a: '1' } });
    await expect(tamper('x-amz-meta-a', '2').send(put)).rejects.toMatchObject({
      name: 'SignatureDoesNotMatch',
    });
    await expect(tamper('x-amz-meta-b', '2').send(put)).rejects.toMatchObject({ name: 'AccessDenied' });
  });
});

function isSdkRequest(value: unknown): value is { headers: Record<string, string> } {
  return typeof value === 'object' && value !== null && 'headers' in value;
}
