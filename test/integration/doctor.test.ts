import { PutObjectLockConfigurationCommand } from '@aws-sdk/client-s3';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import type { Simulator } from '../../src/simulator/simulator.ts';
import {
  githubSettings,
  openStage,
  s3Settings,
  type Environment,
} from '../support/harness/everlog-under-test.ts';
import { spawnEverlog } from '../support/processes/processes.ts';
import { startRedis } from '../support/servers/redis-server.ts';
import { s3Client } from '../support/servers/s3-connection.ts';
import { startS3Fake } from '../support/servers/s3-fake/s3-fake.ts';
import { runS3, SERVICE_HOOK_TIMEOUT_MS } from '../support/servers/services.ts';

/** `everlog doctor` finds what is wrong by trying it, and says what to do. */
vi.setConfig({ testTimeout: 120_000, hookTimeout: SERVICE_HOOK_TIMEOUT_MS });

const HOUR_MS = 3_600_000;
/** An address for deliveries at which nobody listens. */
const UNHEARD = 'http://127.0.0.1:9/webhooks';
const stage = openStage();
const fake = await startS3Fake();
const forgetful = await startS3Fake({ honourCreateOnly: false, nowMs: () => Date.now() - HOUR_MS });
const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
let simulator: Simulator;
let redisUrl: string;

beforeAll(async () => {
  const redis = await startRedis();
  stage.defer(() => redis.stop());
  redisUrl = redis.url;
  simulator = await stage.simulator();
  simulator.world.addInstallation({ login: 'Octo-Org' });
  simulator.deliveries.url = UNHEARD;
});

afterAll(async () => {
  await stage.close();
  await Promise.all([fake.stop(), forgetful.stop()]);
});

const checkedSchema = z.object({
  area: z.string(),
  name: z.string(),
  status: z.enum(['ok', 'warning', 'failed', 'skipped']),
  detail: z.string(),
  fix: z.string().nullable(),
});
const reportSchema = z.object({ ok: z.boolean(), checks: z.array(checkedSchema) });
type Checked = z.infer<typeof checkedSchema>;

async function doctorIn(
  cwd: string,
  env: Environment,
  ...args: string[]
): Promise<{ code: number | null; failed: string[]; of: (name: string) => Checked | undefined }> {
  const child = spawnEverlog(['doctor', '--json', ...args], env, { cwd });
  stage.defer(() => child.kill('SIGKILL'));
  const { code } = await child.exited;
  const { ok, checks } = reportSchema.parse(JSON.parse(child.stdout()));
  expect(ok).toBe(code === 0);
  for (const { status, fix } of checks) expect(status === 'failed' && fix === null).toBe(false);
  expect(JSON.stringify(checks)).not.toContain(pem.split('\n')[1]);
  const failed = checks.filter(({ status }) => status === 'failed');
  return {
    code,
    failed: failed.map(({ area, name }) => `${area}: ${name}`),
    of: (name) => checks.find((check) => `${check.area}: ${check.name}` === name),
  };
}

function doctor(env: Environment, ...args: string[]): ReturnType<typeof doctorIn> {
  return doctorIn(stage.folder(), env, ...args);
}

function sound(): Record<string, string> {
  return {
    ...githubSettings(simulator),
    EVERLOG_QUEUE_URL: redisUrl,
    EVERLOG_QUEUE_PREFIX: randomUUID(),
    EVERLOG_SIGNING_KEY: pem,
    EVERLOG_ANCHOR_URL: stage.folder(),
    EVERLOG_SPOOL_DIR: stage.folder(),
    EVERLOG_SPOOL_MAX_BYTES: '64MiB',
  };
}

describe('where all is well', () => {
  test('every check passes on an S3 server with locks, and what can be is tidied away', async () => {
    const bucket = `doctor-${randomUUID()}`;
    await fake.createBucket(bucket, { objectLock: true });
    const env = {
      ...sound(),
      ...s3Settings(fake, bucket, 'archive'),
      EVERLOG_LOCK_MODE: 'COMPLIANCE',
      EVERLOG_RETENTION_DAYS: '30',
    };
    const { code, failed, of } = await doctor(env);
    expect({ code, failed }).toEqual({ code: 0, failed: [] });
    expect(of('archive: lock')).toMatchObject({
      status: 'ok',
      detail: expect.stringContaining('COMPLIANCE'),
    });
    for (const name of ['archive: create-only', 'archive: sha256', 'archive: clock', 'archive: versions'])
      expect(of(name)).toMatchObject({ status: 'ok' });
    for (const name of [
      'credentials',
      'permissions',
      'events',
      'installations',
      'webhook',
      'deliveries',
      'clock',
      'webhook secret',
    ])
      expect(of(`github: ${name}`)).toMatchObject({ status: 'ok' });
    expect(of('queue: durability')).toMatchObject({ status: 'ok' });
    expect(of('ledger: signing key')).toMatchObject({ status: 'ok' });
    expect(of('ledger: anchor')).toMatchObject({ status: 'ok' });
    const left = fake.objects(bucket).map(({ key }) => key);
    expect(left.filter((key) => !key.startsWith('archive/probe/'))).toEqual([]);
  });

  test('before the first start it makes nothing, and says where things would be', async () => {
    const cwd = stage.folder();
    const { code, failed, of } = await doctorIn(cwd, githubSettings(simulator), '--skip', 'github');
    expect({ code, failed }).toEqual({ code: 0, failed: [] });
    expect(of('queue: reachable')).toMatchObject({
      status: 'skipped',
      detail: expect.stringContaining(join(cwd, 'data/queue')),
    });
    expect(of('archive: reachable')).toMatchObject({
      status: 'skipped',
      detail: expect.stringContaining(join(cwd, 'data/archive')),
    });
    expect(readdirSync(cwd)).toEqual([]);
  });

  test('beside a service that owns an embedded queue, that service is asked, and goes on', async () => {
    const cwd = stage.folder();
    const env = githubSettings(simulator);
    const service = await stage.everlog(['up'], env, cwd);
    const { code, failed, of } = await doctorIn(cwd, env);
    expect({ code, failed }).toEqual({ code: 0, failed: [] });
    expect(of('queue: reachable')?.detail).toContain('the service that owns it');
    expect(of('queue: durability')).toMatchObject({ status: 'warning' });
    expect(of('ledger: signing key')).toMatchObject({ status: 'ok' });
    expect((await service.process.stop()).code).toBe(0);
  });

  test('on the real S3 server a locked probe is refused, under a mode and under the default of the bucket', async () => {
    const real = await runS3();
    const bucket = `doctor-${randomUUID()}`;
    await real.createBucket(bucket, { objectLock: true });
    const settings = { ...sound(), ...s3Settings(real, bucket, 'archive') };
    const skip = ['--skip', 'github', '--skip', 'queue', '--skip', 'machine'];
    const unlocked = await doctor({ ...settings, EVERLOG_LOCK_MODE: 'bucket' }, ...skip);
    expect(unlocked).toMatchObject({ code: 4, failed: ['archive: lock'] });
    expect(unlocked.of('archive: lock')?.fix).toContain('default retention');
    const client = s3Client(real);
    const DefaultRetention = { Mode: 'GOVERNANCE', Days: 1 } as const;
    const ObjectLockConfiguration = { ObjectLockEnabled: 'Enabled', Rule: { DefaultRetention } } as const;
    await client.send(new PutObjectLockConfigurationCommand({ Bucket: bucket, ObjectLockConfiguration }));
    client.destroy();
    for (const lock of [
      { EVERLOG_LOCK_MODE: 'GOVERNANCE', EVERLOG_RETENTION_DAYS: '1' },
      { EVERLOG_LOCK_MODE: 'bucket' },
    ]) {
      const { code, of } = await doctor({ ...settings, ...lock }, ...skip);
      expect({ code, lock: of('archive: lock')?.status }).toEqual({ code: 0, lock: 'ok' });
    }
  });
});

describe('where something is wrong', () => {
  test('a store without locks that ignores conditions, an hour behind', async () => {
    const bucket = `doctor-${randomUUID()}`;
    await forgetful.createBucket(bucket);
    const env = {
      ...sound(),
      ...s3Settings(forgetful, bucket, 'archive'),
      EVERLOG_LOCK_MODE: 'bucket',
      EVERLOG_ANCHOR_URL: `s3://${bucket}/archive/anchor`,
    };
    const { code, failed, of } = await doctor(env, '--skip', 'github');
    expect({ code, failed }).toEqual({
      code: 4,
      failed: ['archive: versions', 'archive: lock', 'archive: clock', 'ledger: anchor'],
    });
    expect(of('archive: create-only')).toMatchObject({ status: 'warning' });
    expect(of('archive: clock')?.detail).toMatch(/\b360\d s ahead of/);
  });

  test('an App that lacks a permission, an event and a secret', async () => {
    const poor = await stage.simulator();
    poor.world.app.permissions = { metadata: 'read' };
    poor.world.app.events = ['workflow_run'];
    const installation = poor.world.addInstallation({ login: 'Octo-Org' });
    installation.permissions = { metadata: 'read' };
    const { EVERLOG_GITHUB_WEBHOOK_SECRET: _, ...github } = githubSettings(poor);
    const { code, failed, of } = await doctor(
      {
        ...github,
        EVERLOG_QUEUE_URL: 'redis://127.0.0.1:1',
        EVERLOG_SPOOL_DIR: join(stage.folder(), 'nothing'),
      },
      '--skip',
      'archive',
      '--skip',
      'ledger',
    );
    expect({ code, failed }).toEqual({
      code: 4,
      failed: [
        'machine: spool',
        'queue: reachable',
        'github: webhook secret',
        'github: permissions',
        'github: events',
        'github: installations',
        'github: webhook',
      ],
    });
    expect(of('github: permissions')?.detail).toContain('actions: read');
    expect(of('github: events')?.detail).toContain('workflow_job');
  });

  test('a webhook whose deliveries nobody hears', async () => {
    const deaf = await stage.simulator();
    deaf.world.addInstallation({ login: 'Octo-Org' });
    deaf.deliveries.url = UNHEARD;
    await deaf.deliveries.send('ping', { zen: 'Keep it logically awesome.' });
    const { code, failed, of } = await doctor({ ...sound(), ...githubSettings(deaf) });
    expect({ code, failed }).toEqual({ code: 4, failed: ['github: deliveries'] });
    expect(of('github: deliveries')).toMatchObject({
      detail: expect.stringContaining('nobody answered'),
      fix: expect.stringContaining('reached from GitHub'),
    });
  });

  test('a GitHub that tells of no webhook is no failure', async () => {
    const silent = await stage.simulator();
    silent.world.addInstallation({ login: 'Octo-Org' });
    for (const route of ['hook_config', 'hook_deliveries'])
      silent.faults.add({ match: { route }, effect: { kind: 'status', status: 404 } });
    const { code, of } = await doctor({ ...sound(), ...githubSettings(silent) });
    expect(code).toBe(0);
    for (const name of ['webhook', 'deliveries']) expect(of(`github: ${name}`)?.status).toBe('warning');
  });

  test('a key that GitHub does not know, another ledger’s signing key, a misspelt variable', async () => {
    const folder = stage.folder();
    const sealed = spawnEverlog(['seal'], {
      EVERLOG_ARCHIVE_URL: folder,
      EVERLOG_QUEUE_URL: redisUrl,
      EVERLOG_SIGNING_KEY: generateKeyPairSync('ed25519')
        .privateKey.export({ type: 'pkcs8', format: 'pem' })
        .toString(),
    });
    expect(await sealed.exited).toMatchObject({ code: 0 });
    const foreign = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    const { code, failed, of } = await doctor({
      ...sound(),
      EVERLOG_GITHUB_PRIVATE_KEY: foreign.export({ type: 'pkcs1', format: 'pem' }).toString(),
      EVERLOG_ARCHIVE_URL: folder,
      EVERLOG_ARCHIV_URL: folder,
    });
    expect({ code, failed }).toEqual({ code: 4, failed: ['ledger: signing key', 'github: credentials'] });
    expect(of('configuration: environment')).toMatchObject({
      status: 'warning',
      detail: expect.stringContaining('EVERLOG_ARCHIV_URL'),
    });
  });

  test('a ledger that was closed, while the archive goes on', async () => {
    const folder = stage.folder();
    const env = { ...sound(), EVERLOG_ARCHIVE_URL: folder };
    const closing = spawnEverlog(['seal', '--final', '--yes'], env);
    expect(await closing.exited).toMatchObject({ code: 0 });
    const { failed, of } = await doctor(env, '--skip', 'github', '--skip', 'machine');
    expect(failed).toEqual(['ledger: signing key']);
    expect(of('ledger: signing key')).toMatchObject({
      detail: expect.stringContaining('digest 1 closed the ledger'),
      fix: expect.stringContaining('EVERLOG_ARCHIVE_URL'),
    });
  });

  test('settings that cannot be read end the examination, with every mistake', async () => {
    const { code, failed, of } = await doctor({ EVERLOG_QUEUE_URL: 'nonsense', EVERLOG_CONCURRENCY: 'many' });
    expect({ code, failed }).toEqual({ code: 4, failed: ['configuration: settings'] });
    expect(of('configuration: settings')?.detail).toMatch(/EVERLOG_QUEUE_URL[\s\S]*EVERLOG_CONCURRENCY/);
  });
});
