import { join } from 'node:path';
import { z } from 'zod';
import type { Simulator } from '../../../src/simulator/simulator.ts';
import { folderArchive, type ArchiveUnderTest } from '../oracles/archive-oracle.ts';
import { githubSettings, type Environment, type EverlogProcess, type Stage } from './everlog-under-test.ts';
import { spawnEverlog } from '../processes/processes.ts';

/** A folder archive and a simulated GitHub that are compared by the commands as a user runs them. */

/** What `everlog reconcile --json` and `everlog backfill --json` print. */
const reportSchema = z.looseObject({
  gaps: z.array(
    z.looseObject({
      repo: z.string(),
      job_id: z.number().nullable(),
      reason: z.string(),
      next_at: z.string().nullable(),
    }),
  ),
  queued: z.number(),
  archived: z.number(),
  absent: z.record(z.string(), z.number()),
  missing: z.number(),
  unfinished: z.number(),
  jobs: z.number(),
  runs: z.number(),
  looked_again: z.number(),
  api_calls: z.number(),
  reconciled_through: z.string().nullable(),
  skipped: z.array(z.looseObject({ account: z.string().nullable(), suspended: z.boolean() })),
});
export type Report = z.infer<typeof reportSchema>;

export interface Site {
  readonly simulator: Simulator;
  readonly cwd: string;
  readonly env: Record<string, string>;
  readonly archive: ArchiveUnderTest;
  up(): Promise<EverlogProcess>;
  /** Runs `everlog <command> --json …` to its end. */
  run(command: 'reconcile' | 'backfill', ...args: string[]): Promise<Compared>;
}

export interface Compared {
  readonly code: number | null;
  readonly report: Report;
  readonly stderr: string;
  /** Requests to the simulated API during the command, by route. */
  readonly asked: Readonly<Record<string, number>>;
}

/** Opens a site whose everlog keeps everything below a folder of its own. */
export async function openSite(stage: Stage, simulator: Simulator, env: Environment = {}): Promise<Site> {
  const cwd = stage.folder();
  const all = {
    ...githubSettings(simulator),
    EVERLOG_MISSING_LOG_RETRIES: '100ms,100ms',
    // The schedule must not do what the command is to do.
    EVERLOG_RECONCILE_INTERVAL: '30d',
    ...env,
  };
  return {
    simulator,
    cwd,
    env: all,
    archive: folderArchive(join(cwd, 'data/archive')),
    async up() {
      const everlog = await stage.everlog(['up'], all, cwd);
      simulator.deliveries.url = everlog.webhooksUrl;
      return everlog;
    },
    async run(command, ...args) {
      const before = new Map(simulator.requests.counts);
      const child = spawnEverlog([command, '--json', ...args], all, { cwd });
      stage.defer(() => child.kill('SIGKILL'));
      const { code } = await child.exited;
      const asked: Record<string, number> = {};
      for (const [route, count] of simulator.requests.counts) {
        const more = count - (before.get(route) ?? 0);
        if (more > 0) asked[route] = more;
      }
      const text = child.stdout();
      if (!text.startsWith('{')) throw new Error(`exit ${code}, no document: ${text}${child.stderr()}`);
      return { code, report: reportSchema.parse(JSON.parse(text)), stderr: child.stderr(), asked };
    },
  };
}

const HOUR_MS = 3_600_000;

/** Adds runs of one repository that were created one after another over the last hours, each with `jobs` jobs. */
export function addRuns(
  simulator: Simulator,
  repositoryId: number,
  runs: number,
  options: {
    overHours?: number;
    jobs?: (index: number) => number;
    log?: (index: number) => string | null;
  } = {},
): { runIds: number[]; jobIds: number[] } {
  const { world } = simulator;
  const { overHours = 48, jobs = () => 1, log = (index) => `log ${index}\n` } = options;
  const runIds: number[] = [];
  const jobIds: number[] = [];
  for (let index = 0; index < runs; index += 1) {
    const createdMs = world.now() - HOUR_MS - overHours * HOUR_MS * (1 - index / runs);
    const created_at = `${new Date(createdMs).toISOString().slice(0, 19)}Z`;
    const { id } = world.run(world.addRun({ repositoryId, created_at }));
    runIds.push(id);
    for (let job = 0; job < jobs(index); job += 1) {
      const input = { runId: id, completedAtMs: createdMs + 600_000, log: log(jobIds.length) };
      jobIds.push(world.addJob(input).facts.id);
    }
  }
  return { runIds, jobIds };
}

/** How often the log of each of these jobs was read. */
export function readsOf(simulator: Simulator, jobIds: readonly number[]): Map<number, number> {
  const reads = new Map(jobIds.map((id) => [id, 0]));
  for (const { route, jobId } of simulator.requests.entries) {
    if (route === 'blob' && jobId !== null) reads.set(jobId, (reads.get(jobId) ?? 0) + 1);
  }
  return reads;
}
