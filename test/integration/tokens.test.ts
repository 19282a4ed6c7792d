import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openConnections } from '../../src/github/network/connections.ts';
import { openTokens } from '../../src/github/credentials.ts';
import type { Simulator, SimulatorOptions } from '../../src/simulator/simulator.ts';
import { workflowJobPayload } from '../../src/simulator/delivery-payloads.ts';
import {
  expectArchived,
  folderArchive,
  placesOfJob,
  readRecord,
  type ArchiveUnderTest,
} from '../support/oracles/archive-oracle.ts';
import {
  archiveQueue,
  each,
  githubSettings,
  openStage,
  queueAtRest,
  until,
  type EverlogProcess,
} from '../support/harness/everlog-under-test.ts';
import { startRedis, type RedisServer } from '../support/servers/redis-server.ts';

const MINUTE_MS = 60_000;
const DONE_TIMEOUT_MS = 30_000;

const stage = openStage();
const servers = openStage();
let redis: RedisServer;
let databases = 0;

beforeAll(async () => {
  redis = await startRedis({ extraArgs: ['--databases', '64'] });
  servers.defer(() => redis.stop());
});

afterEach(() => stage.close());
afterAll(() => servers.close());

interface Service {
  readonly simulator: Simulator;
  readonly everlog: EverlogProcess;
  readonly archive: ArchiveUnderTest;
  readonly repositoryId: number;
  readonly installationId: number;
}

async function start(options: SimulatorOptions = {}, env: Record<string, string> = {}): Promise<Service> {
  const simulator = await stage.simulator({ appId: 3, ...options });
  const installation = simulator.world.addInstallation({ login: 'octo-org' });
  const repository = simulator.world.addRepository({ name: 'app', installationId: installation.id });
  const folder = stage.folder();
  const settings: Record<string, string> = { ...githubSettings(simulator) };
  if (env['EVERLOG_GITHUB_TOKEN'] !== undefined) {
    delete settings['EVERLOG_GITHUB_APP_ID'];
    delete settings['EVERLOG_GITHUB_PRIVATE_KEY'];
  }
  const everlog = await stage.everlog(['up'], {
    ...settings,
    EVERLOG_QUEUE_URL: `${redis.url}/${databases++}`,
    EVERLOG_ARCHIVE_URL: folder,
    EVERLOG_MISSING_LOG_RETRIES: '100ms',
    ...env,
  });
  simulator.deliveries.url = everlog.webhooksUrl;
  return {
    simulator,
    everlog,
    archive: folderArchive(folder),
    repositoryId: repository.id,
    installationId: installation.id,
  };
}

function addJob({ simulator }: Service, repositoryId: number): number {
  const { world } = simulator;
  const { id: runId } = world.run(world.addRun({ repositoryId }));
  return world.addJob({ runId, log: `of repository ${repositoryId}\n` }).facts.id;
}

/** Sends the job's delivery, changed if need be, and waits until the queue is at rest. */
async function deliver(
  service: Service,
  id: number,
  change: (payload: Record<string, unknown>) => void = () => undefined,
): Promise<void> {
  const { simulator, everlog } = service;
  const payload: Record<string, unknown> = {
    ...workflowJobPayload(
      {
        world: simulator.world,
        links: { apiUrl: simulator.apiUrl, webUrl: new URL(simulator.apiUrl).origin },
        appId: 3,
      },
      id,
      'completed',
    ),
  };
  change(payload);
  expect(await simulator.deliveries.send('workflow_job', payload)).toMatchObject({ status: 202 });
  await queueAtRest(everlog, DONE_TIMEOUT_MS);
}

function count({ simulator }: Service, route: string): number {
  return simulator.requests.count(route);
}

describe('an installation token', () => {
  test('of any length is used as it is', async () => {
    const service = await start();
    for (const length of [5, 40, 520, 4_000, 12_000]) {
      service.simulator.credentials.tokenLength = length;
      service.simulator.credentials.revokeAll();
      const id = addJob(service, service.repositoryId);
      await deliver(service, id);
      await expectArchived(service.archive, service.simulator, id);
    }
    expect(count(service, 'token')).toBe(5);
  });

  test('asks for no more than it needs, though more is granted', async () => {
    const service = await start();
    const installation = service.simulator.world.installations.get(service.installationId);
    Object.assign(installation?.permissions ?? {}, {
      contents: 'write',
      actions: 'write',
      administration: 'write',
    });
    const id = addJob(service, service.repositoryId);
    await deliver(service, id);
    await expectArchived(service.archive, service.simulator, id);
    expect(service.simulator.credentials.grants.map(({ permissions }) => permissions)).toEqual([
      { actions: 'read', metadata: 'read' },
    ]);
  });

  test('is renewed before it ends, and once when GitHub refuses it', async () => {
    const service = await start();
    service.simulator.credentials.tokenLifetimeMs = 2_000;
    await deliver(service, addJob(service, service.repositoryId));
    for (const endMs = Date.now() + 5_000; Date.now() < endMs;) {
      await deliver(service, addJob(service, service.repositoryId));
    }
    const refused = () => service.simulator.requests.entries.filter(({ status }) => status === 401);
    expect(refused()).toEqual([]);
    expect(count(service, 'token')).toBeGreaterThan(2);
    expect(count(service, 'token')).toBeLessThan(8);

    service.simulator.credentials.tokenLifetimeMs = 60 * MINUTE_MS;
    service.simulator.credentials.revokeAll();
    await deliver(service, addJob(service, service.repositoryId));
    const tokens = count(service, 'token');
    service.simulator.credentials.revokeAll();
    const jobs = Array.from({ length: 12 }, () => addJob(service, service.repositoryId));
    await each(jobs, 12, (id) => service.simulator.deliveries.completeJob(id));
    expect(await queueAtRest(service.everlog, DONE_TIMEOUT_MS)).toMatchObject({ failed: 0 });
    // Those that were under way share the new one.
    expect(count(service, 'token')).toBe(tokens + 1);
    for (const id of jobs) {
      const record = await expectArchived(service.archive, service.simulator, id);
      expect(record.fetch.attempts).toBe(1);
    }
  });

  test.each([-10, -2, 2, 10])('is had though GitHub’s clock is %i minutes from ours', async (minutes) => {
    const service = await start({ now: () => Date.now() + minutes * MINUTE_MS });
    const jobs = [addJob(service, service.repositoryId), addJob(service, service.repositoryId)];
    for (const id of jobs) await deliver(service, id);
    for (const id of jobs) await expectArchived(service.archive, service.simulator, id);
    expect(service.simulator.credentials.grants).toHaveLength(1);
  });
});

test('a clock that is hours ahead does not mint a token for every call', async () => {
  const simulator = await stage.simulator();
  simulator.world.addInstallation({ login: 'octo-org', id: 1 });
  const github = {
    name: 'a',
    host: 'a',
    product: 'ghes' as const,
    apiUrl: simulator.apiUrl,
    logHosts: [],
    privateCidrs: ['127.0.0.0/8'],
    maxConcurrency: 10,
  };
  const connections = openConnections(github, { httpProxy: null, httpsProxy: null, noProxy: null });
  stage.defer(() => connections.close());
  const credentials = { kind: 'app' as const, appId: simulator.appId, privateKey: simulator.privateKeyPem };
  const ahead = () => new Date(Date.now() + 300 * MINUTE_MS);
  const tokens = openTokens(github, credentials, connections.dispatcher, ahead);
  for (let turn = 0; turn < 5; turn += 1) {
    await tokens.tokenFor({ owner: 'octo-org', repo: 'app', installationId: 1 });
  }
  expect(simulator.requests.count('token')).toBe(1);
});

describe('the installation of a repository', () => {
  test('is looked up where the delivery names none', async () => {
    const service = await start();
    const jobs = [1, 2, 3].map(() => addJob(service, service.repositoryId));
    for (const id of jobs) await deliver(service, id, (payload) => delete payload['installation']);
    for (const id of jobs) await expectArchived(service.archive, service.simulator, id);
    expect(count(service, 'repo_installation')).toBe(1);
    expect(count(service, 'token')).toBe(1);
  });

  test('is looked up where GitHub does not know the one that the delivery names', async () => {
    const service = await start();
    const jobs = [1, 2, 3].map(() => addJob(service, service.repositoryId));
    for (const id of jobs)
      await deliver(service, id, (payload) => (payload['installation'] = { id: 987_654 }));
    for (const id of jobs) await expectArchived(service.archive, service.simulator, id);
    expect(count(service, 'repo_installation')).toBe(1);
    // One for the installation that is not there, one for the right one.
    expect(count(service, 'token')).toBe(2);
  });

  test('is looked up where the delivery names one that cannot see the repository', async () => {
    const service = await start();
    const { id: stranger } = service.simulator.world.addInstallation({ login: 'somebody-else' });
    const jobs = [1, 2].map(() => addJob(service, service.repositoryId));
    for (const id of jobs)
      await deliver(service, id, (payload) => (payload['installation'] = { id: stranger }));
    for (const id of jobs) await expectArchived(service.archive, service.simulator, id);
    expect(count(service, 'repo_installation')).toBe(1);
  });
});

test('one token for every call does without an App, for public and private repositories', async () => {
  const token = 'github_pat_0123456789abcdef';
  const service = await start({ acceptToken: token }, { EVERLOG_GITHUB_TOKEN: token });
  const { world } = service.simulator;
  const open = world.addRepository({ name: 'open', installationId: service.installationId, private: false });
  const jobs = [addJob(service, open.id), addJob(service, service.repositoryId)];
  for (const id of jobs) await deliver(service, id, (payload) => delete payload['installation']);
  for (const id of jobs) await expectArchived(service.archive, service.simulator, id);
  const kinds = service.simulator.requests.entries.map(
    ({ origin, authorization }) => `${origin} ${authorization}`,
  );
  expect(new Set(kinds)).toEqual(new Set(['api token', 'logs none']));
  expect(count(service, 'token')).toBe(0);
  expect(service.everlog.process.stderr()).not.toContain(token);
});

describe('a suspended installation', () => {
  test('waits without a worker and goes on as soon as it is unsuspended', async () => {
    const service = await start({}, { EVERLOG_CONCURRENCY: '2' });
    const { simulator, everlog, installationId } = service;
    const other = simulator.world.addInstallation({ login: 'other' });
    const theirs = simulator.world.addRepository({ name: 'theirs', installationId: other.id });
    await simulator.deliveries.installation(installationId, 'suspend');
    const parked = Array.from({ length: 6 }, () => addJob(service, service.repositoryId));
    await each(parked, 6, (id) => simulator.deliveries.completeJob(id));
    await until(
      'they are put off',
      async () => (await archiveQueue(everlog))?.delayed === parked.length,
      DONE_TIMEOUT_MS,
      () => everlog.process.stderr().slice(-3_000),
    );
    const asked = count(service, 'token');
    const jobs = Array.from({ length: 10 }, () => addJob(service, theirs.id));
    await each(jobs, 10, (id) => simulator.deliveries.completeJob(id));
    await until(
      'the others are done',
      async () => {
        const gauges = await archiveQueue(everlog);
        return gauges !== null && gauges.waiting + gauges.active === 0;
      },
      DONE_TIMEOUT_MS,
    );
    for (const id of jobs) await expectArchived(service.archive, simulator, id);
    expect(await archiveQueue(everlog)).toMatchObject({ delayed: parked.length, failed: 0 });
    // Nothing but the others' own token was asked for meanwhile.
    expect(count(service, 'token')).toBe(asked + 1);

    await simulator.deliveries.installation(installationId, 'unsuspend');
    expect(await queueAtRest(everlog, DONE_TIMEOUT_MS)).toMatchObject({ failed: 0 });
    for (const id of parked) await expectArchived(service.archive, simulator, id);
  });

  test('that is deleted leaves records that say so', async () => {
    const service = await start();
    const { simulator, everlog, installationId } = service;
    await simulator.deliveries.installation(installationId, 'suspend');
    const jobs = [1, 2, 3].map(() => addJob(service, service.repositoryId));
    await each(jobs, 3, (id) => simulator.deliveries.completeJob(id));
    await until(
      'they are put off',
      async () => (await archiveQueue(everlog))?.delayed === jobs.length,
      DONE_TIMEOUT_MS,
    );
    await simulator.deliveries.installation(installationId, 'deleted');
    expect(await queueAtRest(everlog, DONE_TIMEOUT_MS)).toMatchObject({ failed: 0 });
    for (const id of jobs) {
      const record = await readRecord(service.archive, placesOfJob(simulator, id).record);
      expect(record).toMatchObject({ outcome: 'forbidden', details_source: 'webhook', log: null });
    }
  });
});
