import { createRequire } from 'node:module';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { jobPayload } from '../support/github/delivery-payloads.ts';
import {
  deliver,
  signatureOf,
  startReceiver,
  type ReceiverUnderTest,
} from '../support/harness/receiver-under-test.ts';

const EDITIONS = ['api.github.com', 'ghes-31', 'ghes-32', 'ghes-33', 'ghes-34', 'ghes-35'];
const FUZZED_DELIVERIES = 300;

const require = createRequire(import.meta.url);
const definitionsSchema = z.array(z.object({ name: z.string(), examples: z.array(z.looseObject({})) }));

interface Example {
  readonly edition: string;
  readonly event: string;
  readonly payload: Readonly<Record<string, unknown>>;
}

/** Every published example of an event, as it is. */
function examplesOf(...events: string[]): Example[] {
  return EDITIONS.flatMap((edition) => {
    const definitions = definitionsSchema.parse(require(`@octokit/webhooks-examples/${edition}/index.json`));
    return definitions
      .filter(({ name }) => events.includes(name))
      .flatMap(({ name, examples }) => examples.map((payload) => ({ edition, event: name, payload })));
  });
}

/** What the contract says of an event and action, written down apart from the code. */
const EXPECTED: Readonly<Record<string, readonly [number, string]>> = {
  'workflow_job completed': [202, 'queued'],
  'workflow_job queued': [202, 'ignored'],
  'workflow_job waiting': [202, 'ignored'],
  'workflow_job in_progress': [202, 'ignored'],
  'workflow_run requested': [202, 'queued'],
  'workflow_run completed': [202, 'queued'],
  'installation unsuspend': [202, 'queued'],
  'installation deleted': [202, 'queued'],
  'installation created': [202, 'ignored'],
  'installation suspend': [202, 'ignored'],
  'installation new_permissions_accepted': [202, 'ignored'],
  'ping undefined': [200, 'pong'],
};

let receiver: ReceiverUnderTest;

beforeAll(async () => {
  receiver = await startReceiver();
});

afterAll(() => receiver.listener.close(100));

describe('published examples of the events in use', () => {
  const examples = examplesOf('workflow_job', 'workflow_run', 'installation', 'ping');

  test('are there, of every event and action the table names', () => {
    const seen = new Set(examples.map(({ event, payload }) => `${event} ${String(payload['action'])}`));
    expect([...seen].sort()).toEqual(Object.keys(EXPECTED).sort());
  });

  test.each(examples.map((example, n) => ({ ...example, n, action: String(example.payload['action']) })))(
    '$n: $event $action of $edition',
    async ({ event, action, payload }) => {
      const [status, outcome] = EXPECTED[`${event} ${action}`] ?? [];
      const answer = await deliver(receiver.url, event, JSON.stringify(payload));
      expect(answer).toMatchObject({ status, body: { outcome } });
      expect(answer.body).not.toMatchObject({ reason: 'unprocessable' });
    },
  );
});

test('published examples of all other events are ignored', async () => {
  const names = z
    .array(z.object({ name: z.string() }))
    .parse(require('@octokit/webhooks-examples/api.github.com/index.json'))
    .map(({ name }) => name)
    .filter((name) => !['workflow_job', 'workflow_run', 'installation', 'ping'].includes(name));
  expect(names.length).toBeGreaterThan(40);
  for (const { event, payload } of examplesOf(...names)) {
    const answer = await deliver(receiver.url, event, JSON.stringify(payload));
    expect(answer).toMatchObject({
      status: 202,
      body: { outcome: 'ignored', reason: `event ${event} is not used` },
    });
  }
});

test('a job object of an older server is taken', async () => {
  const old = jobPayload({
    workflow_job: {
      id: 2832853555,
      run_id: 940463255,
      run_url: 'https://ghes.example.com/api/v3/repos/octo-org/example/actions/runs/940463255',
      head_sha: 'e3103f8eb03e1ad7f2331c5446b23c070fc54055',
      status: 'completed',
      conclusion: 'success',
      started_at: '2021-06-15T19:22:27Z',
      completed_at: '2021-06-15T19:23:01Z',
      name: 'Test workflow',
      steps: [],
      labels: ['self-hosted'],
    },
  });
  delete old['installation'];
  receiver.jobs.length = 0;
  expect((await deliver(receiver.url, 'workflow_job', JSON.stringify(old))).body).toEqual({
    outcome: 'queued',
  });
  expect(receiver.jobs).toMatchObject([
    { data: { job_id: 2832853555, run_attempt: null, installation_id: null } },
  ]);
});

/** A small repeatable source of numbers (mulberry32), so that a failure can be run again. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** A body and signature that do not belong together: one of them, or both, changed in one of many ways. */
function forge(random: (below: number) => number): { body: string; signature: string } {
  const body = JSON.stringify(jobPayload({ salt: random(1_000_000) }));
  const signature = signatureOf(body);
  const at = random(body.length);
  const hexAt = 'sha256='.length + random(64);
  const otherDigit = ((Number.parseInt(signature.charAt(hexAt), 16) + 1 + random(15)) % 16).toString(16);
  const forgeries = [
    {
      body:
        body.slice(0, at) +
        String.fromCharCode(0x20 + ((body.charCodeAt(at) - 0x20 + 1) % 0x5f)) +
        body.slice(at + 1),
      signature,
    },
    { body: body.slice(0, Math.max(1, at)), signature },
    { body: `${body}${' '.repeat(1 + random(9))}`, signature },
    { body: `\uFEFF${body}`, signature },
    { body, signature: signature.slice(0, hexAt) + otherDigit + signature.slice(hexAt + 1) },
    { body, signature: signature.slice(0, hexAt) },
    { body, signature: `${signature}${otherDigit}` },
    { body, signature: signatureOf(body, `secret-${random(1_000_000)}`) },
    { body, signature: signature.replace('sha256', 'sha1') },
    {
      body,
      signature: String.fromCharCode(...Array.from({ length: 1 + random(200) }, () => 0x21 + random(0x5e))),
    },
  ];
  return forgeries[random(forgeries.length)] ?? { body, signature: 'x' };
}

test(`${FUZZED_DELIVERIES} forged deliveries are refused, and nothing of them is parsed`, async () => {
  const random = createRandom(20_261_120);
  receiver.jobs.length = 0;
  receiver.lines.length = 0;
  for (let n = 0; n < FUZZED_DELIVERIES; n += 1) {
    const { body, signature } = forge(random);
    const answer = await deliver(receiver.url, 'workflow_job', body, { 'x-hub-signature-256': signature });
    expect(answer, `forgery ${n}`).toMatchObject({ status: 401, body: { outcome: 'bad_signature' } });
  }
  expect(receiver.jobs).toEqual([]);
  // The action stands in the body: it is only known once that is parsed.
  const logged = receiver.lines.map((line) => z.looseObject({ action: z.unknown() }).parse(JSON.parse(line)));
  expect(logged).toHaveLength(FUZZED_DELIVERIES);
  expect(logged.every(({ action }) => action === null)).toBe(true);
});
