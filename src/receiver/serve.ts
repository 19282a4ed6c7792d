import { createServer, STATUS_CODES, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { getRequestListener, RequestError, type HttpBindings } from '@hono/node-server';
import { giveUp, messageOf } from '../errors.ts';

/** Anything that answers requests as a Hono application does. */
interface HttpApp {
  fetch(request: Request, env: HttpBindings): Response | Promise<Response>;
}

interface ListenOptions {
  readonly app: HttpApp;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Cuts connections over which nothing moves for so long; default: a reader may stand still for ever. */
  readonly idleMs?: number;
}

/** A listening HTTP server. */
export interface HttpListener {
  readonly url: string;
  readonly port: number;
  /** Takes no more requests, lets running ones end for at most `drainMs` milliseconds, then cuts them. */
  close(drainMs: number): Promise<void>;
}

/** For all headers of a request, from its first byte. */
const HEADERS_TIMEOUT_MS = 10_000;
/** For a whole request: more than headers and body may take together, a last resort for bodies that nobody reads. */
const REQUEST_TIMEOUT_MS = 30_000;
/** How often the two above are looked at. */
const TIMEOUT_CHECK_INTERVAL_MS = 1_000;
/** Of an idle connection: longer than the 60 s after which common load balancers let go, so that they do so first. */
const KEEP_ALIVE_IDLE_MS = 65_000;
/** Of one request's headers together; GitHub's are under 2 KiB. */
const HEADER_BYTES_MAX = 16 * 1024;
/** Open connections; GitHub keeps far fewer, and each costs memory and a file descriptor. */
const CONNECTIONS_MAX = 10_000;

/**
 * Serves `app` on `host:port`, resolved when it listens. Also what is not HTTP at all gets a JSON answer.
 * @throws EverlogError `config_invalid` when the address cannot be listened on.
 */
export async function listenHttp({ app, host, port, idleMs }: ListenOptions): Promise<HttpListener> {
  const handle = getRequestListener((request, env) => app.fetch(request, nodeBindings(env)), {
    hostname: host,
    errorHandler: answerBrokenRequest,
  });
  const server = createServer({
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: TIMEOUT_CHECK_INTERVAL_MS,
    keepAliveTimeout: KEEP_ALIVE_IDLE_MS,
    maxHeaderSize: HEADER_BYTES_MAX,
  });
  server.maxConnections = CONNECTIONS_MAX;
  if (idleMs !== undefined) server.setTimeout(idleMs);
  server.on('clientError', answerBrokenConnection);
  const answering = new Set<ServerResponse>();
  server.on('request', (incoming, outgoing) => {
    answering.add(outgoing);
    outgoing.once('close', () => answering.delete(outgoing));
    if (!server.listening) outgoing.setHeader('Connection', 'close');
    void handle(incoming, outgoing);
  });
  await startListening(server, host, port);
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has an address');
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`,
    port: address.port,
    close: (drainMs) => closeServer(server, answering, drainMs),
  };
}

async function startListening(server: Server, host: string, port: number): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port }, () => {
        server.off('error', reject);
        resolve();
      });
    });
  } catch (error) {
    throw giveUp(
      'config_invalid',
      `cannot listen on ${host}:${port} (${messageOf(error)}): give another address in EVERLOG_LISTEN or EVERLOG_ADMIN_LISTEN`,
      error,
    );
  }
}

async function closeServer(
  server: Server,
  answering: ReadonlySet<ServerResponse>,
  drainMs: number,
): Promise<void> {
  if (!server.listening) return;
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  for (const outgoing of answering) {
    if (!outgoing.headersSent) outgoing.setHeader('Connection', 'close');
  }
  const cut = setTimeout(() => server.closeAllConnections(), drainMs);
  await closed;
  clearTimeout(cut);
}

/** The server speaks HTTP/1.1 only, which the library's types do not know. */
function nodeBindings(env: object): HttpBindings {
  if (isNodeBindings(env)) return env;
  throw new Error('a request came without its Node objects');
}

function isNodeBindings(env: object): env is HttpBindings {
  return 'incoming' in env && 'outgoing' in env;
}

/** A request whose target is not a URL, or an application that failed outside its own error answer. */
function answerBrokenRequest(error: unknown): Response {
  return error instanceof RequestError
    ? Response.json({ outcome: 'malformed', reason: 'the request target is not valid' }, { status: 400 })
    : Response.json({ outcome: 'error' }, { status: 500 });
}

/** What never became a request, or broke off inside its body. */
function answerBrokenConnection(error: Error & { readonly code?: string }, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const { status, body } = brokenConnectionAnswer(error.code);
  const text = JSON.stringify(body);
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
  );
}

function brokenConnectionAnswer(code: string | undefined): { status: number; body: object } {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return { status: 408, body: { outcome: 'timeout', reason: 'the request did not arrive in time' } };
  }
  if (code === 'HPE_HEADER_OVERFLOW') {
    return { status: 431, body: { outcome: 'malformed', reason: 'the headers are too large' } };
  }
  return { status: 400, body: { outcome: 'malformed', reason: 'the request is not valid HTTP' } };
}
