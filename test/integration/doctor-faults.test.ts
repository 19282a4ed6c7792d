import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { AREAS, examineAll, type Checked } from '../../src/doctor/examine.ts';
import type { Simulator } from '../../src/simulator/simulator.ts';
import { githubSettings, openStage, s3Settings } from '../support/harness/everlog-under-test.ts';
import { newKeyPem } from '../support/harness/sealing-under-test.ts';
import { expectDocumented } from '../support/oracles/documented-table.ts';
import { spawnEverlog } from '../support/processes/processes.ts';
import { startRedis } from '../support/servers/redis-server.ts';
import { startS3Fake, type S3Fake, type S3FakeOptions } from '../support/servers/s3-fake/s3-fake.ts';

/**
 * One thing wrong at a time in an installation where all is well: `everlog doctor` finds it, says what mends it, and reports
 * nothing else. The table in `docs/maintenance.md` is what this says: run with `EVERLOG_WRITE_DOCS=1` to write it anew.
 */

const TABLE = {
  file: 'docs/maintenance.md',
  begin: '<!-- faults: made by test/integration/doctor-faults.test.ts -->',
  end: '<!-- /faults -->',
};
const HOUR_MS = 3_600_000;
/** Children that seal, on a busy machine. */
const FAULT_TIMEOUT_MS = 60_000;
/** An address for deliveries at which nobody listens. */
const UNHEARD = 'http://127.0.0.1:9/webhooks';

type Settings = Record<string, string | undefined>;

interface Site {
  readonly env: Settings;
  readonly github: Simulator;
  readonly redis: Redis;
  readonly bucket: string;
  /** The installation's store, or another that does as it is told. */
  readonly store: (options: S3FakeOptions) => Promise<Settings>;
}

interface Fault {
  readonly what: string;
  /** Makes it so; answers the settings that differ. */
  readonly seed: (site: Site) => Settings | void | Promise<Settings | void>;
  /** What is reported, as `area: name status`, and nothing else. */
  readonly found: readonly string[];
  /** In the words of the first, where the advice speaks of them. */
  readonly names?: string;
  /** In the advice of the first. */
  readonly advice: string;
}

const stage = openStage();
const pem = newKeyPem();
const rows: (readonly string[])[] = [];
let fake: S3Fake;
let redisUrl: string;

beforeAll(async () => {
  const redis = await startRedis();
  stage.defer(() => redis.stop());
  redisUrl = redis.url;
  fake = await startS3Fake();
  stage.defer(() => fake.stop());
}, FAULT_TIMEOUT_MS);
afterEach(() => void vi.unstubAllEnvs());
afterAll(() => stage.close());

/** An installation in which there is nothing to report, of its own for each fault but for the servers. */
async function soundSite(): Promise<Site> {
  const github = await stage.simulator();
  github.world.addInstallation({ login: 'Octo-Org' });
  github.deliveries.url = UNHEARD;
  const bucket = `doctor-${randomUUID()}`;
  await fake.createBucket(bucket, { objectLock: true });
  const redis = new Redis(redisUrl);
  stage.defer(async () => redis.disconnect());
  const env = {
    ...githubSettings(github),
    ...s3Settings(fake, bucket, 'archive'),
    EVERLOG_QUEUE_URL: redisUrl,
    EVERLOG_QUEUE_PREFIX: randomUUID(),
    EVERLOG_SIGNING_KEY: pem,
    EVERLOG_ANCHOR_URL: stage.folder(),
    EVERLOG_SPOOL_DIR: stage.folder(),
    EVERLOG_SPOOL_MAX_BYTES: '64MiB',
    EVERLOG_LOCK_MODE: 'COMPLIANCE',
    EVERLOG_RETENTION_DAYS: '30',
  };
  return {
    env,
    github,
    redis,
    bucket,
    async store(options) {
      const other = await startS3Fake(options);
      stage.defer(() => other.stop());
      await other.createBucket(bucket, { objectLock: true });
      return s3Settings(other, bucket, 'archive');
    },
  };
}

async function reported(env: Settings): Promise<readonly Checked[]> {
  // What this run of the tests is told by its own environment is no setting.
  for (const name of Object.keys(process.env)) if (name.startsWith('EVERLOG_')) vi.stubEnv(name, undefined);
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  const checks: Checked[] = [];
  for await (const one of examineAll(new Set(AREAS))) checks.push(one);
  return checks.filter(({ status }) => status === 'failed' || status === 'warning');
}

/** Has the archive a ledger already. */
async function seal(env: Settings, ...args: string[]): Promise<void> {
  const given = Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]));
  const child = spawnEverlog(['seal', ...args], Object.fromEntries(given));
  expect({ ...(await child.exited), stderr: child.stderr() }).toMatchObject({ code: 0 });
}

function hookAnswer({ github }: Site, body: object): void {
  const hook = { url: 'https://everlog.example.com/webhooks', content_type: 'json', insecure_ssl: '0' };
  github.faults.add({
    match: { route: 'hook_config' },
    effect: { kind: 'status', status: 200, body: JSON.stringify({ ...hook, ...body }) },
  });
}

const FAULTS: readonly Fault[] = [
  {
    what: 'a setting that cannot be read',
    seed: () => ({ EVERLOG_CONCURRENCY: 'many' }),
    found: ['configuration: settings failed'],
    advice: 'correct what the message names',
  },
  {
    what: 'a misspelt setting',
    seed: () => ({ EVERLOG_ARCHIV_URL: 's3://other' }),
    found: ['configuration: environment warning'],
    advice: 'correct the name',
  },
  {
    what: 'a port without an address',
    seed: () => ({ EVERLOG_LISTEN: '3000' }),
    found: ['configuration: environment warning'],
    advice: 'EVERLOG_LISTEN=0.0.0.0:PORT',
  },
  {
    what: 'no folder for the spool',
    seed: ({ env }) => ({ EVERLOG_SPOOL_DIR: join(String(env['EVERLOG_SPOOL_DIR']), 'nothing') }),
    found: ['machine: spool failed'],
    advice: 'EVERLOG_SPOOL_DIR',
  },
  {
    what: 'less room than the spool may use',
    seed: () => ({ EVERLOG_SPOOL_MAX_BYTES: '4000000GiB' }),
    found: ['machine: spool warning'],
    advice: 'free space there',
  },
  {
    what: 'no queue server at the address',
    seed: () => ({ EVERLOG_QUEUE_URL: 'redis://127.0.0.1:1' }),
    found: ['queue: reachable failed'],
    advice: 'EVERLOG_QUEUE_URL',
  },
  {
    what: 'a user whom the queue server does not know',
    seed: () => ({ EVERLOG_QUEUE_URL: redisUrl.replace('redis://', 'redis://nobody:wrong@') }),
    found: ['queue: reachable failed'],
    advice: 'EVERLOG_QUEUE_URL',
  },
  {
    what: 'a queue server that evicts',
    seed: async ({ redis }) => void (await redis.config('SET', 'maxmemory-policy', 'allkeys-lru')),
    found: ['queue: reachable failed'],
    names: 'set it to noeviction',
    advice: 'set what is named there',
  },
  {
    what: 'a queue server that writes nothing down, allowed',
    seed: async ({ redis }) => {
      await redis.config('SET', 'appendonly', 'no');
      return { EVERLOG_ALLOW_UNSAFE_QUEUE: 'true' };
    },
    found: ['queue: durability warning'],
    advice: 'appendonly yes',
  },
  {
    what: 'a queue of another archive',
    seed: async ({ env, redis }) => {
      const deployment = `${String(env['EVERLOG_QUEUE_PREFIX'])}:tables:deployment`;
      await redis.hset(deployment, 'archive', 's3://another/archive');
    },
    found: ['queue: archive failed'],
    advice: 'EVERLOG_QUEUE_PREFIX',
  },
  {
    what: 'no such bucket',
    seed: () => ({ EVERLOG_ARCHIVE_URL: 's3://no-such-bucket/archive' }),
    found: ['archive: reachable failed'],
    names: 'create the bucket, or correct EVERLOG_ARCHIVE_URL',
    advice: 'see the message',
  },
  {
    what: 'an S3 key that is wrong',
    seed: () => ({ AWS_SECRET_ACCESS_KEY: 'wrong' }),
    found: ['archive: reachable failed'],
    names: 'correct AWS_SECRET_ACCESS_KEY',
    advice: 'see the message',
  },
  {
    what: 'no right to write to the bucket',
    seed: ({ store }) =>
      store({
        around: (request, serve) =>
          request.method === 'PUT' && request.key !== ''
            ? Promise.resolve({ status: 403, headers: {}, body: '<Error><Code>AccessDenied</Code></Error>' })
            : serve(),
      }),
    found: ['archive: writable failed'],
    names: 'allow s3:ListBucket on the bucket and s3:GetObject and s3:PutObject on its objects',
    advice: 'the right to write',
  },
  {
    what: 'a store that replaces what must not change',
    seed: ({ store }) => store({ honourCreateOnly: false }),
    found: ['archive: create-only warning'],
    advice: 'If-None-Match',
  },
  {
    what: 'a store whose clock is an hour behind',
    seed: ({ store }) => store({ nowMs: () => Date.now() - HOUR_MS }),
    found: ['archive: clock failed'],
    advice: 'NTP',
  },
  {
    what: 'no lock',
    seed: () => ({ EVERLOG_LOCK_MODE: undefined, EVERLOG_RETENTION_DAYS: undefined }),
    found: ['archive: lock warning'],
    advice: 'EVERLOG_LOCK_MODE',
  },
  {
    what: "the bucket's default retention, which it does not have",
    seed: () => ({ EVERLOG_LOCK_MODE: 'bucket', EVERLOG_RETENTION_DAYS: undefined }),
    found: ['archive: lock failed'],
    advice: 'default retention',
  },
  {
    what: 'a lock in a folder',
    seed: () => ({ EVERLOG_ARCHIVE_URL: stage.folder() }),
    found: ['archive: lock failed'],
    advice: 'to a bucket',
  },
  {
    what: 'no signing key',
    seed: () => ({ EVERLOG_SIGNING_KEY: undefined }),
    found: ['ledger: signing key warning'],
    advice: 'EVERLOG_SIGNING_KEY',
  },
  {
    what: "another ledger's signing key",
    seed: ({ env }) => seal({ ...env, EVERLOG_SIGNING_KEY: newKeyPem() }),
    found: ['ledger: signing key failed'],
    advice: 'EVERLOG_SIGNING_KEY',
  },
  {
    what: 'a ledger that was closed',
    seed: ({ env }) => seal(env, '--final', '--yes'),
    found: ['ledger: signing key failed'],
    advice: 'EVERLOG_ARCHIVE_URL',
  },
  {
    what: 'no second place for digests',
    seed: () => ({ EVERLOG_ANCHOR_URL: undefined }),
    found: ['ledger: anchor warning'],
    advice: 'EVERLOG_ANCHOR_URL',
  },
  {
    what: "a second place in the archive's own bucket",
    seed: ({ bucket }) => ({ EVERLOG_ANCHOR_URL: `s3://${bucket}/anchor` }),
    found: ['ledger: anchor warning'],
    advice: 'another account',
  },
  {
    what: 'a second place that is not there',
    seed: () => ({ EVERLOG_ANCHOR_URL: 's3://no-such-bucket/anchor' }),
    found: ['ledger: anchor failed'],
    advice: 'EVERLOG_ANCHOR_URL',
  },
  {
    what: 'no webhook secret',
    seed: () => ({ EVERLOG_GITHUB_WEBHOOK_SECRET: undefined }),
    found: ['github: webhook secret failed'],
    advice: 'EVERLOG_GITHUB_WEBHOOK_SECRET',
  },
  {
    what: 'no credentials for GitHub',
    seed: () => ({ EVERLOG_GITHUB_APP_ID: undefined, EVERLOG_GITHUB_PRIVATE_KEY: undefined }),
    found: ['github: credentials failed'],
    advice: 'EVERLOG_GITHUB_APP_ID and EVERLOG_GITHUB_PRIVATE_KEY',
  },
  {
    what: 'a private key of another App',
    seed: () => {
      const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
      return { EVERLOG_GITHUB_PRIVATE_KEY: privateKey.export({ type: 'pkcs1', format: 'pem' }).toString() };
    },
    found: ['github: credentials failed'],
    advice: 'EVERLOG_GITHUB_PRIVATE_KEY',
  },
  {
    what: 'a token that GitHub does not take',
    seed: () => ({
      EVERLOG_GITHUB_APP_ID: undefined,
      EVERLOG_GITHUB_PRIVATE_KEY: undefined,
      EVERLOG_GITHUB_TOKEN: 'not-a-token',
    }),
    found: ['github: credentials failed'],
    advice: 'EVERLOG_GITHUB_TOKEN',
  },
  {
    what: 'no GitHub at the API URL',
    seed: () => ({ EVERLOG_GITHUB_API_URL: 'http://127.0.0.1:1' }),
    found: ['github: credentials failed'],
    advice: 'EVERLOG_GITHUB_API_URL',
  },
  {
    what: 'an App without a permission',
    seed: ({ github }) => void (github.world.app.permissions = { metadata: 'read' }),
    found: ['github: permissions failed'],
    advice: 'actions: read',
  },
  {
    what: 'an App without an event',
    seed: ({ github }) => void (github.world.app.events = ['workflow_run']),
    found: ['github: events failed'],
    advice: 'workflow_job',
  },
  {
    what: 'an App that is installed nowhere',
    seed: ({ github: { world } }) => {
      for (const id of world.installations.keys()) world.setInstallation(id, 'deleted');
    },
    found: ['github: installations failed'],
    advice: 'install the App',
  },
  {
    what: 'a suspended installation',
    seed: ({ github: { world } }) => {
      world.setInstallation(world.addInstallation({ login: 'Other-Org' }).id, 'suspended');
    },
    found: ['github: installations warning'],
    advice: 'unsuspend',
  },
  {
    what: 'a webhook without an address',
    seed: (site) => hookAnswer(site, { url: '' }),
    found: ['github: webhook failed'],
    advice: 'ends with /webhooks',
  },
  {
    what: 'a webhook that sends forms',
    seed: (site) => hookAnswer(site, { content_type: 'form' }),
    found: ['github: webhook failed'],
    advice: 'application/json',
  },
  {
    what: 'a webhook that leads elsewhere',
    seed: (site) => hookAnswer(site, { url: 'https://everlog.example.com/' }),
    found: ['github: webhook warning'],
    advice: 'correct the URL',
  },
  {
    what: 'deliveries that nobody hears',
    seed: async ({ github }) =>
      void (await github.deliveries.send('ping', { zen: 'Half measures are as bad.' })),
    found: ['github: deliveries failed'],
    advice: 'reached from GitHub',
  },
];

test('where all is well nothing is reported', async () => {
  expect(await reported((await soundSite()).env)).toEqual([]);
});

test.each(FAULTS)(
  '$what',
  async ({ what, seed: make, found, names, advice }) => {
    const site = await soundSite();
    try {
      const changes = (await make(site)) ?? {};
      const checks = await reported({ ...site.env, ...changes });
      expect(checks.map(({ area, name, status }) => `${area}: ${name} ${status}`)).toEqual(found);
      const [first] = checks;
      expect(first?.detail).toContain(names ?? '');
      expect(first?.fix).toContain(advice);
      rows.push([
        what,
        found.join(', '),
        asCell(`${first?.fix ?? ''}${names === undefined ? '' : `: "${names}"`}`),
      ]);
    } finally {
      await site.redis.config('SET', 'maxmemory-policy', 'noeviction');
      await site.redis.config('SET', 'appendonly', 'yes');
    }
  },
  FAULT_TIMEOUT_MS,
);

test(`the table in ${TABLE.file} says the same`, () => {
  expect(rows.length).toBeGreaterThanOrEqual(25);
  expectDocumented(TABLE, [['what is wrong', 'reported', 'what mends it'], ...rows]);
});

/** As it may stand in a cell of a table; what differs from run to run is left out. */
function asCell(text: string): string {
  return text
    .replaceAll('|', String.raw`\|`)
    .replaceAll(/http:\/\/127\.0\.0\.1:\d+/g, 'the address')
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'PREFIX');
}
