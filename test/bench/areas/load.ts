import { connect, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';

/** Load over raw keep-alive connections: the generator must not be what is measured. */

const EXCHANGE_TIMEOUT_MS = 30_000;
const HEAD_END = Buffer.from('\r\n\r\n');

/** One connection, one request at a time. */
interface Lane {
  /** Resolves with the status once the whole answer is there. */
  exchange(request: Buffer): Promise<number>;
  close(): void;
}

async function openLane(port: number): Promise<Lane> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve).once('error', reject);
  });
  let waiting: { answered: (status: number) => void; failed: (error: Error) => void } | null = null;
  const fail = (problem: string): void => {
    waiting?.failed(new Error(problem));
    waiting = null;
  };
  socket.setTimeout(EXCHANGE_TIMEOUT_MS, () => fail(`no answer within ${EXCHANGE_TIMEOUT_MS} ms`));
  socket.on('error', (error) => fail(error.message)).on('close', () => fail('the connection was closed'));
  readAnswers(socket, (status) => {
    const { answered } = waiting ?? {};
    waiting = null;
    answered?.(status);
  });
  return {
    exchange: (request) =>
      new Promise((answered, failed) => {
        waiting = { answered, failed };
        socket.write(request);
      }),
    close: () => socket.destroy(),
  };
}

function readAnswers(socket: Socket, answered: (status: number) => void): void {
  let pending: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    const headEnd = pending.indexOf(HEAD_END);
    if (headEnd === -1) return;
    const head = pending.toString('latin1', 0, headEnd);
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    const body = pending.subarray(headEnd + HEAD_END.length);
    const isWhole = length === undefined ? body.includes('0\r\n\r\n') : body.length >= Number(length);
    if (!isWhole) return;
    pending = Buffer.alloc(0);
    answered(Number(head.slice(9, 12)));
  });
}

async function withLanes<T>(port: number, count: number, run: (lanes: Lane[]) => Promise<T>): Promise<T> {
  const lanes = await Promise.all(Array.from({ length: count }, () => openLane(port)));
  try {
    return await run(lanes);
  } finally {
    for (const lane of lanes) lane.close();
  }
}

/** Sends every request as fast as answers come back, `inFlight` at once. Answers requests per second. */
export async function closedLoop(
  port: number,
  requests: readonly Buffer[],
  inFlight: number,
): Promise<{ readonly perSecond: number }> {
  return withLanes(port, inFlight, async (lanes) => {
    const queue = requests.values();
    const startMs = performance.now();
    await Promise.all(
      lanes.map(async (lane) => {
        for (const request of queue) accepted(await lane.exchange(request));
      }),
    );
    return { perSecond: (requests.length / (performance.now() - startMs)) * 1000 };
  });
}

/** Free connections kept for an open loop: as many as may wait for a server that stands still for a moment. */
const OPEN_LANES = 128;

/**
 * Sends requests at fixed moments, `perSecond` of them, whether or not earlier ones were answered. Answers how long each took in
 * milliseconds, counted from the moment it was due: what a queue before the server costs is seen, too.
 */
export async function openLoop(
  port: number,
  requests: readonly Buffer[],
  perSecond: number,
  onSent: (index: number, atEpochMs: number) => void = () => undefined,
): Promise<number[]> {
  return withLanes(port, OPEN_LANES, async (lanes) => {
    const latenciesMs: number[] = [];
    const free = [...lanes];
    const due: number[] = [];
    const startMs = performance.now() + 5;
    const dueMs = (index: number): number => startMs + (index * 1000) / perSecond;
    const failures: Error[] = [];
    let next = 0;

    async function send(lane: Lane, index: number): Promise<void> {
      const request = requests[index];
      if (request === undefined) throw new Error(`no request ${index}`);
      accepted(await lane.exchange(request));
      latenciesMs.push(performance.now() - dueMs(index));
      free.push(lane);
      pump();
    }
    function pump(): void {
      for (let lane = free.pop(); lane !== undefined; lane = free.pop()) {
        const index = due.shift();
        if (index === undefined) {
          free.push(lane);
          return;
        }
        send(lane, index).catch((error: unknown) => {
          failures.push(error instanceof Error ? error : new Error(String(error)));
        });
      }
    }
    while (latenciesMs.length < requests.length) {
      const [failure] = failures;
      if (failure !== undefined) throw failure;
      for (; next < requests.length && dueMs(next) <= performance.now(); next += 1) {
        onSent(next, performance.timeOrigin + dueMs(next));
        due.push(next);
      }
      pump();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return latenciesMs;
  });
}

function accepted(status: number): void {
  if (status !== 200 && status !== 202) throw new Error(`a delivery was answered ${status}`);
}
