import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import {
  expectArchived,
  expectNothingElse,
  folderArchive,
  placesOfJob,
} from '../support/oracles/archive-oracle.ts';
import {
  archiveQueue,
  each,
  githubSettings,
  holdSchedules,
  openStage,
  queueAtRest,
  scaled,
  until,
  type EverlogProcess,
  type Stage,
} from '../support/harness/everlog-under-test.ts';
import { demandAllSealed, folderFiles } from '../support/oracles/ledger-oracle.ts';
import { spawnEverlog } from '../support/processes/processes.ts';
import { addSampleJobs, sampleLog } from '../support/github/sample-jobs.ts';
import type { Simulator } from '../../src/simulator/simulator.ts';

/** Everything in one process on the defaults: queue and archive below `./data`. */
const TRIPLE_JOBS = scaled(100, 500);
const KILLS = scaled(1, 10);
const DONE_TIMEOUT_MS = scaled(120_000, 600_000);
const DELIVERIES_AT_ONCE = 20;
/** The contract's bound for a drain, and for interrupted jobs to run again after a start. */
const PROMISED_MS = 30_000;

let stage: Stage = openStage();

afterEach(async () => {
  await stage.close();
  stage = openStage();
});

interface Site {
  readonly simulator: Simulator;
  readonly cwd: string;
  readonly env: Record<string, string>;
  start(): Promise<EverlogProcess>;
}

async function openSite(): Promise<Site> {
  const simulator = await stage.simulator();
  // A delivery that was refused would else be found missing, and be archived as reconcile's.
  holdSchedules(simulator);
  const cwd = stage.folder();
  const env = githubSettings(simulator);
  return {
    simulator,
    cwd,
    env,
    async start() {
      const everlog = await stage.everlog(['up'], env, cwd);
      simulator.deliveries.url = everlog.webhooksUrl;
      return everlog;
    },
  };
}

async function expectWhole(site: Site, jobs: readonly number[]): Promise<void> {
  const archive = folderArchive(join(site.cwd, 'data/archive'));
  await each(jobs, 8, (id) => expectArchived(archive, site.simulator, id));
  await expectNothingElse(
    archive,
    jobs.map((id) => placesOfJob(site.simulator, id)),
  );
}

/** GitHub's redelivery of what was not answered with success: the same bytes under the same GUID, three times at once. */
async function deliverThrice(
  simulator: Simulator,
  ids: readonly number[],
  guids: ReadonlyMap<number, string>,
): Promise<number[]> {
  const refused = await each(ids, DELIVERIES_AT_ONCE / 3, async (id) => {
    const options = { guid: guids.get(id) ?? '' };
    const answers = await Promise.all([1, 2, 3].map(() => simulator.deliveries.completeJob(id, options)));
    return answers.some(({ status }) => status === 202) ? [] : [id];
  });
  return refused.flat();
}

test(
  `${TRIPLE_JOBS} deliveries sent three times each survive ${KILLS} kill -9: nothing lost, nothing doubled`,
  async () => {
    const site = await openSite();
    const { simulator } = site;
    const jobs = addSampleJobs(simulator, TRIPLE_JOBS, (index) => sampleLog(100 + index * 397, index));
    const guids = new Map(jobs.map((id) => [id, randomUUID()]));
    let everlog = await site.start();
    let rest: readonly number[] = [];
    const share = Math.ceil(jobs.length / (KILLS + 1));
    for (let kill = 0; kill < KILLS; kill += 1) {
      // Three logs hang, so that jobs are surely running when the process dies.
      const hanging = simulator.faults.add({ match: { route: 'blob' }, times: 3, effect: { kind: 'hang' } });
      const readBefore = simulator.requests.count('blob');
      const sending = deliverThrice(
        simulator,
        [...rest, ...jobs.slice(kill * share, (kill + 1) * share)],
        guids,
      );
      await until(
        'some jobs are done and some are running',
        () => hanging.hits === 3 && simulator.requests.count('blob') - readBefore > share / 2,
        DONE_TIMEOUT_MS,
        () => everlog.process.stderr().slice(-2_000),
      );
      await everlog.process.kill('SIGKILL');
      rest = await sending;
      hanging.remove();
      everlog = await site.start();
      await everlog.process.waitForLine(({ text }) => text.includes('will run again'), PROMISED_MS);
    }
    rest = [...rest, ...jobs.slice(KILLS * share)];
    await until(
      'every delivery was accepted',
      async () => {
        rest = await deliverThrice(simulator, rest, guids);
        return rest.length === 0;
      },
      DONE_TIMEOUT_MS,
    );
    expect((await queueAtRest(everlog, DONE_TIMEOUT_MS)).failed).toBe(0);
    await expectWhole(site, jobs);
    // What the killed processes had committed has its entries too.
    expect((await everlog.process.stop()).code).toBe(0);
    const seal = spawnEverlog(['seal'], site.env, { cwd: site.cwd });
    stage.defer(() => seal.kill('SIGKILL'));
    expect({ ...(await seal.exited), stderr: seal.stderr() }).toMatchObject({ code: 0 });
    const { sealed } = await demandAllSealed(folderFiles(join(site.cwd, 'data/archive')));
    expect(sealed.length).toBeGreaterThanOrEqual(jobs.length);
  },
  DONE_TIMEOUT_MS * 2,
);

test(
  'jobs that ran when the process was killed are archived within 30 s of the next start',
  async () => {
    const site = await openSite();
    const { simulator } = site;
    const jobs = addSampleJobs(simulator, 5, (index) => sampleLog(5_000, index));
    const hanging = simulator.faults.add({ match: { route: 'blob' }, effect: { kind: 'hang' } });
    const first = await site.start();
    for (const id of jobs) expect((await simulator.deliveries.completeJob(id)).status).toBe(202);
    await until('all five read their logs', () => hanging.hits === jobs.length, PROMISED_MS);
    await first.process.kill('SIGKILL');
    hanging.remove();
    const startedMs = Date.now();
    const second = await site.start();
    await queueAtRest(second, PROMISED_MS - (Date.now() - startedMs));
    await expectWhole(site, jobs);
  },
  DONE_TIMEOUT_MS,
);

test.for(['SIGTERM', 'SIGINT'] as const)(
  '%s lets running jobs end, exits 0 within 30 s, and leaves the rest for the next start',
  { timeout: DONE_TIMEOUT_MS },
  async (signal) => {
    const site = await openSite();
    const { simulator } = site;
    site.env['EVERLOG_CONCURRENCY'] = '5';
    const jobs = addSampleJobs(simulator, 20, (index) => sampleLog(5_000, index));
    simulator.faults.add({ match: { route: 'blob' }, effect: { kind: 'delay', ms: 1_500 } });
    const first = await site.start();
    for (const id of jobs) expect((await simulator.deliveries.completeJob(id)).status).toBe(202);
    await until(
      'five jobs run',
      async () => (await archiveQueue(first))?.active === 5,
      PROMISED_MS,
      () => first.process.stderr().slice(-2_000),
    );
    const askedMs = Date.now();
    expect(await first.process.kill(signal)).toEqual({ code: 0, signal: null });
    expect(Date.now() - askedMs).toBeLessThan(PROMISED_MS);
    const archive = folderArchive(join(site.cwd, 'data/archive'));
    const logs = (await archive.versions()).filter((key) => key.startsWith('v1/logs/'));
    expect(logs.length).toBeGreaterThanOrEqual(5);
    expect(logs.length).toBeLessThan(jobs.length);
    simulator.faults.clear();
    await queueAtRest(await site.start(), PROMISED_MS);
    await expectWhole(site, jobs);
  },
);

test(
  'a second service on the same queue folder is refused with exit 2 and told why',
  async () => {
    const site = await openSite();
    const first = await site.start();
    const second = spawnEverlog(['up'], site.env, { cwd: site.cwd });
    stage.defer(() => second.kill('SIGKILL'));
    expect(await second.exited).toEqual({ code: 2, signal: null });
    expect(second.stderr()).toMatch(/data\/queue/);
    expect(second.stderr()).toContain('EVERLOG_QUEUE_URL');
    expect(second.stderr()).toContain(String(first.process.pid));
    expect(second.stderr()).not.toMatch(/\n\s+at /);
    // The first goes on as if nothing had happened.
    const [id = 0] = addSampleJobs(site.simulator, 1, (index) => sampleLog(500, index));
    expect((await site.simulator.deliveries.completeJob(id)).body).toBe('{"outcome":"queued"}');
    await queueAtRest(first, PROMISED_MS);
    await expectWhole(site, [id]);
  },
  DONE_TIMEOUT_MS,
);
