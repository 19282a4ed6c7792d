/**
 * Works on every item of a source, at most `inFlightMax` at once, taking the next item only when there is room. Waits for
 * what is in flight before it answers, and then throws the first failure there was; after a failure no more is taken.
 */
export async function forEachInFlight<T>(
  source: AsyncIterable<T> | Iterable<T>,
  inFlightMax: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const inFlight = new Set<Promise<void>>();
  const failures: unknown[] = [];
  try {
    for await (const item of source) {
      const one: Promise<void> = work(item)
        .catch((error: unknown) => {
          failures.push(error);
        })
        .finally(() => inFlight.delete(one));
      inFlight.add(one);
      if (inFlight.size >= inFlightMax) await Promise.race(inFlight);
      if (failures.length > 0) break;
    }
  } finally {
    await Promise.all(inFlight);
  }
  if (failures.length > 0) throw failures[0];
}
