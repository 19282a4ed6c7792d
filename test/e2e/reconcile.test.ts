import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, expect, test } from 'vitest';
import { readRecord, type ArchiveUnderTest } from '../support/oracles/archive-oracle.ts';
import { each, openStage, queueAtRest, scaled, type Stage } from '../support/harness/everlog-under-test.ts';
import { spawnEverlog } from '../support/processes/processes.ts';
import { addRuns, openSite, readsOf } from '../support/harness/reconcile-under-test.ts';
import { startRedis } from '../support/servers/redis-server.ts';

/** `everlog reconcile` as a user runs it, against a simulated GitHub, a real queue and a real archive. */

const DELIVERIES = scaled(100, 2_000);
/** More than GitHub lists of one window. */
const RUNS = scaled(1_050, 2_400);
/** The window of 35 days is halved until its busy days are parts of their own; each half costs a call, an empty one too. */
const DIVIDING_MAX = 16;
const DROPPED_SHARE = 0.3;
const TIMEOUT_MS = scaled(240_000, 1_200_000);

let stage: Stage = openStage();

afterEach(async () => {
  await stage.close();
  stage = openStage();
});

async function recordKeys(archive: ArchiveUnderTest): Promise<string[]> {
  return (await archive.versions()).filter((key) => key.startsWith('v1/records/')).toSorted();
}

test(
  `${DROPPED_SHARE * 100} % of ${DELIVERIES} deliveries are never sent, ${RUNS} runs lie in one window: all are accounted for`,
  async () => {
    const simulator = await stage.simulator();
    const redis = await startRedis();
    stage.defer(() => redis.stop());
    const site = await openSite(stage, simulator, { EVERLOG_QUEUE_URL: redis.url });
    const installationId = simulator.world.addInstallation({ login: 'Octo-Org' }).id;
    const { id } = simulator.world.addRepository({ name: 'Busy', installationId });
    const { jobIds } = addRuns(simulator, id, RUNS, { jobs: (index) => (index < DELIVERIES ? 1 : 0) });
    const everlog = await site.up();
    simulator.deliveries.dropRate = DROPPED_SHARE;
    await each(jobIds, 20, (jobId) => simulator.deliveries.completeJob(jobId));
    await queueAtRest(everlog, TIMEOUT_MS);
    const arrived = (await recordKeys(site.archive)).length;
    expect(arrived).toBeLessThan(DELIVERIES * 0.8);

    const first = await site.run('reconcile', '--wait');
    expect(first).toMatchObject({
      code: 0,
      report: {
        gaps: [],
        queued: DELIVERIES - arrived,
        archived: DELIVERIES,
        missing: 0,
        jobs: DELIVERIES,
        runs: RUNS,
      },
    });
    expect(await recordKeys(site.archive)).toHaveLength(DELIVERIES);
    expect([...readsOf(simulator, jobIds).values()].every((reads) => reads === 1)).toBe(true);

    // Nothing is missing any more and every attempt has its object: the runs are listed, and that is all.
    const second = await site.run('reconcile');
    expect(second).toMatchObject({ code: 0, report: { queued: 0, archived: DELIVERIES, runs: RUNS } });
    const pages = Math.ceil(RUNS / 100);
    for (const { asked, report } of [first, second]) {
      const { runs = 0, run_jobs = 0, installation_repositories = 0 } = asked;
      process.stdout.write(
        `${report.api_calls} API calls: ${installation_repositories} for repositories, ${runs} for ${RUNS} runs (100 a page, windows of 1,000 are divided, at a call for each part), ${run_jobs} for jobs of attempts without an object\n`,
      );
      expect(report.api_calls).toBe(runs + run_jobs + installation_repositories);
      expect(runs).toBeLessThanOrEqual(pages + DIVIDING_MAX);
    }
    expect(first.asked['run_jobs']).toBe(RUNS);
    expect(second.asked['run_jobs'] ?? 0).toBe(0);
  },
  TIMEOUT_MS,
);

test('a repository that was renamed and transferred is not archived twice', async () => {
  const simulator = await stage.simulator();
  const site = await openSite(stage, simulator);
  const installationId = simulator.world.addInstallation({ login: 'Octo-Org' }).id;
  const { id } = simulator.world.addRepository({ name: 'Old', installationId });
  const { jobIds } = addRuns(simulator, id, 5, { jobs: () => 2 });
  expect(await site.run('reconcile')).toMatchObject({ code: 0, report: { queued: 10, archived: 10 } });
  const before = await recordKeys(site.archive);
  simulator.world.renameRepository(id, { owner: 'New-Org', name: 'New' });
  const more = addRuns(simulator, id, 1, { overHours: 0 });
  expect(await site.run('reconcile')).toMatchObject({ code: 0, report: { queued: 1, archived: 11 } });
  const after = await recordKeys(site.archive);
  expect(after.filter((key) => before.includes(key))).toEqual(before);
  expect(after).toHaveLength(11);
  expect(await site.run('reconcile', '--repo', 'octo-org/old')).toMatchObject({
    code: 0,
    report: { queued: 0, archived: 11 },
  });
  expect([...readsOf(simulator, [...jobIds, ...more.jobIds]).values()]).toEqual(Array(11).fill(1));
});

test('a re-run of a run from before the lookback is found, and what lay there before Everlog is left alone', async () => {
  const simulator = await stage.simulator();
  const { world } = simulator;
  const site = await openSite(stage, simulator);
  const installationId = world.addInstallation({ login: 'Octo-Org' }).id;
  const { id } = world.addRepository({ name: 'Repo', installationId });
  const { runIds } = addRuns(simulator, id, 3, { overHours: 24 * 20 });
  const [oldest = 0] = runIds;
  expect(await site.run('reconcile', '--owner', 'octo-org', '--since', '24d')).toMatchObject({
    code: 0,
    report: { queued: 3, archived: 3 },
  });
  addRuns(simulator, world.addRepository({ name: 'Other', installationId }).id, 1, { overHours: 24 * 20 });
  world.rerun(oldest);
  world.addJob({ runId: oldest, runAttempt: 2, log: 'again\n' });
  const found = await site.run('reconcile');
  expect(found).toMatchObject({ code: 0, report: { queued: 1, archived: 4, gaps: [] } });
  const runs = (await site.archive.versions()).filter(
    (key) => key.includes(`/${oldest}/`) && key.startsWith('v1/runs'),
  );
  expect(new Set(runs.map((key) => key.split('/').at(-1)))).toEqual(new Set(['1.json', '2.json']));
});

test('the queue is lost with jobs in it: reconcile rebuilds, and fetches nothing again that is archived', async () => {
  const simulator = await stage.simulator();
  const redis = await startRedis();
  stage.defer(() => redis.stop());
  const site = await openSite(stage, simulator, { EVERLOG_QUEUE_URL: redis.url });
  const installationId = simulator.world.addInstallation({ login: 'Octo-Org' }).id;
  const { id } = simulator.world.addRepository({ name: 'Repo', installationId });
  const { jobIds } = addRuns(simulator, id, 60);
  let everlog = await site.up();
  await each(jobIds.slice(0, 40), 10, (jobId) => simulator.deliveries.completeJob(jobId));
  await queueAtRest(everlog, TIMEOUT_MS);
  // Links that hang keep the rest in the queue until it is lost.
  const hanging = simulator.faults.add({ match: { route: 'logs' }, effect: { kind: 'hang' } });
  await each(jobIds.slice(40), 10, (jobId) => simulator.deliveries.completeJob(jobId));
  await everlog.process.kill('SIGKILL');
  hanging.remove();
  const client = new Redis(redis.url);
  await client.flushall();
  client.disconnect();
  everlog = await site.up();
  expect(await site.run('reconcile', '--wait')).toMatchObject({
    code: 0,
    report: { queued: 20, archived: 60, gaps: [] },
  });
  expect([...readsOf(simulator, jobIds).values()]).toEqual(Array(60).fill(1));
});

test('an absence is looked at again: the log that came late is the next revision, of its attempt too', async () => {
  const simulator = await stage.simulator();
  const { world } = simulator;
  const site = await openSite(stage, simulator, { EVERLOG_MISSING_LOG_RETRIES: '10ms' });
  const installationId = world.addInstallation({ login: 'Octo-Org' }).id;
  const { id } = world.addRepository({ name: 'Repo', installationId });
  const { jobIds } = addRuns(simulator, id, 1, { overHours: 1, log: () => null });
  const [jobId = 0] = jobIds;
  expect(await site.run('reconcile')).toMatchObject({
    code: 0,
    report: { archived: 0, absent: { unavailable: 1 }, gaps: [] },
  });
  // Still not there: looked at again, and nothing new is written.
  const keys = await site.archive.versions();
  expect(await site.run('reconcile')).toMatchObject({ code: 0, report: { looked_again: 1 } });
  expect(await site.archive.versions()).toEqual(keys);
  world.setLog(jobId, 'late\n');
  expect(await site.run('reconcile')).toMatchObject({
    code: 0,
    report: { archived: 1, absent: {}, looked_again: 1 },
  });
  const last = await site.run('reconcile');
  expect(last).toMatchObject({ code: 0, report: { archived: 1, absent: {}, looked_again: 0 } });
  const found = (await site.archive.versions()).filter((key) => key.endsWith('.r2.json'));
  expect(new Set(found.map((key) => key.split('/')[1]))).toEqual(new Set(['records', 'runs']));
  const record = await readRecord(site.archive, found.find((key) => key.startsWith('v1/records')) ?? '');
  expect(record).toMatchObject({ outcome: 'archived', fetch: { source: 'reconcile' } });
});

test('a dry run says what is missing and leaves no trace', async () => {
  const simulator = await stage.simulator();
  const site = await openSite(stage, simulator);
  const installationId = simulator.world.addInstallation({ login: 'Octo-Org' }).id;
  const { id } = simulator.world.addRepository({ name: 'Repo', installationId });
  const { jobIds } = addRuns(simulator, id, 3);
  const { code, report } = await site.run('reconcile', '--dry-run');
  expect(code).toBe(4);
  expect(report).toMatchObject({
    queued: 0,
    would_queue: 3,
    would_cost_api_calls: 6,
    missing: 3,
    dry_run: true,
  });
  expect(new Set(report.gaps.map(({ job_id }) => job_id))).toEqual(new Set(jobIds));
  expect(await site.archive.versions()).toEqual([]);
  await expect(access(join(site.cwd, 'data/queue'))).rejects.toThrow();
});

test('gaps that remain end the command with 4: a log put off with its next look, a repository that cannot be listed', async () => {
  const simulator = await stage.simulator();
  const { world } = simulator;
  const site = await openSite(stage, simulator, { EVERLOG_MISSING_LOG_RETRIES: '1h' });
  const installationId = world.addInstallation({ login: 'Octo-Org' }).id;
  const away = world.addInstallation({ login: 'Away' }).id;
  world.setInstallation(away, 'suspended');
  const { id } = world.addRepository({ name: 'Repo', installationId });
  world.addRepository({ name: 'Closed', installationId });
  addRuns(simulator, id, 2, { log: (index) => (index === 0 ? null : 'here\n') });
  simulator.faults.add({
    match: { route: 'runs' },
    times: 1,
    effect: { kind: 'status', status: 404, body: '{"message":"Not Found"}' },
  });
  const { code, report } = await site.run('reconcile', '--since', '72h');
  expect(code).toBe(4);
  expect(report.reconciled_through).toBeNull();
  expect(report.skipped).toEqual([expect.objectContaining({ account: 'Away', suspended: true })]);
  expect(report.gaps).toHaveLength(1);
  const again = await site.run('reconcile', '--since', '72h', '--repo', 'octo-org/repo');
  expect(again.code).toBe(4);
  expect(again.report.archived + again.report.missing).toBe(2);
  expect(again.report.gaps).toEqual([
    expect.objectContaining({
      repo: 'Repo',
      reason: expect.stringContaining('put off'),
      next_at: expect.any(String),
    }),
  ]);
});

test('what is asked for by name: 3 where GitHub shows nothing, 4 where nobody can look, and neither stays a gap', async () => {
  const simulator = await stage.simulator();
  const { world } = simulator;
  const site = await openSite(stage, simulator);
  const installationId = world.addInstallation({ login: 'Octo-Org' }).id;
  addRuns(simulator, world.addRepository({ name: 'Repo', installationId }).id, 1);
  const away = world.addInstallation({ login: 'Away' }).id;
  world.addRepository({ name: 'Asleep', installationId: away });
  world.setInstallation(away, 'suspended');
  const everlog = async (...args: string[]): Promise<{ code: number | null; output: string }> => {
    const child = spawnEverlog(args, site.env, { cwd: site.cwd });
    stage.defer(() => child.kill('SIGKILL'));
    const { code } = await child.exited;
    return { code, output: child.stdout() + child.stderr() };
  };
  for (const scope of [
    ['--owner', 'nobody'],
    ['--repo', 'octo-org/mistyped'],
    ['--repo', 'nobody/repo'],
  ]) {
    expect({ scope, ...(await everlog('reconcile', ...scope)) }).toMatchObject({
      scope,
      code: 3,
      output: expect.stringContaining('GitHub shows no repositor'),
    });
  }
  const named = { owner: expect.stringMatching(/^away$/i), reason: expect.stringContaining('suspended') };
  expect(await site.run('reconcile', '--owner', 'away')).toMatchObject({
    code: 4,
    report: { gaps: [named] },
  });
  expect(await site.run('reconcile', '--repo', 'away/asleep')).toMatchObject({
    code: 4,
    report: { gaps: [{ ...named, repo: 'asleep' }] },
  });
  // A look at everything that fails somewhere is told by the next digest, and taken back by one that does not fail.
  simulator.faults.add({
    match: { route: 'runs' },
    times: 1,
    effect: { kind: 'status', status: 404, body: '{"message":"Not Found"}' },
  });
  const gapsSealed = async (): Promise<unknown> => {
    const { code, output } = await everlog('seal');
    expect({ code, output }).toMatchObject({ code: 0 });
    return /gaps +(\d+)/.exec(output)?.[1];
  };
  expect(await gapsSealed()).toBe('0');
  expect((await site.run('reconcile')).code).toBe(4);
  expect(await gapsSealed()).toBe('1');
  expect((await site.run('reconcile')).code).toBe(0);
  expect(await gapsSealed()).toBe('0');
});
