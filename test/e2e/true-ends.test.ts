import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { workflowJobPayload } from '../../src/simulator/delivery-payloads.ts';
import type { SendResult } from '../../src/simulator/deliveries.ts';
import type { FaultEffect, FaultHandle } from '../../src/simulator/faults.ts';
import type { Simulator } from '../../src/simulator/simulator.ts';
import type { AddJob } from '../../src/simulator/world.ts';
import { bucketArchive, folderArchive, type ArchiveUnderTest } from '../support/oracles/archive-oracle.ts';
import {
  githubSettings,
  openStage,
  s3Settings,
  until,
  type Environment,
  type EverlogProcess,
} from '../support/harness/everlog-under-test.ts';
import { newKeyPem } from '../support/harness/sealing-under-test.ts';
import { spawnEverlog } from '../support/processes/processes.ts';
import { startRedis } from '../support/servers/redis-server.ts';
import { s3Client } from '../support/servers/s3-connection.ts';
import { runS3, SERVICE_HOOK_TIMEOUT_MS } from '../support/servers/services.ts';

/**
 * What GitHub, a proxy or a delivery says wrongly, and how it ends: in the true record, by the service alone. Nothing is asked
 * for by hand; an interval of the schedule stands for its hour.
 */

const INTERVAL = '2s';
/** Some intervals on two busy cores. */
const TRUE_TIMEOUT_MS = 60_000;
const SECOND_MS = 1_000;
const PREFIX = 'true/ends';
const NOT_FOUND = { kind: 'status', status: 404, body: '{"message":"Not Found","status":"404"}' } as const;
const INCIDENT_ROUTES = ['job', 'logs', 'run', 'runs', 'run_jobs', 'run_attempt', 'attempt_jobs'];
const RATE_LIMIT = { limit: 15_000, windowMs: 3_600_000 };

const stage = openStage();
afterAll(() => stage.close());

interface Site {
  readonly simulator: Simulator;
  readonly archive: ArchiveUnderTest;
  readonly processes: readonly EverlogProcess[];
  readonly env: Environment;
  readonly cwd: string;
}

async function openSite(kind: 'embedded' | 'redis and s3'): Promise<Site> {
  const simulator = await stage.simulator({ rateLimit: RATE_LIMIT });
  const cwd = stage.folder();
  const shared = {
    ...githubSettings(simulator),
    EVERLOG_MISSING_LOG_RETRIES: '200ms,400ms',
    EVERLOG_RECONCILE_INTERVAL: INTERVAL,
    EVERLOG_SEAL_INTERVAL: '1h',
    EVERLOG_SIGNING_KEY: newKeyPem(),
  };
  if (kind === 'embedded') {
    const up = await stage.everlog(['up'], shared, cwd);
    simulator.deliveries.url = up.webhooksUrl;
    const archive = folderArchive(join(cwd, 'data/archive'));
    return { simulator, archive, processes: [up], env: shared, cwd };
  }
  const [redis, s3] = await Promise.all([startRedis(), runS3()]);
  stage.defer(() => redis.stop());
  const bucket = `true-ends-${randomUUID()}`;
  await s3.createBucket(bucket, { versioning: true });
  const client = s3Client(s3);
  stage.defer(() => Promise.resolve(client.destroy()));
  const env = { ...shared, ...s3Settings(s3, bucket, PREFIX), EVERLOG_QUEUE_URL: redis.url };
  const processes = await Promise.all([
    stage.everlog(['serve'], env, cwd),
    stage.everlog(['work'], env, cwd),
  ]);
  simulator.deliveries.url = processes[0].webhooksUrl;
  return { simulator, archive: bucketArchive(client, bucket, PREFIX), processes, env, cwd };
}

const recordSchema = z.looseObject({
  outcome: z.string(),
  revision: z.number(),
  supersedes: z.string().nullable(),
  details_source: z.string(),
});

const digestSchema = z.object({
  completeness: z.looseObject({
    reconciled_through: z.string().nullable(),
    gaps: z.object({ file: z.string() }).nullable(),
  }),
});
type Said = z.infer<typeof recordSchema>;

function accepted({ status, body }: SendResult): void {
  if (status !== 202) throw new Error(`the delivery was answered ${status} ${body}`);
}

/** One repository of an installation of its own. */
class Place {
  readonly site: Site;
  readonly installationId: number;
  readonly repositoryId: number;

  constructor(site: Site, login: string) {
    const { world } = site.simulator;
    this.site = site;
    this.installationId = world.addInstallation({ login }).id;
    this.repositoryId = world.addRepository({ name: 'repo', installationId: this.installationId }).id;
  }

  run(): number {
    const { world } = this.site.simulator;
    const ended = new Date(Date.now() - 30_000).toISOString().replace(/\.\d+Z/, 'Z');
    return world.run(world.addRun({ repositoryId: this.repositoryId, updated_at: ended })).id;
  }

  job(about: Partial<AddJob> = {}): { runId: number; id: number } {
    const runId = about.runId ?? this.run();
    const { id } = this.site.simulator.world.addJob({ log: `the log of ${runId}\n`, ...about, runId }).facts;
    return { runId, id };
  }

  fault(route: string, effect: FaultEffect, jobId?: number): FaultHandle {
    const { installationId } = this;
    return this.site.simulator.faults.add({
      match: { route, installationId, ...(jobId === undefined ? {} : { jobId }) },
      effect,
    });
  }

  /** Delivers `completed` of a job, with members of its copy changed. */
  async deliver(id: number, changed: Readonly<Record<string, unknown>> = {}): Promise<void> {
    const { world, apiUrl, appId, deliveries } = this.site.simulator;
    const links = { apiUrl, webUrl: new URL(apiUrl).origin };
    const payload = workflowJobPayload({ world, links, appId }, id, 'completed');
    const job = { ...Object(payload['workflow_job']), ...changed };
    accepted(await deliveries.send('workflow_job', { ...payload, workflow_job: job }));
  }

  async runEnds(runId: number): Promise<void> {
    accepted(await this.site.simulator.deliveries.run(runId, 'completed'));
  }

  /** The keys below `root` that are of a run. */
  async keysOf(root: 'records' | 'runs', runId: number): Promise<readonly string[]> {
    const keys = await this.site.archive.versions();
    return keys.filter((key) => key.startsWith(`v1/${root}/`) && key.includes(`/${runId}/`));
  }

  /** A record of a job, once it is there. */
  async said(job: { runId: number; id: number }, revision = 1): Promise<Said> {
    const name = revision === 1 ? `/${job.id}.json` : `/${job.id}.r${revision}.json`;
    const key = await until(
      `job ${job.id} has revision ${revision}`,
      async () => (await this.keysOf('records', job.runId)).find((each) => each.endsWith(name)) ?? null,
      TRUE_TIMEOUT_MS,
      () => this.lines(String(job.id)),
    );
    const { bytes } = await this.site.archive.read(key);
    return recordSchema.parse(JSON.parse(bytes.toString('utf8')));
  }

  lines(about: string): string {
    const all = this.site.processes.flatMap(({ process }) => process.stderr().split('\n'));
    return all
      .filter((line) => line.includes(about))
      .slice(-12)
      .join('\n');
  }

  async isSaid(pattern: RegExp): Promise<void> {
    const said = this.site.processes.map(({ process }) =>
      process.waitForLine(({ text }) => pattern.test(text), TRUE_TIMEOUT_MS),
    );
    await Promise.any(said);
    for (const waiting of said) waiting.catch(() => undefined);
  }

  async runObject(runId: number, count = 1): Promise<Record<string, unknown>> {
    const key = await until(
      `run ${runId} has ${count} objects`,
      async () => {
        const keys = (await this.keysOf('runs', runId)).toSorted(
          (one, other) => one.length - other.length || (one < other ? -1 : 1),
        );
        return keys.length >= count && (keys.at(-1) ?? null);
      },
      TRUE_TIMEOUT_MS,
      () => this.lines(String(runId)),
    );
    const { bytes } = await this.site.archive.read(key);
    return z.record(z.string(), z.unknown()).parse(JSON.parse(bytes.toString('utf8')));
  }
}

describe.each(['embedded', 'redis and s3'] as const)('%s', (kind) => {
  let site: Site;
  beforeAll(async () => {
    site = await openSite(kind);
  }, SERVICE_HOOK_TIMEOUT_MS);

  test.concurrent('a listing that differs from the delivery by a second is the next revision', async () => {
    const place = new Place(site, 'confirming');
    site.simulator.rateLimits.setRemaining(place.installationId, 7_000);
    const first = place.job();
    await place.deliver(first.id);
    await place.said(first);
    const job = place.job();
    // Else a pass might find the job before it is announced.
    const held = place.fault('runs', { kind: 'status', status: 503 });
    const ended = site.simulator.world.job(job.id).facts.completed_at ?? '';
    const off = new Date(Date.parse(ended) - 1_000).toISOString().replace('.000Z', 'Z');
    await place.deliver(job.id, { completed_at: off });
    expect(await place.said(job)).toMatchObject({ details_source: 'webhook', completed_at: off });
    held.remove();
    await place.runEnds(job.runId);
    expect(await place.said(job, 2)).toMatchObject({
      outcome: 'archived',
      revision: 2,
      supersedes: expect.stringMatching(new RegExp(`/${job.id}\\.json$`)),
      details_source: 'list',
      completed_at: ended,
    });
    expect(await place.runObject(job.runId)).toMatchObject({ complete: true, archived: [job.id] });
  });

  test.concurrent.for([
    ['cancelled', 'not_produced', true],
    ['success', 'not_a_job', false],
  ] as const)(
    'a job called %s that seemed never to have run (%s) is opened again by the listing',
    async ([conclusion, outcome, sweeps], { expect: demand }) => {
      const place = new Place(site, `reopened-${outcome.replaceAll('_', '-')}`);
      const job = place.job({ conclusion, log: 'it ran all the same\n' });
      const bare = { steps: [], runner_id: null, runner_name: null, labels: [], conclusion };
      const said = { id: job.id, run_id: job.runId, run_attempt: 1, status: 'completed', ...bare };
      site.simulator.world.setUnlisted(job.id, true);
      place.fault('job', { kind: 'status', status: 200, body: JSON.stringify(said) }, job.id);
      await place.deliver(job.id, bare);
      demand(await place.said(job)).toMatchObject({ outcome, revision: 1 });
      site.simulator.world.setUnlisted(job.id, false);
      if (sweeps) await place.runEnds(job.runId);
      demand(await place.said(job, 2)).toMatchObject({ outcome: 'archived', revision: 2 });
    },
  );

  test.concurrent('a proxy’s page with 403 is no fact about a job or its log', async () => {
    const place = new Place(site, 'proxied');
    const job = place.job();
    const pages = ['job', 'logs'].map((route) => place.fault(route, { kind: 'page', status: 403 }));
    await place.deliver(job.id);
    await until('it was asked for twice', () => (pages[0]?.hits ?? 0) >= 2, TRUE_TIMEOUT_MS);
    expect(await place.keysOf('records', job.runId)).toEqual([]);
    for (const page of pages) page.remove();
    expect(await place.said(job)).toMatchObject({ outcome: 'archived', revision: 1 });
  });

  test.concurrent('an incident that knows no run and no job deletes nothing', async () => {
    const place = new Place(site, 'incident');
    const [job, unannounced] = [place.job(), place.job()];
    const broken = INCIDENT_ROUTES.map((route) => place.fault(route, NOT_FOUND));
    await place.deliver(job.id);
    await place.runEnds(job.runId);
    // The job, and the sweep of its run.
    await place.isSaid(new RegExp(`knows neither run ${job.runId} nor its neighbours`));
    await place.isSaid(new RegExp(`run ${job.runId} is not found, nor are its neighbours`));
    for (const { runId } of [job, unannounced]) {
      expect(await place.keysOf('records', runId)).toEqual([]);
      expect(await place.keysOf('runs', runId)).toEqual([]);
    }
    for (const fault of broken) fault.remove();
    for (const each of [job, unannounced]) {
      expect(await place.said(each)).toMatchObject({ outcome: 'archived', revision: 1 });
      expect(await place.runObject(each.runId)).toMatchObject({ outcome: 'accounted', archived: [each.id] });
    }
  });

  test.concurrent(
    'what an IP allow list or a lost log made absent is looked at again within the interval',
    async () => {
      const place = new Place(site, 'shut-out');
      const [shut, lost] = [place.job(), place.job({ log: null })];
      const message =
        'the `octo` organization has an IP allow list enabled, and your IP address is not permitted';
      const body = JSON.stringify({
        message,
        documentation_url: 'https://docs.github.com/rest',
        status: '403',
      });
      const list = ['job', 'logs'].map((route) =>
        place.fault(route, { kind: 'status', status: 403, body }, shut.id),
      );
      await place.deliver(shut.id);
      await place.deliver(lost.id);
      expect(await place.said(shut)).toMatchObject({
        outcome: 'forbidden',
        absence: { reason: expect.stringContaining('IP allow list') },
      });
      expect(await place.said(lost)).toMatchObject({ outcome: 'unavailable' });
      for (const fault of list) fault.remove();
      site.simulator.world.setLog(lost.id, 'there after all\n');
      for (const job of [shut, lost]) {
        expect(await place.said(job, 2)).toMatchObject({ outcome: 'archived', revision: 2 });
      }
    },
  );

  test.concurrent('odd values cost neither their job nor its sisters their logs', async () => {
    const place = new Place(site, 'odd');
    const runId = place.run();
    const extra = {
      labels: ['a', null],
      runner_id: '',
      workflow_name: 7,
      completed_at: '0001-01-01T00:00:00Z',
    };
    const [odd, sister] = [place.job({ runId, extra }), place.job({ runId })];
    expect(await place.said(sister)).toMatchObject({ outcome: 'archived' });
    expect(await place.said(odd)).toMatchObject({
      outcome: 'archived',
      labels: null,
      workflow_name: null,
      completed_at: null,
      job: extra,
    });
  });

  test.concurrent('a job that GitHub lists late is found after its run was complete', async () => {
    const place = new Place(site, 'late');
    const runId = place.run();
    const [prompt, late] = [place.job({ runId }), place.job({ runId })];
    site.simulator.world.setUnlisted(late.id, true);
    await place.deliver(prompt.id);
    await place.runEnds(runId);
    expect(await place.runObject(runId)).toMatchObject({ complete: true, expected: [prompt.id] });
    site.simulator.world.setUnlisted(late.id, false);
    expect(await place.said(late)).toMatchObject({ outcome: 'archived' });
    expect(await place.runObject(runId, 2)).toMatchObject({
      complete: true,
      archived: [prompt.id, late.id],
    });
  });

  test('a gap, and what was compared, stand in the next digest as they are; then all is sound', async () => {
    const everlog = async (
      ...args: string[]
    ): Promise<{ code: number | null; last: Record<string, unknown> }> => {
      const child = spawnEverlog([...args, '--json'], site.env, { cwd: site.cwd });
      stage.defer(() => child.kill('SIGKILL'));
      const { code } = await child.exited;
      const last: unknown = JSON.parse(child.stdout().trimEnd().split('\n').at(-1) ?? 'null');
      return { code, last: z.record(z.string(), z.unknown()).parse(last) };
    };
    const sealed = async (): Promise<{ through: number; gaps: string }> => {
      const { code, last } = await everlog('seal');
      expect({ code, last }).toMatchObject({ code: 0 });
      const folder = `ledger/digests/${String(last['sequence']).padStart(10, '0')}`;
      const read = async (file: string): Promise<string> =>
        (await site.archive.read(`${folder}/${file}`)).bytes.toString('utf8');
      const { reconciled_through, gaps } = digestSchema.parse(
        JSON.parse(await read('digest.json')),
      ).completeness;
      return {
        through: Date.parse(reconciled_through ?? ''),
        gaps: gaps === null ? '' : await read(gaps.file),
      };
    };
    const place = new Place(site, 'overstated');
    const counted = place.job();
    const run = site.simulator.world.runs.get(counted.runId);
    if (run === undefined) throw new Error('the run was just added');
    run.overstatedBy = 2;
    const hidden = new Place(site, 'hidden');
    const listing = hidden.fault('runs', { kind: 'page', status: 403 });
    const unseen = hidden.job();
    expect(await place.said(counted)).toMatchObject({ outcome: 'archived' });
    await until('the list of runs was asked for', () => listing.hits > 0, TRUE_TIMEOUT_MS);
    const before = await until(
      'the difference is told',
      async () => {
        const digest = await sealed();
        return digest.gaps.includes('overstated') && digest;
      },
      TRUE_TIMEOUT_MS,
    );
    expect(before.through).toBeNaN();
    run.overstatedBy = 0;
    listing.remove();
    const endedMs = Date.now();
    expect(await hidden.said(unseen)).toMatchObject({ outcome: 'archived' });
    // The pass after the one that queued it: what was to be compared was compared by then.
    await hidden.runObject(unseen.runId);
    const after = await until(
      'everything is said to be compared',
      async () => {
        const digest = await sealed();
        return digest.through >= endedMs - SECOND_MS && digest;
      },
      TRUE_TIMEOUT_MS,
    );
    expect(after.gaps).toBe('');
    expect(await everlog('verify')).toMatchObject({ code: 0 });
  });
});
