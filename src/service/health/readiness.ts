/** A trial is made at most this often, however many ask. */
const TRIED_EVERY_MS = 5_000;

/** Makes a trial once for all who ask within five seconds; whether it went well or not, they share what came of it. */
export function triedAtMost(
  attempt: () => Promise<void>,
  now: () => number = () => performance.now(),
): () => Promise<void> {
  let last: { readonly atMs: number; readonly outcome: Promise<void> } | null = null;
  return () => {
    if (last === null || now() - last.atMs >= TRIED_EVERY_MS) {
      const outcome = attempt();
      // Who asked hears of it; nobody else must.
      outcome.catch(() => undefined);
      last = { atMs: now(), outcome };
    }
    return last.outcome;
  };
}
