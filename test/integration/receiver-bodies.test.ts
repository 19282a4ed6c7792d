import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, test } from 'vitest';
import { jobPayload } from '../support/github/delivery-payloads.ts';
import {
  deliver,
  deliveryHeaders,
  openRaw,
  rawChunk,
  rawHead,
  signatureOf,
  startReceiver,
  type RawConnection,
  type ReceiverUnderTest,
} from '../support/harness/receiver-under-test.ts';

const MIB = 1024 * 1024;
const JOB = JSON.stringify(jobPayload());
const CHUNKED = { 'transfer-encoding': 'chunked' };
const WRONG = { 'x-hub-signature-256': signatureOf('something else') };

const started: ReceiverUnderTest[] = [];
const opened: RawConnection[] = [];

async function start(...deps: Parameters<typeof startReceiver>): Promise<ReceiverUnderTest> {
  const receiver = await startReceiver(...deps);
  started.push(receiver);
  return receiver;
}

function open({ listener }: ReceiverUnderTest): RawConnection {
  const connection = openRaw(listener.port);
  opened.push(connection);
  return connection;
}

afterEach(async () => {
  for (const { socket } of opened.splice(0)) socket.destroy();
  await Promise.all(started.splice(0).map(({ listener }) => listener.close(100)));
});

/** Writes until the server lets go of the connection or `bytesMax` are written; answers how many were. */
async function flood(connection: RawConnection, bytesMax: number): Promise<number> {
  const chunk = rawChunk(Buffer.alloc(64 * 1024, 0x20));
  let written = 0;
  while (written < bytesMax && connection.socket.writable) {
    await new Promise<void>((resolve) => {
      connection.socket.write(chunk, () => resolve());
    });
    written += chunk.length;
  }
  return written;
}

describe('order of checks', () => {
  const HUGE = { 'content-length': String(26 * MIB) };
  test.each([
    [
      'content type before everything',
      { 'content-type': 'text/plain', 'x-hub-signature-256': null, ...HUGE },
      415,
    ],
    ['content type before the event', { 'content-type': 'text/plain', 'x-github-event': null }, 415],
    ['event before signature', { 'x-github-event': null, 'x-hub-signature-256': null, ...HUGE }, 400],
    ['delivery id before signature', { 'x-github-delivery': null, 'x-hub-signature-256': null }, 400],
    ['signature header before size', { 'x-hub-signature-256': null, ...HUGE }, 401],
    ['size before signature', { ...WRONG, ...HUGE }, 413],
  ])('%s', async (_, changed, status) => {
    const receiver = await start();
    const connection = open(receiver);
    connection.socket.write(
      rawHead({ ...deliveryHeaders('push', '', { 'content-length': '9', ...changed }) }),
    );
    // Not one byte of the body was sent: none of these waits for it.
    expect(await connection.answer).toContain(`HTTP/1.1 ${status} `);
  });

  test.each([
    ['emptiness before signature', '', WRONG, 'malformed'],
    ['UTF-8 before signature', Uint8Array.of(0xff), WRONG, 'malformed'],
    ['signature before target', JOB, { ...WRONG, 'x-github-tenant': 'octo' }, 'bad_signature'],
    ['signature before JSON', 'not JSON', WRONG, 'bad_signature'],
    ['target before JSON', 'not JSON', { 'x-github-tenant': 'octo' }, 'wrong_target'],
    ['JSON before event', 'not JSON', {}, 'malformed'],
  ])('%s', async (_, body, changed, outcome) => {
    const { url } = await start();
    expect((await deliver(url, 'push', body, changed)).body).toMatchObject({ outcome });
  });
});

describe('size', () => {
  test('a body of exactly 25 MiB is taken, one byte more is not', async () => {
    const { url } = await start();
    const largest = Buffer.from(`"${'x'.repeat(25 * MIB - 2)}"`);
    expect(await deliver(url, 'push', largest)).toMatchObject({ status: 202, body: { outcome: 'ignored' } });
    const over = Buffer.from(`"${'x'.repeat(25 * MIB - 1)}"`);
    expect(await deliver(url, 'push', over)).toMatchObject({ status: 413, body: { outcome: 'too_large' } });
  });

  test('a chunked body is measured while it is read', async () => {
    const receiver = await start();
    const connection = open(receiver);
    const { answer, closed } = connection;
    connection.socket.write(rawHead({ ...deliveryHeaders('push', ''), ...CHUNKED }));
    const written = flood(connection, 512 * MIB);
    expect(await answer).toMatch(/^HTTP\/1\.1 413 [^]*"outcome":"too_large"/);
    await closed;
    expect(await written).toBeLessThan(512 * MIB);
  });

  test('a chunked body within the limit is taken', async () => {
    const receiver = await start();
    const { socket, answer } = open(receiver);
    socket.write(rawHead({ ...deliveryHeaders('workflow_job', JOB), ...CHUNKED }));
    for (let at = 0; at < JOB.length; at += 50) socket.write(rawChunk(Buffer.from(JOB.slice(at, at + 50))));
    socket.write('0\r\n\r\n');
    expect(await answer).toMatch(/^HTTP\/1\.1 202 [^]*\{"outcome":"queued"\}$/);
  });

  test('an unsigned body is answered while it is being sent, and never held', async () => {
    const receiver = await start();
    const connection = open(receiver);
    const { answer, closed } = connection;
    const heldBefore = heldBytes();
    let heldMost = 0;
    const watch = setInterval(() => {
      heldMost = Math.max(heldMost, heldBytes() - heldBefore);
    }, 25);
    const unsigned = deliveryHeaders('push', '', { 'x-hub-signature-256': null });
    connection.socket.write(rawHead({ ...unsigned, ...CHUNKED }));
    const written = flood(connection, 512 * MIB);
    expect(await answer).toMatch(/^HTTP\/1\.1 401 [^]*"outcome":"unsigned"/);
    await closed;
    clearInterval(watch);
    expect(await written).toBeLessThan(512 * MIB);
    expect(heldMost).toBeLessThan(16 * MIB);
  });
});

/** Bytes of buffers that something still refers to: what was read and dropped is collected first. */
function heldBytes(): number {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect !== 'function') throw new Error('this Node cannot be asked to collect garbage');
  collect();
  // What the first found is given back in the background; the second waits for that.
  collect();
  return process.memoryUsage().arrayBuffers;
}

describe('time', () => {
  test('a body that trickles is cut off at the limit, counted from its start', async () => {
    const receiver = await start({ limits: { bodyTimeoutMs: 300 } });
    const { socket, answer, closed } = open(receiver);
    socket.write(rawHead(deliveryHeaders('push', '', { 'content-length': '1000' })));
    const trickle = setInterval(() => socket.write(' '), 20);
    expect(await answer).toMatch(/^HTTP\/1\.1 408 [^]*"outcome":"timeout"/);
    await closed;
    clearInterval(trickle);
    expect(receiver.counted).toEqual([['other', 'timeout', null]]);
  });

  test('the limit is 10 s', { timeout: 20_000 }, async () => {
    const receiver = await start();
    const { socket, answer } = open(receiver);
    const sentAt = performance.now();
    socket.write(rawHead(deliveryHeaders('push', '', { 'content-length': '1000' })));
    expect(await answer).toContain('HTTP/1.1 408 ');
    const tookMs = performance.now() - sentAt;
    expect(tookMs).toBeGreaterThan(9_900);
    expect(tookMs).toBeLessThan(11_000);
  });

  test('a sender that hangs up leaves nothing behind', async () => {
    const receiver = await start({ limits: { bodiesInFlightBytesMax: 2_000 } });
    for (let n = 0; n < 5; n += 1) {
      const { socket, closed } = open(receiver);
      socket.write(rawHead(deliveryHeaders('push', '', { 'content-length': '1500' })) + 'x'.repeat(1_000));
      socket.end();
      await closed;
    }
    expect(await deliver(receiver.url, 'push', `"${'x'.repeat(1_900)}"`)).toMatchObject({ status: 202 });
    expect(receiver.jobs).toEqual([]);
  });
});

describe('bodies in flight', () => {
  test('past the limit further bodies are unavailable until room is given back', async () => {
    const receiver = await start({ limits: { bodiesInFlightBytesMax: 300_000 } });
    const { url } = receiver;
    const body = `"${'x'.repeat(99_998)}"`;
    const held = [open(receiver), open(receiver), open(receiver)];
    const head = rawHead(deliveryHeaders('push', body, { 'content-length': String(body.length) }));
    for (const { socket } of held) socket.write(head + body.slice(0, -1));
    // Whether the bytes have arrived shows only in the answer to another body.
    await expect.poll(async () => (await deliver(url, 'push', body)).status).toBe(503);
    expect((await deliver(url, 'push', body)).body).toMatchObject({ outcome: 'unavailable' });
    for (const { socket } of held) socket.write(body.slice(-1));
    for (const { answer } of held) expect(await answer).toContain('HTTP/1.1 202 ');
    expect((await deliver(url, 'push', body)).status).toBe(202);
  });

  test('large ones leave room for small ones, which say that they are', async () => {
    const limits = { smallBodiesReserveBytes: 100_000, smallBodyBytesMax: 10_000 };
    const receiver = await start({ limits: { bodiesInFlightBytesMax: 300_000, ...limits } });
    const { url } = receiver;
    const large = `"${'x'.repeat(99_998)}"`;
    const small = `"${'x'.repeat(9_000)}"`;
    const head = rawHead(deliveryHeaders('push', large, { 'content-length': String(large.length) }));
    const held = [open(receiver), open(receiver)];
    for (const { socket } of held) socket.write(head + large.slice(0, -1));
    // Whether the bytes have arrived shows only in the answer to another body.
    await expect.poll(async () => (await deliver(url, 'push', large)).status).toBe(503);
    expect((await deliver(url, 'push', small)).status).toBe(202);
    const silent = open(receiver);
    silent.socket.write(rawHead({ ...deliveryHeaders('push', ''), ...CHUNKED }));
    const written = flood(silent, 200_000);
    expect(await silent.answer).toContain('HTTP/1.1 503 ');
    silent.socket.destroy();
    await written;
    for (const { socket } of held) socket.destroy();
  });

  test('a chunked body that outgrows the room is unavailable', async () => {
    const receiver = await start({ limits: { bodiesInFlightBytesMax: 300_000, smallBodiesReserveBytes: 0 } });
    const connection = open(receiver);
    connection.socket.write(rawHead({ ...deliveryHeaders('push', ''), ...CHUNKED }));
    const written = flood(connection, 10 * MIB);
    expect(await connection.answer).toMatch(/^HTTP\/1\.1 503 [^]*"outcome":"unavailable"/);
    connection.socket.destroy();
    await written;
    expect((await deliver(receiver.url, 'ping', '{}')).status).toBe(200);
  });

  test('room is held until the queue has answered', async () => {
    let confirm: (answer: 'queued') => void = () => undefined;
    const asked = new Promise<void>((enqueued) => {
      void start({
        limits: { bodiesInFlightBytesMax: JOB.length + 10 },
        enqueue: () =>
          new Promise((resolve) => {
            confirm = resolve;
            enqueued();
          }),
      });
    });
    await expect.poll(() => started.length).toBe(1);
    const url = started[0]?.url ?? '';
    const first = deliver(url, 'workflow_job', JOB);
    await asked;
    expect((await deliver(url, 'ping', JOB)).status).toBe(503);
    confirm('queued');
    expect((await first).body).toEqual({ outcome: 'queued' });
    expect((await deliver(url, 'ping', JOB)).status).toBe(200);
  });
});
