import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import type { Simulator, SimulatorOptions } from '../../src/simulator/simulator.ts';
import type { AddJob } from '../../src/simulator/world.ts';
import {
  expectArchived,
  folderArchive,
  placesOfJob,
  readRecord,
  type ArchiveUnderTest,
} from '../support/oracles/archive-oracle.ts';
import {
  archiveQueue,
  githubSettings,
  openStage,
  queueAtRest,
  until,
  type EverlogProcess,
} from '../support/harness/everlog-under-test.ts';
import { startRedis, type RedisServer } from '../support/servers/redis-server.ts';

/** What GitHub's several products and versions send and answer, through the real receiver and worker. */
vi.setConfig({ testTimeout: 60_000 });

const stage = openStage();
const REST_TIMEOUT_MS = 30_000;
const START_TIMEOUT_MS = 120_000;
/** With which the test asks the simulated API itself. */
const ONLOOKER = 'ghp_the-test-itself';

let redis: RedisServer;
let databases = 0;

beforeAll(async () => {
  redis = await startRedis();
  stage.defer(() => redis.stop());
});

afterAll(() => stage.close());

interface Site {
  readonly simulator: Simulator;
  readonly serve: EverlogProcess;
  readonly archive: ArchiveUnderTest;
  readonly repositoryId: number;
  addJob(about?: Omit<AddJob, 'runId'>): number;
  requests(jobId: number, route: string): Simulator['requests']['entries'];
}

/** A receiver and a worker with a queue and an archive of their own. */
async function openSite(
  options: SimulatorOptions = {},
  prepare: (simulator: Simulator) => void = () => undefined,
): Promise<Site> {
  const simulator = await stage.simulator(options);
  prepare(simulator);
  const folder = stage.folder();
  const env = {
    ...githubSettings(simulator),
    EVERLOG_QUEUE_URL: `${redis.url}/${databases++}`,
    EVERLOG_ARCHIVE_URL: folder,
  };
  const [serve] = await Promise.all([stage.everlog(['serve'], env), stage.everlog(['work'], env)]);
  simulator.deliveries.url = serve.webhooksUrl;
  const installation = simulator.world.addInstallation({ login: 'octo-org' });
  const { id: repositoryId } = simulator.world.addRepository({
    name: 'Octo-Repo',
    installationId: installation.id,
  });
  return {
    simulator,
    serve,
    archive: folderArchive(folder),
    repositoryId,
    addJob(about = {}) {
      const run = simulator.world.run(simulator.world.addRun({ repositoryId }));
      return simulator.world.addJob({ runId: run.id, ...about }).facts.id;
    },
    requests: (jobId, route) =>
      simulator.requests.entries.filter((entry) => entry.jobId === jobId && entry.route === route),
  };
}

async function queued(site: Site, jobId: number, options = {}): Promise<void> {
  const answer = await site.simulator.deliveries.completeJob(jobId, options);
  expect(`${answer.status} ${answer.body}`).toBe('202 {"outcome":"queued"}');
}

const examplesSchema = z.array(
  z.object({ name: z.string(), examples: z.array(z.record(z.string(), z.unknown())) }),
);
const jobExample = z.looseObject({
  action: z.string(),
  workflow_job: z.looseObject({ id: z.number(), run_id: z.number() }),
  repository: z.looseObject({
    id: z.number(),
    name: z.string(),
    owner: z.looseObject({ login: z.string() }),
  }),
});

/** Every published `workflow_job` example, of github.com and of each GHES version that has some. */
function publishedExamples(): { edition: string; payload: Record<string, unknown> }[] {
  const require = createRequire(import.meta.url);
  const editions = ['api.github.com', 'ghes-31', 'ghes-32', 'ghes-33', 'ghes-34', 'ghes-35'];
  return editions.flatMap((edition) => {
    const file = require.resolve(`@octokit/webhooks-examples/${edition}/index.json`);
    const events = examplesSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
    const payloads = events.filter(({ name }) => name === 'workflow_job').flatMap(({ examples }) => examples);
    return payloads.map((payload) => ({ edition, payload }));
  });
}

test(
  'the published workflow_job payloads are answered as the contract says, and the completed job is archived',
  async () => {
    const site = await openSite();
    const { simulator, archive } = site;
    const examples = publishedExamples();
    const first = examples
      .map(({ payload }) => jobExample.parse(payload))
      .find(({ action }) => action === 'completed');
    if (first === undefined) throw new Error('no published example is of a completed job');
    const { workflow_job: job, repository } = first;
    const { world } = simulator;
    const owner = world.addInstallation({ login: repository.owner.login });
    world.addRepository({ id: repository.id, name: repository.name, installationId: owner.id });
    world.addRun({ id: job.run_id, repositoryId: repository.id });
    world.addJob({ id: job.id, runId: job.run_id, completedAtMs: Date.parse('2021-08-05T10:38:16Z') });
    const answered: Record<string, string[]> = {};
    for (const { payload } of examples) {
      const { status, body } = await simulator.deliveries.send('workflow_job', payload);
      const action = String(payload['action']);
      (answered[action] ??= []).push(
        `${status} ${z.object({ outcome: z.string() }).parse(JSON.parse(body)).outcome}`,
      );
    }
    // Both completed examples are of one job.
    expect(answered['completed']).toEqual(['202 queued', '202 duplicate']);
    for (const action of ['queued', 'in_progress', 'waiting']) {
      expect({ action, answers: [...new Set(answered[action])] }).toEqual({
        action,
        answers: ['202 ignored'],
      });
    }
    await queueAtRest(site.serve, REST_TIMEOUT_MS);
    const record = await expectArchived(archive, simulator, job.id);
    // Neither payload names its installation: it was looked up by repository.
    expect(record).toMatchObject({
      owner: repository.owner.login,
      repo: repository.name,
      installation_id: null,
    });
  },
  START_TIMEOUT_MS,
);

describe('API versions', () => {
  test.each([
    ['the newest known one where it is offered', ['2026-03-10', '2022-11-28'], '2026-03-10'],
    ['the newest known one, not one that is newer still', ['2031-01-01', '2026-03-10'], '2026-03-10'],
    ['the older one where that is all there is', ['2022-11-28'], '2022-11-28'],
    ['none where the host has no /versions', null, undefined],
  ] as const)(
    'asks for %s',
    async (_name, offered, asked) => {
      const site = await openSite({}, ({ world }) => {
        world.apiVersions = offered;
      });
      const id = site.addJob({ log: 'version\n' });
      await queued(site, id);
      await queueAtRest(site.serve, REST_TIMEOUT_MS);
      await expectArchived(site.archive, site.simulator, id);
      for (const route of ['job', 'logs']) {
        const versions = site.requests(id, route).map(({ headers }) => headers['x-github-api-version']);
        expect({ route, versions }).toEqual({ route, versions: [asked] });
      }
    },
    START_TIMEOUT_MS,
  );
});

test(
  'a job object as older GHES has it is archived: what was not sent is null, never invented',
  async () => {
    const site = await openSite({ apiPrefix: '/api/v3', sameOriginLogs: true }, ({ world }) => {
      world.apiVersions = null;
    });
    const missing = ['workflow_name', 'head_branch', 'run_attempt', 'created_at'] as const;
    const id = site.addJob({ omitted: missing, log: '\uFEFFfrom an appliance\n' });
    const headers = {
      'x-github-enterprise-host': new URL(site.simulator.apiUrl).host,
      'x-github-enterprise-version': '3.4.0',
    };
    await queued(site, id, { headers });
    await queueAtRest(site.serve, REST_TIMEOUT_MS);
    const record = await expectArchived(site.archive, site.simulator, id);
    expect(record).toMatchObject({
      workflow_name: null,
      head_branch: null,
      run_attempt: null,
      created_at: null,
      details_source: 'api',
    });
    for (const member of missing) expect(Object.keys(record.job)).not.toContain(member);
    // The log is on the API's own origin, where a client that follows by itself would send the token along.
    expect(site.requests(id, 'blob').map(({ authorization }) => authorization)).toEqual(['none']);
  },
  START_TIMEOUT_MS,
);

describe('on one site', () => {
  let site: Site;

  beforeAll(async () => {
    site = await openSite({ acceptToken: ONLOOKER });
  }, START_TIMEOUT_MS);

  test('a job that the API still calls running after its completed delivery is waited for', async () => {
    const { simulator } = site;
    const id = site.addJob({ log: 'done at last\n' });
    simulator.world.setLag(id, true);
    await queued(site, id);
    await until('the API was asked twice', () => site.requests(id, 'job').length >= 2, REST_TIMEOUT_MS);
    expect(site.requests(id, 'logs')).toEqual([]);
    simulator.world.setLag(id, false);
    await queueAtRest(site.serve, REST_TIMEOUT_MS);
    const record = await expectArchived(site.archive, simulator, id);
    expect(record).toMatchObject({ details_source: 'api' });
    expect(record.fetch.attempts).toBeGreaterThanOrEqual(3);
  });

  test('a rename between delivery and fetch is followed on the same origin', async () => {
    const { simulator } = site;
    const { id: repositoryId } = simulator.world.addRepository({ name: 'before', installationId: 1 });
    const run = simulator.world.run(simulator.world.addRun({ repositoryId }));
    const { id } = simulator.world.addJob({ runId: run.id, log: 'moved\n' }).facts;
    simulator.world.setLag(id, true);
    await queued(site, id);
    await until('the old name was asked', () => site.requests(id, 'job').length > 0, REST_TIMEOUT_MS);
    simulator.world.renameRepository(repositoryId, { name: 'After' });
    simulator.world.setLag(id, false);
    await queueAtRest(site.serve, REST_TIMEOUT_MS);
    // The job stands under the name by which it was first heard of.
    await expectArchived(site.archive, simulator, id, { owner: 'octo-org', name: 'before' });
    const moved = simulator.requests.entries.filter(
      ({ status, path }) => status === 301 && path.includes('/before/'),
    );
    expect(moved.length).toBeGreaterThanOrEqual(2);
  });

  test.each(['job', 'logs'])(
    'a redirect of the %s call to another origin is refused, and no token leaves',
    async (route) => {
      const { simulator } = site;
      const reached: (string | undefined)[] = [];
      const elsewhere = createServer((request, response) => {
        reached.push(request.headers.authorization);
        response.end('{}');
      });
      await new Promise<void>((listening) => void elsewhere.listen(0, '127.0.0.1', listening));
      stage.defer(async () => void elsewhere.close());
      const address = elsewhere.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      const id = site.addJob({ log: 'kept from thieves\n' });
      const fault = simulator.faults.add({
        match: { route, jobId: id },
        effect: { kind: 'redirect', status: 301, location: `http://127.0.0.1:${port}/repositories/1` },
      });
      const failedBefore = (await archiveQueue(site.serve))?.failed ?? 0;
      await queued(site, id);
      await until(
        'the job has failed',
        async () => ((await archiveQueue(site.serve))?.failed ?? 0) > failedBefore,
        REST_TIMEOUT_MS,
      );
      expect(fault.hits).toBe(1);
      expect(reached).toEqual([]);
    },
  );

  test('a log link that names an unknown host is refused unvisited', async () => {
    const { simulator } = site;
    const visits: string[] = [];
    const elsewhere = createServer((request, response) => {
      visits.push(request.url ?? '');
      response.end('not a log');
    });
    await new Promise<void>((listening) => void elsewhere.listen(0, '127.0.0.1', listening));
    stage.defer(async () => void elsewhere.close());
    const address = elsewhere.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const id = site.addJob({ log: 'kept from strangers\n' });
    simulator.faults.add({
      match: { route: 'logs', jobId: id },
      effect: { kind: 'redirect', location: `http://127.0.0.1:${port}/log?sig=secret` },
    });
    const failedBefore = (await archiveQueue(site.serve))?.failed ?? 0;
    await queued(site, id);
    await until(
      'the job has failed',
      async () => ((await archiveQueue(site.serve))?.failed ?? 0) > failedBefore,
      REST_TIMEOUT_MS,
    );
    expect(visits).toEqual([]);
  });

  const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));

  test.each([
    ['a byte order mark at the start and again in the middle', Buffer.from('\uFEFFone\n\uFEFFtwo\n')],
    ['no byte at all', Buffer.alloc(0)],
    ['a byte order mark alone', Buffer.from('\uFEFF')],
    [
      'invalid UTF-8, NUL and every other byte',
      Buffer.concat([everyByte, Buffer.from([0xc3, 0x28, 0xff, 0])]),
    ],
    ['carriage returns and no last line feed', Buffer.from('a\r\nb\rc')],
    ['a cut surrogate and a half character', Buffer.from([0xed, 0xa0, 0x80, 0x0a, 0xe2, 0x82])],
    [
      'gzip bytes, which are not to be taken for an encoding',
      Buffer.from('1f8b0800000000000003030000000000', 'hex'),
    ],
  ])('a log of %s is kept as it is', async (_name, log) => {
    const id = site.addJob({ log });
    await queued(site, id);
    await queueAtRest(site.serve, REST_TIMEOUT_MS);
    await expectArchived(site.archive, site.simulator, id);
    expect(site.requests(id, 'blob')).toMatchObject([
      { authorization: 'none', headers: { 'accept-encoding': 'identity', 'user-agent': 'everlog' } },
    ]);
  });

  test('a log sent gzip-encoded for transfer is kept without that encoding', async () => {
    const id = site.addJob({ log: 'packed on the way\n'.repeat(5_000) });
    site.simulator.faults.add({ match: { route: 'blob', jobId: id }, effect: { kind: 'gzip' } });
    await queued(site, id);
    await queueAtRest(site.serve, REST_TIMEOUT_MS);
    await expectArchived(site.archive, site.simulator, id);
  });

  test('the record keeps the job as the API gave it, member for member, with the hash of the answer', async () => {
    const { simulator, archive } = site;
    const extra = { a_later_field: { nested: ['ünïcode', null] }, conclusion: 'an_unknown_value' };
    const id = site.addJob({ log: 'x\n', extra });
    await queued(site, id);
    await queueAtRest(site.serve, REST_TIMEOUT_MS);
    const answer = await fetch(`${simulator.apiUrl}/repos/octo-org/Octo-Repo/actions/jobs/${id}`, {
      headers: { authorization: `Bearer ${ONLOOKER}` },
    });
    const bytes = Buffer.from(await answer.arrayBuffer());
    const { record: key } = placesOfJob(simulator, id);
    const record = await readRecord(archive, key);
    expect(record).toMatchObject({
      outcome: 'archived',
      conclusion: 'an_unknown_value',
      details_source: 'api',
    });
    expect(record.job).toMatchObject(extra);
    expect(JSON.stringify(record.job)).toBe(bytes.toString('utf8'));
    expect(record['job_sha256']).toBe(createHash('sha256').update(bytes).digest('hex'));
  });
});
