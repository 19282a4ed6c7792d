import { inflateRawSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { JsonText } from '../../../src/json-text.ts';
import { readDelivery, type DeliveryReading } from '../../../src/receiver/delivery.ts';
import { jobPayload, runPayload } from '../../support/github/delivery-payloads.ts';

const CONTEXT = { host: 'github.com', guid: 'guid-1', receivedAt: new Date('2026-11-20T10:11:12.345Z') };
const NAME_PROBLEM = 'not a GitHub owner or repository name';

function readText(event: string, text: string): DeliveryReading {
  const payload = JsonText.read(text);
  if (payload === null) throw new Error('no JSON');
  return readDelivery(event, payload, CONTEXT);
}

function read(event: string, payload: unknown): DeliveryReading {
  return readText(event, JSON.stringify(payload));
}

function dataOf(reading: DeliveryReading): Readonly<Record<string, unknown>> {
  if (reading.kind !== 'job') throw new Error(`not a job: ${JSON.stringify(reading)}`);
  return reading.job.data;
}

function unpack(packed: unknown): unknown {
  return JSON.parse(inflateRawSync(Buffer.from(String(packed), 'base64')).toString());
}

function problemsOf(event: string, payload: unknown): readonly string[] {
  const reading = read(event, payload);
  if (reading.kind !== 'unprocessable') throw new Error(`not unprocessable: ${reading.kind}`);
  return reading.problems;
}

describe('workflow_job completed', () => {
  test('becomes an archive job with the delivery inside', () => {
    const { delivered, ...data } = dataOf(read('workflow_job', jobPayload()));
    expect(data).toEqual({
      host: 'github.com',
      owner: 'octo-org',
      repo: 'Octo-Repo',
      repository_id: 1296269,
      installation_id: 77,
      run_id: 29679449,
      run_attempt: 2,
      job_id: 399444496,
      sender: 'octocat',
      delivery_ids: ['guid-1'],
      source: 'webhook',
      received_at: '2026-11-20T10:11:12.345Z',
      looks: null,
      spool_bytes: null,
      slot_at: null,
    });
    expect(unpack(delivered)).toEqual({ workflow_job: jobPayload()['workflow_job'], deployment: null });
  });

  test('keeps the job object as parsed, member order and unknown members included', () => {
    const job =
      '{"zeta":[1,{"b":null,"a":2}],"run_id":3,"new_field":{"x":"é"},"id":4,"conclusion":"never_heard_of"}';
    const payload = jobPayload({ workflow_job: JSON.parse(job), deployment: { id: 5, environment: 'prod' } });
    const { delivered } = dataOf(read('workflow_job', payload));
    expect(JSON.stringify(unpack(delivered))).toBe(
      `{"workflow_job":${job},"deployment":{"id":5,"environment":"prod"}}`,
    );
  });

  test('is taken from servers that send less', () => {
    const payload = jobPayload({ workflow_job: { id: 4, run_id: 3 } });
    delete payload['installation'];
    delete payload['sender'];
    expect(dataOf(read('workflow_job', payload))).toMatchObject({
      run_attempt: null,
      installation_id: null,
      sender: null,
    });
  });

  test.each([
    ['installation', null, { installation_id: null }],
    ['installation', { id: 'x' }, { installation_id: null }],
    ['sender', {}, { sender: null }],
    ['sender', 'octocat', { sender: null }],
  ])('what is not needed cannot spoil it: %s %j', (name, value, expected) => {
    expect(dataOf(read('workflow_job', jobPayload({ [name]: value })))).toMatchObject(expected);
  });

  test.each([
    [{ workflow_job: null }, 'workflow_job:'],
    [{ workflow_job: [] }, 'workflow_job:'],
    [{ workflow_job: { run_id: 3 } }, 'workflow_job.id:'],
    [{ workflow_job: { id: 4 } }, 'workflow_job.run_id:'],
    [{ workflow_job: { id: '4', run_id: 3 } }, 'workflow_job.id:'],
    [{ workflow_job: { id: 0, run_id: 3 } }, 'workflow_job.id:'],
    [{ workflow_job: { id: 1.5, run_id: 3 } }, 'workflow_job.id:'],
    [{ workflow_job: { id: 2 ** 53, run_id: 3 } }, 'workflow_job.id:'],
    [{ repository: undefined }, 'repository:'],
    [{ repository: { name: 'r', owner: null } }, 'repository.owner:'],
    [{ repository: { name: '..', owner: { login: 'o' } } }, `repository.name: ${NAME_PROBLEM}`],
    [{ repository: { name: 'a/b', owner: { login: 'o' } } }, `repository.name: ${NAME_PROBLEM}`],
    [{ repository: { name: 'r', owner: { login: '' } } }, `repository.owner.login: ${NAME_PROBLEM}`],
  ])('%j is unprocessable', (changed, problem) => {
    const problems = problemsOf('workflow_job', jobPayload(changed));
    expect(problems).toHaveLength(1);
    expect(problems[0]?.startsWith(problem)).toBe(true);
  });
});

describe('workflow_run', () => {
  test.each([
    ['requested', 6 * 60 * 60_000],
    ['completed', 5_000],
  ])('%s becomes a sweep of its attempt', (action, delayMs) => {
    expect(read('workflow_run', runPayload({ action }))).toEqual({
      kind: 'job',
      action,
      job: {
        name: 'sweep-run',
        data: {
          host: 'github.com',
          owner: 'octo-org',
          repo: 'Octo-Repo',
          repository_id: 1296269,
          installation_id: 77,
          run_id: 29679449,
          run_attempt: 3,
          rounds: 0,
          requested_at: '2026-11-20T10:11:12.345Z',
        },
        delayMs,
      },
    });
  });

  test('a missing attempt is the first', () => {
    expect(dataOf(read('workflow_run', runPayload({ workflow_run: { id: 9 } })))).toMatchObject({
      run_id: 9,
      run_attempt: 1,
    });
  });

  test('without a run it is unprocessable', () => {
    expect(problemsOf('workflow_run', runPayload({ workflow_run: null }))).toHaveLength(1);
  });
});

describe('installation', () => {
  test.each(['unsuspend', 'deleted'])('%s is passed on', (action) => {
    expect(read('installation', { action, installation: { id: 5 } })).toEqual({
      kind: 'job',
      action,
      job: {
        name: 'installation-changed',
        data: { host: 'github.com', installation_id: 5, action, received_at: '2026-11-20T10:11:12.345Z' },
      },
    });
  });

  test('without an id it is unprocessable', () => {
    expect(problemsOf('installation', { action: 'deleted' })).toHaveLength(1);
  });
});

describe('what is not used', () => {
  test.each([
    ['push', { ref: 'x' }, null, 'event push is not used'],
    ['push', [], null, 'event push is not used'],
    ['constructor', {}, null, 'event constructor is not used'],
    ['check_run', { action: 'completed' }, 'completed', 'event check_run is not used'],
    ['workflow_job', { action: 'queued' }, 'queued', 'action queued of event workflow_job is not used'],
    [
      'workflow_run',
      { action: 'in_progress' },
      'in_progress',
      'action in_progress of event workflow_run is not used',
    ],
    ['installation', { action: 'created' }, 'created', 'action created of event installation is not used'],
  ])('%s %j', (event, payload, action, reason) => {
    expect(read(event, payload)).toEqual({ kind: 'unused', action, reason });
  });

  test('long names do not make long answers', () => {
    const reading = read('workflow_job', { action: 'a'.repeat(1_000_000) });
    expect(reading.kind === 'unused' && reading.reason.length).toBeLessThan(200);
    expect(reading.kind === 'unused' && reading.action?.length).toBeLessThan(200);
  });
});

test.each(['workflow_job', 'workflow_run', 'installation'])(
  '%s that is no object is unprocessable',
  (event) => {
    for (const payload of [null, 1, 'text', true, [], [jobPayload()]]) {
      expect(problemsOf(event, payload)).toEqual(['payload: not a JSON object']);
    }
    expect(problemsOf(event, { action: 7 })).toEqual(['action: not a string']);
  },
);

test('ping needs nothing', () => {
  for (const payload of [{}, null, { zen: 'Design for failure.' }]) {
    expect(read('ping', payload)).toEqual({ kind: 'pong' });
  }
});
