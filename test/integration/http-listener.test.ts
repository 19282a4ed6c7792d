import { once } from 'node:events';
import { createConnection } from 'node:net';
import { Hono } from 'hono';
import type { HttpBindings } from '@hono/node-server';
import { afterEach, describe, expect, test } from 'vitest';
import { listenHttp, type HttpListener } from '../../src/receiver/serve.ts';
import { openRaw } from '../support/harness/receiver-under-test.ts';

const listeners: HttpListener[] = [];

afterEach(async () => {
  await Promise.all(listeners.splice(0).map((listener) => listener.close(0)));
});

async function listen(app: Hono): Promise<HttpListener> {
  const listener = await listenHttp({ app, host: '127.0.0.1', port: 0 });
  listeners.push(listener);
  return listener;
}

/** An application whose only answer waits to be let go. */
function createWaiting(): { app: Hono; asked: Promise<void>; letGo: () => void } {
  let letGo: () => void = () => undefined;
  let ask: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const asked = new Promise<void>((resolve) => {
    ask = resolve;
  });
  const app = new Hono().get('/', async (c) => {
    ask();
    await gate;
    return c.json({ done: true });
  });
  return { app, asked, letGo };
}

describe('what is not a request still gets JSON', () => {
  test.each([
    ['not HTTP', 'HELO receiver.test\r\n\r\n', 400, 'malformed'],
    ['no such method', 'BREW / HTTP/1.1\r\nHost: a\r\n\r\n', 400, 'malformed'],
    [
      'headers without end',
      `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`,
      431,
      'malformed',
    ],
    ['a target that is no URL', 'GET http://a:b:c/ HTTP/1.1\r\nHost: a\r\n\r\n', 400, 'malformed'],
    ['a host that is none', 'GET / HTTP/1.1\r\nHost: a b/c\r\n\r\n', 400, 'malformed'],
  ])('%s', async (_, text, status, outcome) => {
    const { port } = await listen(new Hono());
    const { socket, answer } = openRaw(port);
    socket.write(text);
    const received = await answer;
    expect(received).toContain(`HTTP/1.1 ${status} `);
    expect(received.toLowerCase()).toContain('content-type: application/json');
    expect(received).toContain(`{"outcome":"${outcome}"`);
    socket.destroy();
  });

  test('an application that throws past its own answer', async () => {
    const { url } = await listen(
      new Hono()
        .onError((error) => {
          throw error;
        })
        .get('/', () => {
          throw new Error('details for nobody');
        }),
    );
    const response = await fetch(url);
    expect(response.status).toBe(500);
    expect(await response.json()).toEqual({ outcome: 'error' });
  });
});

test('headers that do not arrive are given up after 10 s', { timeout: 20_000 }, async () => {
  const { port } = await listen(new Hono());
  const { socket, answer } = openRaw(port);
  const sentAt = performance.now();
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n');
  expect(await answer).toMatch(/^HTTP\/1\.1 408 [^]*\{"outcome":"timeout"/);
  expect(performance.now() - sentAt).toBeGreaterThan(9_900);
  socket.destroy();
});

test('an address in use is a configuration error that names it', async () => {
  const { port } = await listen(new Hono());
  await expect(listenHttp({ app: new Hono(), host: '127.0.0.1', port })).rejects.toMatchObject({
    code: 'config_invalid',
    message: expect.stringContaining(`127.0.0.1:${port}`),
  });
});

describe('closing', () => {
  test('lets a running request end, and does not wait for idle connections', async () => {
    const { app, asked, letGo } = createWaiting();
    const listener = await listen(app.get('/idle', (c) => c.json({})));
    const idle = openRaw(listener.port);
    idle.socket.write('GET /idle HTTP/1.1\r\nHost: a\r\n\r\n');
    await idle.answer;
    const running = openRaw(listener.port);
    running.socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await asked;
    const closed = listener.close(10_000);
    await idle.closed;
    letGo();
    const received = await running.answer;
    expect(received).toContain('{"done":true}');
    expect(received.toLowerCase()).toContain('connection: close');
    await closed;
    await expect(fetch(listener.url)).rejects.toThrow('fetch failed');
  });

  test('cuts what does not end in time', async () => {
    const { app, asked } = createWaiting();
    const listener = await listen(app);
    const running = openRaw(listener.port);
    running.socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await asked;
    await listener.close(50);
    await running.closed;
    await expect(running.answer).rejects.toThrow('connection closed without an answer');
  });

  test('twice is once', async () => {
    const listener = await listen(new Hono());
    await listener.close(10);
    await listener.close(10);
  });
});

test('a reader that takes nothing of its answer is let go where a listener says so', async () => {
  let gone: Promise<unknown> = Promise.resolve();
  const app = new Hono<{ Bindings: HttpBindings }>().get('/', (c) => {
    gone = once(c.env.outgoing, 'close');
    // More than the kernel takes for a reader.
    return c.body('x'.repeat(64 * 1024 * 1024));
  });
  const listener = await listenHttp({ app, host: '127.0.0.1', port: 0, idleMs: 300 });
  listeners.push(listener);
  const socket = createConnection(listener.port, '127.0.0.1').on('error', () => undefined);
  await once(socket, 'connect');
  socket.pause();
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await once(socket, 'readable');
  await gone;
  socket.destroy();
});
