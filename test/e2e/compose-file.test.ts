import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { bucketArchive, expectArchived } from '../support/oracles/archive-oracle.ts';
import { openStage, type Environment } from '../support/harness/everlog-under-test.ts';
import { judge, policySchema, type Policies } from '../support/infra/access-policy.ts';
import { guarded, type AskedAccess } from '../support/infra/guarded-bucket.ts';
import { putToWork, WEB_SETTINGS, type RoleSettings } from '../support/infra/roles-at-work.ts';
import { startRedis } from '../support/servers/redis-server.ts';
import { s3Client } from '../support/servers/s3-connection.ts';
import { startS3Fake } from '../support/servers/s3-fake/s3-fake.ts';
import { newKeyPem } from '../support/harness/sealing-under-test.ts';

/** What docker-compose.yml gives each of Everlog's containers, and nothing else, given to processes of this machine. */

const REPOSITORY = join(import.meta.dirname, '../..');
const TEXT = readFileSync(join(REPOSITORY, 'docker-compose.yml'), 'utf8');
const stage = openStage();

afterAll(() => stage.close());

const service = z.object({
  command: z.array(z.string()).default([]),
  image: z.string(),
  environment: z.record(z.string(), z.string()),
});
const { services } = z
  .object({
    services: z.object({ serve: service, work: service, seal: service, web: service, bucket: service }),
  })
  .parse(parse(TEXT, { merge: true }));

/** Compose's own forms of a variable in a value: `${NAME}`, `${NAME-default}`, `${NAME:-default}` and `${NAME:?message}`. */
function interpolated(text: string, variables: Environment): string {
  return text.replaceAll(
    /\$\{(\w+)(?:(:?[-?])([^}]*))?\}/g,
    (_, name: string, operator: string | undefined, rest: string) => {
      const value = variables[name] ?? '';
      if (value === '' && operator === ':?')
        throw new Error(`.env.example does not ask for ${name}: ${rest}`);
      const isMissing = operator === '-' ? variables[name] === undefined : value === '';
      return isMissing && operator?.endsWith('-') === true ? rest : value;
    },
  );
}

/** The names that .env.example asks for, with those that it suggests or without. */
function askedFor(form: RegExp): readonly string[] {
  const text = readFileSync(join(REPOSITORY, '.env.example'), 'utf8');
  return [...text.matchAll(form)].map(([, name = '']) => name).toSorted();
}

/** As .env.example says to write a key: on one line. */
function onOneLine(pem: string): string {
  return pem
    .trimEnd()
    .split('\n')
    .join(String.raw`\n`);
}

/** What the container that makes the bucket says of who may do what in it. */
function bucketPolicy(users: { readonly [name in 'WORKER' | 'SEALER' | 'WEB']: string }): Policies {
  const [script = ''] = services.bucket.command;
  const [, text = ''] = /<<END\n([\s\S]*?)\n\s*END\n/.exec(script) ?? [];
  const shell: Environment = {
    ...users,
    readers: Object.values(users)
      .map((name) => `"${name}"`)
      .join(', '),
    page: `"${users.WEB}"`,
  };
  const said = text.replaceAll(/\$\$(\w+)/g, (_, name: string) => shell[name] ?? '');
  return { identity: [], resource: [policySchema.parse(JSON.parse(said))] };
}

test('.env.example asks for all that the file takes, and for nothing that it does not', () => {
  const taken = new Set([...TEXT.matchAll(/(?<!\$)\$\{(\w+)/g)].map(([, name = '']) => name));
  // Read by Compose itself.
  taken.add('COMPOSE_PROFILES');
  expect(askedFor(/^(?:# )?([A-Z][A-Z0-9_]+)=/gm)).toEqual([...taken].toSorted());
});

test('worker, sealer and page have credentials of their own, and what is written is locked', () => {
  const roles = [services.work, services.seal, services.web];
  for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'])
    expect(new Set(roles.map(({ environment }) => environment[name])).size).toBe(roles.length);
  for (const { environment } of roles) {
    const said = Object.fromEntries(
      Object.entries(environment).map(([name, value]) => [name, interpolated(value, { ...GIVEN })]),
    );
    expect(said).toMatchObject({
      EVERLOG_ARCHIVE_URL: 's3://everlog',
      EVERLOG_LOCK_MODE: 'GOVERNANCE',
      EVERLOG_RETENTION_DAYS: '400',
      AWS_ENDPOINT_URL_S3: 'http://store:7070',
    });
    const own = { EVERLOG_ARCHIVE_URL: 's3://mine', EVERLOG_LOCK_MODE: 'none', AWS_ENDPOINT_URL_S3: '' };
    for (const [name, value] of Object.entries(own))
      expect(interpolated(environment[name] ?? '', { ...GIVEN, ...own })).toBe(value);
  }
  expect(Object.keys(services.serve.environment).filter((name) => /AWS|ARCHIVE|S3/.test(name))).toEqual([]);
  expect(Object.keys(services.work.environment)).not.toContain('EVERLOG_SIGNING_KEY');
  expect(Object.keys(services.seal.environment).filter((name) => /APP|PRIVATE_KEY|TOKEN/.test(name))).toEqual(
    [],
  );
});

test('every image is named by its full version or its digest', () => {
  const images = [...TEXT.matchAll(/^\s+image: (.*)$/gm)].map(([, image = '']) => image);
  expect(images.length).toBeGreaterThan(4);
  expect(images.filter((image) => !/:v?\d+\.\d+\.\d+(-\w+)?(@sha256:[0-9a-f]{64})?$/.test(image))).toEqual(
    [],
  );
});

test.each([
  ['worker', 's3:PutObject', 'ledger/digests/0000000001/digest.json', 'not_allowed'],
  ['worker', 's3:DeleteObjectVersion', 'v1/records/host=github.com/a.json', 'not_allowed'],
  ['worker', 's3:PutObject', 'v1/records/host=github.com/a.json', 'allowed'],
  ['worker', 's3:BypassGovernanceRetention', 'v1/records/host=github.com/a.json', 'not_allowed'],
  ['sealer', 's3:PutObject', 'v1/records/host=github.com/a.json', 'not_allowed'],
  ['sealer', 's3:PutObject', 'ledger/digests/0000000001/digest.json', 'allowed'],
  ['sealer', 's3:DeleteObjectVersion', 'ledger/digests/0000000001/digest.json', 'not_allowed'],
  ['page', 's3:PutObject', 'v1/custody/dt=2026-11-20/a.json', 'allowed'],
  ['page', 's3:PutObject', 'v1/logs/host=github.com/a.log.gz', 'not_allowed'],
])('in the bucket the %s asks for %s on %s: %s', (principal, action, key, expected) => {
  const policies = bucketPolicy({ WORKER: 'worker', SEALER: 'sealer', WEB: 'page' });
  expect(judge({ principal, action, resource: `arn:aws:s3:::everlog/${key}`, context: {} }, policies)).toBe(
    expected,
  );
});

/** All that .env.example leaves no default for. */
const GIVEN: Environment = {
  EVERLOG_GITHUB_APP_ID: '1',
  EVERLOG_GITHUB_PRIVATE_KEY: 'key',
  EVERLOG_GITHUB_WEBHOOK_SECRET: 'secret',
  EVERLOG_SIGNING_KEY: 'key',
  VALKEY_PASSWORD: 'password',
  WORKER_AWS_ACCESS_KEY_ID: 'EVERLOGWORKER',
  WORKER_AWS_SECRET_ACCESS_KEY: randomUUID(),
  SEALER_AWS_ACCESS_KEY_ID: 'EVERLOGSEALER',
  SEALER_AWS_SECRET_ACCESS_KEY: randomUUID(),
  COMPOSE_PROFILES: 'store',
  STORE_ROOT_ACCESS_KEY_ID: 'root',
  STORE_ROOT_SECRET_ACCESS_KEY: randomUUID(),
};

test('all roles work with what .env.example asks for, each with its own rights in the bucket', async () => {
  expect(Object.keys(GIVEN).toSorted()).toEqual(askedFor(/^([A-Z][A-Z0-9_]+)=/gm));
  const password = randomUUID().replaceAll('-', '');
  const web = { WEB_AWS_ACCESS_KEY_ID: 'EVERLOGWEB', WEB_AWS_SECRET_ACCESS_KEY: randomUUID() };
  const names = { WORKER: 'EVERLOGWORKER', SEALER: 'EVERLOGSEALER', WEB: web.WEB_AWS_ACCESS_KEY_ID };
  const asked: AskedAccess[] = [];
  const all: Environment = { ...GIVEN, ...web };
  const users = (['WORKER', 'SEALER', 'WEB'] as const).map((name) => ({
    accessKeyId: names[name],
    secretAccessKey: all[`${name}_AWS_SECRET_ACCESS_KEY`] ?? '',
    principal: names[name],
    policies: bucketPolicy(names),
  }));
  const fake = await startS3Fake(guarded(users, asked));
  stage.defer(() => fake.stop());
  const [redis, simulator] = await Promise.all([startRedis({ password }), stage.simulator()]);
  stage.defer(() => redis.stop());
  await fake.createBucket('everlog', { objectLock: true });
  const given: Environment = {
    ...all,
    ...WEB_SETTINGS,
    EVERLOG_GITHUB_APP_ID: String(simulator.appId),
    EVERLOG_GITHUB_PRIVATE_KEY: onOneLine(simulator.privateKeyPem),
    EVERLOG_GITHUB_WEBHOOK_SECRET: simulator.webhookSecret,
    EVERLOG_SIGNING_KEY: onOneLine(newKeyPem()),
    VALKEY_PASSWORD: password,
    EVERLOG_SEAL_INTERVAL: '1s',
    EVERLOG_GITHUB_API_URL: simulator.apiUrl,
    EVERLOG_GITHUB_PRIVATE_CIDRS: '127.0.0.0/8',
    EVERLOG_GITHUB_LOG_HOSTS: new URL(simulator.logOrigin).host,
  };
  // Names that only the network and the volumes of the containers have, and the addresses that they listen on.
  const places: readonly (readonly [string, string])[] = [
    ['valkey:6379', `127.0.0.1:${redis.port}`],
    ['http://store:7070', fake.endpoint],
    ['/spool', stage.folder()],
    ['0.0.0.0:3000', '127.0.0.1:0'],
    ['0.0.0.0:3001', '127.0.0.1:0'],
    ['0.0.0.0:9464', '127.0.0.1:0'],
  ];
  const settings = ({ command, environment }: z.infer<typeof service>): RoleSettings => ({
    args: command,
    env: Object.fromEntries(
      Object.entries(environment).map(([key, value]) => [
        key,
        places.reduce((said, [from, to]) => said.replace(from, to), interpolated(value, given)),
      ]),
    ),
  });
  const jobId = await putToWork(
    stage,
    simulator,
    { fake, name: 'everlog', prefix: '' },
    {
      receiver: settings(services.serve),
      workers: [settings(services.work), settings(services.seal)],
      indexer: settings(services.work),
      web: settings(services.web),
    },
  );
  const client = s3Client(fake);
  stage.defer(() => Promise.resolve(client.destroy()));
  await expectArchived(bucketArchive(client, 'everlog', ''), simulator, jobId);
  expect(asked.filter(({ isAllowed }) => !isAllowed)).toEqual([]);
  expect(new Set(asked.map(({ principal }) => principal))).toEqual(new Set(Object.values(names)));
  const locked = fake.objects('everlog').filter(({ key }) => /^(v1|ledger)\//.test(key));
  expect(locked.filter(({ retention }) => retention?.mode !== 'GOVERNANCE')).toEqual([]);
});
