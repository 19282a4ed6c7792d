import { atMost, plain, type Area, type Finding, type Target } from '../findings.ts';
import { firstIdOf, type LogBytes } from './log-sizes.ts';
import { cpuUsOf } from '../machine.ts';
import type { Extent } from '../rounds.ts';
import { openStage, type Stage } from '../stage.ts';
import { work, type Workplace } from './work.ts';
import { openWorkplace, startEverlog } from './worker.ts';

/** What a worker does with logs of every size, alone and side by side: speed, CPU and memory of a process that did nothing else. */

interface Cell {
  readonly bytes: LogBytes;
  readonly atOnce: number;
  readonly jobs: number;
  /** Of the peak of its memory, in MB. */
  readonly target?: Target;
}

const CELLS_FULL: readonly Cell[] = [
  { bytes: 10_000, atOnce: 1, jobs: 200 },
  { bytes: 10_000, atOnce: 10, jobs: 1_000 },
  { bytes: 10_000, atOnce: 50, jobs: 1_000 },
  { bytes: 1_000_000, atOnce: 1, jobs: 30 },
  { bytes: 1_000_000, atOnce: 10, jobs: 100 },
  { bytes: 1_000_000, atOnce: 50, jobs: 100 },
  { bytes: 20_000_000, atOnce: 50, jobs: 50, target: atMost(400) },
  { bytes: 100_000_000, atOnce: 1, jobs: 1 },
  { bytes: 100_000_000, atOnce: 10, jobs: 10 },
  { bytes: 1_000_000_000, atOnce: 1, jobs: 1, target: atMost(250) },
];
const CELLS_QUICK: readonly Cell[] = [
  { bytes: 10_000, atOnce: 50, jobs: 300 },
  { bytes: 1_000_000, atOnce: 10, jobs: 30 },
  { bytes: 20_000_000, atOnce: 10, jobs: 10 },
];
const KILOBYTE = 1_000;
const MEGABYTE = 1_000_000;

export async function sizes(extent: Extent): Promise<Area> {
  const stage = openStage();
  try {
    const place = await openWorkplace(stage);
    const findings: Finding[] = [];
    for (const cell of extent.quick ? CELLS_QUICK : CELLS_FULL) {
      findings.push(...(await findingsOf(stage, place, cell)));
    }
    await place.everlogQueue.close();
    return {
      name: 'sizes',
      title: 'Worker by size of log and concurrency: a new process each, its start not counted',
      findings,
      notes: ['GitHub and the store run on the same cores and take their share of them.'],
    };
  } finally {
    await stage.close();
  }
}

async function findingsOf(stage: Stage, place: Workplace, cell: Cell): Promise<Finding[]> {
  const { bytes, atOnce, jobs, target } = cell;
  const everlog = await startEverlog(stage, place, atOnce, 'anywhere');
  const cpuBeforeUs = cpuUsOf(everlog.process.pid);
  const { perSecond } = await work(place, everlog, 'everlog', firstIdOf(bytes), jobs);
  const cpuMs = (cpuUsOf(everlog.process.pid) - cpuBeforeUs) / 1_000 / jobs;
  const peakMegabytes = (everlog.process.peakRssKb() * 1024) / MEGABYTE;
  await everlog.process.kill('SIGKILL');
  const what = `${sizeName(bytes)} logs, ${atOnce} at once`;
  return [
    plain(what, 'jobs/s', [perSecond]),
    plain(what, 'MB/s', [(perSecond * bytes) / MEGABYTE]),
    plain(what, 'ms CPU a job', [cpuMs]),
    plain(what, 'MB at the peak', [peakMegabytes], target),
  ];
}

function sizeName(bytes: number): string {
  if (bytes >= 1_000 * MEGABYTE) return `${bytes / 1_000 / MEGABYTE} GB`;
  return bytes >= MEGABYTE ? `${bytes / MEGABYTE} MB` : `${bytes / KILOBYTE} KB`;
}
