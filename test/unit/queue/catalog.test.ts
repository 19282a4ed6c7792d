import { deflateRawSync } from 'node:zlib';
import { JsonText } from '../../../src/json-text.ts';
import { describe, expect, test } from 'vitest';
import { packDelivered, queueIdOf, unpackDelivered, type NewJob } from '../../../src/queue/catalog.ts';
import { priorityOf, tagOf, TAGS_MAX, URGENCIES } from '../../../src/queue/fair-order.ts';
import { archiveJob } from '../../support/harness/queue-under-test.ts';

/** BullMQ refuses a job whose priority does not fit in 21 bits. */
const PRIORITY_LIMIT = 2 ** 21;

function jobsOf(host: string): NewJob[] {
  const at = '2026-11-20T10:11:12.000Z';
  const run = { owner: 'o', repo: 'r', repository_id: 1, installation_id: 1, run_id: 2, run_attempt: 3 };
  return [
    archiveJob(4, { host }),
    { name: 'sweep-run', data: { host, ...run, rounds: 0, requested_at: at }, delayMs: 0 },
    {
      name: 'installation-changed',
      data: { host, installation_id: 5, action: 'unsuspend', received_at: at },
    },
  ];
}

describe('the id of a queued job', () => {
  for (const host of ['github.com', 'octo.ghe.com', '10.0.0.1', '2001:db8::1', '1']) {
    test(`is one that BullMQ takes, on ${host}`, () => {
      for (const job of jobsOf(host)) expect(queueIdOf(job)).toMatch(/^[a-z]+-[^:]+$/);
    });
  }

  test('is the same for the same job, and another for another', () => {
    const ids = ['github.com', 'ghes.example'].flatMap((host) => jobsOf(host).map(queueIdOf));
    expect(new Set(ids).size).toBe(6);
    expect(ids).toEqual(['github.com', 'ghes.example'].flatMap((host) => jobsOf(host).map(queueIdOf)));
    expect(queueIdOf(archiveJob(4, { source: 'backfill', run_attempt: null, repo: 'renamed' }))).toBe(
      queueIdOf(archiveJob(4)),
    );
  });
});

describe('what a delivery said', () => {
  test('comes back as it was packed', () => {
    const job = '{"id" : 1,"__proto__":{"id":2},"n":9007199254740993,"e":1e400,"name":"ünïcode/№ \\ud800"}';
    const json = JsonText.read(job)?.json;
    if (json === undefined) throw new Error('no JSON');
    const unpacked = unpackDelivered(packDelivered({ workflow_job: json, deployment: null }));
    expect(unpacked.workflow_job.text).toBe(job);
    expect(unpacked.deployment).toBeNull();
  });

  test('is read as earlier versions packed it', () => {
    const delivered = {
      workflow_job: { id: 1, name: 'ünïcode/№ \u{1F680}', steps: [] },
      deployment: { id: 5 },
    };
    const unpacked = unpackDelivered(deflateRawSync(JSON.stringify(delivered)).toString('base64'));
    expect(unpacked.workflow_job.value()).toEqual(delivered.workflow_job);
    expect(unpacked.deployment?.value()).toEqual(delivered.deployment);
  });

  test('is not unpacked without end, nor from anything', () => {
    const bomb = packDelivered({
      workflow_job: JsonText.of({ name: 'x'.repeat(40_000_000) }),
      deployment: null,
    });
    expect(bomb.length).toBeLessThan(400_000);
    expect(() => unpackDelivered(bomb)).toThrow();
    expect(() => unpackDelivered('bm9uc2Vuc2U=')).toThrow();
  });
});

describe('a place in the order', () => {
  test('fits in a priority, and is read back from it', () => {
    const places = URGENCIES.flatMap((urgency) => [1, 2, TAGS_MAX].map((tag) => ({ urgency, tag })));
    const priorities = places.map(({ urgency, tag }) => priorityOf(urgency, tag));
    expect(priorities.map(tagOf)).toEqual(places);
    expect(priorities).toEqual(priorities.toSorted((one, other) => one - other));
    expect(Math.max(...priorities)).toBeLessThan(PRIORITY_LIMIT);
    expect(tagOf(0)).toBeNull();
  });
});
