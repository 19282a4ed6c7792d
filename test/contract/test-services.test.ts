import { Redis } from 'ioredis';
import { existsSync, readFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { spawnEverlog, spawnManaged, type ManagedProcess } from '../support/processes/processes.ts';
import { startRedis, type RedisServer } from '../support/servers/redis-server.ts';

const started: (ManagedProcess | RedisServer)[] = [];

afterEach(async () => {
  for (const one of started.splice(0)) await one.stop();
});

async function redis(...options: Parameters<typeof startRedis>): Promise<RedisServer> {
  const server = await startRedis(...options);
  started.push(server);
  return server;
}

async function withClient<T>(url: string, use: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url, { retryStrategy: () => null });
  try {
    return await use(client);
  } finally {
    client.disconnect();
  }
}

describe('a private Redis', () => {
  test('starts durable and without eviction, and keeps its data over a kill', async () => {
    const server = await redis();
    await withClient(server.url, async (client) => {
      expect(await client.config('GET', 'appendonly')).toEqual(['appendonly', 'yes']);
      expect(await client.config('GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'noeviction']);
      expect(await client.config('GET', 'save')).toEqual(['save', '']);
      await client.set('kept', 'yes');
    });
    const firstPid = server.pid;
    await server.kill('SIGKILL');
    await server.restart();
    expect(server.pid).not.toBe(firstPid);
    expect(await withClient(server.url, async (client) => client.get('kept'))).toBe('yes');
  });

  test('can be started the way Everlog refuses, and with a password', async () => {
    const server = await redis({ appendonly: false, maxmemoryPolicy: 'allkeys-lru', password: 'p@ss/word' });
    await withClient(server.url, async (client) => {
      expect(await client.config('GET', 'appendonly')).toEqual(['appendonly', 'no']);
      expect(await client.config('GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'allkeys-lru']);
    });
  });

  test('stops for good and removes its folder', async () => {
    const server = await redis();
    await server.stop();
    expect(existsSync(server.dir)).toBe(false);
  });

  test('a port that is taken is reported when it was asked for', async () => {
    const server = await redis();
    await expect(startRedis({ port: server.port })).rejects.toThrow('Address already in use');
  });
});

describe('a managed process', () => {
  const script = `
    process.on('SIGTERM', () => process.exit(3));
    console.log('plain');
    console.error(JSON.stringify({ level: 'info', port: 7 }));
    setInterval(() => {}, 1000);`;

  function spawnScript(text: string): ManagedProcess {
    const child = spawnEverlog(['-e', text], { GREETING: 'hello' }, { entry: [] });
    started.push(child);
    return child;
  }

  test('gives its lines, parsed where they are JSON, and its exit code', async () => {
    const child = spawnScript(script);
    const line = await child.waitForLine((seen) => seen.json?.['port'] === 7, 10_000);
    expect(line.stream).toBe('stderr');
    expect((await child.waitForLine((seen) => seen.text === 'plain', 10_000)).stream).toBe('stdout');
    const rssKb = child.rssKb();
    expect(rssKb).toBeGreaterThan(1000);
    expect(child.peakRssKb()).toBeGreaterThanOrEqual(rssKb);
    expect(await child.kill()).toEqual({ code: 3, signal: null });
    expect(child.running).toBe(false);
  });

  test('sees only the environment it was given', async () => {
    const child = spawnScript('console.log(JSON.stringify(process.env))');
    const line = await child.waitForLine((seen) => seen.json !== undefined, 10_000);
    expect(line.json?.['GREETING']).toBe('hello');
    expect(line.json?.['VITEST']).toBeUndefined();
    expect(await child.exited).toEqual({ code: 0, signal: null });
  });

  test('fails a wait when it ends, quoting what it said', async () => {
    const child = spawnScript('console.error("bad news")');
    await expect(child.waitForLine((line) => line.text === 'never', 10_000)).rejects.toThrow('bad news');
  });

  test('keeps at most 1 MiB of output, the newest', async () => {
    const child = spawnScript('for (let i = 0; i < 40000; i += 1) console.log(String(i).padStart(60, "x"))');
    await child.exited;
    expect(child.stdout().length).toBeLessThanOrEqual(1024 * 1024);
    expect(child.stdout().endsWith('39999\n')).toBe(true);
  });

  test('dies with its parent, even when that is killed outright', async () => {
    const parentScript = `
      const { spawnManaged } = await import(${JSON.stringify(new URL('../support/processes/processes.ts', import.meta.url).href)});
      console.log(JSON.stringify({ pid: spawnManaged('sleep', ['1000']).pid }));`;
    const parent = spawnManaged(process.execPath, [
      '--import=tsx',
      '--input-type=module',
      '-e',
      parentScript,
    ]);
    started.push(parent);
    const line = await parent.waitForLine((seen) => seen.json !== undefined, 20_000);
    const child = Number(line.json?.['pid']);
    await parent.kill('SIGKILL');
    await expect.poll(() => isAlive(child), { timeout: 5000 }).toBe(false);
  });
});

/** A process that has ended but was not yet collected by its new parent counts as dead. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
