import { Redis } from 'ioredis';
import { ensureServicesInstalled } from './service-packages.ts';
import {
  freePort,
  removeTemporaryFolder,
  spawnManaged,
  temporaryFolder,
  type ManagedProcess,
} from '../processes/processes.ts';

/** Loading a large append-only file on a busy machine is the slowest start there is. */
const READY_TIMEOUT_MS = 30_000;
/** A port found free may be taken before Redis binds it; five clashes in a row are no accident. */
const PORT_ATTEMPTS_MAX = 5;

export interface RedisOptions {
  /** Default true, as Everlog demands of its queue server. */
  appendonly?: boolean;
  /**
   * Default `everysec`, which answers before it has written while a disk is slow: whoever kills the server and counts what it
   * acknowledged asks for `always`.
   */
  appendfsync?: 'everysec' | 'always';
  /** Default `noeviction`, as Everlog demands of its queue server. */
  maxmemoryPolicy?: string;
  password?: string;
  /** Default: one the kernel says is free. */
  port?: number;
  /** Default: a new temporary folder, removed by `stop`. A given folder is kept. */
  dir?: string;
  extraArgs?: readonly string[];
}

export interface RedisServer {
  /** `redis://[:password@]127.0.0.1:port` */
  readonly url: string;
  readonly port: number;
  readonly dir: string;
  /** Changes with `restart`. */
  readonly pid: number;
  /** Sends `signal` and waits for the exit; SIGSTOP and SIGCONT return at once. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Starts it again on the same port and folder, killing it first if it still runs. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts a private Redis that dies with the test process. Resolves once it answers PING. */
export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  await ensureServicesInstalled('redis');
  const dir = options.dir ?? temporaryFolder('everlog-redis-');
  for (let attempt = 1; ; attempt += 1) {
    const port = options.port ?? (await freePort());
    const server = spawnRedis(options, port, dir);
    try {
      await waitUntilReady(server, port, options.password);
      return redisServer(server, options, port, dir);
    } catch (error) {
      await server.kill('SIGKILL');
      const clash = server.stdout().includes('Address already in use');
      if (clash && options.port === undefined && attempt < PORT_ATTEMPTS_MAX) continue;
      if (options.dir === undefined) removeTemporaryFolder(dir);
      throw error;
    }
  }
}

function redisServer(first: ManagedProcess, options: RedisOptions, port: number, dir: string): RedisServer {
  let server = first;
  const credentials = options.password === undefined ? '' : `:${encodeURIComponent(options.password)}@`;
  return {
    url: `redis://${credentials}127.0.0.1:${port}`,
    port,
    dir,
    get pid() {
      return server.pid;
    },
    kill: async (signal) => {
      await server.kill(signal);
    },
    restart: async () => {
      await server.kill('SIGKILL');
      server = spawnRedis(options, port, dir);
      await waitUntilReady(server, port, options.password);
    },
    stop: async () => {
      await server.kill('SIGKILL');
      if (options.dir === undefined) removeTemporaryFolder(dir);
    },
  };
}

function spawnRedis(options: RedisOptions, port: number, dir: string): ManagedProcess {
  const settings: Record<string, string> = {
    port: String(port),
    bind: '127.0.0.1',
    dir,
    daemonize: 'no',
    save: '',
    appendonly: (options.appendonly ?? true) ? 'yes' : 'no',
    appendfsync: options.appendfsync ?? 'everysec',
    'maxmemory-policy': options.maxmemoryPolicy ?? 'noeviction',
    ...(options.password === undefined ? {} : { requirepass: options.password }),
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  return spawnManaged('redis-server', [...args, ...(options.extraArgs ?? [])]);
}

async function waitUntilReady(
  server: ManagedProcess,
  port: number,
  password: string | undefined,
): Promise<void> {
  await server.waitForLine((line) => line.text.includes('Ready to accept connections'), READY_TIMEOUT_MS);
  const client = new Redis({
    host: '127.0.0.1',
    port,
    lazyConnect: true,
    retryStrategy: () => null,
    commandTimeout: READY_TIMEOUT_MS,
    ...(password === undefined ? {} : { password }),
  });
  try {
    await client.connect();
    await client.ping();
  } finally {
    client.disconnect();
  }
}
