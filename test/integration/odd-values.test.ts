import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import type { Simulator } from '../../src/simulator/simulator.ts';
import { folderArchive, type ArchiveUnderTest } from '../support/oracles/archive-oracle.ts';
import { githubSettings, openStage, until } from '../support/harness/everlog-under-test.ts';
import { startRedis } from '../support/servers/redis-server.ts';

/** Values that GitHub should not send and once will, through the whole service: none may cost a log, or its text. */
vi.setConfig({ testTimeout: 60_000 });

const stage = openStage();
const RECORDED_TIMEOUT_MS = 40_000;
const STARTED_AT = '2026-01-20T17:42:40Z';

afterAll(() => stage.close());

interface Site {
  readonly simulator: Simulator;
  readonly archive: ArchiveUnderTest;
  addRun(): number;
  addJob(runId: number): number;
  deliver(text: string, deployment?: string): Promise<void>;
  /** Has GitHub answer a route with this text; null: that there is no such thing. */
  answer(route: string, about: { jobId?: number; runId?: number }, text: string | null): void;
  /** The text of a record, once it is there. */
  record(runId: number, file: string): Promise<string>;
}

async function openSite(kind: 'embedded' | 'redis'): Promise<Site> {
  const simulator = await stage.simulator();
  const folder = stage.folder();
  const cwd = stage.folder();
  const redis = kind === 'redis' ? await startRedis() : null;
  if (redis !== null) stage.defer(() => redis.stop());
  const env = {
    ...githubSettings(simulator),
    ...(redis === null ? {} : { EVERLOG_QUEUE_URL: redis.url }),
    EVERLOG_ARCHIVE_URL: folder,
    EVERLOG_MISSING_LOG_RETRIES: '100ms,100ms',
    EVERLOG_RECONCILE_INTERVAL: '30d',
  };
  const up = await stage.everlog(['up'], env, cwd);
  simulator.deliveries.url = up.webhooksUrl;
  const installation = simulator.world.addInstallation({ login: 'octo-org' });
  const { id: repositoryId } = simulator.world.addRepository({ name: 'r', installationId: installation.id });
  const archive = folderArchive(folder);
  return {
    simulator,
    archive,
    addRun: () => simulator.world.run(simulator.world.addRun({ repositoryId })).id,
    addJob: (runId) => {
      const { id } = simulator.world.addJob({ runId }).facts;
      simulator.world.completeJob(id);
      return id;
    },
    async deliver(text, deployment = 'null') {
      const repository = `{"id":${repositoryId},"name":"r","owner":{"login":"octo-org"}}`;
      const about = `"repository":${repository},"installation":{"id":${installation.id}},"sender":{"login":7}`;
      const body = `{"action":"completed","workflow_job":${text},"deployment":${deployment},${about}}`;
      const answer = await simulator.deliveries.send('workflow_job', body);
      expect(`${answer.status} ${answer.body}`).toBe('202 {"outcome":"queued"}');
    },
    answer(route, about, text) {
      const effect =
        text === null
          ? ({ kind: 'status', status: 404, body: '{"message":"Not Found","status":"404"}' } as const)
          : ({ kind: 'status', status: 200, body: text } as const);
      simulator.faults.add({ match: { route, ...about }, effect });
    },
    async record(runId, file) {
      const key = `v1/records/host=127.0.0.1/owner=octo-org/repo=r/${runId}/1/${file}`;
      return until(
        `there is ${key}`,
        () =>
          archive.read(key).then(
            ({ bytes }) => bytes.toString('utf8'),
            () => null,
          ),
        RECORDED_TIMEOUT_MS,
        () => up.process.stderr().slice(-6_000),
      );
    },
  };
}

/** A job object in which all but the ids is odd; its steps and runner would say that it never ran, if they were believed. */
function oddJob(id: number, runId: number, note: string): string {
  return [
    `{ "id" : ${id},"run_id":${runId},"status":"completed","conclusion":"success","name":"${note} \\ud800 \\u002f"`,
    '"run_attempt":"1","workflow_name":7,"labels":["a",null],"steps":[],"runner_id":9007199254740993',
    `"runner_name":"","started_at":"${STARTED_AT}","completed_at":"0001-01-01T00:00:00Z","created_at":0`,
    '"b":1e400,"a":-0,"__proto__":{"conclusion":"failure","id":3},"nested":[[{"x":12345678901234567890}]]',
    '"head_sha":{} }',
  ].join(',');
}

const readable = z.looseObject({
  outcome: z.string(),
  revision: z.number(),
  supersedes: z.string().nullable(),
  details_source: z.string(),
  log: z.looseObject({ key: z.string() }).nullable(),
});

function read(text: string): z.infer<typeof readable> {
  return readable.parse(JSON.parse(text));
}

const ODD_BECAME = {
  outcome: 'archived',
  revision: 1,
  run_attempt: null,
  workflow_name: null,
  labels: null,
  head_sha: null,
  runner_name: '',
  sender: null,
  created_at: null,
  started_at: STARTED_AT,
  completed_at: null,
};

describe.each(['redis', 'embedded'] as const)('with the %s queue', (kind) => {
  let site: Site;
  beforeAll(async () => {
    site = await openSite(kind);
  }, 120_000);

  test('the API’s text of a job is the record’s, and what is odd in it is null', async () => {
    const runId = site.addRun();
    const id = site.addJob(runId);
    const said = oddJob(id, runId, 'from the API');
    site.answer('job', { jobId: id }, `\n ${said}\n`);
    await site.deliver(oddJob(id, runId, 'delivered'));
    const text = await site.record(runId, `${id}.json`);
    expect(text).toContain(`"job":${said},`);
    expect(read(text)).toMatchObject({
      ...ODD_BECAME,
      details_source: 'api',
      job_sha256: createHash('sha256').update(`\n ${said}\n`).digest('hex'),
      log: { key: expect.stringContaining(`/dt=${STARTED_AT.slice(0, 10)}/${runId}-1-${id}.log.gz`) },
    });
  });

  test('a delivery’s text is kept through the queue', async () => {
    const runId = site.addRun();
    const id = site.addJob(runId);
    site.answer('job', { jobId: id }, null);
    const said = oddJob(id, runId, 'delivered');
    await site.deliver(said, '{"id":9007199254740993}');
    const text = await site.record(runId, `${id}.json`);
    expect(text).toContain(`"job":${said},`);
    expect(text).toContain('"deployment":{"id":9007199254740993},');
    expect(read(text)).toMatchObject({ ...ODD_BECAME, details_source: 'webhook', job_sha256: null });
  });

  test('one odd job of a listing, and one without an id, cost its neighbours nothing', async () => {
    const runId = site.addRun();
    const [odd, plain] = [site.addJob(runId), site.addJob(runId)];
    const said = oddJob(odd, runId, 'listed');
    const other = `{"id":${plain},"run_id":${runId},"status":"completed","runner_id":5,"started_at":"${STARTED_AT}"}`;
    const page = `{"total_count":3,"jobs":[${said} , {"id":"7","run_id":${runId}},\n${other}]}`;
    site.answer('attempt_jobs', { runId }, page);
    for (const jobId of [odd, plain]) site.answer('job', { jobId }, null);
    await site.simulator.deliveries.run(runId, 'completed');
    const text = await site.record(runId, `${odd}.json`);
    expect(text).toContain(`"job":${said},`);
    expect(read(text)).toMatchObject({ ...ODD_BECAME, run_attempt: 1, details_source: 'list' });
    expect(read(await site.record(runId, `${plain}.json`))).toMatchObject({ outcome: 'archived' });
    // Nobody can account for the one without an id, so nobody says that the attempt is.
    await expect(
      site.archive.read(`v1/runs/host=127.0.0.1/owner=octo-org/repo=r/${runId}/1.json`),
    ).rejects.toThrow();
  });

  test('a listing that differs by a second is the next revision, and the run keeps its text', async () => {
    const runId = site.addRun();
    const id = site.addJob(runId);
    site.answer('job', { jobId: id }, null);
    const job = (completedAt: string): string =>
      `{"id":${id},"run_id":${runId},"status":"completed","runner_id":5,"n":9007199254740993,"completed_at":"${completedAt}"}`;
    await site.deliver(job('2026-01-20T17:44:39Z'));
    const first = read(await site.record(runId, `${id}.json`));
    const listed = job('2026-01-20T17:44:40Z');
    site.answer('attempt_jobs', { runId }, `{"total_count":1,"jobs":[${listed}]}`);
    await site.simulator.deliveries.run(runId, 'completed');
    const text = await site.record(runId, `${id}.r2.json`);
    expect(text).toContain(`"job":${listed},`);
    expect(read(text)).toMatchObject({
      outcome: 'archived',
      revision: 2,
      supersedes: `v1/records/host=127.0.0.1/owner=octo-org/repo=r/${runId}/1/${id}.json`,
      details_source: 'list',
      completed_at: '2026-01-20T17:44:40Z',
      log: first.log,
    });
    const run = await until(
      'the run object is there',
      () =>
        site.archive.read(`v1/runs/host=127.0.0.1/owner=octo-org/repo=r/${runId}/1.json`).then(
          ({ bytes }) => bytes.toString('utf8'),
          () => null,
        ),
      RECORDED_TIMEOUT_MS,
    );
    expect(run).toContain(`"jobs":[${listed}]`);
  });
});
