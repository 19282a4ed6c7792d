import { expect, test } from 'vitest';
import { backoffMs } from '../../../workers/run-workers.ts';

const FIVE_MINUTES_MS = 300_000;

test('waits grow from a second to five minutes at most', () => {
  const longest = [1, 2, 3, 4, 8, 9, 10, 50, 200, 5_000].map((attempt) => backoffMs(attempt, () => 1));
  expect(longest).toEqual([
    1_000,
    2_000,
    4_000,
    8_000,
    128_000,
    256_000,
    FIVE_MINUTES_MS,
    FIVE_MINUTES_MS,
    FIVE_MINUTES_MS,
    FIVE_MINUTES_MS,
  ]);
});

test('the whole of a wait is left to chance, and none is nothing', () => {
  expect(backoffMs(4, () => 0)).toBe(1);
  expect(backoffMs(4, () => 0.25)).toBe(2_000);
  expect(backoffMs(4, () => 0.5)).toBe(4_000);
  expect(backoffMs(20, () => 0.5)).toBe(FIVE_MINUTES_MS / 2);
});
