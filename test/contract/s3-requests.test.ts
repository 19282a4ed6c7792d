import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import { createServer } from 'node:http';
import { Agent } from 'node:https';
import { connect } from 'node:net';
import type { Server, Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { createServer as createTlsServer } from 'node:tls';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { s3Client } from '../support/servers/s3-connection.ts';
import { startS3Fake } from '../support/servers/s3-fake/s3-fake.ts';
import type { S3Fake } from '../support/servers/s3-fake/s3-fake.ts';
import { keysOf, LOG, put, RECORD, textBody, textOf } from './object-samples.ts';
import { failureOf, GIVEN_UP_WITHIN_MS, HANG_MS, REFUSED, s3Archive, UNAVAILABLE } from './s3-archive.ts';

/** Made for these tests and known to nobody else; valid for `localhost` until 2126. */
const TEST_KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgBypCgzo8kikNrLhc
Qs+OfMae/MqTjROONryMq2l/P3OhRANCAAT4VYfqsX3II51/ktKoroxVG4Azhs8m
ezY8AWqqAAlijrV0U6mZl1c+8lY08+9RWHryqMmrfjcuTY0M0JMScfAI
-----END PRIVATE KEY-----`;
const TEST_CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUCNBnfYuFakE7Xp2NJuRIVpAiIoMwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTAwNDYyNFoYDzIxMjYxMDI4
MDA0NjI0WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAT4VYfqsX3II51/ktKoroxVG4Azhs8mezY8AWqqAAlijrV0U6mZl1c+
8lY08+9RWHryqMmrfjcuTY0M0JMScfAIo28wbTAdBgNVHQ4EFgQU1qwztvVuViO1
YcDRtAWC5HjfoYQwHwYDVR0jBBgwFoAU1qwztvVuViO1YcDRtAWC5HjfoYQwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSAAwRQIgH3oLFRRGictWX+CM5X12gjy0Ceikol9qnO1usq6xtogCIQD2
g2FjTVMyOnNZT+8OVPadb0RB2iXSNQqSEgPt530V5Q==
-----END CERTIFICATE-----`;

const honouring = await startS3Fake();
const archive = s3Archive([honouring]);
const servers: Server[] = [];
const sockets = new Set<Socket>();

afterAll(async () => {
  await honouring.stop();
});

beforeEach(async () => archive.begin());

afterEach(async () => {
  await archive.end();
  for (const socket of sockets) socket.destroy();
  for (const server of servers.splice(0)) server.close();
});

async function listening(server: Server): Promise<{ port: number }> {
  servers.push(server);
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((ready) => {
    server.listen(0, '127.0.0.1', ready);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port was given');
  return { port: address.port };
}

async function tlsInFrontOf(fake: S3Fake): Promise<{ port: number }> {
  const server = createTlsServer({ key: TEST_KEY, cert: TEST_CERTIFICATE }, (outer) => {
    const inner = connect(Number(new URL(fake.endpoint).port), '127.0.0.1');
    outer.on('error', () => inner.destroy());
    inner.on('error', () => outer.destroy());
    outer.pipe(inner).pipe(outer);
  });
  return listening(server);
}

describe('what S3 is told', () => {
  test('type, metadata, hash; class, key and lock where they are set', async () => {
    const now = new Date('2030-01-02T03:04:05Z');
    const store = archive.open(honouring, {
      lockMode: 'GOVERNANCE',
      retentionDays: 10,
      kmsKeyId: 'arn:aws:kms:key',
      logStorageClass: 'STANDARD_IA',
      now: () => now,
    });
    const log = textBody('x'.repeat(128 * 1024));
    await store.putIfAbsent('v1/logs/large', log, { ...LOG, metadata: { sha256: 'ab', bytes: '1' } });
    await store.putIfAbsent('v1/logs/small', textBody('x'), LOG);
    await store.putIfAbsent('v1/records/large', log, RECORD);
    await put(store, 'index/x', 'x');
    const locked = { mode: 'GOVERNANCE' };
    const [large] = archive.stored(honouring, 'v1/logs/large');
    expect(large).toMatchObject({
      contentType: 'application/gzip',
      metadata: { sha256: 'ab', bytes: '1' },
      retention: locked,
      sha256: log.sha256,
      checksums: { sha256: Buffer.from(log.sha256, 'hex').toString('base64') },
      headers: {
        'x-amz-storage-class': 'STANDARD_IA',
        'x-amz-server-side-encryption': 'aws:kms',
        'x-amz-server-side-encryption-aws-kms-key-id': 'arn:aws:kms:key',
      },
    });
    expect(JSON.stringify(large?.retention)).toMatch(/2030-01-12|1894417445000/);
    for (const key of ['v1/logs/small', 'v1/records/large']) {
      const [version] = archive.stored(honouring, key);
      expect(version?.headers['x-amz-storage-class']).toBeUndefined();
      expect(version?.retention).toMatchObject(locked);
    }
    for (const key of ['index/x', 'probe/create-only']) {
      expect(archive.stored(honouring, key)[0]?.retention).toBeUndefined();
    }
  });

  test('over https too, where its certificate is known', async () => {
    const { port } = await tlsInFrontOf(honouring);
    const endpoint = `https://localhost:${port}`;
    const agent = new Agent({ ca: TEST_CERTIFICATE });
    const store = archive.open(honouring, { endpoint, agents: { https: agent } });
    const large = textBody('x'.repeat(3_000_000));
    expect((await store.putIfAbsent('large', large, LOG)).outcome).toBe('created');
    expect(await put(store, 'large', 'x')).toBe('exists');
    expect((await textOf(await store.read('large')))?.length).toBe(large.bytes);
    const doubting = archive.open(honouring, { endpoint });
    await expect(doubting.ping()).rejects.toMatchObject(REFUSED);
    await expect(doubting.ping()).rejects.toThrow('NODE_EXTRA_CA_CERTS');
  });

  test('bytes handed over are counted', async () => {
    let sent = 0;
    const store = archive.open(honouring, { onUploadBytes: (bytes) => (sent += bytes) });
    await store.abilities();
    sent = 0;
    await store.putIfAbsent('a', textBody('x'.repeat(10)), LOG);
    await store.putIfAbsent('b', textBody('x'.repeat(3_000_000)), LOG);
    expect(sent).toBe(3_000_010);
  });
});

describe('reading from S3', () => {
  test('an object under a delete marker is not there, and its versions are listed newest first', async () => {
    const store = archive.open(honouring);
    for (const key of ['v/a', 'v/b', 'v/c']) await put(store, key, key);
    const [b] = archive.stored(honouring, 'v/b');
    await deleteObject('v/b');
    expect(await store.head('v/b')).toBeNull();
    expect(await store.read('v/b')).toBeNull();
    expect(await textOf(await store.read('v/b', b?.versionId))).toBe('v/b');
    expect(await keysOf(store.list('v/'))).toEqual(['v/a', 'v/c']);
    const versions = [];
    for await (const { key, isLatest, isDeleteMarker } of store.listVersions('v/')) {
      versions.push({ key, isLatest, isDeleteMarker });
    }
    expect(versions).toEqual([
      { key: 'v/a', isLatest: true, isDeleteMarker: false },
      { key: 'v/b', isLatest: true, isDeleteMarker: true },
      { key: 'v/b', isLatest: false, isDeleteMarker: false },
      { key: 'v/c', isLatest: true, isDeleteMarker: false },
    ]);
    const [marker] = archive.stored(honouring, 'v/b');
    expect(await store.read('v/b', marker?.versionId)).toBeNull();
  });

  test('a reader may take longer than the store may', async () => {
    const store = archive.open(honouring, { requestTimeoutMs: 250 });
    const text = 'x'.repeat(5_000_000);
    await store.putIfAbsent('k', textBody(text), LOG);
    const read = await store.read('k');
    let bytes = 0;
    for await (const chunk of read?.body ?? []) {
      // The pause is what is tested: three times the limit.
      if (bytes === 0) await delay(750);
      bytes += String(chunk).length;
    }
    expect(bytes).toBe(text.length);
  });

  test.each([
    ['stands still', false],
    ['is cut', true],
  ])('a body that %s in the middle fails its reader', async (_name, isCut) => {
    const server = createServer((_request, response) => {
      response.writeHead(200, { 'content-length': '1000', 'last-modified': 'Fri, 20 Nov 2026 00:00:00 GMT' });
      response.write('the beginning', () => {
        if (isCut) response.destroy();
      });
    });
    const { port } = await listening(server);
    const store = archive.open(honouring, {
      endpoint: `http://127.0.0.1:${port}`,
      requestTimeoutMs: HANG_MS,
    });
    const read = await store.read('k');
    if (read === null) throw new Error('the server answers');
    const { error, afterMs } = await failureOf(buffer(read.body));
    expect(error).toMatchObject(UNAVAILABLE);
    expect(afterMs).toBeLessThan(GIVEN_UP_WITHIN_MS);
  });

  async function deleteObject(key: string): Promise<void> {
    const client = s3Client(honouring);
    await client.send(new DeleteObjectCommand({ Bucket: archive.bucket(), Key: `p/${key}` }));
    client.destroy();
  }
});
