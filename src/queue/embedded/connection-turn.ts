import { retryable } from '../../errors.ts';

/**
 * Queries that may wait for the one connection. At about a millisecond each this is ten seconds of work: beyond it
 * refusing is kinder than growing.
 */
const WAITING_QUERIES_MAX = 10_000;

/**
 * How long queries may follow one another before timers and sockets get a turn. PGlite computes on this thread and
 * answers without ever returning to the event loop: unbroken, a busy queue would stop webhooks for seconds.
 */
const EVENT_LOOP_HELD_MAX_MS = 10;

/** Who may use the one connection now: one at a time, in the order of asking. */
export class ConnectionTurn {
  #taken = false;
  #eventLoopSeenAtMs = performance.now();
  readonly #waiting: (() => void)[] = [];

  /** Resolves when it is the caller's turn, who must `give` it back. Throws `queue_unavailable` (retry) when too many wait. */
  async take(): Promise<void> {
    if (!this.#taken) {
      this.#taken = true;
      return;
    }
    if (this.#waiting.length >= WAITING_QUERIES_MAX) {
      throw retryable('queue_unavailable', `The embedded queue has ${WAITING_QUERIES_MAX} queries waiting.`);
    }
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  /** Hands the connection to the next in line. */
  give(): void {
    if (performance.now() - this.#eventLoopSeenAtMs < EVENT_LOOP_HELD_MAX_MS) {
      this.#passOn();
      return;
    }
    setImmediate(() => {
      this.#eventLoopSeenAtMs = performance.now();
      this.#passOn();
    });
  }

  #passOn(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#taken = false;
    else next();
  }
}
