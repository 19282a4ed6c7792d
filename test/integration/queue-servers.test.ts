import { afterEach, expect, test } from 'vitest';
import type { Simulator } from '../../src/simulator/simulator.ts';
import { folderArchive } from '../support/oracles/archive-oracle.ts';
import {
  githubSettings,
  holdSchedules,
  metricsOf,
  openStage,
  queueAtRest,
  until,
} from '../support/harness/everlog-under-test.ts';
import { freePort, spawnEverlog } from '../support/processes/processes.ts';
import { startRedis, type RedisOptions } from '../support/servers/redis-server.ts';

/** Queue servers that may lose jobs, do not tell, or are not there. */
const START_TIMEOUT_MS = 60_000;
/** The receiver's own two seconds and what the answer takes. */
const UNAVAILABLE_WITHIN_MS = 2_500;

let stage = openStage();

afterEach(async () => {
  await stage.close();
  stage = openStage();
});

interface Setting {
  readonly simulator: Simulator;
  readonly env: Record<string, string>;
}

async function settingOf(options: RedisOptions): Promise<Setting> {
  const redis = await startRedis(options);
  stage.defer(() => redis.stop());
  const simulator = await stage.simulator();
  return { simulator, env: { ...githubSettings(simulator), EVERLOG_QUEUE_URL: redis.url } };
}

async function deliverOne(simulator: Simulator): Promise<{ status: number; body: string; tookMs: number }> {
  const { world } = simulator;
  const installation = world.addInstallation({ login: 'octo-org' });
  const { id: repositoryId } = world.addRepository({ name: 'any', installationId: installation.id });
  const { id: runId } = world.run(world.addRun({ repositoryId }));
  const { id } = world.addJob({ runId }).facts;
  const beganMs = performance.now();
  const { status, body } = await simulator.deliveries.completeJob(id);
  return { status, body, tookMs: performance.now() - beganMs };
}

const UNSAFE = [
  ['keeps nothing on disk', { appendonly: false }, 'appendonly'],
  ['evicts', { maxmemoryPolicy: 'allkeys-lru' }, 'maxmemory-policy'],
] as const;

for (const [what, options, named] of UNSAFE) {
  for (const command of ['serve', 'work']) {
    test(
      `${command} refuses a server that ${what}`,
      async () => {
        const { env } = await settingOf(options);
        const child = spawnEverlog([command], { ...env, EVERLOG_ARCHIVE_URL: stage.folder() });
        stage.defer(() => child.kill('SIGKILL'));
        expect(await child.exited).toEqual({ code: 2, signal: null });
        const last = child.stderr().trimEnd().split('\n').at(-1);
        expect(last).toContain(named);
        expect(last).toContain('EVERLOG_ALLOW_UNSAFE_QUEUE');
        expect(child.stderr()).not.toMatch(/\n\s+at /);
      },
      START_TIMEOUT_MS,
    );
  }

  test(
    `a server that ${what} is used where that is allowed, and stays visible`,
    async () => {
      const { simulator, env } = await settingOf(options);
      const serve = await stage.everlog(['serve'], { ...env, EVERLOG_ALLOW_UNSAFE_QUEUE: 'true' });
      simulator.deliveries.url = serve.webhooksUrl;
      expect((await deliverOne(simulator)).status).toBe(202);
      expect((await metricsOf(serve))?.get('everlog_queue_durability{durability="unsafe"}')).toBe(1);
      const { json } = await serve.process.waitForLine(
        (line) => line.json?.['level'] === 'warn' && line.text.includes('EVERLOG_ALLOW_UNSAFE_QUEUE'),
        START_TIMEOUT_MS,
      );
      expect(JSON.stringify(json)).toContain(named);
    },
    START_TIMEOUT_MS,
  );
}

test(
  'a server that does not let its settings be read is used with a warning',
  async () => {
    const { simulator, env } = await settingOf({ extraArgs: ['--rename-command', 'CONFIG', ''] });
    const serve = await stage.everlog(['serve'], env);
    simulator.deliveries.url = serve.webhooksUrl;
    expect((await deliverOne(simulator)).status).toBe(202);
    expect((await metricsOf(serve))?.get('everlog_queue_durability{durability="unknown"}')).toBe(1);
    await serve.process.waitForLine(
      (line) => line.json?.['level'] === 'warn' && line.text.includes('does not tell'),
      START_TIMEOUT_MS,
    );
  },
  START_TIMEOUT_MS,
);

test(
  'while the server is not there at boot deliveries are answered 503 in time, and 202 once it comes',
  async () => {
    const simulator = await stage.simulator();
    // Some seconds after its start the worker asks for the refused deliveries once more.
    holdSchedules(simulator);
    const port = await freePort();
    const folder = stage.folder();
    const env = {
      ...githubSettings(simulator),
      EVERLOG_QUEUE_URL: `redis://127.0.0.1:${port}`,
      EVERLOG_ARCHIVE_URL: folder,
    };
    const [serve] = await Promise.all([stage.everlog(['serve'], env), stage.everlog(['work'], env)]);
    simulator.deliveries.url = serve.webhooksUrl;
    const refused = await deliverOne(simulator);
    expect(refused).toMatchObject({ status: 503, body: expect.stringContaining('"outcome":"unavailable"') });
    expect(refused.tookMs).toBeLessThan(UNAVAILABLE_WITHIN_MS);
    expect((await fetch(`${serve.adminUrl}/readyz`)).status).toBe(503);
    const redis = await startRedis({ port });
    stage.defer(() => redis.stop());
    await until(
      'a delivery is queued',
      async () => (await deliverOne(simulator)).body === '{"outcome":"queued"}',
      START_TIMEOUT_MS,
      () => serve.process.stderr().slice(-2_000),
    );
    await until(
      'the process calls itself ready',
      async () => (await fetch(`${serve.adminUrl}/readyz`)).status === 200,
      START_TIMEOUT_MS,
    );
    // The worker, which was started as early, takes the job up.
    expect(await queueAtRest(serve, START_TIMEOUT_MS)).toMatchObject({ failed: 0 });
    const kept = await folderArchive(folder).versions();
    expect(kept.filter((key) => key.startsWith('v1/records/'))).toHaveLength(1);
  },
  START_TIMEOUT_MS * 2,
);

test(
  'a server that comes at last and may lose jobs ends the process with exit 2',
  async () => {
    const simulator = await stage.simulator();
    const port = await freePort();
    const env = { ...githubSettings(simulator), EVERLOG_QUEUE_URL: `redis://127.0.0.1:${port}` };
    const serve = await stage.everlog(['serve'], env);
    const redis = await startRedis({ port, appendonly: false });
    stage.defer(() => redis.stop());
    expect(await serve.process.exited).toEqual({ code: 2, signal: null });
    expect(serve.process.stderr()).toContain('appendonly');
  },
  START_TIMEOUT_MS * 2,
);

test(
  'a server that stops answering is noticed in time and used again when it goes on',
  async () => {
    const redis = await startRedis();
    stage.defer(() => redis.stop());
    const simulator = await stage.simulator();
    const serve = await stage.everlog(['serve'], {
      ...githubSettings(simulator),
      EVERLOG_QUEUE_URL: redis.url,
    });
    simulator.deliveries.url = serve.webhooksUrl;
    expect((await deliverOne(simulator)).status).toBe(202);
    await redis.kill('SIGSTOP');
    const refused = await deliverOne(simulator);
    await redis.kill('SIGCONT');
    expect(refused.status).toBe(503);
    expect(refused.tookMs).toBeLessThan(UNAVAILABLE_WITHIN_MS);
    await until(
      'a delivery is queued again',
      async () => (await deliverOne(simulator)).status === 202,
      START_TIMEOUT_MS,
    );
  },
  START_TIMEOUT_MS * 2,
);
