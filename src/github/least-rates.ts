import type { RateState } from './rate-limit.ts';

/** What is left of rate limits, of the one that has the least: the only number that warns in time. */
export interface LeastRates {
  note(host: string, budget: string, state: RateState): void;
  /** The least that is left, by host; a host without limits, or whose hours are all over, is not in it. */
  remaining(now: Date): ReadonlyMap<string, number>;
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
    remaining(now) {
      const least = new Map<string, number>();
      for (const [host, budgets] of hosts) {
        for (const { remaining, resetAt } of budgets.values()) {
          if (resetAt > now) least.set(host, Math.min(remaining, least.get(host) ?? Infinity));
        }
      }
      return least;
    },
  };
}
