import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { Simulator } from '../../../src/simulator/simulator.ts';
import {
  metricsOf,
  queueAtRest,
  until,
  type Environment,
  type Stage,
} from '../harness/everlog-under-test.ts';
import { spawnEverlog } from '../processes/processes.ts';
import type { S3Fake } from '../servers/s3-fake/s3-fake.ts';

/** One process of a deployment: its command and all that its environment says. */
export interface RoleSettings {
  readonly args: readonly string[];
  readonly env: Environment;
}

const DONE_TIMEOUT_MS = 60_000;
const PROXY = { 'X-Forwarded-User': 'mona', 'X-Everlog-Proxy-Secret': randomBytes(20).toString('hex') };

/** For the role that serves the page: behind a proxy, which this process plays. */
export const WEB_SETTINGS: Environment = {
  EVERLOG_WEB_AUTH: 'proxy',
  EVERLOG_WEB_PROXY_CIDRS: '127.0.0.1/32',
  EVERLOG_WEB_PROXY_SECRET: PROXY['X-Everlog-Proxy-Secret'],
};

/**
 * Has a deployment do all that its roles are for: a job and its run come in and are archived, a digest is sealed, the index is
 * written and merged by the role that writes it, and the log is looked at and downloaded. Answers the job's id.
 */
export async function putToWork(
  stage: Stage,
  simulator: Simulator,
  bucket: { readonly fake: S3Fake; readonly name: string; readonly prefix: string },
  roles: {
    readonly receiver: RoleSettings;
    readonly workers: readonly RoleSettings[];
    readonly indexer: RoleSettings;
    readonly web: RoleSettings;
  },
): Promise<number> {
  const start = ({ args, env }: RoleSettings): ReturnType<Stage['everlog']> => stage.everlog(args, env);
  const [receiver, web, ...workers] = await Promise.all([
    start(roles.receiver),
    start(roles.web),
    ...roles.workers.map(start),
  ]);
  simulator.deliveries.url = receiver.webhooksUrl;
  const { world } = simulator;
  const installationId = world.addInstallation({ login: 'octo-org' }).id;
  const repositoryId = world.addRepository({ name: 'app', installationId }).id;
  const { id: runId } = world.run(world.addRun({ repositoryId }));
  const { id: jobId } = world.addJob({ runId, log: 'from a deployment\n' }).facts;
  for (const { status } of [
    await simulator.deliveries.completeJob(jobId),
    await simulator.deliveries.run(runId, 'completed'),
  ]) {
    if (status !== 202) throw new Error(`a delivery was answered ${status}`);
  }
  const { failed } = await queueAtRest(receiver, DONE_TIMEOUT_MS);
  if (failed > 0) throw new Error(`${failed} jobs failed`);
  const has = (part: string): boolean =>
    bucket.fake.objects(bucket.name).some(({ key }) => key.startsWith(`${bucket.prefix}${part}`));
  for (const part of ['v1/runs/', 'v1/names/', 'ledger/checkpoints/', 'ledger/keys/'])
    await until(part, () => has(part), DONE_TIMEOUT_MS);
  const pending = async (): Promise<number> =>
    (await metricsOf(receiver))?.get('everlog_pending_commits') ?? Number.NaN;
  await until('all is sealed', async () => (await pending()) === 0, DONE_TIMEOUT_MS);
  // Nothing else writes to the index while it is made anew.
  await Promise.all(workers.map((worker) => worker.process.stop()));
  for (const command of ['rebuild', 'compact']) await run(['index', command, '--json'], roles.indexer.env);
  const { json } = await web.process.waitForLine(({ stream }) => stream === 'stdout', DONE_TIMEOUT_MS);
  const page = z.object({ web: z.string() }).parse(json).web;
  for (const path of ['', '/raw']) {
    const url = new URL(`/octo-org/app/actions/runs/${runId}/job/${jobId}${path}`, page);
    const answer = await fetch(url, { headers: PROXY });
    const text = await answer.text();
    if (!text.includes('from a deployment'))
      throw new Error(`${url.href} was answered ${answer.status}: ${text}`);
  }
  return jobId;
}

/** Runs a command to its end and gives what it printed. @throws Error unless it ends with one of `codes` */
export async function run(
  args: readonly string[],
  env: Environment,
  codes: readonly number[] = [0],
): Promise<string> {
  const child = spawnEverlog(args, env);
  const { code } = await child.exited;
  if (!codes.includes(code ?? -1))
    throw new Error(`everlog ${args.join(' ')} ended with ${code}: ${child.stderr()}${child.stdout()}`);
  return child.stdout();
}
