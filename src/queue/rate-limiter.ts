/**
 * What all workers of a deployment must agree on, kept with the queue: when an installation may call GitHub again, how fast,
 * and how many first looks at logs found one. It may be lost with the queue: then it is learnt anew.
 */
export interface RateLimiter {
  /**
   * Reserves `points` of a budget and answers the moment (ms) from which they may be spent. Reservations of a paused or
   * spent budget are handed out one after another at its pace, so that what waited does not come back all at once.
   */
  reserve(budget: string, points: number, pace: Pace): Promise<number>;
  /** Lets nobody reserve before `untilMs`. An earlier end than one already set changes nothing. */
  pause(budget: string, untilMs: number): Promise<void>;
  /** Until when the budget is paused (ms); 0 when it is not. */
  pausedUntil(budget: string): Promise<number>;
  /** Ends a pause at once. */
  resume(budget: string): Promise<void>;
  /** Counts an event in the present minute. */
  count(series: string, event: string): Promise<void>;
  /** Events of the last `minutes`, the present one included, by name. */
  counted(series: string, minutes: number): Promise<Readonly<Record<string, number>>>;
}

/** How fast a budget may be spent. */
export interface Pace {
  /** Milliseconds that one point takes on average; 0 where the host sets no pace. */
  readonly pointMs: number;
  /** Points that may be spent at once after a rest. */
  readonly burstPoints: number;
}

/** Counts are forgotten after this: longer than any window that is asked for. */
export const COUNTS_KEPT_MINUTES = 65;

interface Budget {
  spentUntilMs: number;
  pausedUntilMs: number;
}

/** Budgets kept per process: an installation each. */
const BUDGETS_MAX = 10_000;

/** The rate limiter of a queue that one process owns. */
export function openLocalRateLimiter(now: () => Date): RateLimiter {
  const budgets = new Map<string, Budget>();
  const series = new Map<string, Map<number, Map<string, number>>>();

  function budgetOf(name: string): Budget {
    const known = budgets.get(name) ?? { spentUntilMs: 0, pausedUntilMs: 0 };
    budgets.delete(name);
    budgets.set(name, known);
    for (const oldest of budgets.keys()) {
      if (budgets.size <= BUDGETS_MAX) break;
      budgets.delete(oldest);
    }
    return known;
  }

  return {
    reserve(name, points, pace) {
      const budget = budgetOf(name);
      const { spentUntilMs, atMs } = reservation(budget, points, pace, now().getTime());
      budget.spentUntilMs = spentUntilMs;
      return Promise.resolve(atMs);
    },
    pause(name, untilMs) {
      const budget = budgetOf(name);
      budget.pausedUntilMs = Math.max(budget.pausedUntilMs, untilMs);
      return Promise.resolve();
    },
    pausedUntil: (name) => {
      const { pausedUntilMs } = budgetOf(name);
      return Promise.resolve(pausedUntilMs > now().getTime() ? pausedUntilMs : 0);
    },
    resume(name) {
      budgets.delete(name);
      return Promise.resolve();
    },
    count(name, event) {
      const minute = minuteOf(now());
      const minutes = series.get(name) ?? new Map<number, Map<string, number>>();
      series.set(name, minutes);
      const events = minutes.get(minute) ?? new Map<string, number>();
      minutes.set(minute, events);
      events.set(event, (events.get(event) ?? 0) + 1);
      for (const old of minutes.keys()) if (old <= minute - COUNTS_KEPT_MINUTES) minutes.delete(old);
      return Promise.resolve();
    },
    counted(name, minutes) {
      const since = minuteOf(now()) - minutes;
      const sums: Record<string, number> = {};
      for (const [minute, events] of series.get(name) ?? []) {
        if (minute <= since) continue;
        for (const [event, count] of events) sums[event] = (sums[event] ?? 0) + count;
      }
      return Promise.resolve(sums);
    },
  };
}

/** The generic cell rate algorithm (ITU-T I.371), which needs one number: until when what was reserved takes. */
function reservation(
  budget: Readonly<Budget>,
  points: number,
  pace: Pace,
  nowMs: number,
): { spentUntilMs: number; atMs: number } {
  const burstMs = pace.pointMs * pace.burstPoints;
  // What waits for a pause to end has not rested: it gets no burst.
  const resumedMs = budget.pausedUntilMs > nowMs ? budget.pausedUntilMs + burstMs : 0;
  const startMs = Math.max(budget.spentUntilMs, nowMs, resumedMs);
  const spentUntilMs = startMs + points * pace.pointMs;
  return { spentUntilMs, atMs: Math.ceil(Math.max(nowMs, budget.pausedUntilMs, spentUntilMs - burstMs)) };
}

/**
 * The same in one step on a Redis server. KEYS: spent, paused. ARGV: now, points × pointMs, burst ms, kept ms.
 * Fractions of a millisecond are kept: a fast pace is made of them.
 */
export const RESERVE_LUA = `
local now = tonumber(ARGV[1])
local paused = tonumber(redis.call('GET', KEYS[2]) or '0')
local burst = tonumber(ARGV[3])
local resumed = 0
if paused > now then resumed = paused + burst end
local spent = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now, resumed) + tonumber(ARGV[2])
redis.call('SET', KEYS[1], string.format('%.4f', spent), 'PX', string.format('%.0f', spent - now + tonumber(ARGV[4])))
return string.format('%.0f', math.ceil(math.max(now, paused, spent - burst)))
`;

/** KEYS: paused. ARGV: until, now. It is kept by the time that is left, as the server's clock may differ from ours. */
export const PAUSE_LUA = `
local until_ms = tonumber(ARGV[1])
local left = until_ms - tonumber(ARGV[2])
if left > 0 and until_ms > tonumber(redis.call('GET', KEYS[1]) or '0') then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', string.format('%.0f', left))
end
return 0
`;

/** KEYS: a series in a minute. ARGV: event, seconds that it is kept. */
export const COUNT_LUA = `
redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 0
`;

/** The minute that a moment belongs to. */
export function minuteOf(moment: Date): number {
  return Math.floor(moment.getTime() / 60_000);
}
