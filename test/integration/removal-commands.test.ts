import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { openFolderStore } from '../../src/store/folder/folder-object-store.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { openS3Store } from '../../src/store/s3/s3-object-store.ts';
import { makeRecord, storeJob } from '../support/oracles/archived-jobs.ts';
import { each, openStage, s3Settings, type Environment } from '../support/harness/everlog-under-test.ts';
import { spawnEverlog } from '../support/processes/processes.ts';
import { startRedis } from '../support/servers/redis-server.ts';
import { startS3Fake } from '../support/servers/s3-fake/s3-fake.ts';

/** `everlog hold`, `purge` and `expire` as a user runs them. */
vi.setConfig({ testTimeout: 120_000 });

const DAY_MS = 86_400_000;
const AT_ONCE = 3;
const stage = openStage();
const fake = await startS3Fake();
const signingKey = generateKeyPairSync('ed25519')
  .privateKey.export({ type: 'pkcs8', format: 'pem' })
  .toString();
let queueUrl: string;

beforeAll(async () => {
  const redis = await startRedis();
  stage.defer(() => redis.stop());
  queueUrl = redis.url;
}, 60_000);

afterAll(async () => {
  await stage.close();
  await fake.stop();
});

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function everlog(env: Environment, ...args: string[]): Promise<Ended> {
  const child = spawnEverlog(args, { EVERLOG_QUEUE_URL: queueUrl, ...env });
  stage.defer(() => child.kill('SIGKILL'));
  const { code } = await child.exited;
  return { code, stdout: child.stdout(), stderr: child.stderr() };
}

async function answer(env: Environment, exit: number, ...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await everlog(env, ...args, '--json');
  expect({ code, stderr }).toEqual({ code: exit, stderr });
  return z.record(z.string(), z.unknown()).parse(JSON.parse(stdout));
}

async function oldJobs(store: ObjectStore): Promise<void> {
  const old = { completed_at: '2024-01-01T00:00:00Z' };
  await storeJob(store, makeRecord({ job_id: 1, run_id: 1, head_branch: 'main', ...old }), 'one\n');
  await storeJob(store, makeRecord({ job_id: 2, run_id: 2, head_branch: 'held', ...old }), 'two\n');
  const recent = new Date(Date.now() - 10 * DAY_MS).toISOString();
  await storeJob(store, makeRecord({ job_id: 3, run_id: 3, completed_at: recent }), 'three\n');
}

async function verifyResults(env: Environment): Promise<{ code: number | null; results: string[] }> {
  const { code, stdout } = await everlog(env, 'verify', '--json');
  const results = [...stdout.matchAll(/"result":"([A-Z_]+)"/g)].map(([, result = '']) => result);
  return { code, results };
}

test('old jobs expire with evidence, held ones stay until they are released, and verification knows both', async () => {
  const folder = stage.folder();
  const env = { EVERLOG_ARCHIVE_URL: folder, EVERLOG_SIGNING_KEY: signingKey };
  const store = await openFolderStore({ folder });
  await oldJobs(store);
  await store.close();

  const held = await answer(env, 0, 'hold', 'add', '--case', 'C-7', '--branch', 'held', '--reason', 'a suit');
  expect(held).toMatchObject({ case: 'C-7', jobs: 1, objects: 2, locks: 'none' });
  const listed = await everlog(env, 'hold', 'ls', '--json');
  expect(JSON.parse(listed.stdout)).toMatchObject({
    case: 'C-7',
    jobs: 1,
    authenticated: false,
    reason: 'a suit',
  });

  const dry = await answer(env, 4, 'expire', '--older-than', '400d', '--dry-run');
  expect(dry).toMatchObject({ dry_run: true, jobs: 1, held: 1, custody: [], sealed_by: null });
  const expired = await answer(env, 4, 'expire', '--older-than', '400d', '--yes');
  expect(expired).toMatchObject({ jobs: 1, objects: 2, held: 1, locked: 0 });
  expect(expired['sealed_by']).toBeTypeOf('number');
  const verified = await verifyResults(env);
  expect(verified).toMatchObject({ code: 0 });
  expect(verified.results).toContain('EXPIRED');

  const purge = await answer(env, 4, 'purge', '--job', 'github.com/2', '--reason', 'x', '--yes');
  expect(purge).toMatchObject({ jobs: [{ job_id: 2, removed: 0, held_by: ['C-7'] }] });
  expect(await answer(env, 0, 'hold', 'rm', '--case', 'C-7')).toMatchObject({ jobs: 1, unchanged: 0 });
  const rules = join(stage.folder(), 'rules.yaml');
  writeFileSync(rules, '- {keep: forever}\n- {repo: octo-org/Octo-Repo, keep: 400d}\n');
  expect(await answer(env, 0, 'expire', '--rules', rules, '--yes')).toMatchObject({ jobs: 1, held: 0 });
  const left = await everlog(env, 'ls', '--json');
  expect(JSON.parse(left.stdout)).toMatchObject({ job_id: 3, outcome: 'archived' });
  expect((await verifyResults(env)).code).toBe(0);
});

test('what a lock forbids is told with its mode and date, and nothing is claimed', async () => {
  const bucket = `locked-${randomUUID()}`;
  await fake.createBucket(bucket, { objectLock: true });
  const { endpoint, accessKeyId, secretAccessKey } = fake;
  const store = openS3Store({
    bucket,
    prefix: 'archive',
    forcePathStyle: true,
    endpoint,
    credentials: { accessKeyId, secretAccessKey },
    lockMode: 'COMPLIANCE',
    retentionDays: 30,
  });
  await oldJobs(store);
  await store.close();
  const env = s3Settings(fake, bucket, 'archive');
  const args = ['--job', '1', '--job', '99', '--reason', 'x', '--bypass-governance'];
  const purge = await answer(env, 4, 'purge', ...args, '--yes');
  expect(purge).toMatchObject({
    jobs: [
      { job_id: 1, removed: 0, erased: [], custody: [], locked: [{ mode: 'COMPLIANCE', legal_hold: false }] },
    ],
    missing: ['99'],
  });
  const expire = await everlog(env, 'expire', '--older-than', '400d', '--yes');
  expect(expire.code).toBe(4);
  expect(expire.stdout).toMatch(/2 past their rule stay, as a lock forbids it/);
  expect(expire.stdout).toMatch(/locked v1\/logs\/\S+: COMPLIANCE until 20\d\d-\d\d-\d\d \d\d:\d\d UTC/);
  expect(fake.objects(bucket).some(({ key }) => key.includes('/custody/'))).toBe(false);
  expect(await answer(env, 0, 'hold', 'add', '--case', 'L', '--all')).toMatchObject({
    jobs: 3,
    locks: 'store',
  });
  const versions = fake.objects(bucket).filter(({ key }) => /v1\/(logs|records)\//.test(key));
  expect(versions.map(({ legalHold }) => legalHold)).toEqual(Array(6).fill(true));
});

describe('bad input', () => {
  const RERUNS = /120d/;
  const CASES: readonly (readonly [args: readonly string[], says: RegExp])[] = [
    [['purge', '--reason', 'x', '--yes'], /--job/],
    [['purge', '--job', 'not a job', '--reason', 'x'], /--job not a job: .*id of a job/],
    [['purge', '--job', 'https://github.com/o/r/actions/runs/1', '--reason', 'x'], /names a run/],
    [['purge', '--job', '1', '--reason', ' '], /--reason is empty/],
    [['purge', '--job', '1', '--reason', 'x'], /--yes/],
    [['expire', '--yes'], /--older-than or --rules/],
    [['expire', '--older-than', '119d', '--yes'], RERUNS],
    [['hold', 'add', '--case', 'x'], /--all/],
  ];

  test('ends with 2, names the option and the cure, and changes nothing', async () => {
    const folder = stage.folder();
    const store = await openFolderStore({ folder });
    await oldJobs(store);
    await store.close();
    const ended = await each(CASES, AT_ONCE, async ([args]) =>
      everlog({ EVERLOG_ARCHIVE_URL: folder }, ...args),
    );
    for (const [index, { code, stdout, stderr }] of ended.entries()) {
      const [args, says] = CASES[index] ?? [[], /^$/];
      expect({ args, code, stdout }).toEqual({ args, code: 2, stdout: '' });
      expect(stderr).toMatch(says);
      expect(stderr).not.toMatch(/\n\s+at /);
    }
    const left = await everlog({ EVERLOG_ARCHIVE_URL: folder }, 'ls', '--json');
    expect(left.stdout.trim().split('\n')).toHaveLength(3);
  });

  test('in a file of rules: every mistake at once, each with its rule', async () => {
    const rules = join(stage.folder(), 'rules.yaml');
    writeFileSync(
      rules,
      '- {keep: long}\n- {repo: one, keep: 400d}\n- {owner: a, repo: b/c, keep: 400d}\n- {own: x, keep: 400d}\n',
    );
    const env = { EVERLOG_ARCHIVE_URL: stage.folder() };
    const { code, stderr } = await everlog(env, 'expire', '--rules', rules, '--yes');
    expect(code).toBe(2);
    expect(stderr.split('\n').filter((line) => line.startsWith('  - '))).toEqual([
      '  - rule 1, keep: takes a duration such as 400d, or forever',
      '  - rule 2, repo: needs its owner: OWNER/REPO',
      '  - rule 3, repo: names another owner than owner does',
      expect.stringContaining('rule 4'),
    ]);
  });
});
