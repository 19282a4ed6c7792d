/**
 * How many requests one host has to bear at once from this process. Whoever waits for a permit has not asked for
 * anything yet, so that neither a request's time limit nor a log link's short life runs down in a queue.
 */
export interface Permits {
  /** Resolves when a request may begin. Those who wait come in the order in which they asked. */
  forCall(): Promise<Permit>;
  /**
   * The same for a log: its link and its body, one after the other. Logs never take all permits while there is more than
   * one, so that calls, which are short, get through however long logs take.
   */
  forLog(): Promise<Permit>;
}

export interface Permit {
  /** Gives the permit back; more than once does no harm. */
  release(): void;
}

/** Opens `most` permits. */
export function openPermits(most: number): Permits {
  const calls = openTurnstile(most);
  const logs = openTurnstile(Math.max(1, most - 1));
  return {
    forCall: calls,
    async forLog() {
      const log = await logs();
      const call = await calls();
      return {
        release() {
          call.release();
          log.release();
        },
      };
    },
  };
}

/** Those who wait are as many as the jobs that run at once in this process, which its configuration bounds. */
function openTurnstile(most: number): () => Promise<Permit> {
  const waiting: (() => void)[] = [];
  let inside = 0;

  function leave(): void {
    const next = waiting.shift();
    if (next === undefined) inside -= 1;
    else next();
  }

  function permit(): Permit {
    let held = true;
    return {
      release() {
        if (held) leave();
        held = false;
      },
    };
  }

  return async () => {
    if (inside < most) inside += 1;
    else await new Promise<void>((enter) => waiting.push(enter));
    return permit();
  };
}
