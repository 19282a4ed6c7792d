import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, inflateRawSync } from 'node:zlib';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FaultEffect } from '../../src/simulator/faults.ts';
import type { Simulator } from '../../src/simulator/simulator.ts';
import { folderArchive } from '../support/oracles/archive-oracle.ts';
import {
  archiveQueue,
  each,
  githubSettings,
  openStage,
  until,
  type EverlogProcess,
} from '../support/harness/everlog-under-test.ts';
import { spawnEverlog } from '../support/processes/processes.ts';
import { startRedis, type RedisServer } from '../support/servers/redis-server.ts';
import { newKeyPem } from '../support/harness/sealing-under-test.ts';
import {
  answerOf,
  startScriptedLogHost,
  type ScriptedLogHost,
} from '../support/servers/scripted-log-host.ts';

/** A canary in every secret that Everlog is given: it sings nowhere, whatever goes wrong. */
const stage = openStage();
const TIMEOUT_MS = 120_000;

let redis: RedisServer;
let simulator: Simulator;
let links: ScriptedLogHost;
let serve: EverlogProcess;
let work: EverlogProcess;
let folder: string;
let env: Record<string, string>;
const tokens: string[] = [];
const WEBHOOK_SECRET = `canary-${randomBytes(12).toString('hex')}`;
const LINK_CANARY = `canary${randomBytes(12).toString('hex')}`;
const QUEUE_PASSWORD = `canary-${randomBytes(12).toString('hex')}`;
const SIGNING_KEY = newKeyPem();

beforeAll(async () => {
  redis = await startRedis({ password: QUEUE_PASSWORD });
  stage.defer(() => redis.stop());
  simulator = await stage.simulator({ webhookSecret: WEBHOOK_SECRET });
  const { credentials } = simulator;
  const issue = credentials.issue.bind(credentials);
  credentials.issue = (grant) => {
    const issued = issue(grant);
    tokens.push(issued.token);
    return issued;
  };
  links = await startScriptedLogHost(stage, scripted);
  folder = stage.folder();
  const settings = githubSettings(simulator);
  env = {
    ...settings,
    EVERLOG_GITHUB_LOG_HOSTS: `${settings['EVERLOG_GITHUB_LOG_HOSTS']},${links.authority}`,
    EVERLOG_QUEUE_URL: redis.url,
    EVERLOG_ARCHIVE_URL: folder,
    EVERLOG_MISSING_LOG_RETRIES: '50ms',
    EVERLOG_LOG_LEVEL: 'debug',
    EVERLOG_SIGNING_KEY: SIGNING_KEY,
    EVERLOG_SEAL_INTERVAL: '1s',
  };
  [serve, work] = await Promise.all([stage.everlog(['serve'], env), stage.everlog(['work'], env)]);
  simulator.deliveries.url = serve.webhooksUrl;
}, TIMEOUT_MS);

afterAll(() => stage.close());

/** Answers of a log host that says back what it was asked, as error pages do. */
function scripted(target: string): Buffer | null {
  const page = Buffer.from(`<Error><Message>${target}</Message></Error>`);
  switch (/^\/([a-z-]+)/.exec(target)?.[1] ?? '') {
    case 'page':
      return answerOf('200 OK', { 'content-type': 'application/xml' }, page);
    case 'typed':
      return answerOf('200 OK', { 'content-type': `text/html; from="${target}"` }, page);
    case 'refused':
      return answerOf('403 Forbidden', {}, page);
    case 'broken':
      return answerOf('500 Internal Server Error', {}, page);
    case 'missing':
      return answerOf('404 Not Found', {}, page);
    case 'nowhere':
      return answerOf('302 Found', {});
    case 'abroad':
      return answerOf('302 Found', { location: `https://logs.example.net${target}` });
    case 'loop':
      return answerOf('302 Found', { location: target });
    case 'cut':
      return answerOf('200 OK', { 'content-length': '100000' }, page);
    case 'garbled':
      return Buffer.from(`HTTP/1.1 2000 ${target}\r\n\r\n`);
    case 'log':
      return answerOf('200 OK', {}, Buffer.from('a log\n'));
    default:
      return null;
  }
}

function link(location: string, status = 302): FaultEffect {
  return { kind: 'redirect', location, status };
}

/** Links in every way that they can fail, and calls that fail with a token in hand. */
function trouble(): { route: string; effect: FaultEffect; times?: number }[] {
  const query = `?sv=2025-11-05&sig=${LINK_CANARY}%3D&se=2026`;
  const kinds = 'page typed refused broken missing nowhere abroad loop cut garbled log dropped'.split(' ');
  const followed = kinds.map((kind) => link(`${links.origin}/${kind}${query}`));
  const refused = [
    `https://logs.example.net/x${query}`,
    `http://169.254.169.254/x${query}`,
    `http://${LINK_CANARY}:${LINK_CANARY}@${links.authority}/x${query}`,
    `file:///x${query}`,
    `https://[broken/x${query}`,
    `http://127.0.0.1:1/x${query}`,
  ].map((location) => link(location));
  const echo = `{"message":"Bad credentials for ${LINK_CANARY}"}`;
  return [
    ...[...followed, ...refused].map((effect) => ({ route: 'logs', effect })),
    { route: 'job', effect: { kind: 'status', status: 401 }, times: 3 },
    { route: 'job', effect: { kind: 'status', status: 500, body: echo } },
    { route: 'job', effect: { kind: 'status', status: 400, body: echo } },
    { route: 'job', effect: { kind: 'status', status: 403, body: echo } },
    { route: 'job', effect: { kind: 'status', status: 200, body: echo } },
    { route: 'job', effect: { kind: 'reset' } },
    { route: 'job', effect: link(`http://127.0.0.1:1/x${query}`, 301) },
    { route: 'logs', effect: { kind: 'status', status: 200, body: echo } },
    { route: 'blob', effect: { kind: 'reset' }, times: 2 },
    { route: 'blob', effect: { kind: 'status', status: 403 }, times: 5 },
    { route: 'blob', effect: { kind: 'cut', afterBytes: 3 }, times: 2 },
  ];
}

test(
  'no secret, token or signed link in logs, metrics, queue, archive or the list of failed jobs',
  async () => {
    const { world } = simulator;
    const installation = world.addInstallation({ login: 'octo-org' });
    const suspended = world.addInstallation({ login: 'asleep' });
    const deleted = world.addInstallation({ login: 'gone' });
    const addJob = (installationId: number): number => {
      const repository = world.addRepository({ name: `repo-${world.repositories.size}`, installationId });
      return world.addJob({ runId: world.run(world.addRun({ repositoryId: repository.id })).id, log: 'x\n' })
        .facts.id;
    };
    const ids = trouble().map(({ route, effect, times }) => {
      const id = addJob(installation.id);
      simulator.faults.add({
        match: { route, jobId: id },
        effect,
        ...(times === undefined ? {} : { times }),
      });
      return id;
    });
    const others = [installation, suspended, deleted].map(({ id }) => addJob(id));
    world.setInstallation(suspended.id, 'suspended');
    world.setInstallation(deleted.id, 'deleted');
    await each([...ids, ...others], 8, (id) => simulator.deliveries.completeJob(id));
    await simulator.deliveries.completeJob(others[0] ?? 0, { secret: 'forged' });
    const asked = (id: number): number =>
      simulator.requests.entries.filter(({ jobId }) => jobId === id).length;
    await until(
      'every trouble was met, most of them twice',
      async () =>
        ids.every((id) => asked(id) >= 1) &&
        ((await archiveQueue(serve))?.failed ?? 0) >= 6 &&
        work.process.stderr().split('tried again').length > 30,
      60_000,
      () => work.process.stderr().slice(-3_000),
    );
    const archived = folderArchive(folder);
    await until(
      'a digest tells of what failed',
      async () => (await archived.versions()).some((key) => key.endsWith('.gaps.ndjson')),
      60_000,
    );
    expect(tokens.length).toBeGreaterThan(1);
    expect(links.targets.filter((target) => target.includes(LINK_CANARY)).length).toBeGreaterThan(10);

    const places: Record<string, string> = {
      'logs of serve': serve.process.stderr() + serve.process.stdout(),
      'logs of work': work.process.stderr() + work.process.stdout(),
      'metrics of serve': await (await fetch(`${serve.adminUrl}/metrics`)).text(),
      'metrics of work': await (await fetch(`${work.adminUrl}/metrics`)).text(),
      'failed ls': await failedJobs(),
      'the queue': await everythingQueued(),
      'everything the queue server ever wrote': everythingWritten(redis.dir),
      'the archive': await everythingArchived(),
    };
    const secrets = secretsOf(simulator);
    const heard: string[] = [];
    for (const [place, text] of Object.entries(places)) {
      expect({ place, empty: text.length < 20 }).toEqual({ place, empty: false });
      for (const [name, secret] of secrets) if (text.includes(secret)) heard.push(`${name} in ${place}`);
    }
    expect(heard).toEqual([]);
    // What is looked for would be found: the same eyes see what is meant to be there.
    for (const place of [
      'logs of work',
      'the queue',
      'everything the queue server ever wrote',
      'the archive',
    ]) {
      expect(places[place]).toContain('octo-org');
    }
    process.stdout.write(
      `${secrets.length} canaries, ${Object.keys(places).length} places, ${heard.length} heard\n`,
    );
  },
  TIMEOUT_MS,
);

/** Each secret by name, with the forms it could be written in. */
function secretsOf({ privateKeyPem }: Simulator): [string, string][] {
  const pem = privateKeyPem.split('\n').filter((line) => line.length > 40);
  return [
    ['webhook secret', WEBHOOK_SECRET],
    ['queue password', QUEUE_PASSWORD],
    ['signing key', SIGNING_KEY.split('\n')[1] ?? ''],
    ['signed link', LINK_CANARY],
    ['signature of a link', 'sig='],
    ['installation token', 'ghs_'],
    ['header of a JSON web token', 'eyJhbGciOi'],
    ['authorization header', 'earer '],
    ['webhook signature', 'sha256='],
    ...pem.slice(0, 3).map((line): [string, string] => ['private key', line]),
    ...tokens.slice(0, 20).map((token): [string, string] => ['token', token.slice(60, 120)]),
  ];
}

async function failedJobs(): Promise<string> {
  const child = spawnEverlog(['failed', 'ls', '--json'], env);
  expect((await child.exited).code).toBe(0);
  return child.stdout() + child.stderr();
}

/** Every key with its whole value, packed deliveries unpacked. */
async function everythingQueued(): Promise<string> {
  const client = new Redis(redis.url);
  const texts: string[] = [];
  for (const key of await client.keys('*')) texts.push(key, await valueOf(client, key));
  client.disconnect();
  const packed = texts.flatMap((text) =>
    [...text.matchAll(/\\*"delivered\\*":\\*"([A-Za-z0-9+/=]+)/g)].map(([, data]) => data ?? ''),
  );
  expect(packed.length).toBeGreaterThan(10);
  return [...texts, ...packed.map((data) => inflateRawSync(Buffer.from(data, 'base64')).toString())].join(
    '\n',
  );
}

async function valueOf(client: Redis, key: string): Promise<string> {
  const read: Record<string, () => Promise<unknown>> = {
    string: () => client.get(key),
    hash: () => client.hgetall(key),
    list: () => client.lrange(key, 0, -1),
    set: () => client.smembers(key),
    zset: () => client.zrange(key, 0, -1, 'WITHSCORES'),
    stream: () => client.xrange(key, '-', '+'),
  };
  const type = await client.type(key);
  // A lock that expired since the keys were listed.
  if (type === 'none') return '';
  const value = await read[type]?.();
  if (value === undefined) throw new Error(`${key} is of type ${type}`);
  return JSON.stringify(value);
}

function everythingWritten(dir: string): string {
  const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return files.map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1')).join('\n');
}

async function everythingArchived(): Promise<string> {
  const archive = folderArchive(folder);
  const keys = await archive.versions();
  const texts = await each(keys, 8, async (key) => {
    const { bytes } = await archive.read(key);
    return `${key}\n${(key.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('latin1')}`;
  });
  return texts.join('\n');
}
