import { Redis } from 'ioredis';
import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  githubSettings,
  openStage,
  until,
  type Environment,
  type EverlogProcess,
} from '../support/harness/everlog-under-test.ts';
import { openJobQueue } from '../../src/queue/job-queue.ts';
import { redisStorage } from '../support/harness/queue-under-test.ts';
import { jobPayload } from '../support/github/delivery-payloads.ts';
import { deliver, SECRET } from '../support/harness/receiver-under-test.ts';
import { spawnEverlog } from '../support/processes/processes.ts';
import { startRedis, type RedisOptions, type RedisServer } from '../support/servers/redis-server.ts';

/** Queue servers that answer PING and refuse work: told as what they are, never hammered, and used once they are mended. */
vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const NOTICED_WITHIN_MS = 30_000;
/** Two trials a second at most, of about a dozen commands each; workers used to send ten thousand. */
const COMMANDS_PER_SECOND_MAX = 60;
const MEASURED_MS = 3_000;
const DELIVERED_EVERY_MS = 5;

let stage = openStage();

afterEach(async () => {
  await stage.close();
  stage = openStage();
});

interface Server {
  readonly redis: RedisServer;
  readonly admin: Redis;
}

async function server(options: RedisOptions = {}): Promise<Server> {
  const redis = await startRedis(options);
  const admin = new Redis(redis.url);
  admin.on('error', () => undefined);
  stage.defer(async () => {
    admin.disconnect();
    await redis.stop();
  });
  return { redis, admin };
}

async function settings(url: string): Promise<Record<string, string>> {
  const simulator = await stage.simulator();
  return { ...githubSettings(simulator), EVERLOG_QUEUE_URL: url, EVERLOG_ARCHIVE_URL: stage.folder() };
}

function userUrl({ redis }: Server): string {
  return redis.url.replace('redis://', 'redis://worker:pw@');
}

async function asUser({ admin }: Server, ...rules: readonly string[]): Promise<void> {
  await admin.call('ACL', 'SETUSER', 'worker', 'reset', 'on', '>pw', ...rules);
}

async function commands(admin: Redis): Promise<number> {
  return Number(/total_commands_processed:(\d+)/.exec(await admin.info('stats'))?.[1]);
}

/** Each breaks a server that works, and mends it again. */
const TROUBLES: readonly {
  readonly what: string;
  readonly options?: RedisOptions;
  readonly words: string;
  readonly cure: string;
  readonly breakIt: (server: Server) => Promise<unknown>;
  readonly mend: (server: Server) => Promise<unknown>;
}[] = [
  {
    what: 'a user without scripting',
    words: 'NOPERM',
    cure: 'ACL SETUSER',
    breakIt: (at) => asUser(at, '~*', '&*', '+@all', '-@scripting'),
    mend: (at) => asUser(at, '~everlog:*', '+@all', '-@admin', '-@dangerous', '+info', '+config|get'),
  },
  {
    what: 'a narrow key pattern',
    words: 'NOPERM',
    cure: '~everlog:*',
    breakIt: (at) => asUser(at, '~everlog:archive:*', '~everlog:probe*', '&*', '+@all'),
    mend: (at) => asUser(at, '~everlog:*', '+@all'),
  },
  {
    what: 'no memory left',
    words: 'OOM',
    cure: 'maxmemory',
    breakIt: async (at) => {
      await asUser(at, '~*', '&*', '+@all');
      await at.admin.config('SET', 'maxmemory', '1mb');
    },
    mend: ({ admin }) => admin.config('SET', 'maxmemory', '0'),
  },
  {
    what: 'a read-only replica',
    words: 'READONLY',
    cure: 'primary',
    breakIt: async (at) => {
      await asUser(at, '~*', '&*', '+@all');
      await at.admin.call('REPLICAOF', '127.0.0.1', '1');
    },
    mend: ({ admin }) => admin.call('REPLICAOF', 'NO', 'ONE'),
  },
];

/** Waits until the process tells why it is not ready in these words: it may be asked before its first connection is there. */
async function toldUnready({ adminUrl }: EverlogProcess, words: string): Promise<string> {
  let body = '';
  await until(
    `"${words}" is told`,
    async () => {
      const told = await fetch(`${adminUrl}/readyz`);
      expect(told.status).toBe(503);
      body = await told.text();
      return body.includes(words);
    },
    NOTICED_WITHIN_MS,
    () => body,
  );
  return body;
}

for (const { what, words, cure, breakIt, mend } of TROUBLES) {
  test(`${what}: at start and later, in the server's words, and work goes on when it is mended`, async () => {
    const at = await server();
    await breakIt(at);
    const worker = await stage.everlog(['work'], await settings(userUrl(at)));
    const ready = async (): Promise<number> => (await fetch(`${worker.adminUrl}/readyz`)).status;
    const body = await toldUnready(worker, words);
    expect(body).toContain(cure);
    const before = await commands(at.admin);
    await new Promise((resolve) => setTimeout(resolve, MEASURED_MS));
    const perSecond = ((await commands(at.admin)) - before) / (MEASURED_MS / 1_000);
    expect(perSecond).toBeLessThan(COMMANDS_PER_SECOND_MAX);
    const warnings = (): number =>
      worker.process
        .stderr()
        .split('\n')
        .filter((line) => line.includes('does not work: waiting')).length;
    expect(warnings()).toBe(1);
    expect(worker.process.stderr()).toContain('its queue does not work yet');
    await mend(at);
    await until('it is ready', async () => (await ready()) === 200, NOTICED_WITHIN_MS);
    await breakIt(at);
    await until('it is not ready', async () => (await ready()) === 503, NOTICED_WITHIN_MS);
    const beforeAgain = await commands(at.admin);
    await new Promise((resolve) => setTimeout(resolve, MEASURED_MS));
    const again = ((await commands(at.admin)) - beforeAgain) / (MEASURED_MS / 1_000);
    expect(again).toBeLessThan(COMMANDS_PER_SECOND_MAX);
    expect(warnings()).toBe(1);
    expect((await worker.process.stop()).code).toBe(0);
    expect((await at.admin.keys('*probe-*')).filter((key) => !key.includes('fair'))).toEqual([]);
  });
}

test.each([
  ['a key pattern without the mark', ['~everlog:[^t]*', '~everlog:tables:probe', '+@all']],
  ['a user who may not set the mark', ['~everlog:*', '+@all', '-hsetnx']],
  ['a user who may not read it', ['~everlog:*', '+@all', '-hgetall']],
])('%s is found by the trial that doctor makes', async (_what, rules) => {
  const at = await server();
  await asUser(at, '&*', ...rules);
  const queue = openJobQueue(redisStorage(userUrl(at)));
  stage.defer(() => queue.close());
  await expect(queue.tryWork()).rejects.toMatchObject({
    code: 'queue_unavailable',
    message: expect.stringContaining('NOPERM'),
  });
  await asUser(at, '&*', '~everlog:*', '+@all');
  await queue.tryWork();
  expect(await at.admin.keys('everlog:tables:*')).toEqual([]);
});

test('cluster mode is named, by readyz and by doctor', async () => {
  const at = await server({ extraArgs: ['--cluster-enabled', 'yes'] });
  await at.admin.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
  const env = await settings(at.redis.url);
  const serve = await stage.everlog(['serve'], env);
  await toldUnready(serve, 'CROSSSLOT');
  expect((await serve.process.stop()).code).toBe(0);
  const doctor = await run(['doctor', '--json', '--skip', 'github', '--skip', 'archive'], env);
  expect(doctor.code).toBe(4);
  expect(doctor.stdout).toContain('cluster-enabled no');
});

test.each([
  ['belongs to another archive', {}],
  ['may lose jobs', { maxmemoryPolicy: 'allkeys-lru' }],
] as const)(
  'no delivery is taken into a queue that %s, before that is known either',
  async (words, options) => {
    const at = await server({ ...options, appendfsync: 'always' });
    await at.admin.hset('everlog:tables:deployment', 'archive', 'file:/another/archive');
    await at.redis.kill('SIGKILL');
    const { EVERLOG_GITHUB_APP_ID = '', ...others } = await settings(at.redis.url);
    const app = { 'x-github-hook-installation-target-id': EVERLOG_GITHUB_APP_ID };
    const serve = await stage.everlog(['serve'], {
      ...others,
      EVERLOG_GITHUB_APP_ID,
      EVERLOG_GITHUB_WEBHOOK_SECRET: SECRET,
    });
    const body = JSON.stringify(jobPayload());
    const statuses: number[] = [];
    const ended = new AbortController();
    const sending = async (): Promise<void> => {
      while (!ended.signal.aborted) {
        const answer = await deliver(serve.webhooksUrl, 'workflow_job', body, app).catch(() => null);
        if (answer !== null) statuses.push(answer.status);
        await new Promise((resolve) => setTimeout(resolve, DELIVERED_EVERY_MS));
      }
    };
    const sender = sending();
    await until('deliveries are refused', () => Promise.resolve(statuses.length > 0), NOTICED_WITHIN_MS);
    await at.redis.restart();
    const { code } = await serve.process.exited;
    ended.abort();
    await sender;
    expect(code).toBe(2);
    expect(serve.process.stderr()).toContain(words);
    expect(new Set(statuses)).toEqual(new Set([503]));
    expect((await at.admin.keys('everlog:archive:*')).filter((key) => !key.includes('probe'))).toEqual([]);
  },
);

async function run(
  args: readonly string[],
  env: Environment,
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawnEverlog(args, env, { cwd: stage.folder() });
  stage.defer(() => child.kill('SIGKILL'));
  const { code } = await child.exited;
  return { code, stdout: child.stdout(), stderr: child.stderr() };
}

describe('refused at start with exit 2', () => {
  test.each(['up', 'serve', 'work'])('a user without INFO, by %s', async (command) => {
    const at = await server();
    await asUser(at, '~*', '&*', '+@all', '-info');
    const { code, stderr } = await run([command], await settings(userUrl(at)));
    expect(code).toBe(2);
    expect(stderr).toMatch(/\+info/);
  });

  test('an evicting server whose CONFIG is forbidden, which INFO tells', async () => {
    const at = await server({ maxmemoryPolicy: 'volatile-lru' });
    await asUser(at, '~*', '&*', '+@all', '-config');
    const { code, stderr } = await run(['serve'], await settings(userUrl(at)));
    expect(code).toBe(2);
    expect(stderr).toMatch(/maxmemory-policy is volatile-lru.*noeviction/);
  });

  test('a queue that belongs to another archive, unless the prefix tells them apart', async () => {
    const at = await server();
    const first = await settings(at.redis.url);
    const second = { ...first, EVERLOG_ARCHIVE_URL: stage.folder() };
    const owner = await stage.everlog(['work'], first);
    const { code, stderr } = await run(['work'], second);
    expect(code).toBe(2);
    expect(stderr).toMatch(/belongs to another archive.*EVERLOG_QUEUE_PREFIX/s);
    expect(stderr).toContain(first['EVERLOG_ARCHIVE_URL']);
    const apart = await stage.everlog(['work'], { ...second, EVERLOG_QUEUE_PREFIX: 'second' });
    const ready = async (url: string): Promise<boolean> => (await fetch(`${url}/readyz`)).status === 200;
    await until(
      'both are ready',
      async () => (await ready(owner.adminUrl)) && ready(apart.adminUrl),
      NOTICED_WITHIN_MS,
    );
    const keys = await at.admin.keys('*');
    expect(keys.filter((key) => !/^(everlog|second):/.test(key))).toEqual([]);
    expect(keys.some((key) => key.startsWith('second:'))).toBe(true);
    const receiver = await stage.everlog(['serve'], {
      ...first,
      EVERLOG_ARCHIVE_URL: '',
      EVERLOG_QUEUE_PREFIX: 'second',
    });
    await until(
      'a receiver that names no archive is ready',
      () => ready(receiver.adminUrl),
      NOTICED_WITHIN_MS,
    );
  });
});
