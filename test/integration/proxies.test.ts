import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Simulator } from '../../src/simulator/simulator.ts';
import { bucketArchive, placesOf, readRecord } from '../support/oracles/archive-oracle.ts';
import { makeCertificates, type Certificates } from '../support/servers/certificates.ts';
import {
  archiveQueue,
  githubSettings,
  openStage,
  queueAtRest,
  s3Settings,
  until,
  type EverlogProcess,
} from '../support/harness/everlog-under-test.ts';
import {
  startForwardProxy,
  type ForwardProxy,
  type ForwardProxyOptions,
} from '../support/servers/forward-proxy.ts';
import { startRedis, type RedisServer } from '../support/servers/redis-server.ts';
import { s3Client } from '../support/servers/s3-connection.ts';
import { startS3Fake, type S3Fake } from '../support/servers/s3-fake/s3-fake.ts';
import { startTlsFront } from '../support/servers/tls-front.ts';

/** Names that only the proxy can resolve: whatever reaches them went through it. */
const API = 'github.corp.test';
const LOGS = 'logs.corp.test';
const STORE = 'store.corp.test';
const NAMES = { [API]: '127.0.0.1', [LOGS]: '127.0.0.1', [STORE]: '127.0.0.1' };
/** Neither loopback as Everlog excepts it by itself, nor another machine. */
const HERE = '127.0.0.2';
const PASSWORD = 'proxy-canary-5f2c';
const DONE_TIMEOUT_MS = 30_000;

const stage = openStage();
const servers = openStage();
let redis: RedisServer;
let databases = 0;
let certificates: Certificates;

beforeAll(async () => {
  redis = await startRedis({ extraArgs: ['--databases', '64'] });
  servers.defer(() => redis.stop());
  certificates = makeCertificates(servers.folder(), [API, LOGS, STORE, HERE]);
});

afterEach(() => stage.close());
afterAll(() => servers.close());

interface Scene {
  readonly simulator: Simulator;
  readonly fake: S3Fake;
  readonly bucket: string;
  readonly jobId: number;
}

async function openScene(host = '127.0.0.1'): Promise<Scene> {
  const simulator = await stage.simulator({ host });
  const fake = await startS3Fake();
  stage.defer(() => fake.stop());
  const bucket = `proxied-${randomUUID()}`;
  await fake.createBucket(bucket);
  const { world } = simulator;
  const installation = world.addInstallation({ login: 'octo-org' });
  const repository = world.addRepository({ name: 'app', installationId: installation.id });
  const { id: runId } = world.run(world.addRun({ repositoryId: repository.id }));
  return { simulator, fake, bucket, jobId: world.addJob({ runId, log: 'through\n' }).facts.id };
}

async function proxy(options: ForwardProxyOptions = {}): Promise<ForwardProxy> {
  const started = await startForwardProxy({ names: NAMES, ...options });
  stage.defer(() => started.close());
  return started;
}

interface Places {
  readonly api: string;
  readonly logs: string;
  readonly store: string;
}

async function start(scene: Scene, places: Places, env: Record<string, string>): Promise<EverlogProcess> {
  const { simulator, fake, bucket } = scene;
  const everlog = await stage.everlog(['up'], {
    ...githubSettings(simulator),
    ...s3Settings(fake, bucket, 'p'),
    AWS_ENDPOINT_URL_S3: places.store,
    EVERLOG_GITHUB_API_URL: places.api,
    EVERLOG_GITHUB_LOG_HOSTS: new URL(places.logs).host,
    EVERLOG_QUEUE_URL: `${redis.url}/${databases++}`,
    ...env,
  });
  simulator.deliveries.url = everlog.webhooksUrl;
  return everlog;
}

async function expectArchived({ simulator, fake, bucket, jobId }: Scene, host: string): Promise<void> {
  const client = s3Client(fake);
  stage.defer(() => Promise.resolve(client.destroy()));
  const { facts } = simulator.world.job(jobId);
  const { record } = placesOf(
    {
      owner: 'octo-org',
      repo: 'app',
      runId: facts.run_id,
      attempt: facts.run_attempt,
      jobId,
      day: (facts.completed_at ?? '').slice(0, 10),
    },
    host,
  );
  expect(await readRecord(bucketArchive(client, bucket, 'p'), record)).toMatchObject({
    outcome: 'archived',
    host,
  });
}

/** The same service behind https, under names that only the proxy knows, or at an address of this machine. */
async function encrypted(scene: Scene, host?: string): Promise<Places> {
  const { simulator, fake } = scene;
  const front = async (
    target: string,
    name: string,
  ): Promise<{ origin: string; origins: Map<string, string> }> => {
    const started = await startTlsFront(target, certificates, host);
    stage.defer(() => started.close());
    return { origin: `https://${host ?? name}:${started.port}`, origins: started.origins };
  };
  const api = await front(simulator.apiUrl, API);
  const logs = await front(simulator.logOrigin, LOGS);
  const store = await front(fake.endpoint, STORE);
  api.origins.set(simulator.logOrigin, logs.origin);
  return { api: api.origin, logs: logs.origin, store: store.origin };
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}

describe('HTTPS_PROXY', () => {
  test.each(['HTTPS_PROXY', 'https_proxy'])(
    '%s leads to API, log host and store by tunnels',
    async (variable) => {
      const scene = await openScene();
      const places = await encrypted(scene);
      const tunnelPorts = [portOf(places.api), portOf(places.logs), portOf(places.store)];
      const through = await proxy({
        credentials: `corp%20user:${PASSWORD}`.replace('%20', ' '),
        tunnelPorts,
      });
      const url = through.url.replace(' ', '%20');
      const everlog = await start(scene, places, {
        [variable]: url,
        NODE_EXTRA_CA_CERTS: certificates.caFile,
      });
      await scene.simulator.deliveries.completeJob(scene.jobId);
      expect(await queueAtRest(everlog, DONE_TIMEOUT_MS)).toMatchObject({ failed: 0 });
      await expectArchived(scene, API);
      expect(new Set(through.seen)).toEqual(
        new Set([places.api, places.logs, places.store].map((place) => `CONNECT ${new URL(place).host}`)),
      );
      const said = everlog.process.stderr() + everlog.process.stdout();
      expect(said).not.toContain(PASSWORD);
      expect(said).not.toContain(Buffer.from(`corp user:${PASSWORD}`).toString('base64'));
    },
  );

  test('with a wrong password says which variable holds it, and not what', async () => {
    const scene = await openScene();
    const places = await encrypted(scene);
    const through = await proxy({ credentials: 'user:right' });
    const everlog = await start(
      scene,
      { ...places, store: scene.fake.endpoint },
      {
        HTTPS_PROXY: through.url.replace('user:right', `user:${PASSWORD}`),
        NODE_EXTRA_CA_CERTS: certificates.caFile,
      },
    );
    await scene.simulator.deliveries.completeJob(scene.jobId);
    const { text } = await everlog.process.waitForLine((line) => /\b407\b/.test(line.text), DONE_TIMEOUT_MS);
    expect(text).toContain('HTTPS_PROXY');
    expect(through.refused).toBeGreaterThan(0);
    expect(through.seen).toEqual([]);
    expect(everlog.process.stderr()).not.toContain(PASSWORD);
  });
});

describe('HTTP_PROXY', () => {
  test.each(['HTTP_PROXY', 'http_proxy'])(
    '%s has plain requests forwarded, by a proxy that tunnels nowhere',
    async (variable) => {
      const scene = await openScene(HERE);
      const through = await proxy({ credentials: `user:${PASSWORD}`, tunnelPorts: [443] });
      const { simulator, fake } = scene;
      const store = fake.endpoint.replace('127.0.0.1', STORE);
      const everlog = await start(
        scene,
        { api: simulator.apiUrl, logs: simulator.logOrigin, store },
        { [variable]: through.url },
      );
      await simulator.deliveries.completeJob(scene.jobId);
      expect(await queueAtRest(everlog, DONE_TIMEOUT_MS)).toMatchObject({ failed: 0 });
      await expectArchived(scene, HERE);
      const origins = new Set(through.seen.map((line) => line.split(' ')[1]));
      expect(origins).toEqual(new Set([simulator.apiUrl, simulator.logOrigin, store]));
      expect(everlog.process.stderr()).not.toContain(PASSWORD);
    },
  );

  test.each(['NO_PROXY', 'no_proxy'])('%s excepts hosts', async (variable) => {
    const scene = await openScene(HERE);
    const { simulator, fake } = scene;
    const through = await proxy();
    const store = fake.endpoint.replace('127.0.0.1', STORE);
    const everlog = await start(
      scene,
      { api: simulator.apiUrl, logs: simulator.logOrigin, store },
      { HTTP_PROXY: through.url, [variable]: '127.0.0.0/8, elsewhere.test' },
    );
    await simulator.deliveries.completeJob(scene.jobId);
    expect(await queueAtRest(everlog, DONE_TIMEOUT_MS)).toMatchObject({ failed: 0 });
    await expectArchived(scene, HERE);
    expect(new Set(through.seen.map((line) => line.split(' ')[1]))).toEqual(new Set([store]));
  });

  test.each([{ env: {} }, { env: { NO_PROXY: '*' } }])(
    'is not asked for what listens on this machine, nor for anything it is kept from: $env',
    async ({ env }) => {
      const scene = await openScene('NO_PROXY' in env ? HERE : '127.0.0.1');
      const { simulator, fake } = scene;
      const through = await proxy();
      const everlog = await start(
        scene,
        { api: simulator.apiUrl, logs: simulator.logOrigin, store: fake.endpoint },
        { HTTP_PROXY: through.url, HTTPS_PROXY: through.url, ...env },
      );
      await simulator.deliveries.completeJob(scene.jobId);
      expect(await queueAtRest(everlog, DONE_TIMEOUT_MS)).toMatchObject({ failed: 0 });
      await expectArchived(scene, new URL(simulator.apiUrl).hostname);
      expect(through.seen).toEqual([]);
    },
  );
});

describe('a private certificate authority', () => {
  test('named in NODE_EXTRA_CA_CERTS is trusted by API, log host and store alike', async () => {
    const scene = await openScene();
    const places = await encrypted(scene, HERE);
    const everlog = await start(scene, places, { NODE_EXTRA_CA_CERTS: certificates.caFile });
    await scene.simulator.deliveries.completeJob(scene.jobId);
    expect(await queueAtRest(everlog, DONE_TIMEOUT_MS)).toMatchObject({ failed: 0 });
    await expectArchived(scene, HERE);
  });

  test('that is not named ends in an error that names the variable: API', async () => {
    const scene = await openScene();
    const places = await encrypted(scene, HERE);
    const everlog = await start(scene, { ...places, store: scene.fake.endpoint }, {});
    await scene.simulator.deliveries.completeJob(scene.jobId);
    const { text } = await everlog.process.waitForLine(
      (line) => line.text.includes('CA_CERTS'),
      DONE_TIMEOUT_MS,
    );
    expect(text).toContain('NODE_EXTRA_CA_CERTS');
    // It is no reason to lose the job.
    await until(
      'the job waits for its next try',
      async () => {
        const gauges = await archiveQueue(everlog);
        return (
          gauges !== null && gauges.failed === 0 && gauges.delayed + gauges.active + gauges.waiting === 1
        );
      },
      DONE_TIMEOUT_MS,
    );
  });

  test('that is not named ends in an error that names the variable: log host', async () => {
    const scene = await openScene(HERE);
    const logs = await startTlsFront(scene.simulator.logOrigin, certificates, HERE);
    stage.defer(() => logs.close());
    const origin = `https://${HERE}:${logs.port}`;
    scene.simulator.faults.add({
      match: { route: 'logs' },
      effect: { kind: 'redirect', location: `${origin}/job-logs.txt?sig=canary-sig` },
    });
    const everlog = await start(
      scene,
      { api: scene.simulator.apiUrl, logs: origin, store: scene.fake.endpoint },
      {},
    );
    await scene.simulator.deliveries.completeJob(scene.jobId);
    const { text } = await everlog.process.waitForLine(
      (line) => line.text.includes('CA_CERTS'),
      DONE_TIMEOUT_MS,
    );
    expect(text).toContain(`log host ${HERE}:${logs.port}`);
    expect(everlog.process.stderr()).not.toContain('canary-sig');
  });

  test('that is not named ends in an error that names the variable: store', async () => {
    const scene = await openScene();
    const { store } = await encrypted(scene, HERE);
    const { simulator } = scene;
    const refused = await start(scene, { api: simulator.apiUrl, logs: simulator.logOrigin, store }, {}).catch(
      (error: unknown) => String(error),
    );
    expect(refused).toContain('NODE_EXTRA_CA_CERTS');
  });
});
