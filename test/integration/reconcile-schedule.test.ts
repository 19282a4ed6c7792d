import { afterEach, expect, test } from 'vitest';
import { openQueue } from '../../src/service/queue.ts';
import { loadConfig } from '../../src/config.ts';
import { openLog } from '../../src/logger.ts';
import { openStage, until, type Environment, type Stage } from '../support/harness/everlog-under-test.ts';
import { hostConfig, startFetchPath, startHost, type HostUnderTest } from '../support/github/fetch-path.ts';
import { addRuns, readsOf } from '../support/harness/reconcile-under-test.ts';
import { startRedis } from '../support/servers/redis-server.ts';

/** What the schedule queues: `reconcile-hosts`, and through it a look into each repository. */

const DONE_TIMEOUT_MS = 40_000;
const HOUR_MS = 3_600_000;
/** Daily looks are spread over the hours by the repository's id. */
const TURNS = 24;
const FIRST_ID = 1_000 * TURNS;
const RECONCILE_ROUTES = ['installation_repositories', 'runs', 'run_jobs', 'run_attempt'];

let stage: Stage = openStage();

afterEach(async () => {
  await stage.close();
  stage = openStage();
});

interface Scheduled {
  readonly host: HostUnderTest;
  readonly records: () => Promise<number>;
  readonly runObjects: () => Promise<number>;
  readonly lines: readonly string[];
  /** Does what the schedule does at each interval, and waits until every repository was looked into or put off. */
  readonly reconcile: (repositories: number) => Promise<void>;
}

async function openScheduled(limit: number, env: Environment = {}): Promise<Scheduled> {
  const redis = await startRedis();
  stage.defer(() => redis.stop());
  const host = await startHost(stage, 'github.com', { rateLimit: { limit, windowMs: 3_600_000 } });
  const service = await startFetchPath(stage, redis.url, [hostConfig(host)], {
    EVERLOG_RECONCILE_INTERVAL: '1h',
    ...env,
  });
  const config = loadConfig({}, { EVERLOG_QUEUE_URL: redis.url });
  const { queue } = await openQueue(config, openLog('silent', { write: () => undefined }));
  stage.defer(() => queue.close());
  const below = async (root: string): Promise<number> =>
    (await service.archive.versions()).filter((key) => key.startsWith(root)).length;
  const ended = (): number =>
    service.lines.filter(
      (line) =>
        line.includes('repository reconciled') ||
        (line.includes('job put off') && line.includes('reconcile-')),
    ).length;
  return {
    host,
    records: () => below('v1/records/'),
    runObjects: () => below('v1/runs/'),
    lines: service.lines,
    async reconcile(repositories) {
      const before = ended();
      await until(
        'the queue answers',
        () =>
          queue.ping().then(
            () => true,
            () => false,
          ),
        DONE_TIMEOUT_MS,
      );
      await queue.add({ name: 'reconcile-hosts', data: {} });
      await until(
        `${repositories} repositories are looked into`,
        () => ended() - before >= repositories,
        DONE_TIMEOUT_MS,
        () => service.lines.slice(-20).join(''),
      );
    },
  };
}

/** Ids of repositories whose daily look comes half a day from now, whatever the hour: the pass is the recent one. */
function idsOfAnotherTurn(): readonly [number, number] {
  const turn = (Math.floor(Date.now() / HOUR_MS) + TURNS / 2) % TURNS;
  return [FIRST_ID + turn, FIRST_ID + TURNS + turn];
}

test('missed deliveries are found, runs get their objects, and a third look costs the listings alone', async () => {
  const { host, records, runObjects, reconcile, lines } = await openScheduled(15_000);
  const { world, requests } = host.simulator;
  const installationId = world.addInstallation({ login: 'octo-org' }).id;
  world.setInstallation(world.addInstallation({ login: 'away' }).id, 'suspended');
  const [first, second] = idsOfAnotherTurn();
  const repositories = [
    world.addRepository({ id: first, name: 'one', installationId }).id,
    world.addRepository({ id: second, name: 'two', installationId }).id,
  ];
  const jobIds = repositories.flatMap((id) => addRuns(host.simulator, id, 10, { jobs: () => 2 }).jobIds);
  await reconcile(2);
  await until(
    'all are recorded',
    async () => (await records()) === 40,
    DONE_TIMEOUT_MS,
    () => lines.slice(-9).join(''),
  );
  await reconcile(2);
  expect(await runObjects()).toBe(20);
  requests.clear();
  await reconcile(2);
  expect(requests.count('runs')).toBe(2);
  expect(requests.count('installation_repositories')).toBe(1);
  expect(requests.count('run_jobs') + requests.count('run_attempt') + requests.count('logs')).toBe(0);
  expect(lines.some((line) => line.includes('suspended') && line.includes('away'))).toBe(true);
  expect([...readsOf(host.simulator, jobIds).values()].every((reads) => reads <= 1)).toBe(true);
});

test('a share that is spent puts the repository off, and it is not spent over', async () => {
  const { host, reconcile } = await openScheduled(200);
  const { world, requests } = host.simulator;
  const installationId = world.addInstallation({ login: 'octo-org' }).id;
  addRuns(host.simulator, world.addRepository({ name: 'one', installationId }).id, 60, { jobs: () => 0 });
  await reconcile(1);
  await reconcile(0);
  const spent = RECONCILE_ROUTES.reduce((sum, route) => sum + requests.count(route), 0);
  expect(spent).toBe(20);
});

test('a job that GitHub lists only after its run was accounted for is found by the next pass', async () => {
  const { host, records, runObjects, reconcile } = await openScheduled(15_000);
  const { world } = host.simulator;
  const installationId = world.addInstallation({ login: 'octo-org' }).id;
  const [id] = idsOfAnotherTurn();
  world.addRepository({ id, name: 'one', installationId });
  const { id: runId } = world.run(world.addRun({ repositoryId: id }));
  const [, late = 0] = ['prompt\n', 'late\n'].map((log) => world.addJob({ runId, log }).facts.id);
  world.setUnlisted(late, true);
  await reconcile(1);
  await until('the one that is listed is recorded', async () => (await records()) === 1, DONE_TIMEOUT_MS);
  await reconcile(1);
  expect(await runObjects()).toBe(1);
  world.setUnlisted(late, false);
  await reconcile(1);
  await until('the late one is recorded', async () => (await records()) === 2, DONE_TIMEOUT_MS);
  await reconcile(1);
  expect(await runObjects()).toBe(2);
});

test('an absence written during an incident is looked at again by the next pass, not by the daily one', async () => {
  const { host, records, runObjects, reconcile } = await openScheduled(15_000);
  const { world } = host.simulator;
  const installationId = world.addInstallation({ login: 'octo-org' }).id;
  const [id] = idsOfAnotherTurn();
  world.addRepository({ id, name: 'one', installationId });
  const { jobIds } = addRuns(host.simulator, id, 1, { log: () => null });
  await reconcile(1);
  await until('it is recorded as unavailable', async () => (await records()) === 1, DONE_TIMEOUT_MS);
  await reconcile(1);
  await until('its run is accounted for', async () => (await runObjects()) === 1, DONE_TIMEOUT_MS);
  world.setLog(jobIds[0] ?? 0, 'there after all\n');
  await reconcile(1);
  await until('the log is archived', async () => (await records()) === 2, DONE_TIMEOUT_MS);
});

test('a list that counts more jobs than it gives stops nothing, and the difference is told', async () => {
  const { host, records, reconcile, lines } = await openScheduled(15_000);
  const { world } = host.simulator;
  const installationId = world.addInstallation({ login: 'octo-org' }).id;
  const [id] = idsOfAnotherTurn();
  world.addRepository({ id, name: 'one', installationId });
  const { runIds } = addRuns(host.simulator, id, 3);
  const overstated = world.runs.get(runIds[0] ?? 0);
  if (overstated !== undefined) overstated.overstatedBy = 2;
  await reconcile(1);
  await until('all listed jobs are recorded', async () => (await records()) === 3, DONE_TIMEOUT_MS);
  expect(lines.some((line) => line.includes('"unreadable":1'))).toBe(true);
});
