import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { giveUp } from '../../src/errors.ts';
import type { ArchiveJob } from '../../src/queue/catalog.ts';
import { openEmbeddedStorage } from '../../src/queue/embedded/embedded-storage.ts';
import { openJobQueue } from '../../src/queue/job-queue.ts';
import type { QueueStorage } from '../../src/queue/queue-storage.ts';
import type { Simulator } from '../../src/simulator/simulator.ts';
import { STALLS_MAX } from '../../workers/run-workers.ts';
import {
  githubSettings,
  openStage,
  until,
  type Environment,
  type EverlogProcess,
} from '../support/harness/everlog-under-test.ts';
import { spawnEverlog } from '../support/processes/processes.ts';
import { archiveJob, redisStorage, SILENT, work } from '../support/harness/queue-under-test.ts';
import { startRedis } from '../support/servers/redis-server.ts';

/** Embedded queues are opened several times, each in seconds on a busy machine. */
const TEST_TIMEOUT_MS = 90_000;
const ENDED_WITHIN_MS = 30_000;
const DRAIN_MS = 5_000;
/** What a socket's path may hold on Linux. */
const SOCKET_PATH_BYTES = 107;
const BLOB_NOT_FOUND = {
  kind: 'status',
  status: 404,
  headers: { 'content-type': 'application/xml' },
  body: '\uFEFF<?xml version="1.0" encoding="utf-8"?><Error><Code>BlobNotFound</Code></Error>',
} as const;

const stage = openStage();
let simulator: Simulator;
let settings: Environment;
let host: string;
/** Where the simulator keeps each job. */
const about = new Map<number, Partial<ArchiveJob>>();
/** GitHub's ids of jobs: with a log, and without one. */
let good: readonly number[];
let missing: number;
/** Of a host that nobody configured. */
const FOREIGN = [900_001, 900_002, 900_003];

beforeAll(async () => {
  simulator = await stage.simulator();
  host = new URL(simulator.apiUrl).hostname;
  const { world } = simulator;
  const installation = world.addInstallation({ login: 'octo-org' });
  const repository = world.addRepository({ name: 'octo-repo', installationId: installation.id });
  const ids = Array.from({ length: 4 }, () => {
    const run = world.run(world.addRun({ repositoryId: repository.id }));
    const { id } = world.addJob({ runId: run.id, log: 'a line\n' }).facts;
    about.set(id, { run_id: run.id, repository_id: repository.id, installation_id: installation.id });
    return id;
  });
  missing = ids[3] ?? 0;
  good = ids.slice(0, 3);
  // The service's own reconcile would find these jobs after half a minute and revive them: here only commands do.
  for (const route of ['app_installations', 'installation_repositories'] as const) {
    simulator.faults.add({ match: { route }, effect: { kind: 'status', status: 500 } });
  }
  simulator.faults.add({ match: { route: 'blob', jobId: missing }, times: 100, effect: BLOB_NOT_FOUND });
  settings = { ...githubSettings(simulator), EVERLOG_MISSING_LOG_RETRIES: '1h' };
}, TEST_TIMEOUT_MS);

afterAll(() => stage.close());

/** Leaves the jobs in `failed`, as if their retries had run out. */
async function leaveFailed(storage: QueueStorage): Promise<void> {
  const queue = openJobQueue(storage);
  const jobs = [...good, missing].map((id) => archiveJob(id, { host, ...about.get(id) }));
  const foreign = FOREIGN.map((id) => archiveJob(id, { host: 'ghes.example' }));
  await until(
    'the queue answers',
    () =>
      queue.ping().then(
        () => true,
        () => false,
      ),
    ENDED_WITHIN_MS,
  );
  for (const job of [...jobs, ...foreign]) await queue.add(job);
  const workers = work(storage, () => Promise.reject(giveUp('github_refused', 'GitHub answered 422')));
  const expected = jobs.length + foreign.length;
  await until('all have failed', async () => (await queue.failed(100)).length === expected, ENDED_WITHIN_MS);
  await workers.drain(DRAIN_MS);
  await queue.close();
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function everlog(args: readonly string[], env: Environment): Promise<Ended> {
  const child = spawnEverlog(args, env);
  const { code } = await child.exited;
  return { code, stdout: child.stdout(), stderr: child.stderr() };
}

const retriedSchema = z.object({
  queued: z.array(z.string()),
  missing: z.array(z.string()),
  gaps: z.array(
    z.object({
      id: z.string(),
      state: z.string(),
      reason: z.string().nullable(),
      next_at: z.string().nullable(),
    }),
  ),
});

async function retry(
  jobs: readonly (number | string)[],
  env: Environment,
): Promise<{ code: number | null; answer: z.infer<typeof retriedSchema> }> {
  const { code, stdout, stderr } = await everlog(['failed', 'retry', ...jobs.map(String), '--json'], env);
  expect(stderr).not.toMatch(/bug in Everlog|\n\s+at /);
  return { code, answer: retriedSchema.parse(JSON.parse(stdout)) };
}

async function failedIds(env: Environment): Promise<ReadonlySet<number>> {
  const { code, stdout } = await everlog(['failed', 'ls', '--json'], env);
  expect(code).toBe(0);
  const lines = stdout.split('\n').filter((line) => line !== '');
  const ids = lines.map((line) => z.object({ job_id: z.number().nullable() }).parse(JSON.parse(line)).job_id);
  // On a slow machine the service's own look at its installations, which fails here, has used up its tries.
  return new Set(ids.filter((id) => id !== null));
}

function queueId(jobId: number, of = host): string {
  return `job-${of}-${jobId}`;
}

describe('an embedded queue', () => {
  let folder: string;
  let note: string;
  let env: Environment;
  let up: EverlogProcess;

  beforeAll(async () => {
    folder = join(stage.folder(), 'a-folder-that-lies-deep/'.repeat(8), 'queue');
    await mkdir(folder, { recursive: true, mode: 0o700 });
    note = join(folder, 'control-socket');
    await leaveFailed(await openEmbeddedStorage(folder, STALLS_MAX, SILENT));
    env = {
      ...settings,
      EVERLOG_QUEUE_URL: `embedded:${folder}`,
      EVERLOG_ARCHIVE_URL: stage.folder(),
    };
    up = await stage.everlog(['up'], env);
  }, TEST_TIMEOUT_MS);

  test('has a socket that only its user can reach, however deep its folder lies', () => {
    expect(folder.length).toBeGreaterThan(SOCKET_PATH_BYTES);
    const path = readFileSync(note, 'utf8');
    expect(path.length).toBeLessThanOrEqual(SOCKET_PATH_BYTES);
    expect(statSync(path).isSocket()).toBe(true);
    expect(statSync(path).mode & 0o077).toBe(0);
    expect(statSync(dirname(path)).mode & 0o777).toBe(0o700);
    expect(statSync(note).mode & 0o777).toBe(0o600);
  });

  test(
    'is reached while a service owns it: listed, tried again, dropped',
    async () => {
      const [done = 0] = good;
      const [foreign = 0, dropped = 0] = FOREIGN;
      expect(await failedIds(env)).toEqual(new Set([...FOREIGN, ...good, missing]));
      const table = await everlog(['failed', 'ls', '--limit', '2'], env);
      expect(table.stdout.trimEnd().split('\n')).toHaveLength(3);
      expect(table.stdout).toContain('GitHub answered 422');

      expect(await retry([done], env)).toEqual({
        code: 0,
        answer: { queued: [queueId(done)], missing: [], gaps: [] },
      });
      expect(await retry([done, 77], env)).toEqual({
        code: 3,
        answer: { queued: [], missing: [String(done), '77'], gaps: [] },
      });
      const off = await retry([missing], env);
      expect(off.code).toBe(4);
      expect(off.answer.gaps).toEqual([
        { id: queueId(missing), state: 'put_off', reason: expect.any(String), next_at: expect.any(String) },
      ]);
      expect(Date.parse(off.answer.gaps[0]?.next_at ?? '') - Date.now()).toBeGreaterThan(3_000_000);
      const again = await retry([queueId(foreign, 'ghes.example')], env);
      expect(again.code).toBe(4);
      expect(again.answer.gaps).toEqual([
        {
          id: queueId(foreign, 'ghes.example'),
          state: 'failed',
          reason: expect.stringContaining('ghes.example'),
          next_at: null,
        },
      ]);

      const drop = ['failed', 'drop', String(dropped)];
      expect((await everlog(drop, env)).code).toBe(2);
      expect((await everlog([...drop, '--reason', ' '], env)).code).toBe(2);
      const gone = await everlog([...drop, '--reason', 'not ours', '--json'], env);
      expect(gone.code).toBe(0);
      expect(JSON.parse(gone.stdout)).toEqual({
        dropped: [queueId(dropped, 'ghes.example')],
        missing: [],
        reason: 'not ours',
      });
      expect((await everlog([...drop, '--reason', 'not ours'], env)).code).toBe(3);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'whose service was killed is opened by the command itself, which does the work',
    async () => {
      const stale = readFileSync(note, 'utf8');
      await up.process.kill('SIGKILL');
      expect(existsSync(stale)).toBe(true);
      const [, second = 0] = good;
      const [foreign = 0] = FOREIGN;
      expect(await failedIds(env)).toEqual(new Set([...good.slice(1), foreign, FOREIGN[2] ?? 0]));
      expect(await retry([second], env)).toEqual({
        code: 0,
        answer: { queued: [queueId(second)], missing: [], gaps: [] },
      });
      // Whoever owned the queue meanwhile has tidied up.
      expect(existsSync(stale)).toBe(false);
      expect(existsSync(note)).toBe(false);
      // A note that names no socket is as stale.
      writeFileSync(note, join(folder, 'lock'));
      const both = await retry([foreign, 77], env);
      expect(both.code).toBe(3);
      expect(both.answer.gaps).toHaveLength(1);
      expect((await retry([foreign], env)).code).toBe(4);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'says where its socket is also when temporary files lie deep, and takes the word back when it ends',
    async () => {
      const deep = join(stage.folder(), 'temporary-files/'.repeat(10));
      await mkdir(deep, { recursive: true });
      up = await stage.everlog(['up'], { ...env, TMPDIR: deep });
      const path = readFileSync(note, 'utf8');
      expect(path.length).toBeLessThanOrEqual(SOCKET_PATH_BYTES);
      const [, , third = 0] = good;
      expect((await retry([third], env)).code).toBe(0);
      expect(await up.process.stop()).toEqual({ code: 0, signal: null });
      expect(existsSync(note)).toBe(false);
      expect(existsSync(dirname(path))).toBe(false);
    },
    TEST_TIMEOUT_MS,
  );
});

test(
  'on a queue server commands queue the work and leave it to the workers',
  async () => {
    const redis = await startRedis();
    stage.defer(() => redis.stop());
    await leaveFailed(redisStorage(redis.url));
    const env = { ...settings, EVERLOG_QUEUE_URL: redis.url, EVERLOG_ARCHIVE_URL: stage.folder() };
    const [first = 0, second = 0] = good;
    expect(await failedIds(env)).toEqual(new Set([...FOREIGN, ...good, missing]));
    expect(await retry([first], env)).toEqual({
      code: 0,
      answer: { queued: [queueId(first)], missing: [], gaps: [] },
    });
    expect((await retry([77], env)).code).toBe(3);
    await stage.everlog(['work'], env);
    const waited = await everlog(
      ['failed', 'retry', String(second), String(missing), '--wait', '--json'],
      env,
    );
    expect(waited.code).toBe(4);
    expect(retriedSchema.parse(JSON.parse(waited.stdout))).toMatchObject({
      queued: [queueId(second), queueId(missing)],
      gaps: [{ id: queueId(missing), state: 'put_off' }],
    });
    expect((await everlog(['failed', 'drop', String(FOREIGN[0]), '--reason', 'not ours'], env)).code).toBe(0);
    await redis.kill('SIGKILL');
    const away = await everlog(['failed', 'ls'], env);
    expect(away.code).toBe(1);
    expect(away.stderr).toMatch(/^everlog: the queue server does not answer/);
  },
  TEST_TIMEOUT_MS,
);
