import { execFile } from 'node:child_process';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { buildDashboard } from '../../infra/monitoring/dashboard.ts';
import { registerKeys } from '../../src/cli/evidence/keys.ts';
import { registerSeal } from '../../src/cli/evidence/seal.ts';
import { registerVerify } from '../../src/cli/evidence/verify.ts';
import { registerService } from '../../src/cli/run-service.ts';
import { registerDoctor } from '../../src/cli/upkeep/doctor.ts';
import { registerFailed } from '../../src/cli/upkeep/failed.ts';
import { registerReconcile } from '../../src/cli/upkeep/reconcile.ts';
import { registerRedeliver } from '../../src/cli/upkeep/redeliver.ts';
import { registerStatus } from '../../src/cli/upkeep/status.ts';
import { readLastDigest } from '../../src/queue/digest-note.ts';
import { openJobQueue } from '../../src/queue/job-queue.ts';
import { readHostsReconciledThrough } from '../../src/reconcile/reconcile-note.ts';
import { addSampleJobs, sampleLog } from '../support/github/sample-jobs.ts';
import {
  githubSettings,
  metricsOf,
  openStage,
  until,
  type EverlogProcess,
} from '../support/harness/everlog-under-test.ts';
import { redisStorage } from '../support/harness/queue-under-test.ts';
import { newKeyPem } from '../support/harness/sealing-under-test.ts';
import { selectorsOf, type Selected } from '../support/infra/promql.ts';
import { spawnEverlog } from '../support/processes/processes.ts';
import { startRedis } from '../support/servers/redis-server.ts';
import { ensureServicesInstalled } from '../support/servers/service-packages.ts';

/**
 * What ships under `infra/monitoring` holds together, and speaks of metrics that the real service has. The dashboard and the
 * chart's copies are what this says: run with `EVERLOG_WRITE_DOCS=1` to write them anew.
 */
vi.setConfig({ testTimeout: 180_000 });

const REPOSITORY = join(import.meta.dirname, '../..');
const MONITORING = join(REPOSITORY, 'infra/monitoring');
const RULES = join(MONITORING, 'alerts.yaml');
const RULE_TESTS = ['alerts.test.yaml', 'alerts.hours.test.yaml'].map((name) => join(MONITORING, name));
const DASHBOARD = join(MONITORING, 'dashboard.json');
const RUNBOOK = join(REPOSITORY, 'infra/runbook.md');
const DOCUMENTS = [join(REPOSITORY, 'README.md'), join(REPOSITORY, 'docs/operating.md'), RUNBOOK];
const SEEN_WITHIN_MS = 120_000;

const rulesSchema = z.object({
  groups: z.tuple([
    z.object({
      name: z.string(),
      rules: z.array(
        z.object({
          alert: z.string(),
          expr: z.string(),
          for: z.string().optional(),
          labels: z.strictObject({ severity: z.enum(['critical', 'warning', 'none']) }),
          annotations: z.strictObject({ summary: z.string(), description: z.string(), runbook: z.string() }),
        }),
      ),
    }),
  ]),
});
const ruleTestsSchema = z.object({
  tests: z.array(
    z.object({
      name: z.string(),
      promql_expr_test: z.array(
        z.object({ expr: z.string(), exp_samples: z.array(z.unknown()).default([]) }),
      ),
    }),
  ),
});

const [group] = rulesSchema.parse(parse(readFileSync(RULES, 'utf8'))).groups;
const ALERTS = group.rules.map(({ alert }) => alert);

describe('alert rules', () => {
  test('are good rules, and fire and keep silent as their tests say', async () => {
    await ensureServicesInstalled('promtool');
    const promtool = promisify(execFile);
    expect((await promtool('promtool', ['check', 'rules', RULES])).stdout).toContain(
      `SUCCESS: ${ALERTS.length} rules found`,
    );
    const { stdout } = await promtool('promtool', ['test', 'rules', ...RULE_TESTS]);
    expect(stdout.match(/SUCCESS/g)).toHaveLength(RULE_TESTS.length);
  });

  test('each is tested for firing and for silence', () => {
    const cases = RULE_TESTS.flatMap(
      (file) => ruleTestsSchema.parse(parse(readFileSync(file, 'utf8'))).tests,
    );
    const seen = cases.map(({ name, promql_expr_test }) => {
      const [alert = ''] = name.split(' ');
      for (const { expr } of promql_expr_test)
        expect(expr).toBe(`ALERTS{alertname="${alert}",alertstate="firing"}`);
      return { alert, fires: promql_expr_test.some(({ exp_samples }) => exp_samples.length > 0) };
    });
    for (const alert of ALERTS) {
      const ends = new Set(seen.filter((one) => one.alert === alert).map(({ fires }) => fires));
      // What always fires is never silent.
      const isSilent = alert !== 'EverlogWatchdog';
      expect({ alert, fires: ends.has(true), silent: ends.has(false) }).toEqual({
        alert,
        fires: true,
        silent: isSilent,
      });
    }
    expect(seen.filter(({ alert }) => !ALERTS.includes(alert))).toEqual([]);
  });
});

describe('the runbook', () => {
  const [, ...sections] = readFileSync(RUNBOOK, 'utf8').split(/^## /m);

  test('has a section for each alert, of its name and in its order, and every alert leads there', () => {
    expect(sections.map((section) => section.split('\n')[0])).toEqual(ALERTS);
    for (const section of sections) {
      for (const part of ['**What it means.**', '**How to look.**', '**How to mend.**'])
        expect(section).toContain(part);
      expect(section).toContain('```sh\n');
    }
    for (const { alert, annotations } of group.rules)
      expect(annotations.runbook).toBe(`infra/runbook.md#${alert.toLowerCase()}`);
  });

  test('gives commands that there are, with options that they have', () => {
    const program = new Command();
    const registers = [registerStatus, registerDoctor, registerFailed, registerReconcile, registerRedeliver];
    for (const register of [...registers, registerVerify, registerSeal, registerKeys, registerService])
      register(program, () => undefined);
    const text = sections.join('');
    const blocks = [...text.matchAll(/```sh\n([^`]*)```/g)].flatMap(([, block = '']) =>
      block.trim().split('\n'),
    );
    const inline = [...text.matchAll(/`(everlog [a-z][^`]*)`/g)].map(([, command = '']) => command);
    const commands = [...blocks.filter((line) => line.startsWith('everlog ')), ...inline];
    expect(commands.length).toBeGreaterThan(30);
    expect(commands.flatMap((command) => problemsOf(program, command))).toEqual([]);
    expect(problemsOf(program, 'everlog failed lose')).toEqual(['everlog failed lose: lose']);
    expect(problemsOf(program, 'everlog seal --tightly')).toEqual(['everlog seal --tightly: --tightly']);
  });
});

/** What a command line names that the program does not have. */
function problemsOf(program: Command, line: string): readonly string[] {
  const [, ...words] = line.split(/\s+/);
  let command = program;
  const problems: string[] = [];
  for (const word of words) {
    if (word.startsWith('-')) {
      if (!command.options.some(({ long, short }) => long === word || short === word)) problems.push(word);
      continue;
    }
    if (command.commands.length === 0) continue;
    const sub = command.commands.find((one) => one.name() === word);
    if (sub === undefined) problems.push(word);
    else command = sub;
  }
  return problems.map((word) => `${line}: ${word}`);
}

test('the dashboard is what its source gives', () => {
  const built = `${JSON.stringify(buildDashboard(), null, 2)}\n`;
  if (process.env['EVERLOG_WRITE_DOCS'] === '1') writeFileSync(DASHBOARD, built);
  expect(readFileSync(DASHBOARD, 'utf8')).toBe(built);
  const ids = (buildDashboard().panels ?? []).map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
});

test.each([RULES, DASHBOARD])('the chart has a copy of %s, as Helm packs nothing from elsewhere', (file) => {
  const copy = join(REPOSITORY, 'infra/helm/everlog/monitoring', basename(file));
  if (process.env['EVERLOG_WRITE_DOCS'] === '1') copyFileSync(file, copy);
  expect(readFileSync(copy, 'utf8')).toBe(readFileSync(file, 'utf8'));
});

describe('metrics that are spoken of', () => {
  const stage = openStage();
  /** Labels by metric, of a service that has done everything that it counts. */
  let live: ReadonlyMap<string, ReadonlySet<string>>;

  beforeAll(async () => {
    const samples = await until('metrics', async () => metricsOf(await busyService()), SEEN_WITHIN_MS);
    const found = new Map<string, Set<string>>();
    for (const series of samples.keys()) {
      const [name = ''] = series.split('{');
      const labels = found.get(name) ?? new Set<string>();
      found.set(name, labels);
      for (const [, label = ''] of series.matchAll(/[{,](\w+)="/g)) labels.add(label);
    }
    live = found;
  }, SEEN_WITHIN_MS);
  afterAll(() => stage.close());

  /** A service that has archived, retried, sealed, reconciled, redelivered, listed installations and noted a verification. */
  async function busyService(): Promise<EverlogProcess> {
    const redis = await startRedis();
    stage.defer(() => redis.stop());
    const simulator = await stage.simulator({ rateLimit: { limit: 15_000, windowMs: 3_600_000 } });
    const env = {
      ...githubSettings(simulator),
      EVERLOG_QUEUE_URL: redis.url,
      EVERLOG_ARCHIVE_URL: stage.folder(),
      EVERLOG_SIGNING_KEY: newKeyPem(),
    };
    const everlog = await stage.everlog(['up'], env);
    simulator.deliveries.url = everlog.webhooksUrl;
    const [delivered = 0, retried = 0] = addSampleJobs(simulator, 3, (index) => sampleLog(900, index));
    simulator.faults.add({
      match: { route: 'job', jobId: retried },
      effect: { kind: 'status', status: 502 },
      times: 1,
    });
    for (const id of [delivered, retried]) await simulator.deliveries.completeJob(id);
    const queue = openJobQueue(redisStorage(redis.url));
    stage.defer(() => queue.close());
    const host = '127.0.0.1';
    const explain = (): string => everlog.process.stderr().slice(-3_000);
    await until(
      'the queue answers',
      () =>
        queue.ping().then(
          () => true,
          () => false,
        ),
      SEEN_WITHIN_MS,
    );
    await queue.add({ name: 'poll-installations', data: { host } });
    await queue.add({ name: 'redeliver', data: { host } });
    await queue.add({ name: 'reconcile-hosts', data: {} });
    await queue.add({ name: 'seal', data: {} });
    // Metrics are not asked for before all of it is done: some are read once a minute.
    await until(
      'everything was compared',
      async () => (await readHostsReconciledThrough(queue.notes, new Date())).has(host),
      SEEN_WITHIN_MS,
      explain,
    );
    await until(
      'all is done',
      async () => {
        const { archive, upkeep } = await queue.counts();
        return archive.waiting + archive.active + archive.delayed + upkeep.active + upkeep.waiting === 0;
      },
      SEEN_WITHIN_MS,
      explain,
    );
    // Of what was never sealed there is nothing to verify.
    const sealed = async (): Promise<boolean> => (await readLastDigest(queue.notes)) !== null;
    await until('a digest', sealed, SEEN_WITHIN_MS, explain);
    const verified = spawnEverlog(['verify', '--record'], env);
    expect({ ...(await verified.exited), stderr: verified.stderr() }).toMatchObject({ code: 0 });
    return everlog;
  }

  function unknownOf(selected: readonly Selected[]): readonly string[] {
    return selected.flatMap(({ metric, labels }) => {
      const known = live.get(metric);
      if (known === undefined) return [metric];
      return labels
        .filter((label) => !known.has(label) && !ADDED.has(label))
        .map((label) => `${metric}{${label}}`);
    });
  }
  /** By Prometheus, and by the operator that has the chart's pods scraped. */
  const ADDED = new Set(['job', 'instance', 'namespace', 'service']);

  test('by rules exist in the real service', () => {
    const selected = group.rules.flatMap(({ expr }) => selectorsOf(expr));
    expect(selected.length).toBeGreaterThan(20);
    expect(unknownOf(selected)).toEqual([]);
    expect(unknownOf(selectorsOf('sum by (repo) (everlog_queue_jobs{s="1"}) + everlog_nothing'))).toEqual([
      'everlog_queue_jobs{s}',
      'everlog_queue_jobs{repo}',
      'everlog_nothing',
    ]);
  });

  test('by the dashboard exist', () => {
    const targets = z
      .object({ panels: z.array(z.object({ targets: z.array(z.object({ expr: z.string() })).default([]) })) })
      .parse(JSON.parse(readFileSync(DASHBOARD, 'utf8')))
      .panels.flatMap((panel) => panel.targets);
    expect(targets.length).toBeGreaterThan(20);
    expect(unknownOf(targets.flatMap(({ expr }) => selectorsOf(expr)))).toEqual([]);
  });

  test.each(DOCUMENTS.map((file) => ({ file, name: file.slice(REPOSITORY.length + 1) })))(
    'by $name exist',
    ({ file }) => {
      const named = [...readFileSync(file, 'utf8').matchAll(/\b(everlog_[a-z_]+[a-z])(?:\{([^}]*)\})?/g)];
      const selected = named.map(([, metric = '', labels = '']) => ({
        metric,
        labels: labels.split(',').flatMap((label) => /^[a-z_]+/.exec(label.trim()) ?? []),
      }));
      expect(unknownOf(selected.map(withBucket))).toEqual([]);
    },
  );

  test('by the chart exist', () => {
    const scaling = readFileSync(join(REPOSITORY, 'infra/helm/everlog/templates/scaling.yaml'), 'utf8');
    const [, query = ''] = /query: (.*)/.exec(scaling) ?? [];
    expect(unknownOf(selectorsOf(query.replaceAll(/\{\{.*?\}\}/g, 'x')))).toEqual([]);
  });

  /** A document names a histogram without what Prometheus adds to its name. */
  function withBucket(one: Selected): Selected {
    return live.has(one.metric) ? one : { ...one, metric: `${one.metric}_bucket` };
  }
});
