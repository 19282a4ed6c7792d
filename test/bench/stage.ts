import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Redis } from 'ioredis';
import type { ManagedProcess } from '../support/processes/processes.ts';
import { startRedis } from '../support/servers/redis-server.ts';
import { SECRET } from './areas/deliveries.ts';
import { spawnIn, type Place } from './machine.ts';

/** What an area has started, ended in reverse order by `close`. */
export interface Stage {
  /** A real Redis that appends every second, as the queue server that Everlog asks for. */
  redis(): Promise<Queue>;
  /** A script of this folder that prints one line of JSON when it is ready. */
  script(place: Place, name: string, args?: readonly string[], env?: Environment): Promise<Started>;
  /** `everlog <args>`, as it was built. */
  everlog(place: Place, args: readonly string[], env: Environment): Promise<Started>;
  folder(): string;
  close(): Promise<void>;
}

export type Environment = Readonly<Record<string, string>>;

export interface Queue {
  readonly url: string;
  readonly client: Redis;
}

export interface Started {
  readonly process: ManagedProcess;
  /** The line that it printed when it was ready. */
  readonly line: Readonly<Record<string, unknown>>;
}

const REPOSITORY = resolve(import.meta.dirname, '../..');
const START_TIMEOUT_MS = 60_000;
const QUOTED_CHARS = 2_000;

export function openStage(): Stage {
  const endings: (() => Promise<unknown> | undefined)[] = [];
  const folder = mkdtempSync(join(tmpdir(), 'everlog-bench-'));
  endings.push(() => Promise.resolve(rmSync(folder, { recursive: true, force: true })));
  let spawned = 0;

  async function start(place: Place, args: readonly string[], env: Environment): Promise<Started> {
    // What a program logs goes to a file: reading it here would slow down what drives it.
    const log = join(folder, `${(spawned += 1)}.log`);
    openSync(log, 'w');
    const child = spawnIn(place, 'sh', ['-c', 'exec "$@" 2>>"$LOG"', 'sh', process.execPath, ...args], {
      ...env,
      LOG: log,
    });
    endings.push(() => child.kill('SIGKILL'));
    try {
      const { json } = await child.waitForLine((line) => line.json !== undefined, START_TIMEOUT_MS);
      return { process: child, line: json ?? {} };
    } catch (error) {
      throw new Error(`${args.join(' ')}: ${readFileSync(log, 'utf8').slice(-QUOTED_CHARS)}`, {
        cause: error,
      });
    }
  }

  return {
    folder: () => mkdtempSync(join(folder, 'f-')),
    script: (place, name, args = [], env = {}) =>
      start(place, ['--import=tsx', join(import.meta.dirname, 'processes', name), ...args], env),
    everlog: (place, args, env) =>
      start(place, [join(REPOSITORY, 'dist/src/cli/main.js'), ...args, '--json'], env),
    async redis() {
      const server = await startRedis();
      endings.push(() => server.stop());
      const client = new Redis(server.url);
      endings.push(() => Promise.resolve(client.disconnect()));
      return { url: server.url, client };
    },
    async close() {
      for (let end = endings.pop(); end !== undefined; end = endings.pop()) await end();
    },
  };
}

/** A number or text that a program printed when it was ready. */
export function textOf({ line }: Started, name: string): string {
  const value = line[name];
  if (typeof value !== 'string' && typeof value !== 'number') throw new Error(`no ${name} was printed`);
  return String(value);
}

/** Settings of every Everlog here; a line for each delivery and job is what its default level would add. */
export function everlogSettings(queue: Queue, concurrency = 50): Record<string, string> {
  return {
    EVERLOG_QUEUE_URL: queue.url,
    EVERLOG_CONCURRENCY: String(concurrency),
    EVERLOG_LISTEN: '127.0.0.1:0',
    EVERLOG_ADMIN_LISTEN: '127.0.0.1:0',
    EVERLOG_LOG_LEVEL: 'warn',
  };
}

/** A hosts file that names the instant GitHub, read by a token. */
export function hostsFile(folder: string, origin: string): string {
  const path = join(folder, 'hosts.yaml');
  const host = {
    name: 'instant',
    api_url: `${origin}/api/v3`,
    token: 'a-token',
    webhook_secret: SECRET,
    log_hosts: [new URL(origin).host],
    private_cidrs: ['127.0.0.0/8'],
    max_concurrency: 90,
  };
  writeFileSync(path, JSON.stringify({ hosts: [host] }));
  return path;
}

/** Settings of the draining store, for Everlog and for whoever uses the AWS SDK. */
export function storeSettings(origin: string): Record<string, string> {
  return {
    EVERLOG_ARCHIVE_URL: 's3://archive/bench',
    EVERLOG_S3_FORCE_PATH_STYLE: 'true',
    AWS_ENDPOINT_URL_S3: origin,
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'bench',
    AWS_SECRET_ACCESS_KEY: 'a-secret-for-the-benchmark',
  };
}
