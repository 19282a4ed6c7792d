import type { Redis } from 'ioredis';
import { ADMIT_LUA, STARTED_LUA, TAGS_MAX, URGENCIES, type FairOrder, type Urgency } from './fair-order.ts';
import { COUNTS_KEPT_MINUTES, minuteOf, PAUSE_LUA, RESERVE_LUA, type SharedState } from './shared-state.ts';

/** A budget's reservations are remembered this long past their end. */
const BUDGET_KEPT_MS = 60_000;

/** Shared state on a Redis or Valkey server, below `prefix`. */
export function openRedisState(connection: Redis, prefix: string, now: () => Date): SharedState {
  const spentKey = (budget: string): string => `${prefix}:shared:spent:${budget}`;
  const pausedKey = (budget: string): string => `${prefix}:shared:paused:${budget}`;
  const countKey = (series: string, minute: number): string => `${prefix}:shared:count:${series}:${minute}`;
  const reserve = script(connection, RESERVE_LUA, 2);
  const pause = script(connection, PAUSE_LUA, 1);
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
      const key = countKey(series, minuteOf(now()));
      await connection
        .multi()
        .hincrby(key, event, 1)
        .expire(key, COUNTS_KEPT_MINUTES * 60)
        .exec();
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
  const admit = script(connection, ADMIT_LUA, 2 + URGENCIES.length);
  const started = script(connection, STARTED_LUA, 1);
  return {
    async admit(id, urgency, flow) {
      const keys = [toKey(id), toKey('prioritized'), ...allTags];
      const tag = Number(await admit(keys, [flow, TAGS_MAX, URGENCIES.indexOf(urgency) + 1]));
      return tag === 0 ? null : tag;
    },
    started(urgency, tag) {
      // Losing one only makes the order a little less fair for a moment.
      started([tagsKey(urgency)], [tag]).catch(onError);
    },
  };
}

/** A script sent once and named by its hash from then on, as ioredis does for its own commands. */
function script(
  connection: Redis,
  lua: string,
  keys: number,
): (keyNames: readonly string[], args: readonly (string | number)[]) => Promise<unknown> {
  let sha: Promise<unknown> | null = null;
  return async (keyNames, args) => {
    const values = [...keyNames, ...args.map(String)];
    sha ??= connection.script('LOAD', lua);
    try {
      return await connection.evalsha(String(await sha), keys, ...values);
    } catch (error) {
      // A server that restarted has forgotten its scripts; one that did not answer is asked anew next time.
      sha = null;
      if (error instanceof Error && error.message.startsWith('NOSCRIPT'))
        return connection.eval(lua, keys, ...values);
      throw error;
    }
  };
}
