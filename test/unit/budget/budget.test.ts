import { describe, expect, test } from 'vitest';
import type { Product } from '../../../src/github/host.ts';
import { openLocalRateLimiter } from '../../../src/queue/rate-limiter.ts';
import { budgetOf, reserveCalls } from '../../../src/budget/budget.ts';

const MINUTE_MS = 60_000;
const JOB_POINTS = 2;

/** When the turns of so many jobs come that all ask at the same moment, by a clock that only they move. */
async function turns(product: Product, jobs: number, restMs = 0): Promise<number[]> {
  let nowMs = 1_000_000;
  const clock = () => new Date(nowMs);
  const deps = { rateLimiter: openLocalRateLimiter(clock), now: clock, random: () => 0 };
  const startMs = nowMs;
  const given: number[] = [];
  for (let job = 0; job < jobs; job += 1) {
    const turn = await reserveCalls(deps, 'host/1', product, JOB_POINTS, null);
    given.push((turn?.getTime() ?? nowMs) - startMs);
    nowMs += restMs;
  }
  return given;
}

/** The most points spent within any minute. */
function busiestMinute(given: readonly number[]): number {
  const sorted = given.toSorted((one, other) => one - other);
  let first = 0;
  let most = 0;
  for (const [last, atMs] of sorted.entries()) {
    while ((sorted[first] ?? atMs) <= atMs - MINUTE_MS) first += 1;
    most = Math.max(most, (last - first + 1) * JOB_POINTS);
  }
  return most;
}

describe.each(['github.com', 'ghe.com'] as const)('the pace of an installation of %s', (product) => {
  test.each([
    { asking: 'all at once', restMs: 0 },
    { asking: 'one after another, faster than it can go', restMs: 20 },
    { asking: 'in a trickle', restMs: 400 },
  ])('stays under 900 points in every minute: $asking', async ({ restMs }) => {
    const given = await turns(product, 3_000, restMs);
    expect(busiestMinute(given)).toBeLessThanOrEqual(900);
  });

  test('lets an hour’s budget of 15,000 be spent within the hour', async () => {
    const given = await turns(product, 7_500);
    expect(Math.max(...given)).toBeLessThan(60 * MINUTE_MS);
  });

  test('starts far fewer than a hundred calls in one instant', async () => {
    const given = await turns(product, 500);
    const together = given.filter((atMs) => atMs < 100).length;
    expect(together).toBeGreaterThan(20);
    expect(together).toBeLessThan(100);
  });
});

test('an appliance sets no pace of its own', async () => {
  expect(Math.max(...(await turns('ghes', 1_000)))).toBeLessThan(1_000);
});

test('what is one budget and what is not', () => {
  const host = {
    name: 'github.com',
    host: 'github.com',
    product: 'github.com',
    apiUrl: 'https://api.github.com',
    logHosts: [],
    privateCidrs: [],
    maxConcurrency: 90,
  } as const;
  const given = { owner: 'Octo', repo: 'app', installationId: 5 };
  expect(budgetOf({ host }, given)).toBe('github.com/5');
  expect(budgetOf({ host, hasOneBudget: false }, { ...given, owner: 'other' })).toBe('github.com/5');
  expect(budgetOf({ host }, { ...given, installationId: null })).toBe('github.com/octo');
  expect(budgetOf({ host, hasOneBudget: true }, given)).toBe('github.com/token');
});
