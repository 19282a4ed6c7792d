import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startS3Fake } from '../support/servers/s3-fake/s3-fake.ts';
import type { S3Request, S3Response } from '../support/servers/s3-fake/protocol.ts';
import { keysOf, LOG, put, RECORD, textBody, textOf } from './object-samples.ts';
import { s3Archive } from './s3-archive.ts';

/** What a store refuses that passes by itself, and headers that not every store takes. */
let answer: ((request: S3Request) => S3Response | null) | null = null;
const fake = await startS3Fake({ around: async (request, serve) => answer?.(request) ?? serve() });
const archive = s3Archive([fake]);

afterAll(async () => fake.stop());
beforeEach(async () => archive.begin());
afterEach(async () => {
  answer = null;
  await archive.end();
});

function xml(status: number, code: string, message = 'A sentence of the store'): S3Response {
  const body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`;
  return { status, headers: { 'content-type': 'application/xml' }, body };
}

const PAGE = {
  status: 403,
  headers: { 'content-type': 'text/html' },
  body: '<html><head><meta charset=utf-8></head><body>Your IP address is not on the list<br></body></html>',
};
const BARE = { status: 403, body: '' };

const PASSING: readonly (readonly [string, S3Response, string, string])[] = [
  ['a used-up quota', xml(403, 'QuotaExceeded'), 'store_unavailable', 'raise it, or make room'],
  [
    'MinIO’s quota',
    xml(400, 'XMinioAdminBucketQuotaExceeded'),
    'store_unavailable',
    'raise it, or make room',
  ],
  ['a key not known yet', xml(403, 'InvalidAccessKeyId'), 'store_refused', 'AWS_ACCESS_KEY_ID'],
  ['a clock', xml(403, 'RequestTimeTooSkewed'), 'store_unavailable', 'clock'],
  ['an expired token', xml(400, 'ExpiredToken'), 'store_unavailable', 'AWS_SESSION_TOKEN'],
  ['throttling', xml(400, 'Throttling'), 'store_unavailable', '400 Throttling'],
  ['throttling under another name', xml(400, 'RequestThrottledException'), 'store_unavailable', 'Throttled'],
  ['too many requests', xml(400, 'TooManyRequests'), 'store_unavailable', 'TooManyRequests'],
  ['a page', PAGE, 'store_refused', 'an IP allow list'],
  ['a status alone', BARE, 'store_refused', 'an IP allow list'],
];

describe.each(PASSING)('%s', (_name, response, code, cure) => {
  test('is tried again, and says the cure when it lasts, whoever sends and whatever is asked', async () => {
    const store = archive.open(fake, { random: () => 0 });
    const expected = { code, remedy: { kind: 'retry' }, message: expect.stringContaining(cure) };
    answer = () => response;
    const fresh = archive.open(fake, { random: () => 0 });
    await expect(keysOf(fresh.list(''))).rejects.toMatchObject(expected);
    answer = null;
    // From then on what is small is sent without the SDK.
    await store.abilities();
    answer = () => response;
    await Promise.all(
      [put(store, 'k', 'x'), keysOf(store.list('')), store.read('k')].map((asked) =>
        expect(asked).rejects.toMatchObject(expected),
      ),
    );
    let left = 2;
    answer = () => ((left -= 1) >= 0 ? response : null);
    expect(await put(store, 'k', 'x')).toBe('created');
  });
});

test('a HEAD that is refused without words may pass', async () => {
  const store = archive.open(fake, { random: () => 0 });
  await put(store, 'k', 'x');
  for (const status of [400, 403]) {
    answer = (request) => (request.method === 'HEAD' ? { status, body: '' } : null);
    await expect(store.head('k')).rejects.toMatchObject({ remedy: { kind: 'retry' } });
  }
});

describe('a store that does not take', () => {
  const unlessCovered = (request: S3Request, header: string, refusal: S3Response): S3Response | null =>
    request.headers[header] === undefined ? null : refusal;
  const CHECKSUM_MESSAGE = 'Unsupported header x-amz-checksum-sha256';

  test.each([
    ['400 and its name', xml(400, 'InvalidArgument', CHECKSUM_MESSAGE)],
    ['400 alone', { status: 400, body: '' }],
    ['501', xml(501, 'NotImplemented', CHECKSUM_MESSAGE)],
  ])('checksums (%s) is written to without them, and its condition still counts', async (_name, refusal) => {
    answer = (request) =>
      unlessCovered(request, 'x-amz-checksum-sha256', refusal) ??
      unlessCovered(request, 'x-amz-checksum-mode', { status: 400, body: '' });
    const store = archive.open(fake, { random: () => 0 });
    expect((await store.abilities()).createOnly).toBe('atomic');
    expect(await put(store, 'k', 'first')).toBe('created');
    expect(await put(store, 'k', 'second')).toBe('exists');
    const large = textBody('x'.repeat(3_000_000));
    expect((await store.putIfAbsent('large', large, LOG)).outcome).toBe('created');
    expect(await textOf(await store.read('k'))).toBe('first');
    expect(await store.head('k')).toMatchObject({ bytes: 5, sha256: null });
    expect(await store.head('none')).toBe(null);
  });

  test('If-None-Match (501) has objects looked up before they are written', async () => {
    answer = (request) => unlessCovered(request, 'if-none-match', xml(501, 'NotImplemented', 'A header'));
    const store = archive.open(fake, { random: () => 0 });
    expect((await store.abilities()).createOnly).toBe('checked');
    expect(await put(store, 'k', 'first')).toBe('created');
    expect(await put(store, 'k', 'second')).toBe('exists');
    expect(archive.stored(fake, 'k')).toHaveLength(1);
    expect(archive.stored(fake, 'k')[0]?.checksums.sha256).toBeDefined();
  });

  test('neither is written to without both', async () => {
    answer = (request) =>
      unlessCovered(request, 'if-none-match', xml(501, 'NotImplemented')) ??
      unlessCovered(request, 'x-amz-checksum-sha256', xml(400, 'InvalidRequest'));
    const store = archive.open(fake, { random: () => 0 });
    expect((await store.abilities()).createOnly).toBe('checked');
    expect(await put(store, 'k', 'x')).toBe('created');
  });

  test('the condition once, for a moment, is asked for it all the same', async () => {
    let left = 1;
    answer = (request) =>
      request.method === 'PUT' && (left -= 1) >= 0 ? xml(501, 'NotImplemented', 'If-None-Match') : null;
    const store = archive.open(fake, { random: () => 0 });
    expect((await store.abilities()).createOnly).toBe('atomic');
    expect(await put(store, 'k', 'first')).toBe('created');
    expect(await put(store, 'k', 'second')).toBe('exists');
  });

  test('any write is refused as unsuitable, by the header that it names', async () => {
    answer = (request) =>
      request.method === 'PUT'
        ? xml(501, 'NotImplemented', 'x-amz-checksum-sha256 is not implemented')
        : null;
    const store = archive.open(fake, { random: () => 0 });
    await expect(store.putIfAbsent('k', textBody('x'), RECORD)).rejects.toMatchObject({
      code: 'store_unsuitable',
      remedy: { kind: 'give_up' },
      message: expect.stringContaining('the store cannot do the header x-amz-checksum-sha256'),
    });
  });
});

describe('keys of others that XML has no character for', () => {
  const ODD = [
    'v1/a b+c%20d',
    'v1/bell\u0007',
    'v1/line\nfeed',
    'v1/nonchar\uffff',
    'v1/plain',
    'v1/é&<>"\'',
    'v1/😀',
  ];

  test.each([
    ['by the SDK', false],
    ['without it', true],
  ])('are listed with all the others, %s, page by page', async (_name, isDirect) => {
    const writer = archive.open(fake);
    for (const key of ODD) await put(writer, key, 'x');
    const store = isDirect ? writer : archive.open(fake);
    const inOrder = [...ODD].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect(await keysOf(store.list('v1/'))).toEqual(inOrder);
    expect(await keysOf(store.list('v1/bell\u0007'))).toEqual(['v1/bell\u0007']);
    expect(await keysOf(store.list('v1/', 'v1/bell\u0007'))).toEqual(
      inOrder.slice(inOrder.indexOf('v1/bell\u0007') + 1),
    );
    expect(await keysOf(store.listVersions('v1/'))).toEqual(inOrder);
  });
});
