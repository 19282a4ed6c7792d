import { describe, expect, test } from 'vitest';
import { readDeliveryHeaders } from '../../../src/receiver/delivery-headers.ts';

const COMPLETE = {
  'content-type': 'application/json',
  'x-github-event': 'ping',
  'x-github-delivery': 'guid-1',
  'x-hub-signature-256': 'sha256=00',
};

describe('content type', () => {
  test.each([
    'application/json',
    'application/json; charset=utf-8',
    'application/json;charset=utf-8',
    'Application/JSON ; charset=UTF-8',
  ])('%j is JSON', (type) => {
    expect(readDeliveryHeaders({ ...COMPLETE, 'content-type': type }).ok).toBe(true);
  });

  test.each([
    undefined,
    '',
    'application/x-www-form-urlencoded',
    'text/plain',
    'application/jsonp',
    'application/json-patch+json',
    'text/plain; application/json',
  ])('%j is not', (type) => {
    const { 'content-type': _, ...rest } = COMPLETE;
    const read = readDeliveryHeaders(type === undefined ? rest : { ...rest, 'content-type': type });
    expect(read).toMatchObject({ ok: false, outcome: { outcome: 'unsupported_media_type' } });
  });
});

describe('GitHub headers', () => {
  test.each([
    ['x-github-event', '', 'malformed', 'header X-GitHub-Event is missing'],
    ['x-github-event', ' ', 'malformed', 'header X-GitHub-Event is missing'],
    ['x-github-event', 'e'.repeat(201), 'malformed', 'header X-GitHub-Event is too long'],
    ['x-github-delivery', '', 'malformed', 'header X-GitHub-Delivery is missing'],
    ['x-github-delivery', 'd'.repeat(201), 'malformed', 'header X-GitHub-Delivery is too long'],
    [
      'x-hub-signature-256',
      '',
      'unsigned',
      'header X-Hub-Signature-256 is missing: give the webhook a secret',
    ],
  ])('%s %j is %s', (name, value, outcome, reason) => {
    const read = readDeliveryHeaders({ ...COMPLETE, [name]: value });
    expect(read).toEqual({ ok: false, outcome: { outcome, reason } });
  });

  test('a signature of the older SHA-1 kind counts for nothing', () => {
    const { 'x-hub-signature-256': _, ...rest } = COMPLETE;
    const read = readDeliveryHeaders({ ...rest, 'x-hub-signature': 'sha1=00' });
    expect(read).toMatchObject({ ok: false, outcome: { outcome: 'unsigned' } });
  });

  test('what is not sent is null', () => {
    expect(readDeliveryHeaders(COMPLETE)).toEqual({
      ok: true,
      headers: {
        event: 'ping',
        guid: 'guid-1',
        signature: 'sha256=00',
        targetType: null,
        targetId: null,
        enterpriseHost: null,
        tenant: null,
      },
    });
  });
});
