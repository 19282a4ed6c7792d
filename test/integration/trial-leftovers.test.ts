import { createPostgresBackend, withBackend } from 'bullmq';
import { Redis } from 'ioredis';
import { readdirSync, utimesSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { openEmbeddedTrial } from '../../src/queue/embedded/embedded-trial.ts';
import { openEmbeddedPostgres } from '../../src/queue/embedded/embedded-postgres.ts';
import { tryRedisWork } from '../../src/queue/redis/redis-trial.ts';
import { watchWrites } from '../../src/service/health/archive-readiness.ts';
import { openFolderStore } from '../../src/store/folder/folder-object-store.ts';
import { SILENT } from '../support/harness/queue-under-test.ts';
import { spawnManaged, temporaryFolder } from '../support/processes/processes.ts';
import { startRedis, type RedisServer } from '../support/servers/redis-server.ts';

/** What a process leaves that is killed between writing what it tries with and removing it goes with a later trial. */
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const TRIAL_PROCESS = resolve(import.meta.dirname, '../support/processes/trial-process.ts');
const TWO_HOURS_MS = 2 * 3_600_000;

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

async function killedIn(...args: readonly string[]): Promise<void> {
  const child = spawnManaged(process.execPath, ['--import', 'tsx', TRIAL_PROCESS, ...args]);
  // `setpriv` becomes the program: the signal is the program's own.
  expect({ ...(await child.exited), stderr: child.stderr() }).toEqual({
    code: null,
    signal: 'SIGKILL',
    stderr: '',
  });
}

test('on a queue server', async () => {
  const prefix = 'trials';
  const connection = new Redis(redis.url);
  try {
    await killedIn('redis', redis.url, prefix);
    const left = await connection.keys(`${prefix}:probe-*`);
    expect(left.length).toBeGreaterThan(3);

    // It may be another process's, which is still at it.
    await tryRedisWork(connection, prefix);
    expect((await connection.keys(`${prefix}:probe-*`)).toSorted()).toEqual(left.toSorted());

    await tryRedisWork(connection, prefix, () => new Date(Date.now() + TWO_HOURS_MS));
    expect(await connection.keys(`${prefix}:*`)).toEqual([]);
  } finally {
    connection.disconnect();
  }
});

test('in an archive’s folder', async () => {
  const folder = temporaryFolder();
  const probes = join(folder, 'probe');
  await killedIn('folder', folder);
  await killedIn('folder', folder);
  const [old = '', fresh] = readdirSync(probes);
  const then = new Date(Date.now() - TWO_HOURS_MS);
  utimesSync(join(probes, old), then, then);
  const store = await openFolderStore({ folder });
  await watchWrites(store, true).ready();
  expect(readdirSync(probes)).toEqual([fresh]);
  await store.close();
});

test('in an embedded queue, where those who ask at once share a trial', async () => {
  const embedded = await openEmbeddedPostgres({ folder: temporaryFolder(), log: SILENT });
  try {
    const { Queue } = withBackend(createPostgresBackend);
    const left = new Queue('probe', { connection: embedded.pool });
    await left.add('probe', {}, { jobId: 'probe' });
    await left.close();
    const tryWork = openEmbeddedTrial(embedded.pool);
    expect(tryWork()).toBe(tryWork());
    await tryWork();
    await tryWork();
    for (const table of ['job', 'meta', 'event'])
      expect(
        (await embedded.pool.query(`SELECT queue FROM ${table} WHERE queue LIKE 'probe%'`)).rows,
      ).toEqual([]);
  } finally {
    await embedded.close();
  }
});
