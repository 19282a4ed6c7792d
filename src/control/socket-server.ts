import { createServer } from 'node:http';
import { mkdtemp, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { getRequestListener } from '@hono/node-server';
import { Hono } from 'hono';
import { messageOf } from '../errors.ts';
import { serveRequest, type ServiceControl } from './requests.ts';

/**
 * The service's local socket: how commands reach the process that owns an embedded queue. Whoever may open it may do
 * what the service's own user may, so it lives in a folder that only that user can enter.
 */
export interface ControlSocket {
  readonly path: string;
  close(): Promise<void>;
}

/** Where the queue's folder says which socket its owner listens on. */
export const SOCKET_NOTE = 'control-socket';
/** Without group and others, also for whatever the system call itself makes. */
const PRIVATE_UMASK = 0o077;
const SOCKET_NAME = 's';
/** What a socket's path may hold on the systems that allow least; Linux allows four more. */
const SOCKET_PATH_BYTES_MAX = 103;

/** Listens on a socket of its own and notes its path in the queue's folder. */
export async function listenForCommands(
  queueFolder: string,
  control: ServiceControl,
): Promise<ControlSocket> {
  await removeStaleSocket(queueFolder);
  // A queue's folder may lie deep: so the socket lives elsewhere.
  const folder = await mkdtemp(join(shortFolder(), 'everlog-'));
  const path = join(folder, SOCKET_NAME);
  const app = controlApp(control);
  const listener = getRequestListener((request) => app.fetch(request));
  const server = createServer((incoming, outgoing) => void listener(incoming, outgoing));
  const umask = process.umask(PRIVATE_UMASK);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
  } finally {
    process.umask(umask);
  }
  await writeFile(join(queueFolder, SOCKET_NOTE), path, { mode: 0o600 });
  return {
    path,
    async close() {
      await rm(join(queueFolder, SOCKET_NOTE), { force: true });
      server.closeAllConnections();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** The system's temporary folder, unless it lies too deep itself. */
function shortFolder(): string {
  const temporary = tmpdir();
  const path = join(temporary, 'everlog-XXXXXX', SOCKET_NAME);
  return Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX ? temporary : '/tmp';
}

/** Who owns the queue now knows that a socket noted earlier has nobody behind it. */
async function removeStaleSocket(queueFolder: string): Promise<void> {
  try {
    const path = await readFile(join(queueFolder, SOCKET_NOTE), 'utf8');
    if (basename(path) !== SOCKET_NAME) return;
    await rm(path, { force: true });
    await rmdir(dirname(path));
  } catch {
    // There was none, or it is gone: tidying is all that this is for.
  }
}

function controlApp(control: ServiceControl): Hono {
  const app = new Hono();
  app.post('/', async (c) => {
    const body: unknown = await c.req.json().catch(() => null);
    try {
      const answer = serveRequest(control, body);
      if (answer === null)
        return c.json({ error: 'this service does not know the request: is it another version?' }, 400);
      return c.json({ answer: (await answer) ?? true });
    } catch (error) {
      return c.json({ error: messageOf(error) }, 503);
    }
  });
  return app;
}
