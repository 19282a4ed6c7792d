import { createHmac } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { openLog } from '../../../src/logger.ts';
import type { NewJob } from '../../../src/queue/catalog.ts';
import { createReceiver, type ReceiverDeps, type ReceiverHost } from '../../../src/receiver/app.ts';
import { listenHttp, type HttpListener } from '../../../src/receiver/serve.ts';

export const SECRET = 'a-webhook-secret-for-tests';
export const RECEIVED_AT = '2026-11-20T10:11:12.345Z';
const GUID = '0b989ba4-242f-11e5-81e1-c7b6966d2516';
/** A raw exchange that takes longer has hung. */
const EXCHANGE_TIMEOUT_MS = 15_000;

export const GITHUB_COM: ReceiverHost = {
  name: 'github',
  host: 'github.com',
  product: 'github.com',
  appId: 1234,
  webhookSecrets: [SECRET],
};

/** A receiver that really listens, with a queue that only remembers. */
export interface ReceiverUnderTest {
  readonly listener: HttpListener;
  readonly url: string;
  readonly jobs: NewJob[];
  /** What was counted: `[event, outcome, reason]`. */
  readonly counted: [string, string, string | null][];
  /** The log, line by line. */
  readonly lines: string[];
}

export async function startReceiver(
  deps: Partial<Pick<ReceiverDeps, 'hosts' | 'enqueue' | 'limits'>> = {},
): Promise<ReceiverUnderTest> {
  const jobs: NewJob[] = [];
  const counted: [string, string, string | null][] = [];
  const lines: string[] = [];
  const app = createReceiver({
    hosts: [GITHUB_COM],
    enqueue: (job) => {
      jobs.push(job);
      return Promise.resolve('queued');
    },
    ...deps,
    now: () => new Date(RECEIVED_AT),
    log: openLog('debug', { write: (line) => void lines.push(line) }),
    onDelivery: ({ event, outcome, reason }) => void counted.push([event, outcome, reason]),
  });
  const listener = await listenHttp({ app, host: '127.0.0.1', port: 0 });
  return { listener, url: listener.url, jobs, counted, lines };
}

/** The signature GitHub would send, computed without the product's library. */
export function signatureOf(body: string | Uint8Array, secret = SECRET): string {
  return `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
}

/** Headers of a good delivery; `null` leaves one out. */
export function deliveryHeaders(
  event: string,
  body: string | Uint8Array,
  changed: Readonly<Record<string, string | null>> = {},
): Record<string, string> {
  const all: Record<string, string | null> = {
    'content-type': 'application/json',
    'x-github-event': event,
    'x-github-delivery': GUID,
    'x-hub-signature-256': signatureOf(body),
    'x-github-hook-installation-target-type': 'integration',
    'x-github-hook-installation-target-id': '1234',
    ...changed,
  };
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(all)) if (value !== null) kept[name] = value;
  return kept;
}

export interface Answer {
  readonly status: number;
  readonly type: string | null;
  readonly allow: string | null;
  readonly body: unknown;
}

/** Sends a delivery, signed unless `changed` says otherwise. */
export async function deliver(
  url: string,
  event: string,
  body: string | Uint8Array<ArrayBuffer>,
  changed: Readonly<Record<string, string | null>> = {},
): Promise<Answer> {
  // Bytes, because fetch would give text a content type of its own.
  const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body;
  const init = { method: 'POST', body: bytes, headers: deliveryHeaders(event, body, changed) };
  return readAnswer(await fetch(url.includes('/webhooks') ? url : `${url}/webhooks`, init));
}

export async function readAnswer(response: Response): Promise<Answer> {
  return {
    status: response.status,
    type: response.headers.get('content-type'),
    allow: response.headers.get('allow'),
    body: await response.json(),
  };
}

/** A connection on which a test writes HTTP by hand. */
export interface RawConnection {
  readonly socket: Socket;
  /** Everything received, once it holds a whole answer. */
  readonly answer: Promise<string>;
  /** Resolves when the server has let go of the connection, by whatever means. */
  readonly closed: Promise<void>;
}

export function openRaw(port: number): RawConnection {
  const socket = connect(port, '127.0.0.1');
  socket.setTimeout(EXCHANGE_TIMEOUT_MS, () => socket.destroy());
  const closed = new Promise<void>((resolve) => void socket.once('close', () => resolve()));
  const answer = new Promise<string>((resolve, reject) => {
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (/\r\n\r\n\{.*\}$/s.test(text)) resolve(text);
    });
    socket.once('close', () => reject(new Error(`connection closed without an answer: ${text}`)));
    // What breaks the connection also closes it.
    socket.on('error', () => undefined);
  });
  // A test that waits for `closed` alone does not look at the answer.
  answer.catch(() => undefined);
  return { socket, answer, closed };
}

/** The head of a request written by hand. */
export function rawHead(headers: Readonly<Record<string, string>>, target = 'POST /webhooks'): string {
  const lines = Object.entries({ host: 'receiver.test', ...headers }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  return `${target} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`;
}

/** One chunk of a chunked body. */
export function rawChunk(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
}
