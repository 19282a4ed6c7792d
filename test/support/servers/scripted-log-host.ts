import { createServer, type Socket } from 'node:net';
import type { Stage } from '../harness/everlog-under-test.ts';

/** A log host that answers each request with bytes written by hand, and notes what was asked. */
export interface ScriptedLogHost {
  readonly origin: string;
  /** `host:port`, as an allow-list takes it. */
  readonly authority: string;
  /** Connections opened so far. */
  readonly connections: number;
  /** The targets asked for, queries included, in order. */
  readonly targets: readonly string[];
  /** Everything received, in latin1. */
  readonly received: readonly string[];
}

/** What is sent for a request: the whole answer, head included. Null ends the connection without an answer. */
export type Script = (target: string) => Buffer | null;

const HEAD_BYTES_MAX = 64 * 1024;

export async function startScriptedLogHost(
  stage: Stage,
  script: Script,
  address = '127.0.0.1',
): Promise<ScriptedLogHost> {
  const targets: string[] = [];
  const received: string[] = [];
  let connections = 0;
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    connections += 1;
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => undefined);
    let head = '';
    socket.on('data', (chunk: Buffer) => {
      head += chunk.toString('latin1');
      if (head.length > HEAD_BYTES_MAX) socket.destroy();
      if (!head.includes('\r\n\r\n')) return;
      received.push(head);
      const target = head.split(' ')[1] ?? '';
      head = '';
      targets.push(target);
      const answer = script(target);
      if (answer === null) socket.destroy();
      else socket.end(answer);
    });
  });
  await new Promise<void>((listening) => void server.listen(0, address, listening));
  stage.defer(async () => {
    for (const socket of open) socket.destroy();
    await new Promise<void>((closed) => void server.close(() => closed()));
  });
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
  const authority = `${address.includes(':') ? `[${address}]` : address}:${port}`;
  return {
    origin: `http://${authority}`,
    authority,
    get connections() {
      return connections;
    },
    targets,
    received,
  };
}

/** An answer with a body, framed by its length unless the headers say otherwise. */
export function answerOf(
  status: string,
  headers: Readonly<Record<string, string>>,
  body: Buffer = Buffer.alloc(0),
): Buffer {
  const framed = Object.keys(headers).some((name) => /^(content-length|transfer-encoding)$/i.test(name));
  const all = { ...(framed ? {} : { 'content-length': String(body.length) }), ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([
    Buffer.from(`HTTP/1.1 ${status}\r\n${lines.join('')}connection: close\r\n\r\n`),
    body,
  ]);
}
