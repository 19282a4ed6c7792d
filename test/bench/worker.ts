import { execFile } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { request } from 'undici';
import { z } from 'zod';
import { atLeast, atMost, compared, plain, type Area, type Finding } from './findings.ts';
import { everlogQueue } from './jobs.ts';
import { firstIdOf, type LogBytes } from './log-sizes.ts';
import { interleaved, type Extent } from './rounds.ts';
import {
  everlogSettings,
  hostsFile,
  openStage,
  storeSettings,
  textOf,
  type Stage,
  type Started,
} from './stage.ts';
import { newIds, work, type Workplace, type WorkSample } from './work.ts';

/** Jobs and megabytes a second, CPU and memory of the worker, from the queue to the store. */

const run = promisify(execFile);
const MEGABYTE = 1_000_000;
const peerAnswer = z.object({ seconds: z.number() });

export async function worker(extent: Extent): Promise<Area> {
  const stage = openStage();
  try {
    const place = await openWorkplace(stage);
    const findings = [
      ...(await smallLogs(stage, place, extent)),
      ...(await mediumLogs(stage, place, extent)),
      ...(await largeLogs(stage, place, extent)),
      ...(await memory(stage, place, extent)),
      await calls(stage, place),
    ];
    await place.everlogQueue.close();
    return {
      name: 'worker',
      title: 'Worker: one process, GitHub and store on this machine answer at once',
      findings,
      notes: [
        'Jobs per core are jobs per second of CPU time, all threads.',
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
  const script = join(import.meta.dirname, 'peer-worker.py');
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
  const jobs = extent.scaled(1_000, 400);
  const contestants = {
    everlog: () => work(place, everlog, 'everlog', size, jobs),
    raw: () => work(place, raw, 'raw', size, jobs),
    octokit: () => work(place, octokit, 'octokit', size, Math.round(jobs / 2)),
    python: async (): Promise<WorkSample> => {
      const count = Math.round(jobs / 5);
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

async function mediumLogs(stage: Stage, place: Workplace, extent: Extent): Promise<Finding[]> {
  const size = firstIdOf(MEGABYTE);
  const count = extent.scaled(60, 30);
  const everlog = await startEverlog(stage, place, 8, 'anywhere');
  const file = await downloaded(stage, place, size, count * MEGABYTE);
  const contestants = {
    everlog: async () => (await work(place, everlog, 'everlog', size, count)).perSecond,
    pigz: async () => count / (await compressing('pigz', ['-6', '-p2'], file)),
    python: async () => 10 / (await peerSeconds(place, MEGABYTE, 10)),
  };
  await interleaved(1, contestants);
  const of = await interleaved(extent.rounds, contestants);
  await everlog.process.kill('SIGKILL');
  const shared = { what: '1 MB logs, 8 at once', unit: 'MB/s', everlog: of('everlog') };
  return [
    compared({ ...shared, against: 'limit', name: 'pigz -p2 -6', theirs: of('pigz'), target: atLeast(1) }),
    compared({ ...shared, against: 'peer', name: 'Python', theirs: of('python') }),
  ];
}

async function largeLogs(stage: Stage, place: Workplace, extent: Extent): Promise<Finding[]> {
  const bytes = 100 * MEGABYTE;
  const size = firstIdOf(100_000_000);
  const everlog = await startEverlog(stage, place, 1, 'anywhere');
  const file = await downloaded(stage, place, size, bytes);
  const megabytes = bytes / MEGABYTE;
  const gzip = (level: string) => async (): Promise<number> =>
    megabytes / (await compressing('gzip', [level], file));
  const contestants = {
    everlog: async () => megabytes / (await work(place, everlog, 'everlog', size, 1)).seconds,
    six: gzip('-6'),
    one: gzip('-1'),
    python: async () => megabytes / (await peerSeconds(place, 100_000_000, 1)),
  };
  const of = await interleaved(extent.rounds, contestants);
  await everlog.process.kill('SIGKILL');
  const shared = { what: 'one 100 MB log', unit: 'MB/s', everlog: of('everlog') };
  return [
    compared({ ...shared, against: 'limit', name: 'gzip -6', theirs: of('six'), target: atLeast(1.15) }),
    compared({ ...shared, against: 'limit', name: 'gzip -1', theirs: of('one') }),
    compared({ ...shared, against: 'peer', name: 'Python', theirs: of('python') }),
  ];
}

/** Peaks of a process that did nothing else; once, as a peak is no rate. */
async function memory(stage: Stage, place: Workplace, extent: Extent): Promise<Finding[]> {
  const one = extent.quick
    ? { bytes: 100_000_000, what: 'one 100 MB log' }
    : { bytes: 1_000_000_000, what: 'one 1 GB log' };
  const peak = async (bytes: LogBytes, count: number): Promise<number> => {
    const everlog = await startEverlog(stage, place, 50, 'anywhere');
    await work(place, everlog, 'everlog', firstIdOf(bytes), count);
    const megabytes = (everlog.process.peakRssKb() * 1024) / MEGABYTE;
    await everlog.process.kill('SIGKILL');
    return megabytes;
  };
  const single = await peak(one.bytes === 100_000_000 ? 100_000_000 : 1_000_000_000, 1);
  const many = await peak(20_000_000, extent.scaled(50, 10));
  return [
    plain(`peak resident memory, ${one.what}`, 'MB', [single], atMost(250)),
    plain(`peak resident memory, ${extent.scaled(50, 10)} logs of 20 MB at once`, 'MB', [many], atMost(400)),
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

/** Logs of a size, one behind the other, in a file. */
async function downloaded(stage: Stage, place: Workplace, id: number, bytes: number): Promise<string> {
  const path = join(stage.folder(), 'logs');
  for (let at = 0; at < bytes;) {
    const answer = await request(`${place.githubOrigin}/log/${id}`);
    at += Number(answer.headers['content-length']);
    await pipeline(answer.body, createWriteStream(path, { flags: 'a' }));
  }
  return path;
}

/** Seconds that a compressor takes from a file to nowhere. */
async function compressing(command: string, args: readonly string[], file: string): Promise<number> {
  const startMs = performance.now();
  // Not pinned to where the benchmark itself stands aside.
  await run('sh', [
    '-c',
    'taskset -cp "$(cat /sys/devices/system/cpu/online)" $$ >/dev/null; exec "$@" >/dev/null',
    'sh',
    command,
    '-c',
    ...args,
    file,
  ]);
  return (performance.now() - startMs) / 1000;
}
