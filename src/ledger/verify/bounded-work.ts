/** Work side by side, bounded, and with its first failure heard. */

/** Tasks of which at most so many run at once. */
export interface BoundedWork {
  /** Resolves when the task has begun, which is when there is room. Rejects with the first failure of any task. */
  add(task: () => Promise<void>): Promise<void>;
  /** Resolves when every task has ended; rejects with the first failure. */
  drain(): Promise<void>;
}

export function openBoundedWork(atOnce: number): BoundedWork {
  const running = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | null = null;
  const check = (): void => {
    if (failure !== null) throw failure.error;
  };
  const guarded = async (task: () => Promise<void>): Promise<void> => {
    try {
      await task();
    } catch (error) {
      failure ??= { error };
    }
  };
  return {
    async add(task) {
      while (running.size >= atOnce) await Promise.race(running);
      check();
      const run = guarded(task).finally(() => running.delete(run));
      running.add(run);
    },
    async drain() {
      while (running.size > 0) await Promise.all(running);
      check();
    },
  };
}

/** Does `work` for each item up to `ahead` items before its result is asked for; results come in the items' order. */
export async function* inOrder<T, R>(
  items: AsyncIterable<T>,
  ahead: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const begun: Promise<R>[] = [];
  for await (const item of items) {
    const result = work(item);
    // Heard when its turn comes; until then it must not count as unheard.
    result.catch(() => undefined);
    begun.push(result);
    const first = begun.length >= ahead ? begun.shift() : undefined;
    if (first !== undefined) yield await first;
  }
  for (const result of begun) yield await result;
}
