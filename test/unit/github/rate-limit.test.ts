import { describe, expect, test } from 'vitest';
import { pauseAskedFor, rateStateOf } from '../../../src/github/rate-limit.ts';

const NOW = new Date('2026-11-20T12:00:00.000Z');

function spent(resetAt: Date): Record<string, string> {
  return {
    'x-ratelimit-limit': '5000',
    'x-ratelimit-remaining': '0',
    'x-ratelimit-reset': String(resetAt.getTime() / 1000),
  };
}

function secondsAfterNow(seconds: number): Date {
  return new Date(NOW.getTime() + seconds * 1000);
}

describe('a reset told by another clock', () => {
  test.each([-600, -120, -6, 0, 2, 6, 120, 600])('that is %i s ahead of ours', (lead) => {
    const headers = { ...spent(secondsAfterNow(lead + 300)), date: secondsAfterNow(lead).toUTCString() };
    const slack = Math.abs(lead) < 5 ? lead : 0;
    expect(pauseAskedFor(403, headers, '', NOW)).toEqual(secondsAfterNow(300 + slack));
    expect(rateStateOf(headers, NOW)?.resetAt).toEqual(secondsAfterNow(300 + slack));
  });

  test('is taken as it is where the answer has no date', () => {
    expect(rateStateOf(spent(secondsAfterNow(300)), NOW)?.resetAt).toEqual(secondsAfterNow(300));
  });
});

describe('what an answer asks for', () => {
  test.each([
    { name: 'retry-after', status: 403, headers: { 'retry-after': '17' }, body: '', waitS: 17 },
    {
      name: 'retry-after first',
      status: 429,
      headers: { 'retry-after': '17', ...spent(secondsAfterNow(300)) },
      body: '',
      waitS: 17,
    },
    {
      name: 'retry-after as a date',
      status: 429,
      headers: { 'retry-after': secondsAfterNow(40).toUTCString() },
      body: '',
      waitS: 40,
    },
    { name: 'a reset', status: 429, headers: spent(secondsAfterNow(300)), body: '', waitS: 300 },
    {
      name: 'a reset that has passed',
      status: 403,
      headers: spent(secondsAfterNow(-300)),
      body: '',
      waitS: 1,
    },
    {
      name: 'a reset beyond belief',
      status: 403,
      headers: spent(secondsAfterNow(864_000)),
      body: '',
      waitS: 7_200,
    },
    { name: 'nothing but 429', status: 429, headers: {}, body: '', waitS: 60 },
    { name: 'words', status: 403, headers: {}, body: 'You have exceeded a secondary rate limit.', waitS: 60 },
  ])('$name: $waitS s', ({ status, headers, body, waitS }) => {
    expect(pauseAskedFor(status, headers, body, NOW)).toEqual(secondsAfterNow(waitS));
  });

  test.each([
    { status: 403, body: 'Resource not accessible by integration' },
    { status: 404, body: 'rate limit' },
    { status: 200, body: '' },
  ])('$status $body asks for no pause', ({ status, body }) => {
    expect(pauseAskedFor(status, {}, body, NOW)).toBeNull();
  });
});
