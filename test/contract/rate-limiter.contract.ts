import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Pace, RateLimiter } from '../../src/queue/rate-limiter.ts';
import { seededRandom } from './fair-order.contract.ts';

/** A rate limiter as two workers see it: the same object where one process owns the queue. */
export interface StateUnderTest {
  readonly one: RateLimiter;
  readonly other: RateLimiter;
  close(): Promise<void>;
}

const MINUTE_MS = 60_000;
/** Ten points a second, five at once. */
const PACE: Pace = { pointMs: 100, burstPoints: 5 };

/** What everything that workers agree by must do. */
export function rateLimiterContract(name: string, open: (now: () => Date) => Promise<StateUnderTest>): void {
  describe(`an agreement: ${name}`, () => {
    // The server's own clock shows another day: only the workers' counts.
    let nowMs = Date.parse('2026-11-20T10:00:00.000Z');
    let under: StateUnderTest;
    let one: RateLimiter;
    let other: RateLimiter;
    let budget = '';
    let lastBudget = 0;

    beforeAll(async () => {
      under = await open(() => new Date(nowMs));
      ({ one, other } = under);
    });

    afterAll(() => under.close());

    beforeEach(() => {
      lastBudget += 1;
      budget = `github.com/${lastBudget}`;
    });

    /** Reserves for each worker in turn, and says how far ahead the moments are. */
    async function reserve(times: number, points = 1, pace = PACE): Promise<number[]> {
      const ahead: number[] = [];
      for (let index = 0; index < times; index += 1) {
        ahead.push((await (index % 2 === 0 ? one : other).reserve(budget, points, pace)) - nowMs);
      }
      return ahead;
    }

    test('a rested budget gives its burst at once and then its pace, to both workers together', async () => {
      expect(await reserve(8)).toEqual([0, 0, 0, 0, 0, 100, 200, 300]);
      nowMs += 250;
      expect(await reserve(2)).toEqual([150, 250]);
      nowMs += 10_000;
      expect(await reserve(6)).toEqual([0, 0, 0, 0, 0, 100]);
    });

    test('several points at once count as many', async () => {
      expect(await reserve(4, 2)).toEqual([0, 0, 100, 300]);
    });

    test('a budget without a pace is never spent', async () => {
      expect(await reserve(50, 2, { pointMs: 0, burstPoints: 0 })).toEqual(Array<number>(50).fill(0));
    });

    test('fractions of a millisecond add up', async () => {
      const ahead = await reserve(100, 2, { pointMs: 0.2, burstPoints: 0 });
      expect(ahead.at(-1)).toBe(40);
      expect(ahead.at(49)).toBe(20);
    });

    test('a long run of reservations keeps GitHub’s pace', async () => {
      const pace = { pointMs: MINUTE_MS / 855, burstPoints: 90 };
      const ahead = await reserve(855, 2, pace);
      expect(ahead.slice(0, 45)).toEqual(Array<number>(45).fill(0));
      expect(ahead.at(-1)).toBeGreaterThanOrEqual((MINUTE_MS * (1_710 - 90)) / 855 - 1);
      expect(ahead.at(-1)).toBeLessThanOrEqual((MINUTE_MS * (1_710 - 90)) / 855 + 1);
    });

    test('a pause is seen by all, ends by the workers’ clock, and never gets shorter', async () => {
      expect(await one.pausedUntil(budget)).toBe(0);
      await one.pause(budget, nowMs + 5_000);
      expect(await other.pausedUntil(budget)).toBe(nowMs + 5_000);
      await other.pause(budget, nowMs + 1_000);
      expect(await one.pausedUntil(budget)).toBe(nowMs + 5_000);
      await other.pause(budget, nowMs + 7_000);
      expect(await one.pausedUntil(budget)).toBe(nowMs + 7_000);
      nowMs += 7_000;
      expect(await one.pausedUntil(budget)).toBe(0);
      expect(await reserve(1)).toEqual([0]);
    });

    test('a pause that has passed is none, and only its own budget is paused', async () => {
      await one.pause(budget, nowMs - 1);
      expect(await one.pausedUntil(budget)).toBe(0);
      await one.pause(`${budget}0`, nowMs + 5_000);
      expect(await other.pausedUntil(budget)).toBe(0);
    });

    test('what waits for a pause to end is handed out one after another', async () => {
      await reserve(3);
      await one.pause(budget, nowMs + 5_000);
      expect(await reserve(6)).toEqual([5_100, 5_200, 5_300, 5_400, 5_500, 5_600]);
      await other.pause(budget, nowMs + 8_000);
      expect(await reserve(2)).toEqual([8_100, 8_200]);
      nowMs += 8_200;
      expect(await reserve(2)).toEqual([100, 200]);
      nowMs += 10_000;
      expect(await reserve(6)).toEqual([0, 0, 0, 0, 0, 100]);
    });

    test('a resumed budget is rested', async () => {
      await one.pause(budget, nowMs + 3_600_000);
      await reserve(20);
      await other.resume(budget);
      expect(await one.pausedUntil(budget)).toBe(0);
      expect(await reserve(6)).toEqual([0, 0, 0, 0, 0, 100]);
    });

    test('never more than the pace allows, whatever is asked when (seeded)', async () => {
      const random = seededRandom(42);
      const granted: number[] = [];
      for (let step = 0; step < 300; step += 1) {
        nowMs += Math.floor(random() * 120);
        const worker = random() < 0.5 ? one : other;
        granted.push(await worker.reserve(budget, 1, PACE));
        if (random() < 0.02) await worker.pause(budget, nowMs + Math.floor(random() * 2_000));
      }
      granted.sort((first, second) => first - second);
      for (const [index, atMs] of granted.entries()) {
        const inASecond = granted.slice(index).filter((later) => later < atMs + 1_000).length;
        expect(inASecond).toBeLessThanOrEqual(10 + PACE.burstPoints);
      }
    });

    test('events are counted by the minute, in a window that moves', async () => {
      const series = `looks:${budget}`;
      expect(await one.counted(series, 10)).toEqual({});
      nowMs = Math.ceil(nowMs / MINUTE_MS) * MINUTE_MS;
      await one.count(series, 'found');
      await other.count(series, 'found');
      await other.count(series, 'missing');
      nowMs += 9 * MINUTE_MS + 59_999;
      await one.count(series, 'missing');
      expect(await other.counted(series, 10)).toEqual({ found: 2, missing: 2 });
      expect(await other.counted(series, 1)).toEqual({ missing: 1 });
      nowMs += 1;
      expect(await one.counted(series, 10)).toEqual({ missing: 1 });
      expect(await one.counted(series, 11)).toEqual({ found: 2, missing: 2 });
      nowMs += 10 * MINUTE_MS;
      expect(await one.counted(series, 10)).toEqual({});
      expect(await one.counted(`${series}0`, 10)).toEqual({});
    });
  });
}
