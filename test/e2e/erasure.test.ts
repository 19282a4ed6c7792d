import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { z } from 'zod';
import { openStage, queueAtRest, type Stage } from '../support/harness/everlog-under-test.ts';
import { spawnEverlog } from '../support/processes/processes.ts';
import { addRuns, openSite, readsOf, type Site } from '../support/harness/reconcile-under-test.ts';

/** What is erased on request stays erased, can be told from what was taken away, and is sealed. */

const TIMEOUT_MS = 120_000;
const REST_TIMEOUT_MS = 60_000;
const SECRET = 'ghp_leaked-by-accident';

let stage: Stage = openStage();

afterEach(async () => {
  await stage.close();
  stage = openStage();
});

async function everlog(
  site: Site,
  ...args: string[]
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawnEverlog(args, site.env, { cwd: site.cwd });
  stage.defer(() => child.kill('SIGKILL'));
  const { code } = await child.exited;
  return { code, stdout: child.stdout(), stderr: child.stderr() };
}

const purgedSchema = z.object({
  sealed_by: z.number(),
  jobs: z.array(
    z.object({
      job_id: z.number(),
      removed: z.number(),
      erased: z.array(z.string()),
      custody: z.array(z.string()),
      held_by: z.array(z.string()),
      locked: z.array(z.unknown()),
    }),
  ),
  missing: z.array(z.string()),
});

async function purged(site: Site, ...args: string[]): Promise<z.infer<typeof purgedSchema>> {
  const { code, stdout, stderr } = await everlog(site, 'purge', '--yes', '--json', ...args);
  expect({ code, stderr }).toEqual({ code: 0, stderr });
  return purgedSchema.parse(JSON.parse(stdout));
}

const verdictSchema = z.looseObject({ result: z.string().optional(), key: z.string().nullish() });

async function verdicts(site: Site): Promise<{ code: number | null; results: string[]; stdout: string }> {
  const { code, stdout } = await everlog(site, 'verify', '--json');
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => verdictSchema.parse(JSON.parse(line)));
  return { code, stdout, results: lines.flatMap(({ result }) => (result === undefined ? [] : [result])) };
}

test(
  'a purged job is erased, sealed, told apart from a missing one, and never fetched again',
  async () => {
    const simulator = await stage.simulator();
    const site = await openSite(stage, simulator, { EVERLOG_SEAL_INTERVAL: '1h' });
    const installationId = simulator.world.addInstallation({ login: 'Octo-Org' }).id;
    const { id } = simulator.world.addRepository({ name: 'Repo', installationId });
    const { jobIds } = addRuns(simulator, id, 4, { log: (index) => `log ${index} says ${SECRET}\n` });
    const [first = 0, second = 0, third = 0] = jobIds;
    const service = await site.up();
    for (const jobId of jobIds) await simulator.deliveries.completeJob(jobId);
    await queueAtRest(service, REST_TIMEOUT_MS);

    const plain = await purged(site, '--job', String(first), '--reason', `leaked`);
    expect(plain.jobs).toMatchObject([{ job_id: first, removed: 1, held_by: [], locked: [] }]);
    const whole = await purged(
      site,
      '--job',
      `127.0.0.1/${second}`,
      '--record',
      '--reason',
      'duty of erasure',
    );
    expect(whole.jobs).toMatchObject([{ job_id: second, removed: 2 }]);
    expect(whole.sealed_by).toBeGreaterThan(plain.sealed_by);
    const kept = await site.archive.versions();
    expect(kept.filter((key) => key.startsWith('v1/logs/'))).toHaveLength(2);
    expect(kept.filter((key) => key.includes(`/${second}.`))).toEqual(whole.jobs[0]?.erased);

    const good = await verdicts(site);
    expect({ code: good.code, stdout: good.stdout }).toEqual({ code: 0, stdout: good.stdout });
    expect(good.results).toContain('ERASED');

    // A redelivery, and the look of reconcile: the archive has its answer.
    for (const jobId of [first, second]) await simulator.deliveries.completeJob(jobId);
    await queueAtRest(service, REST_TIMEOUT_MS);
    expect(await site.run('reconcile')).toMatchObject({
      code: 0,
      report: { queued: 0, missing: 0, looked_again: 0, archived: 2, absent: { erased: 2 } },
    });
    expect([...readsOf(simulator, jobIds).values()]).toEqual([1, 1, 1, 1]);
    expect((await site.archive.versions()).filter((key) => key.startsWith('v1/logs/'))).toHaveLength(2);

    const listed = await everlog(site, 'ls', '--outcome', 'erased', '--json');
    expect(listed.stdout.trim().split('\n')).toHaveLength(2);
    const printed = await everlog(site, 'cat', String(first));
    expect(printed).toMatchObject({ code: 3 });
    expect(printed.stderr).toContain('removed on request');

    // What goes without a custody object is missing, whoever took it.
    const log = kept.find((key) => key.startsWith('v1/logs/') && key.includes(`-${third}.`)) ?? '';
    await rm(join(site.cwd, 'data/archive', log));
    const bad = await verdicts(site);
    expect(bad.code).toBe(4);
    expect(bad.results).toContain('MISSING');
    expect((await service.process.stop()).code).toBe(0);
  },
  TIMEOUT_MS,
);
