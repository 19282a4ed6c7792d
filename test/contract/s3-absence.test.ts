import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { startS3Fake } from '../support/servers/s3-fake/s3-fake.ts';
import type { S3Request, S3Response } from '../support/servers/s3-fake/protocol.ts';
import { put, RECORD, textBody, textOf } from './object-samples.ts';
import { REFUSED, s3Archive, UNAVAILABLE } from './s3-archive.ts';

/** What counts as a store's word that there is nothing, whatever is asked; all else is a failure, which is told. */
let answer: ((request: S3Request) => S3Response | null) | null = null;
const around = async (request: S3Request, serve: () => Promise<S3Response>): Promise<S3Response> =>
  answer?.(request) ?? serve();
const fake = await startS3Fake({ around });
const looking = await startS3Fake({ around, honourCreateOnly: false });
const archive = s3Archive([fake, looking]);

afterAll(async () => {
  await Promise.all([fake.stop(), looking.stop()]);
});
beforeEach(async () => archive.begin());
afterEach(async () => {
  answer = null;
  await archive.end();
});

function xml(status: number, code: string, inner = '<Message>A sentence of the store</Message>'): S3Response {
  const body = `<?xml version="1.0"?><Error><Code>${code}</Code>${inner}</Error>`;
  return { status, headers: { 'content-type': 'application/xml' }, body };
}

function page(status: number, body = '<html><body>Nothing here</body></html>'): S3Response {
  return { status, headers: { 'content-type': 'text/html' }, body };
}

/** Everything that answers null where there is nothing, of a version or of the newest. */
function looksAt(store: ObjectStore, key: string, versionId?: string): (() => Promise<unknown>)[] {
  const pin = { versionId: versionId ?? null, etag: null };
  return [
    () => store.read(key, versionId),
    () => store.head(key, versionId),
    () => store.readRange(key, { from: 0, to: 1 }, pin),
    () => store.readRange(key, { last: 1 }, pin),
  ];
}

const SENTENCE = '<Message>Invalid version id specified</Message>';

describe('of a version there is none', () => {
  test.each([
    ['S3, MinIO and versitygw', xml(400, 'InvalidArgument', SENTENCE)],
    ['who names the argument', xml(400, 'InvalidArgument', '<ArgumentName>versionId</ArgumentName>')],
    ['who has no such version', xml(404, 'NoSuchVersion')],
    ['Ceph', xml(404, 'NoSuchKey', '')],
    ['S3 of a delete marker', xml(405, 'MethodNotAllowed')],
  ])('in the words of %s', async (_name, response) => {
    const store = archive.open(fake, { random: () => 0 });
    await put(store, 'k', 'x');
    answer = () => response;
    for (const look of looksAt(store, 'k', 'an-id')) expect(await look()).toBeNull();
  });

  test.each([
    [
      'a KMS key that asks for more',
      xml(400, 'InvalidArgument', '<Message>KMS keys require AWS Signature Version 4.</Message>'),
      REFUSED,
    ],
    ['a request that is malformed', xml(400, 'InvalidRequest'), REFUSED],
    ['a token that is none', xml(400, 'InvalidToken'), REFUSED],
    ['throttling', xml(400, 'Throttling'), UNAVAILABLE],
    ['a clock', xml(400, 'RequestTimeTooSkewed'), UNAVAILABLE],
    ['no words', { status: 400, body: '' }, UNAVAILABLE],
    ['a page', page(400), UNAVAILABLE],
    ['a method that a proxy forbids', page(405), { name: 'EverlogError' }],
  ])('but not with %s', async (_name, response, expected) => {
    const store = archive.open(fake, { random: () => 0 });
    await put(store, 'k', 'x');
    answer = () => response;
    await Promise.all(
      looksAt(store, 'k', 'an-id').map((look) => expect(look()).rejects.toMatchObject(expected)),
    );
  });
});

describe('where no store answers', () => {
  const OTHERS: readonly (readonly [string, S3Response])[] = [
    ['a proxy’s page', page(404)],
    ['a page that is XML', page(404, '<html xmlns="http://www.w3.org/1999/xhtml"><body/></html>')],
    [
      'a console’s JSON',
      { status: 404, headers: { 'content-type': 'application/json' }, body: '{"code":404}' },
    ],
    ['404 alone', { status: 404, body: '' }],
    ['the words of another server', xml(404, 'NotFound')],
  ];

  test.each(OTHERS)('%s is no absence', async (_name, response) => {
    const store = archive.open(fake, { random: () => 0 });
    await put(store, 'k', 'x');
    answer = () => response;
    await Promise.all(
      [...looksAt(store, 'k'), ...looksAt(store, 'k', 'an-id')].map((look) =>
        expect(look()).rejects.toMatchObject(UNAVAILABLE),
      ),
    );
    // Once the store answers again, so does the next try.
    let left = 2;
    answer = () => ((left -= 1) >= 0 ? response : null);
    expect(await store.head('k')).toMatchObject({ bytes: 1 });
  });

  test.each([...OTHERS].slice(0, 2))('%s lets nothing be written over', async (_name, response) => {
    const store = archive.open(looking, { random: () => 0 });
    await put(store, 'k', 'first');
    answer = ({ method }) => (method === 'PUT' ? null : response);
    await expect(put(store, 'k', 'second')).rejects.toMatchObject(UNAVAILABLE);
    answer = null;
    expect(archive.stored(looking, 'k')).toHaveLength(1);
    expect(await textOf(await store.read('k'))).toBe('first');
  });

  test('a bucket that has gone is said to have gone', async () => {
    const store = archive.open(fake, { bucket: 'never-made', random: () => 0 });
    for (const look of looksAt(store, 'k')) {
      await expect(look()).rejects.toMatchObject({ code: 'store_misconfigured' });
    }
  });
});

test('what is there by its words is there, though a HEAD was told that it is not', async () => {
  const store = archive.open(fake, { random: () => 0 });
  await put(store, 'k', 'x');
  answer = ({ method }) => (method === 'HEAD' ? { status: 404, body: '' } : null);
  await expect(store.head('k')).rejects.toMatchObject(UNAVAILABLE);
});

test('an object of no bytes is there, where it is looked for before it is written', async () => {
  const store = archive.open(looking);
  expect(await put(store, 'empty', '')).toBe('created');
  expect(await put(store, 'empty', 'second')).toBe('exists');
});

test('absence costs a HEAD one request more, and what is there none', async () => {
  const store = archive.open(fake);
  await put(store, 'k', 'x');
  const before = { ...fake.requests };
  await store.head('k');
  expect(fake.requests['GET']).toBe(before['GET']);
  await store.head('none');
  expect((fake.requests['GET'] ?? 0) - (before['GET'] ?? 0)).toBe(1);
});

describe('that an object has no lock', () => {
  test.each([
    ['throttling', xml(400, 'Throttling'), UNAVAILABLE],
    ['a token that is none', xml(400, 'InvalidToken'), REFUSED],
    ['a method that is not allowed', xml(405, 'MethodNotAllowed'), REFUSED],
    ['a page', page(404), UNAVAILABLE],
  ])('is not known from %s', async (_name, response, expected) => {
    const store = archive.open(fake, { random: () => 0 });
    const created = await store.putIfAbsent('v1/k', textBody('x'), RECORD);
    if (created.outcome !== 'created') throw new Error('it was there already');
    answer = ({ query }) => (query.has('retention') || query.has('legal-hold') ? response : null);
    await expect(store.lockOf('v1/k')).rejects.toMatchObject(expected);
    answer = ({ query }) => (query.has('legal-hold') ? response : null);
    await expect(store.lockOf('v1/k')).rejects.toMatchObject(expected);
  });

  test('is known from a bucket that has none, in whatever words', async () => {
    const store = archive.open(fake, { random: () => 0 });
    await put(store, 'k', 'x');
    const settings = xml(404, 'ObjectLockConfigurationNotFoundError');
    for (const refusal of [xml(400, 'InvalidRequest'), xml(501, 'NotImplemented')]) {
      answer = ({ query }) =>
        query.has('object-lock')
          ? settings
          : query.has('retention') || query.has('legal-hold')
            ? refusal
            : null;
      expect(await store.lockOf('k')).toBeNull();
      expect(await store.setLegalHold('k', null, true)).toBe('unsupported');
    }
    answer = ({ query }) => (query.has('legal-hold') ? xml(405, 'MethodNotAllowed') : null);
    expect(await store.setLegalHold('k', null, true)).toBe('unsupported');
    // Where nothing says that there are no locks, none is said to be missing.
    answer = ({ query }) =>
      query.has('object-lock')
        ? xml(403, 'AccessDenied')
        : query.has('legal-hold')
          ? xml(400, 'InvalidRequest')
          : null;
    await expect(store.setLegalHold('k', null, true)).rejects.toThrow('s3:GetBucketObjectLockConfiguration');
  });
});
