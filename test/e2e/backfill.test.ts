import { afterEach, expect, test } from 'vitest';
import { openStage, scaled, until, type Stage } from '../support/harness/everlog-under-test.ts';
import { spawnEverlog } from '../support/processes/processes.ts';
import { addRuns, openSite, readsOf } from '../support/harness/reconcile-under-test.ts';

/** `everlog backfill` without a service: the command itself holds the queue and does the work. */

const JOBS = scaled(100, 3_000);
const KILLS = scaled(2, 5);
const CONCURRENCY = 5;
const TIMEOUT_MS = scaled(240_000, 1_800_000);
/** On a machine that does other things as well, from the start of the process to its first line. */
const FIRST_LINE_MS = 60_000;

let stage: Stage = openStage();

afterEach(async () => {
  await stage.close();
  stage = openStage();
});

test(
  `${JOBS} logs, killed ${KILLS} times: each is fetched once, and every start shows at once how far it is`,
  async () => {
    const simulator = await stage.simulator();
    const site = await openSite(stage, simulator, { EVERLOG_CONCURRENCY: String(CONCURRENCY) });
    const installationId = simulator.world.addInstallation({ login: 'Octo-Org' }).id;
    const { id } = simulator.world.addRepository({ name: 'Repo', installationId });
    const { jobIds } = addRuns(simulator, id, JOBS, { overHours: 24 * 60 });
    const done = (): number => simulator.requests.count('blob');
    for (let kill = 1; kill <= KILLS; kill += 1) {
      const child = spawnEverlog(['backfill'], site.env, { cwd: site.cwd });
      stage.defer(() => child.kill('SIGKILL'));
      const line = await child.waitForLine(({ text }) => text.startsWith('backfill: ['), FIRST_LINE_MS);
      expect(line.text).toContain(`% of ${JOBS.toLocaleString('en-US')} runs`);
      const share = Math.floor((JOBS * kill) / (KILLS + 1));
      await until(
        'a part of the logs is read',
        () => done() >= share,
        TIMEOUT_MS,
        () => child.stderr(),
      );
      await child.kill('SIGKILL');
    }
    const end = await site.run('backfill');
    expect(end).toMatchObject({ code: 0, report: { archived: JOBS, jobs: JOBS, missing: 0, gaps: [] } });
    // What was being read when the process died is read again; nothing else is.
    const twice = [...readsOf(simulator, jobIds).values()].filter((reads) => reads > 1);
    expect(twice.length).toBeLessThanOrEqual(KILLS * CONCURRENCY);
    expect(await site.run('backfill')).toMatchObject({ code: 0, report: { queued: 0, archived: JOBS } });
  },
  TIMEOUT_MS,
);

test('the oldest logs are fetched first, over all repositories, and what has expired is not asked for', async () => {
  const simulator = await stage.simulator();
  const { world } = simulator;
  const site = await openSite(stage, simulator, { EVERLOG_CONCURRENCY: '1' });
  const installationId = world.addInstallation({ login: 'Octo-Org' }).id;
  const all = ['one', 'two'].map((name) =>
    addRuns(simulator, world.addRepository({ name, installationId }).id, 10, { overHours: 24 * 100 }),
  );
  const dry = await site.run('backfill', '--dry-run');
  const { code, report } = await site.run('backfill');
  expect(code).toBe(0);
  expect(dry.report).toMatchObject({ queued: 0, would_queue: report.queued });
  const ages = simulator.requests.entries
    .filter(({ route }) => route === 'blob')
    .map(({ jobId }) =>
      Math.floor((world.now() - Date.parse(world.job(jobId ?? 0).facts.completed_at ?? '')) / 86_400_000),
    );
  expect(ages).toHaveLength(report.queued);
  expect(Math.max(...ages)).toBeLessThan(90);
  expect(all.flatMap(({ jobIds }) => jobIds).length).toBeGreaterThan(ages.length);
  // Within a week the repositories take turns.
  const weeks = ages.map((age) => Math.floor(age / 7));
  for (const [index, week] of weeks.entries())
    expect(week).toBeLessThanOrEqual((weeks[index - 1] ?? week) + 1);
});
