import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { afterEach, expect, test } from 'vitest';
import { openS3Store } from '../../src/store/s3/s3-object-store.ts';
import { LOG, textBody } from './object-samples.ts';

const HOUR_MS = 3_600_000;
const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

/** A store whose clock is `aheadMs` ahead, which takes everything and refuses a second probe. */
async function clockedStore(aheadMs: number): Promise<{ endpoint: string; seen: Seen[] }> {
  const seen: Seen[] = [];
  let probes = 0;
  const server = createServer((incoming, outgoing) => {
    const { method = '', url = '', headers } = incoming;
    seen.push({ method, url, headers });
    incoming.resume().on('end', () => {
      const isProbe = method === 'PUT' && url.includes('/probe/');
      if (isProbe) probes += 1;
      outgoing.sendDate = false;
      const date = new Date(Date.now() + aheadMs).toUTCString();
      outgoing.writeHead(isProbe && probes > 1 ? 412 : 200, { date, 'content-length': 0 }).end();
    });
  });
  servers.push(server);
  await new Promise<void>((ready) => void server.listen(0, '127.0.0.1', ready));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port was given');
  return { endpoint: `http://127.0.0.1:${address.port}`, seen };
}

function open(endpoint: string, sessionToken?: string): ReturnType<typeof openS3Store> {
  return openS3Store({
    bucket: 'b',
    prefix: 'p',
    forcePathStyle: true,
    endpoint,
    credentials: {
      accessKeyId: 'key',
      secretAccessKey: 'secret',
      ...(sessionToken === undefined ? {} : { sessionToken }),
    },
  });
}

function signedAtMs({ headers }: Seen): number {
  const [, day, time] = /^(\d{8})T(\d{6})Z$/.exec(String(headers['x-amz-date'])) ?? [];
  const iso = `${day?.replace(/(....)(..)(..)/, '$1-$2-$3')}T${time?.replace(/(..)(..)(..)/, '$1:$2:$3')}Z`;
  return Date.parse(iso);
}

test('what is sent without the SDK goes where the SDK sends, as the same client, with its credentials', async () => {
  const { endpoint, seen } = await clockedStore(0);
  const store = open(endpoint, 'a-session');
  expect((await store.putIfAbsent('a b/ü', textBody('x'), LOG)).outcome).toBe('created');
  const [bySdk] = seen;
  const direct = seen.at(-1);
  expect(bySdk?.url).toContain('x-id=PutObject');
  expect(direct?.url).toBe('/b/p/a%20b/%C3%BC');
  expect(direct?.headers['host']).toBe(bySdk?.headers['host']);
  expect(direct?.headers['user-agent']).toBe(bySdk?.headers['user-agent']);
  expect(direct?.headers['x-amz-security-token']).toBe('a-session');
  expect(direct?.headers['if-none-match']).toBe('*');
  const scope = /Credential=(key\/\d{8}\/us-east-1\/s3\/aws4_request)/;
  expect(scope.exec(String(direct?.headers['authorization']))?.[1]).toBe(
    scope.exec(String(bySdk?.headers['authorization']))?.[1],
  );
  await store.close();
});

test('the store’s clock is followed, as the SDK follows it', async () => {
  const { endpoint, seen } = await clockedStore(HOUR_MS);
  const store = open(endpoint);
  await store.putIfAbsent('first', textBody('x'), LOG);
  const last = seen.at(-1);
  if (last === undefined) throw new Error('nothing was sent');
  expect(Math.abs(signedAtMs(last) - Date.now() - HOUR_MS)).toBeLessThan(60_000);
  await store.close();
});
