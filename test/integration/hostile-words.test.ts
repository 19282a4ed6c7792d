import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { openFolderStore } from '../../src/store/folder/folder-object-store.ts';
import { openStage } from '../support/harness/everlog-under-test.ts';
import { makeRecord, put, storeJob } from '../support/oracles/archived-jobs.ts';
import { spawnEverlog } from '../support/processes/processes.ts';

/** Words that act on a terminal and paths that hang, wherever they come in. */
const stage = openStage();
afterAll(async () => stage.close());

const TITLE = '\u001b]0;owned\u0007';
/** Escape and bell: what every sequence that acts begins or ends with. */
const ACTING = /\p{Cc}(?<![\n\r\t])/u;
const GITHUB = {
  EVERLOG_GITHUB_TOKEN: 'ghp_none',
  EVERLOG_GITHUB_WEBHOOK_SECRET: 'secret',
  EVERLOG_LISTEN: '127.0.0.1:0',
  EVERLOG_ADMIN_LISTEN: '127.0.0.1:0',
};

test.each([
  { args: [`ls${TITLE}`] },
  { args: ['ls', '--archive', `./none${TITLE}`] },
  { args: ['verify', '--archive', `./none${TITLE}`] },
  { args: ['cat', `https://github.com/${TITLE}`] },
  { args: ['failed', 'retry', `x${TITLE}`] },
  { args: ['keys', 'revoke', TITLE, '--reason', 'r'] },
  { args: ['status'], env: { EVERLOG_ARCHIVE_URL: `./x${TITLE}` } },
  { args: ['ls'], env: { EVERLOG_SEAL_INTERVAL: TITLE, EVERLOG_QUEUE_URL: `redis://x${TITLE}` } },
])('nothing of $args acts on the terminal of whoever runs it', async ({ args, env = {} }) => {
  const child = spawnEverlog(args, env, { cwd: stage.folder() });
  expect((await child.exited).code).not.toBe(0);
  expect(child.stderr() + child.stdout()).not.toMatch(ACTING);
});

test('a custody object of a hostile name is a finding that is named harmlessly', async () => {
  const folder = stage.folder();
  const store = await openFolderStore({ folder });
  await put(store, `v1/custody/dt=2026-11-20/x${TITLE}.json`, Buffer.from(`{"${TITLE}"`));
  await put(store, `v1/custody/dt=2026-11-20/0011223344556677.json`, Buffer.from(`{"${TITLE}"`));
  await store.close();
  const child = spawnEverlog(['hold', 'ls'], { EVERLOG_ARCHIVE_URL: folder }, { cwd: folder });
  expect((await child.exited).code).toBe(4);
  expect(child.stderr() + child.stdout()).not.toMatch(ACTING);
});

const PROC = ['/proc/x', 'file:/proc/self/x', '/proc/self/fd/x/y'];

test.each([
  ...PROC.map((place) => ({ args: ['up'], env: { EVERLOG_ARCHIVE_URL: place } })),
  ...PROC.map((place) => ({
    args: ['up'],
    env: { EVERLOG_QUEUE_URL: `embedded:${place.replace('file:', '')}` },
  })),
  { args: ['up'], env: { EVERLOG_SPOOL_DIR: '/proc/self/spool' } },
  { args: ['ls'], env: { EVERLOG_ARCHIVE_URL: '/proc/x' } },
  { args: ['doctor', '--skip', 'github'], env: { EVERLOG_ARCHIVE_URL: '/proc/x' } },
])(
  '$args with $env ends at once, with an error',
  async ({ args, env }) => {
    const cwd = stage.folder();
    const child = spawnEverlog(
      args,
      { ...GITHUB, EVERLOG_ARCHIVE_URL: join(cwd, 'archive'), ...env },
      { cwd },
    );
    const { code, signal } = await child.exited;
    expect({ code, signal, said: child.stdout() + child.stderr() }).toMatchObject({
      code: expect.toSatisfy((it: unknown) => [1, 2, 3, 4].includes(Number(it))),
      signal: null,
      said: expect.stringContaining('/proc/'),
    });
    expect(child.stderr()).not.toMatch(/bug in Everlog|\n\s+at /);
  },
  30_000,
);

test('an export to a place where no folder can be made says so at once', async () => {
  const folder = stage.folder();
  const store = await openFolderStore({ folder });
  await storeJob(store, makeRecord(), 'log\n');
  const child = spawnEverlog(
    ['export', '--out', '/proc/x/y'],
    { EVERLOG_ARCHIVE_URL: folder },
    { cwd: folder },
  );
  expect((await child.exited).code).toBe(2);
  expect(child.stderr()).toContain('--out: nothing can be written at /proc/x/y');
});

test('a service that is told to stop while it starts ends with 0', async () => {
  const { server, redisUrl } = await silentServer();
  const child = spawnEverlog(['up'], { ...GITHUB, EVERLOG_QUEUE_URL: redisUrl }, { cwd: stage.folder() });
  await once(server, 'connection');
  expect(await child.kill('SIGTERM')).toEqual({ code: 0, signal: null });
});

/** A queue server that takes connections and never answers. */
async function silentServer(): Promise<{ server: Server; redisUrl: string }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => void sockets.add(socket.on('error', () => undefined)));
  stage.defer(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
    return undefined;
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port was given');
  return { server, redisUrl: `redis://127.0.0.1:${address.port}` };
}
