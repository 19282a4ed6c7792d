import { request } from 'node:http';
import { createServer } from 'node:https';

/** An https address before a plain server. */
export interface TlsFront {
  readonly port: number;
  /** Where redirects to a plain origin are made to lead instead. */
  readonly origins: Map<string, string>;
  close(): Promise<void>;
}

/** Starts one on an address of this machine. */
export async function startTlsFront(
  target: string,
  certificates: { readonly key: string; readonly cert: string },
  host = '127.0.0.1',
): Promise<TlsFront> {
  const origins = new Map<string, string>();
  const { hostname, port } = new URL(target);
  const { key, cert } = certificates;
  const server = createServer({ key, cert }, (incoming, response) => {
    const { url: path, method, headers } = incoming;
    const onward = request({ host: hostname, port, path, method, headers }, (answer) => {
      const { location } = answer.headers;
      const from = location === undefined ? undefined : new URL(location).origin;
      const to = from === undefined ? undefined : origins.get(from);
      if (location !== undefined && from !== undefined && to !== undefined) {
        answer.headers.location = location.replace(from, to);
      }
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    incoming.pipe(onward);
  });
  await new Promise<void>((listening) => {
    server.listen(0, host, listening);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the front has no port');
  return {
    port: address.port,
    origins,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}
