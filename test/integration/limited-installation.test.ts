import { afterAll, beforeAll, expect, test } from 'vitest';
import { setTimeout as delay } from 'node:timers/promises';
import type { Simulator } from '../../src/simulator/simulator.ts';
import { expectArchived, folderArchive, type ArchiveUnderTest } from '../support/oracles/archive-oracle.ts';
import {
  githubSettings,
  openStage,
  queueAtRest,
  scaled,
  type EverlogProcess,
} from '../support/harness/everlog-under-test.ts';
import { startRedis } from '../support/servers/redis-server.ts';

/** The real service over HTTP: what one installation without budget costs the others, from delivery to record. */

const INSTALLATIONS = 20;
const LIMITED = 1;
/** Fewer than one installation's jobs: were they held in slots until the limit ends, nobody else's would be archived. */
const CONCURRENCY = scaled(2, 8);
const JOBS_EACH = scaled(3, 25);
const ROUNDS = scaled(1, 5);
/** A third of what two busy cores can do. */
const ARRIVAL_MS = 30;
/** The rest of the limited installation's window: what its jobs take to arrive, and ample time for the others'. */
const WINDOW_S = Math.ceil((INSTALLATIONS * JOBS_EACH * ARRIVAL_MS) / 1_000) + 12;
const DONE_TIMEOUT_MS = 60_000;

const stage = openStage();
let simulator: Simulator;
let serve: EverlogProcess;
let archive: ArchiveUnderTest;
const repositories = new Map<number, number>();

beforeAll(async () => {
  const redis = await startRedis();
  stage.defer(() => redis.stop());
  simulator = await stage.simulator({ rateLimit: { limit: 100_000, windowMs: 3_600_000 } });
  const { world } = simulator;
  for (let id = 1; id <= INSTALLATIONS; id += 1) {
    const installationId = world.addInstallation({ id, login: `org-${id}` }).id;
    repositories.set(id, world.addRepository({ name: 'app', installationId }).id);
  }
  const folder = stage.folder();
  const env = {
    ...githubSettings(simulator),
    EVERLOG_QUEUE_URL: redis.url,
    EVERLOG_ARCHIVE_URL: folder,
    EVERLOG_CONCURRENCY: String(CONCURRENCY),
  };
  // Without upkeep: reconcile would rightly find jobs that have ended and whose delivery is still to come.
  const work = stage.everlog(['work', '--only', 'archive'], env);
  [serve] = await Promise.all([stage.everlog(['serve'], env), work]);
  simulator.deliveries.url = serve.webhooksUrl;
  archive = folderArchive(folder);
  // Connections, tokens and compiled code are the same for every round.
  await round(false);
});

afterAll(() => stage.close());

function addJob(installation: number): number {
  const { world } = simulator;
  const runId = world.addRun({ repositoryId: repositories.get(installation) ?? 0 });
  return world.addJob({ runId: world.run(runId).id, log: `of installation ${installation}\n` }).facts.id;
}

/** Jobs of twenty installations arrive in turn; gives the delays of all but the one that may be limited. */
async function round(isLimited: boolean): Promise<number[]> {
  const jobs = Array.from({ length: INSTALLATIONS * JOBS_EACH }, (_, index) => {
    const installation = (index % INSTALLATIONS) + 1;
    return { installation, id: addJob(installation) };
  });
  const resetAtS = Math.ceil(Date.now() / 1_000) + WINDOW_S;
  const fault = isLimited
    ? simulator.faults.add({ match: { installationId: LIMITED }, effect: spentUntil(resetAtS) })
    : null;
  const sent: { installation: number; id: number; atMs: number }[] = [];
  const answers: Promise<unknown>[] = [];
  for (const { installation, id } of jobs) {
    sent.push({ installation, id, atMs: Date.now() });
    answers.push(simulator.deliveries.completeJob(id));
    await delay(ARRIVAL_MS);
  }
  await Promise.all(answers);
  await delay(Math.max(0, isLimited ? resetAtS * 1_000 - Date.now() : 0));
  fault?.remove();
  expect((await queueAtRest(serve, DONE_TIMEOUT_MS)).failed).toBe(0);
  const own: number[] = [];
  const others: number[] = [];
  const delaysMs: number[] = [];
  for (const { installation, id, atMs } of sent) {
    const record = await expectArchived(archive, simulator, id);
    const recordedMs = Date.parse(String(record['recorded_at']));
    (installation === LIMITED ? own : others).push(recordedMs);
    if (installation !== LIMITED) delaysMs.push(recordedMs - atMs);
  }
  if (isLimited && Math.min(...own) < resetAtS * 1_000) throw new Error('the limit was not kept');
  if (isLimited && Math.max(...others) >= resetAtS * 1_000) throw new Error('others waited for its end');
  return delaysMs;
}

function spentUntil(resetAtS: number): { kind: 'status'; status: number; headers: Record<string, string> } {
  return {
    kind: 'status',
    status: 403,
    headers: {
      'x-ratelimit-limit': '100000',
      'x-ratelimit-remaining': '0',
      'x-ratelimit-reset': String(resetAtS),
    },
  };
}

function p95(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length * 0.95)] ?? Number.NaN;
}

test(
  'one of twenty installations limited for its whole window: the others are archived meanwhile, and its jobs follow',
  async () => {
    const free: number[] = [];
    const limited: number[] = [];
    for (let index = 0; index < ROUNDS; index += 1) {
      // In turn, so that a busy spell of the machine meets both.
      free.push(p95(await round(false)));
      limited.push(p95(await round(true)));
    }
    const figures = JSON.stringify({ free, limited });
    process.stdout.write(`one of ${INSTALLATIONS} limited, p95 of the others in ms: ${figures}\n`);
    expect(free).not.toContain(Number.NaN);
    expect(limited).not.toContain(Number.NaN);
  },
  ROUNDS * 2 * (WINDOW_S * 1_000 + DONE_TIMEOUT_MS),
);
