import type { Redis } from 'ioredis';
import { ADMIT_LUA, STARTED_LUA, TAGS_MAX, URGENCIES, type FairOrder, type Urgency } from '../fair-order.ts';
import {
  COUNT_LUA,
  COUNTS_KEPT_MINUTES,
  minuteOf,
  PAUSE_LUA,
  RESERVE_LUA,
  type RateLimiter,
} from '../rate-limiter.ts';

/** Admissions in one script, during which the server does nothing else. */
const ADMITTED_AT_ONCE = 100;
/** A budget's reservations are remembered this long past their end. */
const BUDGET_KEPT_MS = 60_000;

/** The rate limiter on a Redis or Valkey server, below `prefix`. */
export function openRedisRateLimiter(connection: Redis, prefix: string, now: () => Date): RateLimiter {
  const spentKey = (budget: string): string => `${prefix}:shared:spent:${budget}`;
  const pausedKey = (budget: string): string => `${prefix}:shared:paused:${budget}`;
  const countKey = (series: string, minute: number): string => `${prefix}:shared:count:${series}:${minute}`;
  const reserve = script(connection, RESERVE_LUA);
  const pause = script(connection, PAUSE_LUA);
  const count = script(connection, COUNT_LUA);
  return {
    async reserve(budget, points, pace) {
      const taken = points * pace.pointMs;
      const burst = pace.burstPoints * pace.pointMs;
      const keys = [spentKey(budget), pausedKey(budget)];
      return Number(await reserve(keys, [now().getTime(), taken, burst, BUDGET_KEPT_MS]));
    },
    async pause(budget, untilMs) {
      await pause([pausedKey(budget)], [Math.ceil(untilMs), now().getTime()]);
    },
    async pausedUntil(budget) {
      const untilMs = Number((await connection.get(pausedKey(budget))) ?? 0);
      return untilMs > now().getTime() ? untilMs : 0;
    },
    async resume(budget) {
      await connection.del(pausedKey(budget), spentKey(budget));
    },
    async count(series, event) {
      await count([countKey(series, minuteOf(now()))], [event, COUNTS_KEPT_MINUTES * 60]);
    },
    async counted(series, minutes) {
      const last = minuteOf(now());
      const keys = Array.from({ length: minutes }, (_, age) => countKey(series, last - age));
      const found = await Promise.all(keys.map((key) => connection.hgetall(key)));
      const sums: Record<string, number> = {};
      for (const [event, count] of found.flatMap((events) => Object.entries(events))) {
        sums[event] = (sums[event] ?? 0) + Number(count);
      }
      return sums;
    },
  };
}

/** The order of one queue's jobs on a Redis or Valkey server. */
export function openRedisOrder(
  connection: Redis,
  toKey: (name: string) => string,
  onError: (error: unknown) => void,
): FairOrder {
  const tagsKey = (urgency: Urgency): string => toKey(`fair:${urgency}`);
  const allTags = URGENCIES.map(tagsKey);
  const admitAll = script(connection, ADMIT_LUA);
  const started = script(connection, STARTED_LUA);
  const admit = gathered<Admission, number>(ADMITTED_AT_ONCE, async (jobs) => {
    const keys = [toKey('prioritized'), ...allTags, ...jobs.map(({ id }) => toKey(id))];
    const places = jobs.flatMap(({ urgency, flow }) => [URGENCIES.indexOf(urgency) + 1, flow]);
    const tags = await admitAll(keys, [TAGS_MAX, ...places]);
    if (!Array.isArray(tags)) throw new Error('the server gave no tags');
    return tags.map(Number);
  });
  return {
    async admit(id, urgency, flow) {
      const tag = await admit({ id, urgency, flow });
      return tag === 0 ? null : tag;
    },
    started(urgency, tag) {
      // Losing one only makes the order a little less fair for a moment.
      started([tagsKey(urgency)], [tag]).catch(onError);
    },
  };
}

interface Admission {
  readonly id: string;
  readonly urgency: Urgency;
  readonly flow: string;
}

/**
 * Has what is asked in one turn of the event loop, up to `atOnceMax`, asked together: where deliveries arrive side by side, a trip to
 * the server for each took a fifth of a delivery's CPU (measured). `askAll` answers in the order of what it is asked.
 */
function gathered<Ask, Answer>(
  atOnceMax: number,
  askAll: (asks: readonly Ask[]) => Promise<readonly Answer[]>,
): (ask: Ask) => Promise<Answer> {
  let next: { readonly asks: Ask[]; readonly answers: Promise<readonly Answer[]> } | null = null;
  return async (ask) => {
    if (next === null || next.asks.length === atOnceMax) {
      const asks: Ask[] = [];
      const turnEnds = new Promise<void>((resolve) => {
        setImmediate(resolve);
      });
      const own = {
        asks,
        answers: turnEnds.then(() => {
          if (next === own) next = null;
          return askAll(asks);
        }),
      };
      next = own;
    }
    const { asks, answers } = next;
    const place = asks.push(ask) - 1;
    const answer = (await answers)[place];
    if (answer === undefined) throw new Error('not all that was asked was answered');
    return answer;
  };
}

/** A script sent once and named by its hash from then on, as ioredis does for its own commands. */
function script(
  connection: Redis,
  lua: string,
): (keyNames: readonly string[], args: readonly (string | number)[]) => Promise<unknown> {
  let sha: Promise<unknown> | null = null;
  return async (keyNames, args) => {
    const values = [...keyNames, ...args.map(String)];
    sha ??= connection.script('LOAD', lua);
    try {
      return await connection.evalsha(String(await sha), keyNames.length, ...values);
    } catch (error) {
      // A server that restarted has forgotten its scripts; one that did not answer is asked anew next time.
      sha = null;
      if (error instanceof Error && error.message.startsWith('NOSCRIPT'))
        return connection.eval(lua, keyNames.length, ...values);
      throw error;
    }
  };
}
