import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { openConnections } from '../../src/github/network/connections.ts';
import { openTokens } from '../../src/github/credentials.ts';
import type { Simulator, SimulatorOptions } from '../../src/simulator/simulator.ts';
import {
  folderArchive,
  placesOf,
  readRecord,
  type ArchiveUnderTest,
} from '../support/oracles/archive-oracle.ts';
import { each, openStage, queueAtRest, type EverlogProcess } from '../support/harness/everlog-under-test.ts';
import { startRedis } from '../support/servers/redis-server.ts';

/** Several GitHub deployments in one process, as like each other as can be: equal App ids, installations and ids. */

const APP_ID = 7;
const JOBS_EACH = 30;
const DONE_TIMEOUT_MS = 40_000;
/** A log takes this long, so that many would be read at once if nothing held them back. */
const LOG_DELAY_MS = 150;
const SPARED_REQUESTS_MAX = 10;
const GIVEN_REQUESTS_MAX = 3;

interface Deployment {
  readonly name: string;
  readonly address: string;
  readonly options: SimulatorOptions;
  readonly versions: readonly string[] | null;
  readonly asksFor: string | undefined;
  readonly further: Record<string, unknown>;
}

const DEPLOYMENTS: readonly Deployment[] = [
  {
    name: 'cloud',
    address: '127.0.0.1',
    options: { rateLimit: { limit: 15_000, windowMs: 3_600_000 } },
    versions: ['2022-11-28', '2026-03-10', '2031-01-01'],
    asksFor: '2026-03-10',
    further: {},
  },
  {
    name: 'Appliance_1',
    address: '127.0.0.2',
    options: { apiPrefix: '/api/v3', sameOriginLogs: true },
    versions: ['2022-11-28'],
    asksFor: '2022-11-28',
    further: {},
  },
  {
    name: 'old.appliance',
    address: '127.0.0.3',
    options: { apiPrefix: '/api/v3', sameOriginLogs: true },
    versions: null,
    asksFor: undefined,
    further: { max_concurrency: GIVEN_REQUESTS_MAX },
  },
];

interface Running extends Deployment {
  readonly simulator: Simulator;
  readonly jobs: readonly number[];
}

const stage = openStage();
const running: Running[] = [];
let everlog: EverlogProcess;
let archive: ArchiveUnderTest;

beforeAll(async () => {
  const redis = await startRedis();
  stage.defer(() => redis.stop());
  for (const deployment of DEPLOYMENTS) {
    const simulator = await stage.simulator({
      ...deployment.options,
      host: deployment.address,
      appId: APP_ID,
    });
    simulator.world.apiVersions = deployment.versions;
    simulator.faults.add({ match: { route: 'blob' }, effect: { kind: 'delay', ms: LOG_DELAY_MS } });
    // The answers to the token requests of all hosts are on their way at the same time.
    simulator.faults.add({ match: { route: 'token' }, effect: { kind: 'delay', ms: 300 } });
    running.push({ ...deployment, simulator, jobs: addJobs(simulator, deployment.name) });
  }
  const folder = stage.folder();
  const config = join(folder, 'hosts.yaml');
  writeFileSync(config, stringify({ hosts: running.map(hostSettings) }));
  archive = folderArchive(join(folder, 'archive'));
  everlog = await stage.everlog(['up'], {
    EVERLOG_CONFIG: config,
    EVERLOG_QUEUE_URL: redis.url,
    EVERLOG_ARCHIVE_URL: join(folder, 'archive'),
    EVERLOG_LISTEN: '127.0.0.1:0',
    EVERLOG_ADMIN_LISTEN: '127.0.0.1:0',
  });
  for (const { name, simulator } of running) simulator.deliveries.url = `${everlog.webhooksUrl}/${name}`;
});

afterAll(() => stage.close());

/** The same ids on every host, and logs that tell which one they are from. */
function addJobs(simulator: Simulator, name: string): number[] {
  const { world } = simulator;
  const installation = world.addInstallation({ id: 1, login: 'octo-org' });
  const repository = world.addRepository({ name: 'app', installationId: installation.id });
  return Array.from({ length: JOBS_EACH }, (_, index) => {
    const { id: runId } = world.run(world.addRun({ repositoryId: repository.id }));
    return world.addJob({ runId, log: `${index} of ${name}\n` }).facts.id;
  });
}

function hostSettings({ name, address, simulator, further }: Running): Record<string, unknown> {
  return {
    name,
    api_url: simulator.apiUrl,
    app_id: simulator.appId,
    private_key: simulator.privateKeyPem,
    webhook_secret: ['one-before-the-rotation', simulator.webhookSecret],
    log_hosts: [new URL(simulator.logOrigin).host],
    private_cidrs: [`${address}/32`],
    ...further,
  };
}

function host(index: number): Running {
  const found = running[index];
  if (found === undefined) throw new Error(`there is no host ${index}`);
  return found;
}

describe('one process for several hosts', () => {
  test('deliveries go to the address of their own host and nowhere else', async () => {
    const [first, second] = [host(0), host(1)];
    const [job = 0] = first.jobs;
    const send = async (url: string): Promise<unknown> => {
      const { status, body } = await first.simulator.deliveries.job(job, 'completed', { url });
      return { status, ...JSON.parse(body) };
    };
    expect(await send(everlog.webhooksUrl)).toEqual({
      status: 404,
      outcome: 'not_found',
      reason: expect.stringContaining('/webhooks/<host name>'),
    });
    expect(await send(`${everlog.webhooksUrl}/elsewhere`)).toMatchObject({
      status: 404,
      outcome: 'not_found',
    });
    expect(await send(`${everlog.webhooksUrl}/${second.name}`)).toMatchObject({
      status: 401,
      outcome: 'bad_signature',
    });
  });

  test('every host is asked with its own tokens, in its own version, as much as it can bear', async () => {
    const answers = await Promise.all(
      running.map(({ simulator, jobs }) => each(jobs, 10, (id) => simulator.deliveries.completeJob(id))),
    );
    expect(new Set(answers.flat().map(({ body }) => body))).toEqual(new Set(['{"outcome":"queued"}']));
    expect(await queueAtRest(everlog, DONE_TIMEOUT_MS)).toMatchObject({ failed: 0 });
    for (const { simulator, jobs, name, address, asksFor } of running) {
      for (const id of jobs) {
        const { facts, log } = simulator.world.job(id);
        const places = placesOf(
          {
            owner: 'octo-org',
            repo: 'app',
            runId: facts.run_id,
            attempt: facts.run_attempt,
            jobId: id,
            day: (facts.completed_at ?? '').slice(0, 10),
          },
          address,
        );
        const record = await readRecord(archive, places.record);
        expect(record).toMatchObject({ outcome: 'archived', host: address, details_source: 'api' });
        const { bytes } = await archive.read(places.log);
        expect(gunzipSync(bytes)).toEqual(Buffer.concat([...(log?.chunks() ?? [])]));
      }
      const { entries } = simulator.requests;
      const seen = (route: string) => entries.filter((entry) => entry.route === route);
      expect(new Set(entries.map(({ authorization }) => authorization))).toEqual(
        new Set(['app', 'installation', 'none']),
      );
      expect(entries.filter(({ status }) => status >= 400 && status !== 404)).toEqual([]);
      expect(seen('blob').every(({ authorization }) => authorization === 'none')).toBe(true);
      // One process needs one token, and asks once which versions there are.
      expect({ name, tokens: seen('token').length, versions: seen('versions').length }).toEqual({
        name,
        tokens: 1,
        versions: 1,
      });
      const versions = [...seen('job'), ...seen('logs')].map(
        (entry) => entry.headers['x-github-api-version'],
      );
      expect({ name, versions: [...new Set(versions)] }).toEqual({ name, versions: [asksFor] });
    }
  });

  test('a host without rate limits is spared', () => {
    expect(host(1).simulator.requests.mostAtOnce).toBeLessThanOrEqual(SPARED_REQUESTS_MAX);
    expect(host(1).simulator.requests.mostAtOnce).toBeGreaterThan(SPARED_REQUESTS_MAX / 2);
    expect(host(2).simulator.requests.mostAtOnce).toBeLessThanOrEqual(GIVEN_REQUESTS_MAX);
  });
});

test('a link is not left to age while other logs of its host are read', async () => {
  const { simulator } = host(2);
  simulator.requests.clear();
  const { world } = simulator;
  const [first] = [...world.repositories.values()];
  const jobs = Array.from({ length: 24 }, (_, index) => {
    const { id: runId } = world.run(world.addRun({ repositoryId: first?.id ?? 0 }));
    return world.addJob({ runId, log: `${index}\n` }).facts.id;
  });
  await each(jobs, 8, (id) => simulator.deliveries.completeJob(id));
  expect(await queueAtRest(everlog, DONE_TIMEOUT_MS)).toMatchObject({ failed: 0 });
  const { entries } = simulator.requests;
  const place = (route: string, id: number): number => {
    const found = entries.findIndex((entry) => entry.route === route && entry.jobId === id);
    if (found === -1) throw new Error(`no request for the ${route} of job ${id}`);
    return found;
  };
  const readMeanwhile = jobs.map(
    (id) =>
      entries.slice(place('logs', id), place('blob', id)).filter(({ route }) => route === 'blob').length,
  );
  // Requests are noted when they are answered: each of the other slots may end one log and the whole of another.
  expect(Math.max(...readMeanwhile)).toBeLessThanOrEqual((GIVEN_REQUESTS_MAX - 1) * 2);
});

test('equal installation ids never share a token, though both are minted in the same instant', async () => {
  const hosts = [host(0), host(1)].map(({ simulator, name, address }) => {
    const github = {
      name,
      host: address,
      product: 'ghes' as const,
      apiUrl: simulator.apiUrl,
      logHosts: [],
      privateCidrs: ['127.0.0.0/8'],
      maxConcurrency: 10,
    };
    const connections = openConnections(github, { httpProxy: null, httpsProxy: null, noProxy: null });
    stage.defer(() => connections.close());
    const { appId, privateKeyPem: privateKey } = simulator;
    const tokens = openTokens(
      github,
      { kind: 'app', appId, privateKey },
      connections.dispatcher,
      () => new Date(),
    );
    return { simulator, tokens };
  });
  const repository = { owner: 'octo-org', repo: 'app', installationId: 1 };
  for (let round = 0; round < 5; round += 1) {
    const minted = await Promise.all(hosts.map(({ tokens }) => tokens.tokenFor(repository)));
    for (const [index, { simulator, tokens }] of hosts.entries()) {
      const { token } = minted[index] ?? { token: '' };
      const whose = hosts.map((each) => each.simulator.credentials.identify(`Bearer ${token}`).kind);
      expect(whose).toEqual(hosts.map((each) => (each.simulator === simulator ? 'installation' : 'refused')));
      tokens.forget(1);
    }
  }
});
