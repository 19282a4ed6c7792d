import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { until } from '../support/harness/everlog-under-test.ts';
import { openStage } from '../support/harness/everlog-under-test.ts';
import { Scene } from '../support/github/scene.ts';
import {
  hostConfig,
  placesOn,
  startFetchPath,
  startQuietHost,
  type HostUnderTest,
} from '../support/github/fetch-path.ts';
import { readRecord, type RecordUnderTest } from '../support/oracles/archive-oracle.ts';
import { startRedis } from '../support/servers/redis-server.ts';

/** Answers that look like facts about a job and are none: pages of proxies, incidents, deliveries that say too little. */
vi.setConfig({ testTimeout: 60_000 });

const stage = openStage();
let host: HostUnderTest;
let scene: Scene;

beforeAll(async () => {
  const redis = await startRedis();
  stage.defer(() => redis.stop());
  host = await startQuietHost(stage, 'github.com');
  const service = await startFetchPath(stage, `${redis.url}/0`, [hostConfig(host)]);
  scene = new Scene(host, service, { origin: '', answers: new Map(), targets: [] }, 'octo-org');
}, 120_000);

afterAll(() => stage.close());

async function recordOf(jobId: number): Promise<RecordUnderTest> {
  return readRecord(scene.service.archive, placesOn(host, jobId).record);
}

async function hasRecord(jobId: number): Promise<boolean> {
  return (await scene.service.archive.versions()).includes(placesOn(host, jobId).record);
}

/** Resolves with what the queue says of a job that failed at least `tries` times. */
async function saidOf(jobId: number, pattern: RegExp): Promise<void> {
  await until(
    `the log tells of job ${jobId}: ${pattern.source}`,
    () =>
      Promise.resolve(scene.service.lines.some((line) => line.includes(String(jobId)) && pattern.test(line))),
    30_000,
    () => scene.service.lines.slice(-5).join(''),
  );
}

const GATEWAY_JSON = { contentType: 'application/json', body: '{"message":"Forbidden"}' };

test.concurrent.for([
  ['a proxy page with 403 for the job', 'job', { status: 403 }],
  ['a proxy page with 404 for the job', 'job', { status: 404 }],
  ['a gateway that speaks JSON', 'job', { status: 403, ...GATEWAY_JSON }],
  ['a proxy page with 404 for the log', 'logs', { status: 404 }],
  ['a proxy page with 410 for the log', 'logs', { status: 410 }],
  ['a proxy page with 403 for the log', 'logs', { status: 403 }],
  ['a proxy page with 400', 'job', { status: 400 }],
  ['a page of a gateway before the log host', 'blob', { status: 404 }],
  ['a page of a gateway before the log host, 410', 'blob', { status: 410 }],
  [
    'an answer that says nothing before the log host',
    'blob',
    { status: 404, contentType: 'text/plain', body: 'no' },
  ],
] as const)(
  '%s is an outage: the job waits, and its log is archived',
  async ([_name, route, page], { expect }) => {
    const id = scene.job({ log: 'there all the time\n' });
    const fault = host.simulator.faults.add({
      match: { route, jobId: id },
      effect: { kind: 'page', ...page },
    });
    expect(await scene.send(scene.payload(id))).toBe('202 {"outcome":"queued"}');
    await until(
      'it was asked for more often than a missing log is',
      () => Promise.resolve(fault.hits >= 3),
      30_000,
    );
    expect(await hasRecord(id)).toBe(false);
    fault.remove();
    await until('the log is archived', () => hasRecord(id), 30_000);
    expect(await recordOf(id)).toMatchObject({ outcome: 'archived', revision: 1 });
  },
);

test('an IP allow list is named in the reason', async () => {
  const id = scene.job({ log: 'behind the list\n' });
  const message =
    'Although you appear to have the correct authorization credentials, the `octo-org` organization has an IP allow list enabled, and your IP address is not permitted to access this resource.';
  const body = JSON.stringify({ message, documentation_url: 'https://docs.github.com/rest', status: '403' });
  scene.fault('job', id, { kind: 'status', status: 403, body });
  scene.fault('logs', id, { kind: 'status', status: 403, body });
  await scene.send(scene.payload(id));
  await scene.service.settled(host.name, id);
  expect(await recordOf(id)).toMatchObject({
    outcome: 'forbidden',
    absence: { reason: expect.stringContaining('IP allow list') },
  });
});

test('an incident that answers 404 for every run and job deletes nothing', async () => {
  const id = scene.job({ log: 'after the incident\n' });
  const { faults } = host.simulator;
  const broken = ['job', 'logs', 'run', 'run_jobs'].map((route) =>
    faults.add({
      match: { route },
      effect: { kind: 'status', status: 404, body: '{"message":"Not Found"}' },
    }),
  );
  await scene.send(scene.payload(id));
  await saidOf(id, /nor? .*neighbours|neighbours either|proves no deletion/);
  expect(await hasRecord(id)).toBe(false);
  for (const fault of broken) fault.remove();
  await scene.service.hurry();
  await until('the log is archived', () => hasRecord(id), 30_000);
  expect((await recordOf(id)).outcome).toBe('archived');
});

test('a job that GitHub lists and does not show is not believed to be deleted', async () => {
  const id = scene.job({ log: 'it is listed\n' });
  const body = '{"message":"Not Found"}';
  const broken = ['job', 'logs'].map((route) =>
    host.simulator.faults.add({ match: { route, jobId: id }, effect: { kind: 'status', status: 404, body } }),
  );
  await scene.send(scene.payload(id));
  await saidOf(id, /lists it/);
  expect(await hasRecord(id)).toBe(false);
  for (const fault of broken) fault.remove();
  await scene.service.hurry();
  await until('the log is archived', () => hasRecord(id), 30_000);
});

test('a delivery without steps and runner decides nothing, even while it serves as details', async () => {
  await scene.archiveAnother();
  host.simulator.rateLimits.setRemaining(scene.installationId, 7_000);
  await scene.archiveAnother();
  const id = scene.job({ log: 'it ran for an hour\n' });
  const payload = scene.payload(id);
  const bare = { steps: [], runner_id: null, runner_name: null };
  await scene.send({ ...payload, workflow_job: { ...Object(payload['workflow_job']), ...bare } });
  await scene.service.settled(host.name, id);
  expect(await recordOf(id)).toMatchObject({ outcome: 'archived', details_source: 'api' });
});
