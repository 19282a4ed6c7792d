import type { ServerResponse } from 'node:http';
import { pipeline, Readable } from 'node:stream';
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';
import { createGzip } from 'node:zlib';
import type { FaultEffect } from '../faults.ts';
import type { LogSource } from '../logs/log-source.ts';
import { logFromBytes } from '../logs/log-source.ts';

/** What is answered to one request; a body that is a log streams. */
export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: string | LogSource | null;
}

/** After so many chunks other connections get a turn, even when the kernel takes everything at once. */
const CHUNKS_PER_TURN = 16;

export function jsonAnswer(status: number, body: unknown, headers: Record<string, string> = {}): Answer {
  return {
    status,
    headers: { 'content-type': 'application/json; charset=utf-8', ...headers },
    body: JSON.stringify(body),
  };
}

/** An error as GitHub words it: message, link to the documentation, status as a string. */
export function errorAnswer(status: number, message: string, headers: Record<string, string> = {}): Answer {
  const documentation_url = 'https://docs.github.com/rest';
  return jsonAnswer(status, { message, documentation_url, status: String(status) }, headers);
}

async function* slice(chunks: Iterable<Uint8Array>, limit: number): AsyncGenerator<Uint8Array> {
  let left = limit;
  let count = 0;
  for (const chunk of chunks) {
    if (left <= 0) return;
    yield chunk.subarray(0, left);
    left -= chunk.length;
    count += 1;
    if (count % CHUNKS_PER_TURN === 0) await nextTurn();
  }
}

/** Resolves when the other side has taken what was written, or has gone. */
async function drained(response: ServerResponse): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = () => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.on('drain', done);
    response.on('close', done);
  });
}

/** Writes with back-pressure; false when the other side has gone. */
async function writeChunks(response: ServerResponse, chunks: AsyncIterable<Uint8Array>): Promise<boolean> {
  for await (const chunk of chunks) {
    if (response.destroyed) return false;
    if (!response.write(chunk)) await drained(response);
  }
  return !response.destroyed;
}

function gzipped(chunks: Iterable<Uint8Array>): AsyncIterable<Uint8Array> {
  // An error here means that the other side has gone, which the writer notices by itself.
  return pipeline(Readable.from(chunks), createGzip(), () => undefined);
}

async function* upTo(chunks: AsyncIterable<Uint8Array>, limit: number): AsyncGenerator<Uint8Array> {
  let left = limit;
  for await (const chunk of chunks) {
    if (left <= 0) return;
    yield chunk.subarray(0, left);
    left -= chunk.length;
  }
}

/** The connection ends once what was written has been handed to the system. */
async function flushAndDestroy(response: ServerResponse): Promise<void> {
  await new Promise<void>((resolve) => {
    response.write('', () => resolve());
  });
  response.socket?.end();
  response.socket?.destroySoon();
}

async function sendBody(response: ServerResponse, log: LogSource, effect: FaultEffect | null): Promise<void> {
  const whole = Number.POSITIVE_INFINITY;
  if (effect?.kind === 'gzip') {
    const sent = await writeChunks(response, upTo(gzipped(log.chunks()), effect.cutAt ?? whole));
    if (sent) response.end();
    return;
  }
  const cut = effect?.kind === 'cut';
  const sent = await writeChunks(response, slice(log.chunks(), cut ? effect.afterBytes : whole));
  if (!sent) return;
  if (cut) await flushAndDestroy(response);
  else response.end();
}

/** Says whether the answer's framing leaves out its length. */
function isUnframed(effect: FaultEffect | null): boolean {
  if (effect?.kind === 'cut') return effect.framing === 'chunked' || effect.framing === 'close';
  return effect?.kind === 'chunked' || effect?.kind === 'gzip';
}

/** Sends an answer, spoilt by an effect if there is one. */
export async function sendAnswer(
  response: ServerResponse,
  answer: Answer,
  effect: FaultEffect | null,
): Promise<void> {
  const body = typeof answer.body === 'string' ? logFromBytes(answer.body) : answer.body;
  const headers: Record<string, string> = { ...answer.headers };
  if (!isUnframed(effect)) headers['content-length'] = String(body?.bytes ?? 0);
  if (effect?.kind === 'gzip') headers['content-encoding'] = 'gzip';
  if (effect?.kind === 'cut' && effect.framing === 'close') {
    response.useChunkedEncodingByDefault = false;
    response.shouldKeepAlive = false;
  }
  response.writeHead(answer.status, headers);
  if (body === null) {
    response.end();
    return;
  }
  response.flushHeaders();
  await sendBody(response, body, effect);
}

/** An answer that a fault gives instead of the real one, or null if the real one is still wanted. */
export function faultAnswer(effect: FaultEffect | null): Answer | 'reset' | 'hang' | null {
  switch (effect?.kind) {
    case 'status':
      return {
        ...errorAnswer(effect.status, 'Server Error', effect.headers),
        ...(effect.body === undefined ? {} : { body: effect.body }),
      };
    case 'page':
      return {
        status: effect.status,
        headers: { 'content-type': effect.contentType ?? 'text/html; charset=utf-8' },
        body: effect.body ?? '<html><head><title>Blocked</title></head><body>Blocked by policy</body></html>',
      };
    case 'redirect':
      return { status: effect.status ?? 302, headers: { location: effect.location }, body: null };
    case 'reset':
    case 'hang':
      return effect.kind;
    case 'delay':
    case 'cut':
    case 'chunked':
    case 'gzip':
    case undefined:
      return null;
  }
}

/** Waits as long as a fault says; the wait does not keep the process alive. */
export async function waitFor(delayMs: number): Promise<void> {
  if (delayMs > 0) await delay(delayMs, undefined, { ref: false });
}

/** What GitHub says of anything that the caller may not see, too. */
export function notFound(): Answer {
  return errorAnswer(404, 'Not Found');
}
