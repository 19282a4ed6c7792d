import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Browser } from 'playwright-core';
import { request } from 'undici';
import { commitLog, draftFrom } from '../../../src/archive/commit.ts';
import { openFolderStore } from '../../../src/store/folder/folder-object-store.ts';
import { spoolLog } from '../../../src/spool/spool.ts';
import { openSpool } from '../../../src/spool/spool-space.ts';
import { defaultSteps } from '../../../src/simulator/logs/default-job.ts';
import { generatedLog } from '../../../src/simulator/logs/log-text.ts';
import { makeRecord } from '../../support/oracles/archived-jobs.ts';
import { startBrowser } from '../../support/web/browser.ts';
import { atMost, plain, type Area, type Finding } from '../findings.ts';
import { cpuUsOf } from '../machine.ts';
import type { Extent } from '../rounds.ts';
import { openStage } from '../stage.ts';

/** What pages of logs cost: on the wire, in the server, and in a real browser. */

const KB = 1_000;
const MB = 1_000_000;
const READERS = 100;
const RUN = '/octo-org/Octo-Repo/actions/runs/29679449';

/** The logs that are looked at, by the job that has each. */
const LOGS = { lines5000: 1, lines10000: 2, mb16: 3, gb1: 4 } as const;

interface Server {
  readonly url: string;
  readonly pid: number;
}

export async function web(extent: Extent): Promise<Area> {
  const stage = openStage();
  let browser: Browser | null = null;
  try {
    const folder = stage.folder();
    await archiveOf(folder, extent.scaled(1_000, 200));
    const start = async (): Promise<Server> => {
      const { line } = await stage.script('measured', 'web-process.ts', [folder]);
      return { url: String(line['url']), pid: Number(line['pid']) };
    };
    const server = await start();
    await get(`${server.url}${jobPath(LOGS.lines5000)}`);
    browser = await startBrowser();
    const findings = [
      ...(await smallPage(server, browser)),
      ...(await windows(await start())),
      await find(server, browser),
      ...(await largest(await start(), extent.scaled(1_000, 200))),
      await readers(server),
    ];
    return {
      name: 'web',
      title: 'Web page: on a folder archive; CPU of the server alone unless said otherwise',
      findings,
      notes: ['The page in the browser is measured from its request until it stands still.'],
    };
  } finally {
    await browser?.close();
    await stage.close();
  }
}

function jobPath(id: number): string {
  return `${RUN}/job/${id}`;
}

/** A page of 5,000 lines: bytes, and what the browser's main thread does with it. */
async function smallPage(server: Server, browser: Browser): Promise<Finding[]> {
  const url = `${server.url}${jobPath(LOGS.lines5000)}`;
  const { wire } = await get(url);
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send('Performance.enable');
  const taskSeconds = async (): Promise<number> => {
    const { metrics } = await session.send('Performance.getMetrics');
    return metrics.find(({ name }) => name === 'TaskDuration')?.value ?? 0;
  };
  const seconds: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    await page.goto('about:blank');
    const before = await taskSeconds();
    await page.goto(url, { waitUntil: 'load' });
    await page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))');
    seconds.push((await taskSeconds()) - before);
  }
  await context.close();
  return [
    plain('5,000 lines: bytes on the wire', 'KB', [wire / KB], atMost(100)),
    plain(
      '5,000 lines: main thread of the browser',
      'ms',
      seconds.map((it) => it * 1_000),
      atMost(100),
    ),
  ];
}

/** A window of a 16 MB log, when nothing is known of it and when it is. */
async function windows(server: Server): Promise<Finding[]> {
  await get(`${server.url}${jobPath(LOGS.lines5000)}`);
  const url = `${server.url}${jobPath(LOGS.mb16)}`;
  const cold = await cpuMsOf(server, () => get(url));
  const cached: number[] = [];
  for (let round = 0; round < 5; round += 1) cached.push((await cpuMsOf(server, () => get(url))).ms);
  return [
    plain('16 MB log: first window, cold', 'ms of CPU', [cold.ms], atMost(300)),
    plain('16 MB log: a window, known', 'ms of CPU', cached, atMost(50)),
    plain('16 MB log: a window on the wire', 'KB', [cold.answer.wire / KB], atMost(30)),
  ];
}

/** The browser's own find, through to the last line of 10,000. */
async function find(server: Server, browser: Browser): Promise<Finding> {
  const page = await browser.newPage();
  await page.goto(`${server.url}${jobPath(LOGS.lines10000)}`);
  const code = `(() => {
    for (const part of document.querySelectorAll('details')) part.open = true;
    const startMs = performance.now();
    const found = window.find('the very last needle');
    return [found, performance.now() - startMs];
  })()`;
  const answer: unknown = await page.evaluate(code);
  const [found, ms] = Array.isArray(answer) ? answer : [];
  if (found !== true || typeof ms !== 'number') throw new Error('the browser did not find the last line');
  await page.close();
  return plain('10,000 lines: the browser’s find, to the end', 's', [ms / 1_000], atMost(1));
}

async function largest(server: Server, megabytes: number): Promise<Finding[]> {
  await get(`${server.url}${jobPath(LOGS.lines5000)}`);
  const idleMb = memoryMbOf(server.pid, 'VmRSS');
  const { ms } = await cpuMsOf(server, () => get(`${server.url}${jobPath(LOGS.gb1)}`));
  const mostMb = memoryMbOf(server.pid, 'VmHWM');
  return [
    plain(`${megabytes} MB log: first window`, 's of CPU', [ms / 1_000], atMost(2.5)),
    plain(`${megabytes} MB log: memory over idle, at most`, 'MB', [mostMb - idleMb], atMost(150)),
  ];
}

async function readers(server: Server): Promise<Finding> {
  const url = `${server.url}${jobPath(LOGS.lines5000)}`;
  const { ms } = await cpuMsOf(server, () => Promise.all(Array.from({ length: READERS }, () => get(url))));
  return plain(`${READERS} readers at once of 5,000 lines`, 's of CPU', [ms / 1_000], atMost(2.5));
}

async function get(url: string): Promise<{ readonly wire: number }> {
  const { statusCode, body } = await request(url, { headers: { 'accept-encoding': 'gzip' } });
  const bytes = await body.arrayBuffer();
  if (statusCode !== 200) throw new Error(`${url} answered ${statusCode}`);
  return { wire: bytes.byteLength };
}

/** The CPU that a server takes for some work; clocks of processes tick every 10 ms. */
async function cpuMsOf<T>(
  { pid }: Server,
  work: () => Promise<T>,
): Promise<{ readonly ms: number; readonly answer: T }> {
  await sleep(100);
  const before = cpuUsOf(pid);
  const answer = await work();
  return { ms: (cpuUsOf(pid) - before) / 1_000, answer };
}

function memoryMbOf(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const [, kib = '0'] =
    new RegExp(`${field}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? [];
  return (Number(kib) * 1_024) / MB;
}

async function archiveOf(folder: string, gigabyteMb: number): Promise<void> {
  await addJob(folder, LOGS.lines5000, linesOf(5_000));
  await addJob(folder, LOGS.lines10000, linesOf(9_999, 'the very last needle\n'));
  await addJob(folder, LOGS.mb16, bytesOf(16 * MB));
  await addJob(folder, LOGS.gb1, bytesOf(gigabyteMb * MB));
}

/** Lines of 68 characters, stamp included, as the measured prototype had them. */
async function* linesOf(count: number, last = ''): AsyncGenerator<Buffer> {
  const lines = Array.from({ length: count }, (_, at) => {
    const second = String(at % 60).padStart(2, '0');
    return `2026-11-20T10:00:${second}.1234567Z line ${at} of a log, with some more words\n`;
  });
  yield Buffer.from(lines.join('') + last);
}

async function* bytesOf(bytes: number): AsyncGenerator<Buffer> {
  const [startMs, endMs] = [Date.parse('2026-11-20T10:00:00Z'), Date.parse('2026-11-20T11:00:00Z')];
  const steps = defaultSteps(startMs, endMs, 'failure');
  const text = { seed: 1, jobName: 'build', repository: 'octo-org/octo-repo', steps, bytes };
  for (const chunk of generatedLog(text).chunks()) yield Buffer.from(chunk);
}

async function addJob(folder: string, id: number, source: AsyncIterable<Buffer>): Promise<void> {
  const store = await openFolderStore({ folder });
  const space = await openSpool(4_000 * MB).take(MB);
  const spool = await spoolLog(source, space, {
    folder,
    logBytesMax: 4_000 * MB,
    storedBytesMax: 4_000 * MB,
    temporaryName: () => `bench-${id}`,
  });
  if (spool.kind !== 'spooled') throw new Error('the log did not fit');
  const [startMs, endMs] = [Date.parse('2026-11-20T10:00:00Z'), Date.parse('2026-11-20T11:00:00Z')];
  const steps = defaultSteps(startMs, endMs, 'failure');
  const record = makeRecord({ job_id: id, conclusion: 'failure', job: { steps } });
  const { host, owner, repo, run_id } = record;
  const address = { host, owner, repo, runId: run_id, runAttempt: 1, jobId: id };
  await commitLog(
    store,
    { address, dt: '2026-11-20', draft: draftFrom(record), prior: null },
    spool.log,
    spool.log.bytes,
  );
  await spool.log.release();
  await store.close();
}
