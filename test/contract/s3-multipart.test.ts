import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { PutBody } from '../../src/store/object-store.ts';
import { s3Client, type S3Server } from '../support/servers/s3-connection.ts';
import { startS3Fake } from '../support/servers/s3-fake/s3-fake.ts';
import { runS3, SERVICE_HOOK_TIMEOUT_MS } from '../support/servers/services.ts';
import { openS3Store } from '../../src/store/s3/s3-object-store.ts';
import { failingStream, largeBody, LOG, memoryGrowth, put, sha256Of, textOf } from './object-samples.ts';
import { s3Archive, UNAVAILABLE } from './s3-archive.ts';

const MIB = 1024 * 1024;
/** Three parts of the adapter's size, the last one smaller. */
const BODY_BYTES = 40 * MIB;
/** One part and the copies of it on its way, and not the body. */
const GROWTH_BYTES_MAX = 64 * MIB;

const honouring = await startS3Fake();
const ignoring = await startS3Fake({ honourCreateOnly: false });
const archive = s3Archive([honouring, ignoring]);
const options = { singlePutBytesMax: MIB };
const body = largeBody(BODY_BYTES);

afterAll(async () => {
  await Promise.all([honouring.stop(), ignoring.stop()]);
});

beforeEach(async () => archive.begin());

afterEach(async () => archive.end());

/** Uploads begun and neither ended nor aborted: they cost money and show nowhere. */
async function orphans(server: S3Server, bucket: string): Promise<number> {
  const client = s3Client(server);
  const answer = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
  client.destroy();
  return answer.Uploads?.length ?? 0;
}

describe.each([
  ['honours', honouring],
  ['ignores', ignoring],
])('an object sent in parts, where the store %s If-None-Match', (_name, fake) => {
  afterEach(async () => {
    const left = await orphans(fake, archive.bucket());
    if (left > 0) throw new Error(`${left} uploads were left behind`);
  });

  test('is stored whole, once, locked, without being held in memory', async () => {
    const store = archive.open(fake, { ...options, lockMode: 'COMPLIANCE', retentionDays: 1 });
    await store.abilities();
    const grown = await memoryGrowth(async () => {
      const result = await store.putIfAbsent('v1/k', body, { ...LOG, metadata: { bytes: '1' } });
      expect(result).toMatchObject({ outcome: 'created' });
    });
    expect(grown).toBeLessThan(GROWTH_BYTES_MAX);
    // A checksum of parts is not the SHA-256 of the bytes.
    expect(await store.head('v1/k')).toMatchObject({
      bytes: BODY_BYTES,
      sha256: null,
      metadata: { bytes: '1' },
    });
    expect(await sha256Of((await store.read('v1/k'))?.body)).toBe(body.sha256);
    expect(await store.putIfAbsent('v1/k', body, LOG)).toEqual({ outcome: 'exists' });
    expect(archive.stored(fake, 'v1/k')).toMatchObject([{ retention: { mode: 'COMPLIANCE' } }]);
  });

  test('sends a part again that failed', async () => {
    const store = archive.open(fake, options);
    await store.abilities();
    fake.faults.add({ method: 'PUT', keyIncludes: 'p/k', times: 2, effect: { kind: 'status', status: 503 } });
    expect((await store.putIfAbsent('k', body, LOG)).outcome).toBe('created');
    expect(await sha256Of((await store.read('k'))?.body)).toBe(body.sha256);
  });

  test('is thrown away when a part fails for good', async () => {
    const store = archive.open(fake, options);
    await store.abilities();
    fake.faults.add({ method: 'PUT', keyIncludes: 'p/k', effect: { kind: 'status', status: 503 } });
    await expect(store.putIfAbsent('k', body, LOG)).rejects.toMatchObject(UNAVAILABLE);
    expect(await store.head('k')).toBeNull();
  });

  test.each<[string, PutBody, string]>([
    ['other bytes', { ...body, sha256: '0'.repeat(64) }, 'object_corrupt'],
    ['too few bytes', { ...body, bytes: BODY_BYTES + 1 }, 'object_corrupt'],
    ['too many bytes', { ...body, bytes: BODY_BYTES - 1 }, 'object_corrupt'],
    ['a stream that breaks', { ...body, open: failingStream }, 'store_unavailable'],
  ])('is thrown away when there are %s', async (_name, wrong, code) => {
    const store = archive.open(fake, options);
    await expect(store.putIfAbsent('k', wrong, LOG)).rejects.toMatchObject({ code });
    expect(await store.head('k')).toBeNull();
    expect((await store.putIfAbsent('k', body, LOG)).outcome).toBe('created');
  });

  test('gives way to one that was stored meanwhile', async () => {
    const store = archive.open(fake, options);
    const other = archive.open(fake);
    const open = (): Readable => {
      const chunks = async function* (): AsyncGenerator<Buffer> {
        for await (const chunk of asReadable(body)) {
          const bytes: unknown = chunk;
          if (Buffer.isBuffer(bytes)) yield bytes;
        }
        await put(other, 'k', 'the first');
      };
      return Readable.from(chunks(), { objectMode: false });
    };
    expect(await store.putIfAbsent('k', { ...body, open }, LOG)).toEqual({ outcome: 'exists' });
    expect(await textOf(await store.read('k'))).toBe('the first');
    expect(archive.stored(fake, 'k')).toHaveLength(1);
  });

  test('exists, when the answer to its end was lost', async () => {
    const store = archive.open(fake, options);
    await store.abilities();
    const open = (): Readable => {
      // After the upload was begun, the next POST is the one that ends it.
      fake.faults.add({ method: 'POST', times: 1, effect: { kind: 'cut_after_store' } });
      return asReadable(body);
    };
    expect(await store.putIfAbsent('k', { ...body, open }, LOG)).toEqual({ outcome: 'exists' });
    expect(await sha256Of((await store.read('k'))?.body)).toBe(body.sha256);
    expect(archive.stored(fake, 'k')).toHaveLength(1);
  });
});

test('the S3 server of this run takes parts', { timeout: SERVICE_HOOK_TIMEOUT_MS }, async () => {
  const server = await runS3();
  const bucket = `parts-${randomUUID()}`;
  await server.createBucket(bucket, { versioning: true });
  const { endpoint, accessKeyId, secretAccessKey } = server;
  const credentials = { accessKeyId, secretAccessKey };
  const store = openS3Store({ bucket, prefix: '', forcePathStyle: true, endpoint, credentials, ...options });
  const wrong = { ...body, sha256: '0'.repeat(64) };
  await expect(store.putIfAbsent('k', wrong, LOG)).rejects.toMatchObject({ code: 'object_corrupt' });
  expect(await store.putIfAbsent('k', body, LOG)).toMatchObject({ outcome: 'created' });
  expect(await store.putIfAbsent('k', body, LOG)).toEqual({ outcome: 'exists' });
  expect(await sha256Of((await store.read('k'))?.body)).toBe(body.sha256);
  expect(await orphans(server, bucket)).toBe(0);
  await store.close();
});

function asReadable(of: PutBody): Readable {
  const opened = of.open();
  if (opened instanceof Uint8Array) throw new Error('this body is a stream');
  return opened;
}
