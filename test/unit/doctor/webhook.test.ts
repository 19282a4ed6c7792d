import { describe, expect, test } from 'vitest';
import { judgeDeliveries, judgeHook } from '../../../src/doctor/webhook.ts';

/** What doctor makes of an App's webhook and of how its deliveries were answered. */

const hook = { url: 'https://everlog.example.com/webhooks', contentType: 'json', insecureTls: false };
const NOW = new Date('2026-11-20T12:00:00Z');

describe('the webhook', () => {
  test.each([
    ['https://everlog.example.com/webhooks', 'ok'],
    ['https://everlog.example.com/webhooks/', 'ok'],
    ['https://everlog.example.com/ci/webhooks/main', 'ok'],
    ['http://127.0.0.1:3000/webhooks', 'ok'],
    ['http://everlog.example.com/webhooks', 'warning'],
    ['https://everlog.example.com/webhooks/other', 'warning'],
    ['https://everlog.example.com/', 'warning'],
    ['', 'failed'],
  ])('at %j is %s', (url, status) => {
    expect(judgeHook({ ...hook, url }, 'main').status).toBe(status);
  });

  test('that sends forms is refused by the receiver; one that takes any certificate is told', () => {
    expect(judgeHook({ ...hook, contentType: 'form' }, 'main')).toMatchObject({
      status: 'failed',
      fix: expect.stringContaining('application/json'),
    });
    expect(judgeHook({ ...hook, insecureTls: true }, 'main')).toMatchObject({
      status: 'warning',
      fix: expect.stringContaining('SSL verification'),
    });
  });
});

describe('deliveries', () => {
  /** Attempts, newest first, an hour apart: what each was answered, and to which event it belongs. */
  function attempts(...answers: readonly (readonly [guid: string, status: number])[]) {
    return answers.map(([guid, status], index) => ({
      id: String(100 - index),
      guid,
      delivered_at: new Date(NOW.getTime() - (index + 1) * 3_600_000).toISOString(),
      redelivery: false,
      status: '',
      status_code: status,
      event: 'workflow_job',
      action: 'completed',
    }));
  }

  test('none, or none of the last day, is no fault', () => {
    const old = attempts(['a', 500]).map((one) => ({ ...one, delivered_at: '2026-11-19T11:59:59Z' }));
    for (const none of [[], old])
      expect(judgeDeliveries(none, NOW)).toEqual({
        status: 'ok',
        detail: 'GitHub lists none of the last 24 hours',
      });
  });

  test('count by the last attempt at each', () => {
    expect(judgeDeliveries(attempts(['a', 202], ['a', 503], ['b', 200]), NOW)).toEqual({
      status: 'ok',
      detail: 'all of the last 2 listed were accepted, the newest at 2026-11-20T11:00:00.000Z',
    });
  });

  test('that failed before the newest was accepted are to be redelivered', () => {
    expect(judgeDeliveries(attempts(['a', 202], ['b', 502]), NOW)).toEqual({
      status: 'warning',
      detail:
        '1 of the last 2 listed failed, the newest of them at 2026-11-20T10:00:00.000Z: answered 502; accepted since',
      fix: 'ask for them again: everlog redeliver',
    });
  });

  test.each([
    [0, 'reached from GitHub'],
    [401, 'webhook secret'],
    [403, 'wrong_target'],
    [404, '/webhooks'],
    [415, 'application/json'],
    [503, '/readyz'],
    [500, 'the log of'],
  ])('of which the newest was answered %s are told with their cure', (status, cure) => {
    expect(judgeDeliveries(attempts(['a', status], ['b', 202]), NOW)).toMatchObject({
      status: 'failed',
      detail: expect.stringContaining(status === 0 ? 'nobody answered' : `answered ${status}`),
      fix: expect.stringContaining(cure),
    });
  });
});
