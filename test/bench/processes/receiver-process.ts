/**
 * A receiver to measure Everlog's against, `receiver-process.ts KIND`, each with what the one before it lacks. It prints its port in
 * a line of JSON:
 *
 *   bare       node:http and the signature's HMAC: what any receiver has to do
 *   parsing    the same and JSON.parse
 *   hono       Hono, the signature checked by Octokit's library, and JSON.parse
 *   no-queue   Everlog's receiver, whose queue answers at once
 *   probot     Probot with an empty handler
 */
import { createHmac, generateKeyPairSync, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { Webhooks } from '@octokit/webhooks';
import { Hono } from 'hono';
import { createNodeMiddleware, createProbot } from 'probot';
import { openLog } from '../../../src/logger.ts';
import { createReceiver } from '../../../src/receiver/app.ts';
import { listenHttp } from '../../../src/receiver/serve.ts';
import { APP_ID, SECRET } from '../areas/deliveries.ts';

function readAll(incoming: IncomingMessage, done: (body: Buffer) => void): void {
  const chunks: Buffer[] = [];
  incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
  incoming.on('end', () => done(Buffer.concat(chunks)));
}

function isSigned(incoming: IncomingMessage, body: Buffer): boolean {
  const given = Buffer.from(String(incoming.headers['x-hub-signature-256']));
  const right = Buffer.from(`sha256=${createHmac('sha256', SECRET).update(body).digest('hex')}`);
  return given.length === right.length && timingSafeEqual(given, right);
}

function bare(parses: boolean): RequestListener {
  return (incoming, outgoing) => {
    readAll(incoming, (body) => {
      const signed = isSigned(incoming, body);
      if (signed && parses) JSON.parse(body.toString('utf8'));
      outgoing.writeHead(signed ? 202 : 401, { 'content-type': 'application/json' });
      outgoing.end('{"outcome":"queued"}');
    });
  };
}

function hono(): RequestListener {
  const webhooks = new Webhooks({ secret: SECRET });
  const app = new Hono();
  app.post('/webhooks', async (c) => {
    const text = await c.req.text();
    if (!(await webhooks.verify(text, c.req.header('x-hub-signature-256') ?? ''))) return c.body(null, 401);
    JSON.parse(text);
    return c.json({ outcome: 'queued' }, 202);
  });
  const listener = getRequestListener(app.fetch);
  return (incoming, outgoing) => void listener(incoming, outgoing);
}

async function probot(): Promise<RequestListener> {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
  const overrides = { appId: APP_ID, privateKey: key, secret: SECRET, webhookPath: '/webhooks' };
  let handled = 0;
  const middleware = await createNodeMiddleware(
    (app) => {
      app.on('workflow_job', () => void (handled += 1));
    },
    { probot: createProbot({ overrides, env: {} }), webhooksPath: '/webhooks' },
  );
  process.once('SIGTERM', () => process.exit(handled > 0 ? 0 : 1));
  return (incoming, outgoing) => void middleware(incoming, outgoing);
}

async function withoutQueue(): Promise<number> {
  const app = createReceiver({
    hosts: [
      { name: 'github', host: 'github.com', product: 'github.com', appId: APP_ID, webhookSecrets: [SECRET] },
    ],
    enqueue: () => Promise.resolve('queued'),
    now: () => new Date(),
    log: openLog('warn', process.stderr),
    onDelivery: () => undefined,
  });
  const listener = await listenHttp({ app, host: '127.0.0.1', port: 0 });
  return Number(new URL(listener.url).port);
}

async function listen(listener: RequestListener): Promise<number> {
  const server: Server = createServer(listener);
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', () => ready()));
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port was given');
  return address.port;
}

async function start(kind: string): Promise<number> {
  switch (kind) {
    case 'bare':
      return listen(bare(false));
    case 'parsing':
      return listen(bare(true));
    case 'hono':
      return listen(hono());
    case 'no-queue':
      return withoutQueue();
    case 'probot':
      return listen(await probot());
    default:
      throw new Error(`no receiver is called ${kind}`);
  }
}

process.stdout.write(`${JSON.stringify({ port: await start(process.argv[2] ?? '') })}\n`);
