/** Lets all who ask for the same while it is being made have one answer. Nothing is kept: who comes later has it made anew. */
export class SharedWork<T> {
  readonly #running = new Map<string, Running<T>>();

  /**
   * The answer of the work under way by this name, which is begun where there is none. It is told to end when nobody waits any more;
   * `signal` says so of one, whose call then rejects.
   */
  async join(name: string, work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    const running = this.#running.get(name) ?? this.#begin(name, work);
    running.waiting += 1;
    try {
      return await unlessAborted(running.answer, signal);
    } finally {
      running.waiting -= 1;
      if (running.waiting === 0) {
        this.#forget(name, running);
        running.ending.abort();
      }
    }
  }

  #begin(name: string, work: (signal: AbortSignal) => Promise<T>): Running<T> {
    const ending = new AbortController();
    const running = { answer: work(ending.signal), ending, waiting: 0 };
    this.#running.set(name, running);
    void this.#forgetEnded(name, running);
    return running;
  }

  async #forgetEnded(name: string, running: Running<T>): Promise<void> {
    // Those who wait hear how it ended.
    await Promise.allSettled([running.answer]);
    this.#forget(name, running);
  }

  /** Another of the name may have been begun since. */
  #forget(name: string, running: Running<T>): void {
    if (this.#running.get(name) === running) this.#running.delete(name);
  }
}

interface Running<T> {
  readonly answer: Promise<T>;
  readonly ending: AbortController;
  waiting: number;
}

async function unlessAborted<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  let leave = (): void => undefined;
  const left = new Promise<never>((_, reject) => {
    leave = (): void => reject(new Error('nobody waits any more', { cause: signal.reason }));
    signal.addEventListener('abort', leave, { once: true });
  });
  try {
    return await Promise.race([answer, left]);
  } finally {
    signal.removeEventListener('abort', leave);
  }
}
