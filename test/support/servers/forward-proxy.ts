import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** A proxy as companies have them: forwards plain requests, and tunnels where it is asked to. */
export interface ForwardProxy {
  /** `http://[user:password@]127.0.0.1:port` */
  readonly url: string;
  /** What went through: `GET http://host:port` and `CONNECT host:port`. */
  readonly seen: readonly string[];
  /** How many requests came without the right user and password. */
  readonly refused: number;
  close(): Promise<void>;
}

export interface ForwardProxyOptions {
  /** Where names lead that only the proxy can resolve; others are resolved as usual. */
  readonly names?: Readonly<Record<string, string>>;
  /** `user:password` that it demands. */
  readonly credentials?: string;
  /** Ports that it tunnels to; others are refused, as most proxies do. Default: all. */
  readonly tunnelPorts?: readonly number[];
}

export async function startForwardProxy(options: ForwardProxyOptions = {}): Promise<ForwardProxy> {
  const { names = {}, credentials, tunnelPorts } = options;
  const seen: string[] = [];
  const sockets = new Set<Duplex>();
  let refused = 0;
  const expected = credentials === undefined ? null : Buffer.from(credentials).toString('base64');

  function isAllowed(incoming: IncomingMessage): boolean {
    if (expected === null || incoming.headers['proxy-authorization'] === `Basic ${expected}`) return true;
    refused += 1;
    return false;
  }

  function forward(incoming: IncomingMessage, response: ServerResponse): void {
    const target = URL.canParse(incoming.url ?? '') ? new URL(incoming.url ?? '') : null;
    if (target === null || !isAllowed(incoming)) {
      incoming.resume();
      response.writeHead(target === null ? 400 : 407, { 'proxy-authenticate': 'Basic realm="test"' }).end();
      return;
    }
    seen.push(`${incoming.method ?? ''} ${target.origin}`);
    const { 'proxy-authorization': _, 'proxy-connection': __, ...headers } = incoming.headers;
    const { hostname, port, pathname, search } = target;
    const onward = request(
      {
        host: names[hostname] ?? hostname,
        port: port === '' ? 80 : Number(port),
        path: pathname + search,
        method: incoming.method,
        headers,
      },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
        answer.pipe(response);
      },
    );
    onward.on('error', () => response.destroy());
    incoming.pipe(onward);
  }

  function tunnel(incoming: IncomingMessage, socket: Duplex, head: Buffer): void {
    sockets.add(socket);
    socket.on('error', () => undefined);
    const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(incoming.url ?? '') ?? [];
    if (!isAllowed(incoming)) {
      socket.end(
        'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="test"\r\n\r\n',
      );
      return;
    }
    if (tunnelPorts !== undefined && !tunnelPorts.includes(Number(port))) {
      socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
      return;
    }
    seen.push(`CONNECT ${host}:${port}`);
    const onward: Socket = connect(Number(port), names[host] ?? host, () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      onward.write(head);
      onward.pipe(socket);
      socket.pipe(onward);
    });
    sockets.add(onward);
    onward.on('error', () => socket.destroy());
  }

  const server = createServer(forward);
  server.on('connect', tunnel);
  await new Promise<void>((listening) => {
    server.listen(0, '127.0.0.1', listening);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  return {
    url: `http://${credentials === undefined ? '' : `${credentials}@`}127.0.0.1:${address.port}`,
    seen,
    get refused() {
      return refused;
    },
    close: () =>
      new Promise((closed) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}
