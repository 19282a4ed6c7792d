import {
  DeleteObjectCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  type PutObjectCommandInput,
  type S3Client,
} from '@aws-sdk/client-s3';
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { failure, startWithBucket } from '../support/servers/s3-fake-fixture.ts';

const MIB = 1024 * 1024;

async function text(client: S3Client, object: { Bucket: string; Key: string }): Promise<string | undefined> {
  return (await client.send(new GetObjectCommand(object))).Body?.transformToString();
}

describe('conditional writes', () => {
  test('creates once, and again over a delete marker', async () => {
    const { fake, client, Bucket } = await startWithBucket({ versioning: true });
    const create = { Bucket, Key: 'k', IfNoneMatch: '*' };
    const first = await client.send(new PutObjectCommand({ ...create, Body: 'first' }));
    expect(first.VersionId).toBeTruthy();
    await expect(client.send(new PutObjectCommand({ ...create, Body: 'second' }))).rejects.toMatchObject(
      failure('PreconditionFailed', 412),
    );
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'k' }));
    await client.send(new PutObjectCommand({ ...create, Body: 'third' }));
    expect(await text(client, { Bucket, Key: 'k' })).toBe('third');
    expect(fake.objects(Bucket).map((version) => version.isDeleteMarker)).toEqual([false, true, false]);
  });

  test('lets one of many simultaneous writers win', async () => {
    const { fake, client, Bucket } = await startWithBucket({ versioning: true });
    const writes = await Promise.allSettled(
      Array.from({ length: 20 }, async (_, writer) =>
        client.send(
          new PutObjectCommand({ Bucket, Key: 'k', Body: `${writer}`.repeat(MIB), IfNoneMatch: '*' }),
        ),
      ),
    );
    const lost = writes.filter((write) => write.status === 'rejected');
    expect(lost).toHaveLength(19);
    for (const { reason } of lost) {
      expect(['PreconditionFailed', 'ConditionalRequestConflict']).toContain(errorName(reason));
    }
    expect(fake.objects(Bucket)).toHaveLength(1);
  });

  test('tells a writer that lost while its body travelled of the conflict', async () => {
    const { fake, client, Bucket } = await startWithBucket();
    const create = { Bucket, Key: 'k', IfNoneMatch: '*' };
    const body = new Readable({ read: () => {} });
    body.push('s');
    const slow = client.send(new PutObjectCommand({ ...create, Body: body, ContentLength: 2 }));
    const [, outcome] = await Promise.all([
      (async () => {
        // The slow write has begun once it is counted; the quick one then ends before it can.
        await expect.poll(() => fake.requests['PUT']).toBe(1);
        await client.send(new PutObjectCommand({ ...create, Body: 'q', ContentLength: 1 }));
        body.push('w');
        body.push(null);
      })(),
      slow.catch((error: unknown) => error),
    ]);
    expect(outcome).toMatchObject(failure('ConditionalRequestConflict', 409));
  });

  test('ignores the condition when told to act like such a store', async () => {
    const { fake, client, Bucket } = await startWithBucket({}, { honourCreateOnly: false });
    expect(fake.honoursCreateOnly).toBe(false);
    for (const Body of ['first', 'second']) {
      await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body, IfNoneMatch: '*' }));
    }
    expect(await text(client, { Bucket, Key: 'k' })).toBe('second');
  });
});

function errorName(reason: unknown): string {
  return reason instanceof Error ? reason.name : String(reason);
}

describe('objects', () => {
  test('remembers class, encryption and metadata', async () => {
    const { fake, client, Bucket } = await startWithBucket();
    const given: Partial<PutObjectCommandInput> = {
      StorageClass: 'GLACIER_IR',
      ServerSideEncryption: 'aws:kms',
      SSEKMSKeyId: 'arn:aws:kms:us-east-1:1:key/k',
      BucketKeyEnabled: true,
      Metadata: { sha256: 'abc' },
    };
    const put = await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x', ...given }));
    expect(put).toMatchObject({ ServerSideEncryption: 'aws:kms', BucketKeyEnabled: true });
    expect(await client.send(new HeadObjectCommand({ Bucket, Key: 'k' }))).toMatchObject(given);
    const [listed] = (await client.send(new ListObjectsV2Command({ Bucket }))).Contents ?? [];
    expect(listed?.StorageClass).toBe('GLACIER_IR');
    expect(fake.objects(Bucket)[0]).toMatchObject({ metadata: { sha256: 'abc' }, size: 1 });
  });

  test.each([
    ['bytes=0-0', 'a', 'bytes 0-0/10'],
    ['bytes=7-', 'hij', 'bytes 7-9/10'],
    ['bytes=-2', 'ij', 'bytes 8-9/10'],
    ['bytes=5-99', 'fghij', 'bytes 5-9/10'],
  ])('answers the range %s', async (Range, expected, ContentRange) => {
    const { client, Bucket } = await startWithBucket();
    await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'abcdefghij' }));
    const part = await client.send(new GetObjectCommand({ Bucket, Key: 'k', Range }));
    expect(part.ContentRange).toBe(ContentRange);
    expect(part.$metadata.httpStatusCode).toBe(206);
    expect(await part.Body?.transformToString()).toBe(expected);
    const beyond = client.send(new GetObjectCommand({ Bucket, Key: 'k', Range: 'bytes=10-' }));
    await expect(beyond).rejects.toMatchObject(failure('InvalidRange', 416));
  });

  test('answers reads by condition', async () => {
    const { client, Bucket } = await startWithBucket();
    const { ETag } = await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x' }));
    const unchanged = client.send(new GetObjectCommand({ Bucket, Key: 'k', IfNoneMatch: ETag }));
    await expect(unchanged).rejects.toMatchObject({ $metadata: { httpStatusCode: 304 } });
    const changed = client.send(new GetObjectCommand({ Bucket, Key: 'k', IfMatch: '"other"' }));
    await expect(changed).rejects.toMatchObject(failure('PreconditionFailed', 412));
  });

  test('keeps large bodies out of memory', async () => {
    const { fake, client, Bucket } = await startWithBucket();
    const Body = randomBytes(20 * MIB);
    const before = process.memoryUsage().arrayBuffers;
    for (let copy = 0; copy < 10; copy += 1) {
      await client.send(new PutObjectCommand({ Bucket, Key: `big-${copy}`, Body }));
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100 * MIB);
    expect((await fake.read(Bucket, 'big-9')).equals(Body)).toBe(true);
    const part = await client.send(
      new GetObjectCommand({ Bucket, Key: 'big-3', Range: 'bytes=5000000-5000009' }),
    );
    const expected = Body.subarray(5_000_000, 5_000_010);
    expect(Buffer.from((await part.Body?.transformToByteArray()) ?? [])).toEqual(expected);
  });

  test('drops bodies but keeps their sizes and hashes when told to', async () => {
    const { fake, client, Bucket } = await startWithBucket({}, { dropBodies: true });
    await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'body' }));
    const hash = createHash('sha256').update('body').digest('hex');
    expect(fake.objects(Bucket)[0]).toMatchObject({ size: 4, sha256: hash });
    expect((await client.send(new HeadObjectCommand({ Bucket, Key: 'k' }))).ContentLength).toBe(4);
    const get = client.send(new GetObjectCommand({ Bucket, Key: 'k' }));
    await expect(get).rejects.toMatchObject(failure('NotImplemented', 501));
  });

  test('refuses what it does not model rather than ignoring it', async () => {
    const { client, Bucket } = await startWithBucket();
    await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x' }));
    const tagging = { Bucket, Key: 'k', Tagging: { TagSet: [] } };
    await expect(client.send(new PutObjectTaggingCommand(tagging))).rejects.toMatchObject(
      failure('NotImplemented', 501),
    );
    const acl = client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x', ACL: 'private' }));
    await expect(acl).rejects.toMatchObject(failure('NotImplemented', 501));
  });

  test('refuses names and metadata that are too long', async () => {
    const { client, Bucket } = await startWithBucket();
    const long = client.send(new PutObjectCommand({ Bucket, Key: 'k'.repeat(1025), Body: 'x' }));
    await expect(long).rejects.toMatchObject({ name: 'KeyTooLongError' });
    const wordy = client.send(
      new PutObjectCommand({ Bucket, Key: 'k', Body: 'x', Metadata: { a: 'b'.repeat(2048) } }),
    );
    await expect(wordy).rejects.toMatchObject({ name: 'MetadataTooLarge' });
  });
});

function byName(a: string | undefined, b: string | undefined): number {
  return (a ?? '') < (b ?? '') ? -1 : 1;
}

describe('listings', () => {
  test('pages through keys and common prefixes without loss or repeat', async () => {
    const { client, Bucket } = await startWithBucket();
    const keys = ['a', ...Array.from({ length: 30 }, (_, n) => `d${n % 5}/${n}`), 'z'];
    for (const Key of keys) await client.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }));
    for (const MaxKeys of [1, 2, 3, 1000]) {
      const seen: (string | undefined)[] = [];
      let ContinuationToken: string | undefined;
      do {
        const page: Awaited<ReturnType<typeof listPage>> = await listPage(client, {
          Bucket,
          MaxKeys,
          ContinuationToken,
        });
        seen.push(...(page.Contents ?? []).map((entry) => entry.Key));
        seen.push(...(page.CommonPrefixes ?? []).map((entry) => entry.Prefix));
        ContinuationToken = page.NextContinuationToken;
      } while (ContinuationToken !== undefined);
      expect(seen.toSorted(byName)).toEqual(['a', 'd0/', 'd1/', 'd2/', 'd3/', 'd4/', 'z']);
    }
  });

  async function listPage(
    client: S3Client,
    page: { Bucket: string; MaxKeys: number; ContinuationToken: string | undefined },
  ) {
    return client.send(new ListObjectsV2Command({ ...page, Delimiter: '/' }));
  }

  test('escapes keys when asked', async () => {
    const { client, Bucket } = await startWithBucket();
    await client.send(new PutObjectCommand({ Bucket, Key: 'a b/ü+=\n', Body: 'x' }));
    const listed = await client.send(new ListObjectsV2Command({ Bucket, EncodingType: 'url' }));
    expect(listed.Contents?.[0]?.Key).toBe('a+b/%C3%BC%2B%3D%0A');
  });

  test('leaves out what is behind a delete marker, and orders keys by UTF-8', async () => {
    const { client, Bucket } = await startWithBucket({ versioning: true });
    for (const Key of ['\u{1F600}', '\uFF5E', 'gone', 'é']) {
      await client.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }));
    }
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'gone' }));
    const listed = await client.send(new ListObjectsV2Command({ Bucket }));
    expect(listed.Contents?.map((entry) => entry.Key)).toEqual(['é', '\uFF5E', '\u{1F600}']);
  });

  test('pages through versions, also inside one key', async () => {
    const { client, Bucket } = await startWithBucket({ versioning: true });
    for (const Key of ['a', 'b', 'b', 'b', 'c/1', 'c/2']) {
      await client.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }));
    }
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'b' }));
    for (const MaxKeys of [1, 2, 3, 1000]) {
      const seen: (string | undefined)[] = [];
      let markers: { KeyMarker?: string | undefined; VersionIdMarker?: string | undefined } = {};
      for (;;) {
        const page = await client.send(new ListObjectVersionsCommand({ Bucket, MaxKeys, ...markers }));
        seen.push(...[...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])].map((version) => version.Key));
        if (page.IsTruncated !== true) break;
        markers = { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker };
      }
      expect(seen.toSorted(byName)).toEqual(['a', 'b', 'b', 'b', 'b', 'c/1', 'c/2']);
    }
    const grouped = await client.send(new ListObjectVersionsCommand({ Bucket, Delimiter: '/' }));
    expect(grouped.CommonPrefixes).toEqual([{ Prefix: 'c/' }]);
    expect(grouped.DeleteMarkers?.[0]).toMatchObject({ Key: 'b', IsLatest: true });
  });
});

describe('versions and buckets', () => {
  test('turns versions on and off', async () => {
    const { client, Bucket } = await startWithBucket();
    expect((await client.send(new GetBucketVersioningCommand({ Bucket }))).Status).toBeUndefined();
    await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'plain' }));
    await client.send(
      new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }),
    );
    expect((await client.send(new GetBucketVersioningCommand({ Bucket }))).Status).toBe('Enabled');
    await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'versioned' }));
    const old = await client.send(new GetObjectCommand({ Bucket, Key: 'k', VersionId: 'null' }));
    expect(await old.Body?.transformToString()).toBe('plain');
  });

  test('answers for a version that is a marker, or is not there', async () => {
    const { client, Bucket } = await startWithBucket({ versioning: true });
    const marker = await client.send(new DeleteObjectCommand({ Bucket, Key: 'k' }));
    const read = client.send(new GetObjectCommand({ Bucket, Key: 'k', VersionId: marker.VersionId }));
    await expect(read).rejects.toMatchObject(failure('MethodNotAllowed', 405));
    const none = client.send(new GetObjectCommand({ Bucket, Key: 'k', VersionId: 'none' }));
    await expect(none).rejects.toMatchObject(failure('NoSuchVersion', 404));
  });

  test('deletes for good in a bucket without versions', async () => {
    const { fake, client, Bucket } = await startWithBucket();
    await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x' }));
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'k' }));
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'k' }));
    expect(fake.objects(Bucket)).toEqual([]);
  });

  test('knows which buckets there are', async () => {
    const { client, Bucket } = await startWithBucket();
    await client.send(new HeadBucketCommand({ Bucket }));
    const none = client.send(new HeadBucketCommand({ Bucket: 'none' }));
    await expect(none).rejects.toMatchObject({ $metadata: { httpStatusCode: 404 } });
  });
});

describe('faults', () => {
  test('answers a chosen status, as often as told, for chosen requests', async () => {
    const { fake, client, Bucket } = await startWithBucket();
    const effect = { kind: 'status', status: 503, code: 'SlowDown' } as const;
    fake.faults.add({ method: 'PUT', keyIncludes: 'records/', times: 2, effect });
    const put = async (Key: string) => client.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }));
    await put('logs/1');
    await expect(put('records/1')).rejects.toMatchObject(failure('SlowDown', 503));
    await expect(put('records/1')).rejects.toMatchObject(failure('SlowDown', 503));
    await put('records/1');
    expect(fake.requests).toEqual({ PUT: 4 });
    expect(fake.objects(Bucket).map((version) => version.key)).toEqual(['logs/1', 'records/1']);
  });

  test('resets before, or after, the request took effect', async () => {
    const { fake, client, Bucket } = await startWithBucket();
    const put = async (Key: string) => client.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }));
    fake.faults.add({ times: 1, effect: { kind: 'reset' } });
    await expect(put('before')).rejects.toThrow(/ECONNRESET|socket hang up/);
    fake.faults.add({ times: 1, effect: { kind: 'cut_after_store' } });
    await expect(put('after')).rejects.toThrow(/ECONNRESET|socket hang up/);
    expect(fake.objects(Bucket).map((version) => version.key)).toEqual(['after']);
  });

  test('hangs until the client gives up, and delays', async () => {
    const { fake, client, Bucket } = await startWithBucket();
    fake.faults.add({ method: 'GET', effect: { kind: 'hang' } });
    fake.faults.add({ method: 'PUT', effect: { kind: 'delay', ms: 150 } });
    const startedMs = performance.now();
    await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x' }));
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(145);
    const abortSignal = AbortSignal.timeout(200);
    const get = client.send(new GetObjectCommand({ Bucket, Key: 'k' }), { abortSignal });
    await expect(get).rejects.toMatchObject({ name: 'AbortError' });
  });

  test('strikes by chance, and no more once taken away', async () => {
    let chance = 0.4;
    const { fake, client, Bucket } = await startWithBucket({}, { random: () => chance });
    const put = async () => client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x' }));
    const remove = fake.faults.add({ probability: 0.5, effect: { kind: 'status', status: 500 } });
    await expect(put()).rejects.toMatchObject(failure('InternalError', 500));
    chance = 0.6;
    await put();
    chance = 0;
    remove();
    await put();
  });

  test('goes away in an outage and comes back with what it had', async () => {
    const { fake, client, Bucket } = await startWithBucket();
    const object = { Bucket, Key: 'k' };
    await client.send(new PutObjectCommand({ ...object, Body: 'kept' }));
    fake.outage(true);
    await expect(text(client, object)).rejects.toThrow(/ECONNRESET|ECONNREFUSED|socket hang up/);
    fake.outage(false);
    expect(await text(client, object)).toBe('kept');
  });
});
