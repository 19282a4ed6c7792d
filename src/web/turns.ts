import { retryable, type EverlogError } from '../errors.ts';
import type { Reader } from './access/access.ts';

/** How much costly work there may be. */
export interface TurnLimits {
  /** Done at once. */
  readonly atOnce: number;
  /** Waiting besides, of all readers together. */
  readonly waiting: number;
  /** Done and waiting of one reader, so that nobody fills all places alone. */
  readonly ofOneReader: number;
}

type Begin = () => void;

/** Lets a few do costly work at once; the others wait for their turn, in the order in which they came, and too many are sent away. */
export class Turns {
  readonly #limits: TurnLimits;
  readonly #waiting = new Set<Begin>();
  readonly #ofReader = new Map<string, number>();
  #taken = 0;

  constructor(limits: TurnLimits) {
    this.#limits = limits;
  }

  /**
   * Does the work when its turn has come. Where `signal` says that nobody waits any more, it is not begun.
   * @throws EverlogError `web_busy` where too many wait already
   */
  async take<T>(reader: Reader, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const giveBack = await this.begin(reader, signal);
    try {
      return await work();
    } finally {
      giveBack();
    }
  }

  /**
   * Waits for a turn; answers what gives it back, to be called once.
   * @throws EverlogError `web_busy` where too many wait already
   */
  async begin({ knownBy, name }: Reader, signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted();
    const { atOnce, waiting, ofOneReader } = this.#limits;
    const who = `${knownBy} ${name}`;
    const own = this.#ofReader.get(who) ?? 0;
    if (own >= ofOneReader || (this.#taken >= atOnce && this.#waiting.size >= waiting)) throw busy();
    this.#ofReader.set(who, own + 1);
    const leave = (): void => {
      const left = (this.#ofReader.get(who) ?? 1) - 1;
      if (left === 0) this.#ofReader.delete(who);
      else this.#ofReader.set(who, left);
    };
    try {
      if (this.#taken >= atOnce) await this.#waitFor(signal);
      else this.#taken += 1;
    } catch (error) {
      leave();
      throw error;
    }
    let isGivenBack = false;
    return () => {
      if (isGivenBack) return;
      isGivenBack = true;
      leave();
      this.#next();
    };
  }

  /** Ends when somebody's turn has been handed over, or nobody waits any more. */
  #waitFor(signal: AbortSignal | undefined): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const begin = (): void => {
        signal?.removeEventListener('abort', leave);
        resolve();
      };
      const leave = (): void => {
        this.#waiting.delete(begin);
        reject(new Error('nobody waits any more', { cause: signal?.reason }));
      };
      this.#waiting.add(begin);
      signal?.addEventListener('abort', leave, { once: true });
    });
  }

  #next(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#taken -= 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}

function busy(): EverlogError {
  return retryable('web_busy', 'too much is being read at once: try again in a moment');
}
