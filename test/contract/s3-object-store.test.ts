import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { freePort, spawnManaged } from '../support/processes/processes.ts';
import { failureOf, GIVEN_UP_WITHIN_MS, HANG_MS, REFUSED, s3Archive, UNAVAILABLE } from './s3-archive.ts';
import { startS3Fake } from '../support/servers/s3-fake/s3-fake.ts';
import { keysOf, LOG, put, textBody, textOf } from './object-samples.ts';

const honouring = await startS3Fake();
const ignoring = await startS3Fake({ honourCreateOnly: false });
const archive = s3Archive([honouring, ignoring]);

afterAll(async () => {
  await Promise.all([honouring.stop(), ignoring.stop()]);
});

beforeEach(async () => archive.begin());

afterEach(async () => archive.end());

describe.each([
  ['honours', honouring],
  ['ignores', ignoring],
])('S3 in trouble, where the store %s If-None-Match', (_name, fake) => {
  test('a passing failure is tried again with the body from its start', async () => {
    const store = archive.open(fake);
    await store.abilities();
    fake.faults.add({ method: 'PUT', keyIncludes: 'p/k', times: 2, effect: { kind: 'status', status: 503 } });
    let opens = 0;
    const text = 'x'.repeat(3_000_000);
    const body = {
      ...textBody(text),
      open: () => {
        opens += 1;
        return Readable.from([Buffer.from(text)]);
      },
    };
    expect((await store.putIfAbsent('k', body, LOG)).outcome).toBe('created');
    expect(opens).toBe(3);
    expect((await fake.read(archive.bucket(), 'p/k')).toString()).toBe(text);
  });

  test('what lasts is given up after three tries', async () => {
    const store = archive.open(fake);
    await store.abilities();
    const effect = { kind: 'status', status: 503 } as const;
    fake.faults.add({ method: 'PUT', keyIncludes: 'p/k', times: 3, effect });
    await expect(put(store, 'k', 'x')).rejects.toMatchObject(UNAVAILABLE);
    expect(await put(store, 'k', 'x')).toBe('created');
  });

  test.each([
    ['reset', { kind: 'reset' }],
    ['500', { kind: 'status', status: 500 }],
    ['409', { kind: 'status', status: 409, code: 'ConditionalRequestConflict' }],
  ] as const)('%s is no answer', async (_fault, effect) => {
    const store = archive.open(fake);
    await store.abilities();
    fake.faults.add({ method: 'PUT', keyIncludes: 'p/k', times: 1, effect });
    expect(await put(store, 'k', 'x')).toBe('created');
    expect(archive.stored(fake, 'k')).toHaveLength(1);
  });

  test('an object stored although the answer was lost exists, once', async () => {
    const store = archive.open(fake);
    await store.abilities();
    fake.faults.add({ method: 'PUT', keyIncludes: 'p/k', times: 1, effect: { kind: 'cut_after_store' } });
    expect(await put(store, 'k', 'x')).toBe('exists');
    expect(archive.stored(fake, 'k')).toHaveLength(1);
    expect(await textOf(await store.read('k'))).toBe('x');
  });

  test('a store that hangs is given up within the limit, whatever is asked', async () => {
    const store = archive.open(fake, { requestTimeoutMs: HANG_MS });
    await store.abilities();
    fake.faults.add({ effect: { kind: 'hang' } });
    const large = textBody('x'.repeat(3_000_000));
    const calls = [
      async () => put(store, 'k', 'x'),
      async () => store.putIfAbsent('k', { ...large, open: () => Readable.from([large.open()]) }, LOG),
      async () => store.head('k'),
      async () => store.read('k'),
      async () => keysOf(store.list('')),
      async () => store.ping(),
    ];
    const failures = await Promise.all(calls.map(async (call) => failureOf(call())));
    // An upload has more time in all the more it carries, but not while nothing moves.
    for (const { error, afterMs } of failures) {
      expect(error).toMatchObject(UNAVAILABLE);
      expect(afterMs).toBeLessThan(GIVEN_UP_WITHIN_MS);
    }
  });

  test('a probe that failed is made again, one that succeeded is not', async () => {
    const store = archive.open(fake);
    fake.faults.add({ method: 'PUT', times: 3, effect: { kind: 'status', status: 503 } });
    await expect(put(store, 'k', 'x')).rejects.toMatchObject(UNAVAILABLE);
    await Promise.all([put(store, 'k', 'x'), put(store, 'l', 'x'), store.abilities()]);
    expect(archive.stored(fake, 'probe/create-only').length).toBe(fake.honoursCreateOnly ? 1 : 2);
    const putsBefore = fake.requests['PUT'] ?? 0;
    await put(store, 'm', 'x');
    expect(fake.requests['PUT']).toBe(putsBefore + 1);
  });

  test('versions are told from an object where asking for them is forbidden', async () => {
    const store = archive.open(fake);
    fake.faults.add({ method: 'GET', effect: { kind: 'status', status: 403, code: 'AccessDenied' } });
    expect((await store.abilities()).versions).toBe(true);
  });
});

describe('S3 refusals', () => {
  const credentials = { accessKeyId: honouring.accessKeyId, secretAccessKey: honouring.secretAccessKey };

  test.each([
    [
      'a wrong secret',
      { credentials: { ...credentials, secretAccessKey: 'wrong-secret' } },
      'AWS_SECRET_ACCESS_KEY',
      'store_refused',
    ],
    [
      'an unknown key',
      { credentials: { ...credentials, accessKeyId: 'NOBODY' } },
      'AWS_ACCESS_KEY_ID',
      'store_refused',
    ],
    ['a missing bucket', { bucket: 'not-there' }, 'create the bucket', 'store_misconfigured'],
  ])('%s: says so, with the cure', async (_name, options, cure, code) => {
    const store = archive.open(honouring, options);
    const name = 'bucket' in options ? options.bucket : archive.bucket();
    for (const call of [
      async () => put(store, 'k', 'x'),
      async () => store.read('k'),
      async () => keysOf(store.list('')),
      async () => store.ping(),
    ]) {
      const failure: unknown = await call().catch((error: unknown) => error);
      // A key may become known: in a rotation it is used before every server has heard of it.
      const kind = cure === 'AWS_ACCESS_KEY_ID' ? 'retry' : 'give_up';
      expect(failure).toMatchObject({ ...REFUSED, code, remedy: { kind } });
      expect(String(failure)).toContain(cure);
      expect(String(failure)).toContain(name);
      expect(String(failure)).not.toContain('wrong-secret');
    }
  });

  test('access denied names the rights that are needed, and is not tried again', async () => {
    const store = archive.open(honouring);
    await store.abilities();
    honouring.faults.add({ method: 'PUT', effect: { kind: 'status', status: 403, code: 'AccessDenied' } });
    const putsBefore = honouring.requests['PUT'] ?? 0;
    await expect(put(store, 'k', 'x')).rejects.toThrow('s3:PutObject');
    expect(honouring.requests['PUT']).toBe(putsBefore + 1);
  });

  test('a lock without a retention is a mistake in the configuration', () => {
    expect(() => archive.open(honouring, { lockMode: 'COMPLIANCE' })).toThrow('EVERLOG_RETENTION_DAYS');
  });

  test('a missing region is named', async () => {
    const script = `
      import { openS3Store } from ${JSON.stringify(new URL('../../src/store/s3/s3-object-store.ts', import.meta.url).href)};
      const credentials = { accessKeyId: 'a', secretAccessKey: 'b' };
      const store = openS3Store({ bucket: 'b', prefix: '', forcePathStyle: false, credentials });
      await store.ping().catch((error) => console.log(JSON.stringify({ code: error.code, message: error.message })));`;
    const child = spawnManaged(
      process.execPath,
      ['--import=tsx', '--input-type=module', '-e', script],
      // No settings of the machine's own.
      { env: { HOME: '/nonexistent' } },
    );
    const line = await child.waitForLine((seen) => seen.json !== undefined, 20_000);
    expect(line.json).toMatchObject({ code: 'store_misconfigured' });
    expect(line.json?.['message']).toContain('AWS_REGION');
  });

  test('nobody listening and unknown names may pass', async () => {
    const silent = archive.open(honouring, { endpoint: `http://127.0.0.1:${await freePort()}` });
    await expect(silent.ping()).rejects.toMatchObject(UNAVAILABLE);
    const unknown = archive.open(honouring, { endpoint: 'http://nowhere.invalid' });
    await expect(unknown.ping()).rejects.toMatchObject(UNAVAILABLE);
  });
});
