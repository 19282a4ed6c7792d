import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { bucketArchive, expectArchived } from '../support/oracles/archive-oracle.ts';
import { openStage, queueAtRest, until, type Environment } from '../support/harness/everlog-under-test.ts';
import { startRedis } from '../support/servers/redis-server.ts';
import { s3Client } from '../support/servers/s3-connection.ts';
import { newKeyPem } from '../support/harness/sealing-under-test.ts';
import { runS3 } from '../support/servers/services.ts';

/** What docker-compose.yml gives each of Everlog's containers, and nothing else, given to processes of this machine. */

const REPOSITORY = join(import.meta.dirname, '../..');
const DONE_TIMEOUT_MS = 60_000;
const stage = openStage();

afterAll(() => stage.close());

const service = z.object({
  command: z.array(z.string()),
  environment: z.record(z.string(), z.string()),
});
const composeFile = z.object({ services: z.object({ serve: service, work: service, seal: service }) });

/** Compose's own forms of a variable in a value: `${NAME}`, `${NAME:-default}` and `${NAME:?message}`. */
function interpolated(text: string, variables: Environment): string {
  return text.replaceAll(
    /\$\{(\w+)(?::([-?])([^}]*))?\}/g,
    (_, name: string, operator: string | undefined, rest: string) => {
      const value = variables[name] ?? '';
      if (value === '' && operator === '?') throw new Error(`.env.example does not ask for ${name}: ${rest}`);
      return value === '' && operator === '-' ? rest : value;
    },
  );
}

/** The names that .env.example asks for, those that it suggests included. */
function askedFor(): readonly string[] {
  const text = readFileSync(join(REPOSITORY, '.env.example'), 'utf8');
  return [...text.matchAll(/^(?:# )?([A-Z][A-Z0-9_]+)=/gm)].map(([, name = '']) => name);
}

/** As .env.example says to write a key: on one line. */
function onOneLine(pem: string): string {
  return pem
    .trimEnd()
    .split('\n')
    .join(String.raw`\n`);
}

test('receiver, worker and sealer need nothing beyond what .env.example asks for', async () => {
  const password = randomUUID().replaceAll('-', '');
  const [s3, redis, simulator] = await Promise.all([runS3(), startRedis({ password }), stage.simulator()]);
  stage.defer(() => redis.stop());
  const bucket = `compose-${randomUUID()}`;
  await s3.createBucket(bucket, { versioning: true, objectLock: true });
  const given: Environment = {
    EVERLOG_GITHUB_APP_ID: String(simulator.appId),
    EVERLOG_GITHUB_PRIVATE_KEY: onOneLine(simulator.privateKeyPem),
    EVERLOG_GITHUB_WEBHOOK_SECRET: simulator.webhookSecret,
    EVERLOG_SIGNING_KEY: onOneLine(newKeyPem()),
    VALKEY_PASSWORD: password,
    S3_ACCESS_KEY_ID: s3.accessKeyId,
    S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
    EVERLOG_GITHUB_API_URL: simulator.apiUrl,
    EVERLOG_GITHUB_PRIVATE_CIDRS: '127.0.0.0/8',
    EVERLOG_GITHUB_LOG_HOSTS: new URL(simulator.logOrigin).host,
  };
  expect(Object.keys(given).toSorted()).toEqual(askedFor().toSorted());
  // Names that only the network and the volumes of the containers have, and the addresses that they listen on.
  const places: readonly (readonly [string, string])[] = [
    ['valkey:6379', `127.0.0.1:${redis.port}`],
    ['http://store:7070', s3.endpoint],
    ['s3://everlog', `s3://${bucket}/everlog`],
    ['/spool', stage.folder()],
    ['0.0.0.0:3000', '127.0.0.1:0'],
    ['0.0.0.0:9464', '127.0.0.1:0'],
  ];
  const text = readFileSync(join(REPOSITORY, 'docker-compose.yml'), 'utf8');
  const { services } = composeFile.parse(parse(text, { merge: true }));
  const start = async (name: keyof typeof services): ReturnType<typeof stage.everlog> => {
    const { command, environment } = services[name];
    const env = Object.entries(environment).map(([key, value]) => [
      key,
      places.reduce((said, [from, to]) => said.replace(from, to), interpolated(value, given)),
    ]);
    return stage.everlog(command, z.record(z.string(), z.string()).parse(Object.fromEntries(env)));
  };
  const [serve, , seal] = await Promise.all([start('serve'), start('work'), start('seal')]);
  simulator.deliveries.url = serve.webhooksUrl;
  const { world } = simulator;
  const installationId = world.addInstallation({ login: 'octo-org' }).id;
  const repositoryId = world.addRepository({ name: 'app', installationId }).id;
  const job = world.addJob({ runId: world.run(world.addRun({ repositoryId })).id, log: 'from compose\n' });
  expect(await simulator.deliveries.completeJob(job.facts.id)).toMatchObject({ status: 202 });
  expect(await queueAtRest(serve, DONE_TIMEOUT_MS)).toMatchObject({ failed: 0 });
  const client = s3Client(s3);
  stage.defer(() => Promise.resolve(client.destroy()));
  await expectArchived(bucketArchive(client, bucket, 'everlog'), simulator, job.facts.id);
  await until('the sealer answers', async () => (await fetch(`${seal.adminUrl}/readyz`)).ok, DONE_TIMEOUT_MS);
});
