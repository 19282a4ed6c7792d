import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { retryable } from '../../src/errors.ts';
import { jobPayload, runPayload } from '../support/github/delivery-payloads.ts';
import {
  deliver,
  deliveryHeaders,
  GITHUB_COM,
  readAnswer,
  RECEIVED_AT,
  SECRET,
  signatureOf,
  startReceiver,
  type ReceiverUnderTest,
} from '../support/harness/receiver-under-test.ts';

const JOB = JSON.stringify(jobPayload());

/** Closed after each test, whatever became of it. */
const started: ReceiverUnderTest[] = [];

async function start(...deps: Parameters<typeof startReceiver>): Promise<ReceiverUnderTest> {
  const receiver = await startReceiver(...deps);
  started.push(receiver);
  return receiver;
}

afterEach(async () => {
  await Promise.all(started.splice(0).map(({ listener }) => listener.close(100)));
});

let receiver: ReceiverUnderTest;

beforeEach(async () => {
  receiver = await start();
});

describe('what is accepted', () => {
  test('a completed job is queued, logged and counted', async () => {
    const answer = await deliver(receiver.url, 'workflow_job', JOB);
    expect(answer).toEqual({
      status: 202,
      type: 'application/json',
      allow: null,
      body: { outcome: 'queued' },
    });
    expect(receiver.jobs).toMatchObject([
      { name: 'archive-job', data: { job_id: 399444496, received_at: RECEIVED_AT } },
    ]);
    expect(receiver.counted).toEqual([['workflow_job', 'queued', null]]);
    expect(receiver.lines.map((line) => JSON.parse(line))).toMatchObject([
      {
        level: 'info',
        github: 'github',
        guid: '0b989ba4-242f-11e5-81e1-c7b6966d2516',
        event: 'workflow_job',
        action: 'completed',
        outcome: 'queued',
        run_id: 29679449,
        job_id: 399444496,
        body_bytes: JOB.length,
      },
    ]);
  });

  test('runs and installations in use are queued', async () => {
    const run = await deliver(receiver.url, 'workflow_run', JSON.stringify(runPayload()));
    const gone = JSON.stringify({ action: 'deleted', installation: { id: 5 } });
    const installation = await deliver(receiver.url, 'installation', gone);
    expect([run.body, installation.body]).toEqual([{ outcome: 'queued' }, { outcome: 'queued' }]);
    expect(receiver.jobs.map(({ name }) => name)).toEqual(['sweep-run', 'installation-changed']);
  });

  test('what the queue already holds is a duplicate', async () => {
    const { url } = await start({ enqueue: () => Promise.resolve('duplicate') });
    expect(await deliver(url, 'workflow_job', JOB)).toMatchObject({
      status: 202,
      body: { outcome: 'duplicate' },
    });
  });

  test('ping is answered with pong', async () => {
    expect(await deliver(receiver.url, 'ping', '{"zen":"Design for failure."}')).toMatchObject({
      status: 200,
      body: { outcome: 'pong' },
    });
    expect(receiver.jobs).toEqual([]);
  });

  test('other events and actions are ignored, with the reason', async () => {
    expect(await deliver(receiver.url, 'push', '{"ref":"refs/heads/main"}')).toMatchObject({
      status: 202,
      body: { outcome: 'ignored', reason: 'event push is not used' },
    });
    const queued = JSON.stringify(jobPayload({ action: 'queued' }));
    expect(await deliver(receiver.url, 'workflow_job', queued)).toMatchObject({
      status: 202,
      body: { outcome: 'ignored', reason: 'action queued of event workflow_job is not used' },
    });
    expect(receiver.counted).toEqual([
      ['other', 'ignored', null],
      ['workflow_job', 'ignored', null],
    ]);
  });

  test('signed JSON without what a job needs is unprocessable, counted and logged', async () => {
    const answer = await deliver(
      receiver.url,
      'workflow_job',
      JSON.stringify(jobPayload({ workflow_job: null })),
    );
    const expected = {
      outcome: 'ignored',
      reason: 'unprocessable',
      problems: [expect.stringMatching(/^workflow_job: /)],
    };
    expect(answer).toMatchObject({ status: 202, body: expected });
    expect(receiver.counted).toEqual([['workflow_job', 'ignored', 'unprocessable']]);
    expect(JSON.parse(receiver.lines[0] ?? '')).toMatchObject({ level: 'warn', ...expected });
  });

  test('either of two secrets signs, during rotation', async () => {
    const { url } = await start({ hosts: [{ ...GITHUB_COM, webhookSecrets: ['old', 'new'] }] });
    for (const secret of ['old', 'new']) {
      const signed = { 'x-hub-signature-256': signatureOf(JOB, secret) };
      expect((await deliver(url, 'workflow_job', JOB, signed)).body).toEqual({ outcome: 'queued' });
    }
    expect((await deliver(url, 'workflow_job', JOB)).body).toMatchObject({ outcome: 'bad_signature' });
  });

  test('the test vector GitHub publishes passes the signature, and is not JSON', async () => {
    const { url } = await start({
      hosts: [{ ...GITHUB_COM, webhookSecrets: ["It's a Secret to Everybody"] }],
    });
    const signature = 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17';
    const answer = await deliver(url, 'push', 'Hello, World!', { 'x-hub-signature-256': signature });
    expect(answer).toMatchObject({
      status: 400,
      body: { outcome: 'malformed', reason: 'the body is not JSON' },
    });
  });
});

describe('what is refused', () => {
  const NO_SIGNATURE = { 'x-hub-signature-256': null };
  test.each([
    ['a form', JOB, { 'content-type': 'application/x-www-form-urlencoded' }, 415, 'unsupported_media_type'],
    ['no content type', JOB, { 'content-type': null }, 415, 'unsupported_media_type'],
    ['no event', JOB, { 'x-github-event': null }, 400, 'malformed'],
    ['no delivery id', JOB, { 'x-github-delivery': null }, 400, 'malformed'],
    ['no signature', JOB, NO_SIGNATURE, 401, 'unsigned'],
    ['an empty signature', JOB, { 'x-hub-signature-256': '' }, 401, 'unsigned'],
    ['a wrong signature', JOB, { 'x-hub-signature-256': signatureOf(JOB, 'guess') }, 401, 'bad_signature'],
    ['a signature of another kind', JOB, { 'x-hub-signature-256': 'sha1=00' }, 401, 'bad_signature'],
    ['an empty body', '', {}, 400, 'malformed'],
    ['a body that is not UTF-8', Uint8Array.of(0x7b, 0xff, 0x7d), {}, 400, 'malformed'],
    ['a body that ends inside a character', Uint8Array.of(0x7b, 0xe2, 0x82), {}, 400, 'malformed'],
    ['signed text that is not JSON', '{"action":"queued",', {}, 400, 'malformed'],
    ['signed text that only looks like JSON', '{"action":"queued",}', {}, 400, 'malformed'],
    ['another App', JOB, { 'x-github-hook-installation-target-id': '99' }, 403, 'wrong_target'],
    ['another host', JOB, { 'x-github-enterprise-host': 'ghes.example.com' }, 403, 'wrong_target'],
    ['a tenant', JOB, { 'x-github-tenant': 'octo' }, 403, 'wrong_target'],
  ])('%s', async (_, body, changed, status, outcome) => {
    const answer = await deliver(receiver.url, 'workflow_job', body, changed);
    expect(answer).toEqual({
      status,
      type: 'application/json',
      allow: null,
      body: { outcome, reason: expect.any(String) },
    });
    expect(receiver.jobs).toEqual([]);
    expect(receiver.counted.map(([, counted]) => counted)).toEqual([outcome]);
  });

  test('a byte order mark is part of the signed bytes and never of JSON', async () => {
    const marked = `\uFEFF${JOB}`;
    expect((await deliver(receiver.url, 'workflow_job', marked)).body).toEqual({
      outcome: 'malformed',
      reason: 'the body is not JSON',
    });
    const unmarked = { 'x-hub-signature-256': signatureOf(JOB) };
    expect((await deliver(receiver.url, 'workflow_job', marked, unmarked)).body).toMatchObject({
      outcome: 'bad_signature',
    });
    expect(receiver.jobs).toEqual([]);
  });

  test('a queue that does not confirm is unavailable within its limit', async () => {
    const { url } = await start({ enqueue: () => new Promise(() => undefined) });
    const sentAt = performance.now();
    const answer = await deliver(url, 'workflow_job', JOB);
    const tookMs = performance.now() - sentAt;
    expect(answer).toMatchObject({ status: 503, body: { outcome: 'unavailable' } });
    expect(tookMs).toBeGreaterThan(1_900);
    expect(tookMs).toBeLessThan(2_500);
  });

  test('a queue that is down is unavailable at once, also when it says so too late', async () => {
    const down = await start({
      enqueue: () => Promise.reject(retryable('queue_unavailable', 'connection refused')),
    });
    expect(await deliver(down.url, 'workflow_job', JOB)).toMatchObject({
      status: 503,
      body: { outcome: 'unavailable' },
    });
    let fail: (error: Error) => void = () => undefined;
    const late = new Promise<never>((_, reject) => {
      fail = reject;
    });
    const slow = await start({ enqueue: () => late, limits: { enqueueTimeoutMs: 20 } });
    expect((await deliver(slow.url, 'workflow_job', JOB)).status).toBe(503);
    fail(retryable('queue_unavailable', 'connection refused'));
    expect((await deliver(slow.url, 'ping', '{}')).status).toBe(200);
  });

  test('an unexpected failure is an error without details', async () => {
    const { url, counted, lines } = await start({
      enqueue: () => Promise.reject(new Error('details for the operator')),
    });
    const answer = await deliver(url, 'workflow_job', JOB);
    expect(answer).toMatchObject({ status: 500, type: 'application/json', body: { outcome: 'error' } });
    expect(JSON.stringify(answer)).not.toContain('details');
    expect(counted).toEqual([['workflow_job', 'error', null]]);
    expect(lines.join('')).toContain('details for the operator');
  });
});

describe('addresses', () => {
  const GHES = { ...GITHUB_COM, name: 'ghes', host: 'ghes.example.com', product: 'ghes' } as const;

  test('one host has both paths', async () => {
    const named = await deliver(`${receiver.url}/webhooks/github`, 'workflow_job', JOB);
    expect(named.body).toEqual({ outcome: 'queued' });
    expect(await deliver(`${receiver.url}/webhooks/other`, 'workflow_job', JOB)).toMatchObject({
      status: 404,
      type: 'application/json',
      body: { outcome: 'not_found' },
    });
  });

  test('several hosts have a path, secrets and a target each', async () => {
    const both = await start({ hosts: [GITHUB_COM, { ...GHES, webhookSecrets: ['theirs'] }] });
    const theirs = {
      'x-hub-signature-256': signatureOf(JOB, 'theirs'),
      'x-github-enterprise-host': 'ghes.example.com',
    };
    const ghes = `${both.url}/webhooks/ghes`;
    expect((await deliver(ghes, 'workflow_job', JOB, theirs)).body).toEqual({ outcome: 'queued' });
    expect(both.jobs[0]?.data.host).toBe('ghes.example.com');
    expect((await deliver(ghes, 'workflow_job', JOB)).body).toMatchObject({ outcome: 'bad_signature' });
    expect(await deliver(both.url, 'workflow_job', JOB)).toMatchObject({
      status: 404,
      body: { outcome: 'not_found' },
    });
  });

  test.each(['GET', 'PUT', 'DELETE', 'OPTIONS'])('%s is no way to deliver', async (method) => {
    const answer = await readAnswer(await fetch(`${receiver.url}/webhooks`, { method }));
    expect(answer).toMatchObject({ status: 405, type: 'application/json', allow: 'POST' });
    expect(answer.body).toMatchObject({ outcome: 'method_not_allowed' });
  });

  test('healthz answers for the process; other paths are not found', async () => {
    expect(await readAnswer(await fetch(`${receiver.url}/healthz`))).toMatchObject({
      status: 200,
      type: 'application/json',
      body: { status: 'ok' },
    });
    expect(await readAnswer(await fetch(`${receiver.url}/elsewhere`))).toMatchObject({
      status: 404,
      type: 'application/json',
      body: { outcome: 'not_found' },
    });
  });

  test('a receiver without a host, or with two of one name, is not built', async () => {
    await expect(startReceiver({ hosts: [] })).rejects.toThrow('at least one GitHub host');
    await expect(startReceiver({ hosts: [GITHUB_COM, GITHUB_COM] })).rejects.toThrow('two GitHub hosts');
  });
});

test('no log line holds a body, a signature or a secret', async () => {
  const body = JSON.stringify(jobPayload({ marker: 'marker-in-the-body' }));
  await deliver(receiver.url, 'workflow_job', body);
  await deliver(receiver.url, 'workflow_job', body, { 'x-hub-signature-256': signatureOf(body, 'guess') });
  await deliver(receiver.url, 'workflow_job', 'marker-in-the-body is not JSON');
  const log = receiver.lines.join('');
  expect(receiver.lines).toHaveLength(3);
  expect(log).not.toContain('marker-in-the-body');
  expect(log).not.toContain(SECRET);
  for (const text of [body, 'marker-in-the-body is not JSON']) {
    expect(log).not.toContain(deliveryHeaders('workflow_job', text)['x-hub-signature-256']);
  }
});
