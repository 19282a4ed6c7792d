import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { loadConfig, type Config } from '../../src/config.ts';
import { openJobQueue, type JobQueue } from '../../src/queue/job-queue.ts';
import { refuseForeignQueueOf, requireOwnQueueOf } from '../../src/service/queue.ts';
import { ownArchive } from '../../src/service/own-archive.ts';
import { redisStorage } from '../support/harness/queue-under-test.ts';
import { openStage, type Environment } from '../support/harness/everlog-under-test.ts';
import { spawnEverlog } from '../support/processes/processes.ts';
import { startRedis, type RedisServer } from '../support/servers/redis-server.ts';
import { startS3Fake, type S3Fake } from '../support/servers/s3-fake/s3-fake.ts';

/** Which queue belongs to which archive: told by the archive's id, wherever it is and however its address is written. */
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const FOREIGN = { code: 'queue_foreign', remedy: { kind: 'give_up' } };
const TABLE = 'everlog:tables:deployment';
const ID_KEY = 'probe/archive.json';

let stage = openStage();
let redis: RedisServer;
let admin: Redis;
let queue: JobQueue;
const buckets: S3Fake[] = [];

beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
  queue = openJobQueue(redisStorage(redis.url));
  for (let count = 0; count < 3; count += 1) {
    const fake = await startS3Fake({ honourCreateOnly: count < 2 });
    await fake.createBucket('logs');
    buckets.push(fake);
  }
});

afterAll(async () => {
  await queue.close();
  admin.disconnect();
  await redis.stop();
  await Promise.all(buckets.map((fake) => fake.stop()));
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await admin.flushall();
  await stage.close();
  stage = openStage();
});

function configOf(archive: string): Config {
  vi.stubEnv('EVERLOG_QUEUE_URL', redis.url);
  vi.stubEnv('EVERLOG_ARCHIVE_URL', archive);
  return loadConfig({});
}

/** The bucket `logs` of one of two stores, which have the same address. */
function atStore(index: number): Config {
  const fake = buckets[index];
  if (fake === undefined) throw new Error(`no store ${index}`);
  vi.stubEnv('EVERLOG_S3_FORCE_PATH_STYLE', 'true');
  vi.stubEnv('AWS_ENDPOINT_URL_S3', fake.endpoint);
  vi.stubEnv('AWS_REGION', 'us-east-1');
  vi.stubEnv('AWS_ACCESS_KEY_ID', fake.accessKeyId);
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', fake.secretAccessKey);
  return configOf('s3://logs/p');
}

function worker(config: Config): Promise<void> {
  return requireOwnQueueOf(config, ownArchive(config, { reads: true }), queue);
}

function receiver(config: Config): Promise<void> {
  return requireOwnQueueOf(config, ownArchive(config, { reads: false }), queue);
}

function idIn(folder: string): unknown {
  return JSON.parse(readFileSync(join(folder, ID_KEY), 'utf8'));
}

test('an archive that was moved, or is reached by a link, is the same', async () => {
  const folder = join(stage.folder(), 'archive');
  await worker(configOf(folder));
  const id = idIn(folder);
  symlinkSync(folder, `${folder}-link`);
  await worker(configOf(`${folder}-link`));
  renameSync(folder, `${folder}-moved`);
  const moved = configOf(`${folder}-moved`);
  await worker(moved);
  // Who has no rights to the archive goes by the addresses at which workers reached it.
  await receiver(moved);
  expect(await refuseForeignQueueOf(moved, queue)).toBe('own');
  expect(idIn(`${folder}-moved`)).toEqual(id);
});

test('another archive is refused, and gets no id by asking', async () => {
  const [first, second, third] = [stage.folder(), stage.folder(), stage.folder()];
  await worker(configOf(first));
  await expect(worker(configOf(second))).rejects.toMatchObject(FOREIGN);
  await expect(receiver(configOf(second))).rejects.toMatchObject(FOREIGN);
  await expect(refuseForeignQueueOf(configOf(second), queue)).rejects.toMatchObject(FOREIGN);
  expect(existsSync(join(second, ID_KEY))).toBe(false);
  // One that has a queue of its own elsewhere is no better.
  await admin.rename(TABLE, 'kept');
  await worker(configOf(third));
  await admin.rename('kept', TABLE);
  await expect(worker(configOf(third))).rejects.toThrow(first);
});

test('one bucket name on two stores is two archives, though the address is the same', async () => {
  await worker(atStore(0));
  await worker(atStore(0));
  await expect(worker(atStore(1))).rejects.toMatchObject(FOREIGN);
  await expect(refuseForeignQueueOf(atStore(1), queue)).rejects.toMatchObject(FOREIGN);
  expect(buckets[1]?.objects('logs')).toEqual([]);
});

test('a queue of a time before ids is taken over at its address, and by no other archive', async () => {
  const [folder, other] = [stage.folder(), stage.folder()];
  await admin.hset(TABLE, 'archive', `file:${folder}`);
  await expect(worker(configOf(other))).rejects.toMatchObject(FOREIGN);
  expect(await refuseForeignQueueOf(configOf(folder), queue)).toBe('own');
  await worker(configOf(folder));
  const fields = await admin.hgetall(TABLE);
  expect(idIn(folder)).toMatchObject({ schema: 'everlog.archive/v1', id: fields['archive_id'] });
  // Workers of that time go on beside it.
  expect(fields['archive']).toBe(`file:${folder}`);
});

test('of many that begin at once, all of one archive are let in, and of two archives one', async () => {
  const folder = stage.folder();
  await Promise.all(Array.from({ length: 8 }, () => worker(configOf(folder))));
  await admin.flushall();
  const rivals = [stage.folder(), stage.folder()].map((each) => worker(configOf(each)));
  const ends = await Promise.allSettled(rivals);
  expect(ends.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
});

test('on a store that takes a second object too, many that begin at once agree on the id', async () => {
  const config = atStore(2);
  await Promise.all(Array.from({ length: 8 }, () => worker(config)));
  await worker(config);
  const { archive_id: id } = await admin.hgetall(TABLE);
  expect((await buckets[2]?.read('logs', `p/${ID_KEY}`))?.toString()).toContain(id);
});

test('an archive that does not answer is taken for the one at its address, and for no other', async () => {
  const config = atStore(0);
  await worker(config);
  buckets[0]?.outage(true);
  await worker(config);
  const elsewhere = configOf('s3://logs/q');
  await expect(worker(elsewhere)).rejects.toMatchObject({ code: 'queue_unavailable' });
  buckets[0]?.outage(false);
  await expect(worker(elsewhere)).rejects.toMatchObject(FOREIGN);
  // A first start goes by the address too, and the id follows.
  await admin.flushall();
  buckets[0]?.outage(true);
  await worker(config);
  expect(await admin.hgetall(TABLE)).toEqual({ archive: 's3://logs/p' });
  buckets[0]?.outage(false);
  await worker(config);
  const fields = await admin.hgetall(TABLE);
  expect(fields).toMatchObject({ archive: 's3://logs/p', 'archive_at s3://logs/p': '' });
  expect(fields['archive_id']).toMatch(/^[0-9a-f-]{36}$/);
});

test('an id that was lost is told with what brings it back; one that is none is told as that', async () => {
  const folder = stage.folder();
  const config = configOf(folder);
  await worker(config);
  const text = readFileSync(join(folder, ID_KEY), 'utf8');
  rmSync(join(folder, ID_KEY));
  await expect(worker(config)).rejects.toThrow(`put ${text.trim()} there as ${ID_KEY}`);
  writeFileSync(join(folder, ID_KEY), text);
  await worker(config);
  writeFileSync(join(folder, ID_KEY), 'x');
  const elsewhere = join(stage.folder(), 'link');
  symlinkSync(folder, elsewhere);
  await expect(worker(configOf(elsewhere))).rejects.toThrow('does not hold the id of an archive');
});

test('an archive that lost what is no evidence gets its id back at its address, and nowhere else', async () => {
  const folder = stage.folder();
  await worker(configOf(folder));
  const id = idIn(folder);
  const record = join(folder, 'v1/records/host=github.com/owner=o/repo=r/1/1/1.json');
  mkdirSync(dirname(record), { recursive: true });
  writeFileSync(record, '{}');
  rmSync(join(folder, 'probe'), { recursive: true });
  expect(await refuseForeignQueueOf(configOf(folder), queue)).toBe('own');
  const copy = `${folder}-copy`;
  cpSync(folder, copy, { recursive: true });
  await expect(worker(configOf(copy))).rejects.toMatchObject(FOREIGN);
  expect(existsSync(join(copy, ID_KEY))).toBe(false);
  await worker(configOf(folder));
  expect(idIn(folder)).toEqual(id);
});

test('a receiver marks by its address what nobody has marked, and waits for no archive', async () => {
  const folder = stage.folder();
  await receiver(configOf(folder));
  expect(await admin.hgetall(TABLE)).toEqual({ archive: `file:${folder}` });
  expect(existsSync(join(folder, ID_KEY))).toBe(false);
  await worker(configOf(folder));
  await receiver(configOf(folder));
});

test('commands tell that a queue belongs to another archive, and show none of its numbers', async () => {
  const owner = stage.folder();
  await worker(configOf(owner));
  const env: Environment = {
    EVERLOG_QUEUE_URL: redis.url,
    EVERLOG_ARCHIVE_URL: stage.folder(),
    EVERLOG_GITHUB_TOKEN: 'token',
    EVERLOG_WEB_LISTEN: '127.0.0.1:0',
    EVERLOG_WEB_AUTH: 'proxy',
    EVERLOG_WEB_PROXY_CIDRS: '127.0.0.1/32',
    EVERLOG_WEB_PROXY_SECRET: 'a-secret-between-the-proxy-and-the-page',
  };
  for (const args of [
    ['status'],
    ['status', '--json'],
    ['failed', 'ls'],
    ['failed', 'retry', '--all'],
    ['reconcile', '--repo', 'o/r'],
    ['web'],
  ]) {
    const child = spawnEverlog(args, env, { cwd: stage.folder() });
    stage.defer(() => child.kill('SIGKILL'));
    expect((await child.exited).code).toBe(2);
    expect(`${child.stdout()}${child.stderr()}`).toContain('belongs to another archive');
    expect(child.stdout()).not.toContain('WAITING');
  }
  const own = spawnEverlog(
    ['status', '--json'],
    { ...env, EVERLOG_ARCHIVE_URL: owner },
    { cwd: stage.folder() },
  );
  await own.exited;
  expect(JSON.parse(own.stdout())).toMatchObject({
    queue_problem: null,
    queues: { archive: { waiting: 0 } },
  });
});
