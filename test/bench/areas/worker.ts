import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { request } from 'undici';
import { z } from 'zod';
import { atLeast, atMost, compared, plain, type Area, type Finding } from '../findings.ts';
import { everlogQueue } from './jobs.ts';
import { logPipeline } from './log-pipeline.ts';
import { firstIdOf, type LogBytes } from './log-sizes.ts';
import { interleaved, type Extent } from '../rounds.ts';
import {
  everlogSettings,
  hostsFile,
  openStage,
  storeSettings,
  textOf,
  type Stage,
  type Started,
} from '../stage.ts';
import { newIds, work, type Workplace, type WorkSample } from './work.ts';

/** Jobs and megabytes a second, CPU and memory of the worker, from the queue to the store. */

const run = promisify(execFile);
const peerAnswer = z.object({ seconds: z.number() });

export async function worker(extent: Extent): Promise<Area> {
  const stage = openStage();
  try {
    const place = await openWorkplace(stage);
    const findings = [
      ...(await smallLogs(stage, place, extent)),
      ...(await logPipeline(stage, place, extent)),
      ...(await longLogs(stage, place, extent)),
      await calls(stage, place),
    ];
    await place.everlogQueue.close();
    return {
      name: 'worker',
      title: 'Worker: one process, GitHub and store on this machine answer at once',
      findings,
      notes: [
        'Jobs per core are jobs per second of CPU time, all threads.',
        'From log to gzip: what the worker does with a log between GitHub and the store, from a file, as the compressors do.',
        'Python: one log at a time, requests, gzip.compress(6) and a PUT, without record or check.',
      ],
    };
  } finally {
    await stage.close();
  }
}

export async function openWorkplace(stage: Stage): Promise<Workplace> {
  const queue = await stage.redis();
  const github = await stage.script('driving', 'github-process.ts');
  const store = await stage.script('driving', 'store-process.ts');
  return {
    queue,
    everlogQueue: everlogQueue(queue),
    githubOrigin: textOf(github, 'origin'),
    storeOrigin: textOf(store, 'origin'),
  };
}

export function startEverlog(
  stage: Stage,
  place: Workplace,
  concurrency: number,
  where: 'measured' | 'anywhere',
): Promise<Started> {
  return stage.everlog(where, ['work', '--only', 'archive'], {
    ...everlogSettings(place.queue, concurrency),
    ...storeSettings(place.storeOrigin),
    EVERLOG_CONFIG: hostsFile(stage.folder(), place.githubOrigin),
    EVERLOG_SPOOL_DIR: stage.folder(),
  });
}

function startOther(stage: Stage, place: Workplace, kind: string): Promise<Started> {
  const { queue, githubOrigin, storeOrigin } = place;
  return stage.script('measured', 'worker-process.ts', [kind, queue.url, githubOrigin, storeOrigin, '50']);
}

/** The Python peer's seconds for `count` logs of a size. */
async function peerSeconds(place: Workplace, bytes: LogBytes, count: number): Promise<number> {
  const first = newIds(firstIdOf(bytes), count);
  const script = join(import.meta.dirname, '../processes/peer-worker.py');
  const { stdout } = await run('python3', [
    script,
    place.githubOrigin,
    place.storeOrigin,
    String(first),
    String(count),
  ]);
  return peerAnswer.parse(JSON.parse(stdout)).seconds;
}

async function smallLogs(stage: Stage, place: Workplace, extent: Extent): Promise<Finding[]> {
  const size = firstIdOf(10_000);
  const everlog = await startEverlog(stage, place, 50, 'measured');
  const raw = await startOther(stage, place, 'raw');
  const octokit = await startOther(stage, place, 'octokit');
  const jobs = extent.scaled(800, 300);
  const contestants = {
    everlog: () => work(place, everlog, 'everlog', size, jobs),
    raw: () => work(place, raw, 'raw', size, jobs),
    octokit: () => work(place, octokit, 'octokit', size, Math.round(jobs / 3)),
    python: async (): Promise<WorkSample> => {
      const count = Math.round(jobs / 8);
      const seconds = await peerSeconds(place, 10_000, count);
      return { perSecond: count / seconds, perCpuSecond: 0, seconds };
    },
  };
  await interleaved(1, contestants);
  const of = await interleaved(extent.rounds, contestants);
  await Promise.all([everlog, raw, octokit].map(({ process }) => process.kill('SIGKILL')));
  const rate = (name: keyof typeof contestants): number[] => of(name).map(({ perSecond }) => perSecond);
  const perCore = (name: keyof typeof contestants): number[] =>
    of(name).map(({ perCpuSecond }) => perCpuSecond);
  const what = '10 KB logs, 50 at once';
  const jobsPerSecond = { what, unit: 'jobs/s', everlog: rate('everlog') };
  return [
    compared({
      what,
      unit: 'jobs/s per core',
      everlog: perCore('everlog'),
      against: 'limit',
      name: 'raw signed HTTP',
      theirs: perCore('raw'),
      target: atLeast(0.45),
    }),
    compared({
      ...jobsPerSecond,
      against: 'peer',
      name: 'Octokit, client-s3',
      theirs: rate('octokit'),
      target: atLeast(2.5),
    }),
    compared({ ...jobsPerSecond, against: 'peer', name: 'Python', theirs: rate('python') }),
    plain(
      'CPU for a 10 KB log',
      'ms',
      perCore('everlog').map((each) => 1000 / each),
    ),
  ];
}

/** Logs that take time to compress; beside Python alone, as GitHub and the store take a share of the same cores. */
async function longLogs(stage: Stage, place: Workplace, extent: Extent): Promise<Finding[]> {
  const medium = extent.scaled(60, 30);
  const eight = await startEverlog(stage, place, 8, 'anywhere');
  const alone = await startEverlog(stage, place, 1, 'anywhere');
  const contestants = {
    medium: async () => (await work(place, eight, 'everlog', firstIdOf(1_000_000), medium)).perSecond,
    mediumPython: async () => 10 / (await peerSeconds(place, 1_000_000, 10)),
    large: async () => 100 / (await work(place, alone, 'everlog', firstIdOf(100_000_000), 1)).seconds,
    largePython: async () => 100 / (await peerSeconds(place, 100_000_000, 1)),
  };
  const of = await interleaved(extent.rounds, contestants);
  await Promise.all([eight, alone].map(({ process }) => process.kill('SIGKILL')));
  const peer = { unit: 'MB/s', against: 'peer', name: 'Python' } as const;
  return [
    compared({
      ...peer,
      what: '1 MB logs, 8 at once',
      everlog: of('medium'),
      theirs: of('mediumPython'),
    }),
    compared({ ...peer, what: 'one 100 MB log', everlog: of('large'), theirs: of('largePython') }),
  ];
}

/** How often GitHub's API is asked for a job, with a whole rate budget and with less than half of it. */
async function calls(stage: Stage, place: Workplace): Promise<Finding> {
  const everlog = await startEverlog(stage, place, 10, 'anywhere');
  const counted = async (jobs: number): Promise<number> => {
    await apiCalls(place);
    await work(place, everlog, 'everlog', firstIdOf(10_000), jobs);
    return (await apiCalls(place)) / jobs;
  };
  const whole = await counted(100);
  await request(`${place.githubOrigin}/_remaining?1000`, { method: 'PUT' });
  await counted(20);
  const low = await counted(100);
  await everlog.process.kill('SIGKILL');
  if (low !== 1) throw new Error(`${low} calls for a job near the end of a budget`);
  return plain('GitHub calls for a job (1 near the end of a budget: checked)', 'calls', [whole], atMost(2));
}

async function apiCalls(place: Workplace): Promise<number> {
  const answer = await request(`${place.githubOrigin}/_calls`);
  return z.object({ calls: z.number() }).parse(await answer.body.json()).calls;
}
