import type { RateState } from './rate-limit.ts';

/** What is left of rate limits, of the one that has the least: the only number that warns in time. */
export interface LeastRates {
  note(host: string, budget: string, state: RateState): void;
  /** The state with the least left, by host; a host without limits, or whose hours are all over, is not in it. */
  least(now: Date): ReadonlyMap<string, RateState>;
}

/** Budgets remembered per host: an installation each. Beyond it the one noted longest ago is forgotten. */
const BUDGETS_MAX = 10_000;

export function openLeastRates(): LeastRates {
  const hosts = new Map<string, Map<string, RateState>>();
  return {
    note(host, budget, state) {
      const budgets = hosts.get(host) ?? new Map<string, RateState>();
      hosts.set(host, budgets);
      budgets.delete(budget);
      budgets.set(budget, state);
      for (const oldest of budgets.keys()) {
        if (budgets.size <= BUDGETS_MAX) break;
        budgets.delete(oldest);
      }
    },
    least(now) {
      const least = new Map<string, RateState>();
      for (const [host, budgets] of hosts) {
        for (const state of budgets.values()) {
          const before = least.get(host);
          if (state.resetAt > now && (before === undefined || state.remaining < before.remaining))
            least.set(host, state);
        }
      }
      return least;
    },
  };
}
