import { setTimeout as delay } from 'node:timers/promises';
import { inject } from 'vitest';
import { startSimulator, type Simulator, type SimulatorOptions } from '../../../src/simulator/simulator.ts';
import {
  removeTemporaryFolder,
  spawnEverlog,
  temporaryFolder,
  type ManagedProcess,
} from '../processes/processes.ts';
import type { S3Reach } from '../servers/s3-connection.ts';

/** The real service as child processes, against a simulated GitHub: what end-to-end tests share. */

/** A first start makes the embedded queue's database, which takes seconds on a busy machine. */
const START_TIMEOUT_MS = 60_000;
/** Nothing tells a test from outside that a gauge moved, so it is asked, this often. */
const POLL_MS = 50;
/** A probe that takes longer is asked again. */
const PROBE_TIMEOUT_MS = 10_000;

/** `SOAK=1` raises the counts of a test to those that a release is judged by. */
export function scaled(usual: number, soak: number): number {
  return process.env['SOAK'] === '1' ? soak : usual;
}

export type Environment = Readonly<Record<string, string>>;

/** One `everlog` process of the service. */
export interface EverlogProcess {
  readonly process: ManagedProcess;
  /** Where deliveries go; empty where the process receives none. */
  readonly webhooksUrl: string;
  readonly adminUrl: string;
}

/** What a test has started, ended in reverse order by `close`. */
export interface Stage {
  folder(): string;
  simulator(options?: SimulatorOptions): Promise<Simulator>;
  /** Starts `everlog <args> --json` and waits until it says its addresses. */
  everlog(args: readonly string[], env: Environment, cwd?: string): Promise<EverlogProcess>;
  /** Has `end` called by `close`. */
  defer(end: () => Promise<unknown> | undefined): void;
  close(): Promise<void>;
}

export function openStage(): Stage {
  const endings: (() => Promise<unknown> | undefined)[] = [];
  let simulators = 0;
  const defer = (end: () => Promise<unknown> | undefined): void => void endings.push(end);
  return {
    defer,
    folder() {
      const folder = temporaryFolder('everlog-e2e-');
      defer(() => Promise.resolve(removeTemporaryFolder(folder)));
      return folder;
    },
    async simulator(options = {}) {
      // As on a GHES appliance: the limits are another test's matter.
      const keys = inject('appKeys');
      const privateKeyPem = keys[simulators++ % keys.length];
      if (privateKeyPem === undefined) throw new Error('this run has no App keys');
      const simulator = await startSimulator({ rateLimit: null, privateKeyPem, ...options });
      defer(() => simulator.close());
      return simulator;
    },
    async everlog(args, env, cwd) {
      const child = spawnEverlog([...args, '--json'], env, cwd === undefined ? {} : { cwd });
      defer(() => child.kill('SIGKILL'));
      return started(child);
    },
    async close() {
      for (let end = endings.pop(); end !== undefined; end = endings.pop()) await end();
    },
  };
}

async function started(child: ManagedProcess): Promise<EverlogProcess> {
  const { json } = await child.waitForLine(
    (line) => line.stream === 'stdout' && line.json !== undefined,
    START_TIMEOUT_MS,
  );
  const url = (value: unknown): string => (typeof value === 'string' ? value : '');
  const webhooksUrl = url(json?.['webhooks']);
  return {
    process: child,
    webhooksUrl: webhooksUrl === '' ? '' : new URL('/webhooks', webhooksUrl).href,
    adminUrl: url(json?.['admin']),
  };
}

/**
 * Keeps schedules from doing anything of their own: the first pass of each comes within a minute, and without listings of
 * installations and of deliveries it does nothing. `remove` lets them.
 */
export function holdSchedules(simulator: Simulator): { remove(): void } {
  const held = ['app_installations', 'hook_deliveries'].map((route) =>
    simulator.faults.add({ match: { route }, effect: { kind: 'status', status: 503 } }),
  );
  return { remove: () => held.forEach((fault) => fault.remove()) };
}

/** Settings for a simulated GitHub as its App, and for addresses of this machine. */
export function githubSettings(simulator: Simulator): Record<string, string> {
  return {
    EVERLOG_GITHUB_API_URL: simulator.apiUrl,
    EVERLOG_GITHUB_APP_ID: String(simulator.appId),
    EVERLOG_GITHUB_PRIVATE_KEY: simulator.privateKeyPem,
    EVERLOG_GITHUB_WEBHOOK_SECRET: simulator.webhookSecret,
    EVERLOG_GITHUB_PRIVATE_CIDRS: '127.0.0.0/8',
    EVERLOG_GITHUB_LOG_HOSTS: new URL(simulator.logOrigin).host,
    EVERLOG_LISTEN: '127.0.0.1:0',
    EVERLOG_ADMIN_LISTEN: '127.0.0.1:0',
  };
}

/** Settings for an archive in a bucket. */
export function s3Settings(server: S3Reach, bucket: string, prefix: string): Record<string, string> {
  return {
    EVERLOG_ARCHIVE_URL: `s3://${bucket}/${prefix}`,
    EVERLOG_S3_FORCE_PATH_STYLE: 'true',
    AWS_ENDPOINT_URL_S3: server.endpoint,
    AWS_REGION: server.region,
    AWS_ACCESS_KEY_ID: server.accessKeyId,
    AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
  };
}

/** Waits until `check` answers something other than null or false, and gives it; rejects, quoting `explain`, after `timeoutMs`. */
export async function until<T>(
  what: string,
  check: () => Promise<T | null | false> | T | null | false,
  timeoutMs: number,
  explain: () => string = () => '',
): Promise<T> {
  const deadlineMs = Date.now() + timeoutMs;
  for (;;) {
    const found = await check();
    if (found !== null && found !== false) return found;
    if (Date.now() > deadlineMs) throw new Error(`not within ${timeoutMs} ms: ${what}\n${explain()}`);
    await delay(POLL_MS);
  }
}

/** The metrics of a process, by the text before each value; null while it does not answer. */
export async function metricsOf(everlog: EverlogProcess): Promise<ReadonlyMap<string, number> | null> {
  try {
    const answer = await fetch(`${everlog.adminUrl}/metrics`, {
      signal: AbortSignal.timeout(PROBE_TIMEOUT_MS),
    });
    if (!answer.ok) return null;
    const samples = (await answer.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    return new Map(
      samples.map((line) => {
        const at = line.lastIndexOf(' ');
        return [line.slice(0, at), Number(line.slice(at + 1))];
      }),
    );
  } catch {
    return null;
  }
}

export interface QueueGauges {
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  readonly failed: number;
}

/** Jobs of the archive queue by state; null while the process does not answer. */
export async function archiveQueue(everlog: EverlogProcess): Promise<QueueGauges | null> {
  const metrics = await metricsOf(everlog);
  const of = (state: string): number | undefined =>
    metrics?.get(`everlog_queue_jobs{queue="archive",state="${state}"}`);
  const [waiting, active, delayed, failed] = [of('waiting'), of('active'), of('delayed'), of('failed')];
  if (waiting === undefined || active === undefined || delayed === undefined || failed === undefined)
    return null;
  return { waiting, active, delayed, failed };
}

/** Waits until no job of the archive queue waits, runs or is put off; gives the gauges of that moment. */
export async function queueAtRest(everlog: EverlogProcess, timeoutMs: number): Promise<QueueGauges> {
  let last: QueueGauges | null = null;
  return until(
    'no job of the archive queue waits, runs or is put off',
    async () => {
      last = await archiveQueue(everlog);
      return last !== null && last.waiting + last.active + last.delayed === 0 ? last : null;
    },
    timeoutMs,
    () => `last gauges: ${JSON.stringify(last)}\n${everlog.process.stderr().slice(-4_000)}`,
  );
}

/** Does `work` on every item, `atOnce` at a time, and gives the results in the items' order. */
export async function each<T, R>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const queue = items.entries();
  const lane = async (): Promise<void> => {
    for (const [index, item] of queue) results[index] = await work(item);
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return results;
}
