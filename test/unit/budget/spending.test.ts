import { expect, test } from 'vitest';
import { EverlogError, retryable } from '../../../src/errors.ts';
import type { ApiAnswer, GitHubApi } from '../../../src/github/api.ts';
import type { RateState } from '../../../src/github/rate-limit.ts';
import { openLocalRateLimiter } from '../../../src/queue/rate-limiter.ts';
import { openSpending, type SpendingApi } from '../../../src/budget/spending.ts';

const REPOSITORY = { owner: 'octo-org', repo: 'repo', installationId: 7 };
const OTHER = { owner: 'other', repo: 'repo', installationId: 8 };
const LIMIT = 50;

interface Scene {
  readonly spender: (purpose: 'reconcile' | 'backfill', onWait?: (until: Date) => void) => SpendingApi;
  readonly pass: (ms: number) => void;
  readonly answers: (() => ApiAnswer)[];
}

/** Two processes that share their state, on a clock of the test's own. */
function openScene(rate: RateState | null): Scene {
  let nowMs = Date.parse('2026-11-20T12:00:00Z');
  const now = (): Date => new Date(nowMs);
  const state = openLocalRateLimiter(now);
  const answers: (() => ApiAnswer)[] = [];
  const ok = (): ApiAnswer => ({ status: 200, headers: {}, bytes: Buffer.from('{}'), path: '/' });
  const api: GitHubApi = {
    host: {
      name: 'github.com',
      host: 'github.com',
      product: 'github.com',
      apiUrl: 'https://api.github.com',
      logHosts: [],
      privateCidrs: [],
      maxConcurrency: 1,
    },
    rateState: () => Promise.resolve(rate),
    get: async () => Promise.resolve((answers.shift() ?? ok)()),
  };
  return {
    answers,
    pass: (ms) => {
      nowMs += ms;
    },
    spender: (purpose, onWait) =>
      openSpending({ rateLimiter: state, now, random: () => 0 }, api, {
        purpose,
        share: 0.1,
        onWait: onWait === undefined ? null : (until) => onWait(until),
      }),
  };
}

const rate: RateState = { limit: LIMIT, remaining: LIMIT, resetAt: new Date('2026-11-20T13:00:00Z') };

async function callsUntilRefused(api: SpendingApi, repository = REPOSITORY): Promise<number> {
  for (let calls = 0; calls <= LIMIT; calls += 1) {
    const refusal = await api.get('/x', repository).then(
      () => null,
      (error: unknown) => error,
    );
    if (refusal === null) continue;
    if (refusal instanceof EverlogError && refusal.code === 'github_rate_limited') return calls;
    throw new Error('refused for another reason', { cause: refusal });
  }
  return Number.POSITIVE_INFINITY;
}

test('all processes together spend their share of an installation within an hour, and no more', async () => {
  const { spender, pass } = openScene(rate);
  expect(await callsUntilRefused(spender('reconcile'))).toBe(5);
  expect(await callsUntilRefused(spender('reconcile'))).toBe(0);
  expect(await callsUntilRefused(spender('reconcile'), OTHER)).toBe(5);
  expect(await callsUntilRefused(spender('backfill'))).toBe(5);
  pass(30 * 60_000);
  expect(await callsUntilRefused(spender('reconcile'))).toBe(0);
  pass(31 * 60_000);
  expect(await callsUntilRefused(spender('reconcile'))).toBe(5);
});

test('calls made at once do not overrun the share', async () => {
  const { spender } = openScene(rate);
  const api = spender('reconcile');
  const made = await Promise.allSettled(Array.from({ length: 20 }, () => api.get('/x', REPOSITORY)));
  expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(5);
  expect(api.calls()).toBe(5);
});

test('a host without limits has no share', async () => {
  const { spender } = openScene(null);
  expect(await callsUntilRefused(spender('reconcile'))).toBe(Number.POSITIVE_INFINITY);
});

test('a command waits out passing trouble, a job does not', async () => {
  const { spender, answers } = openScene(null);
  const fail = (): ApiAnswer => {
    throw retryable('github_unavailable', 'github.com: 502');
  };
  answers.push(fail);
  await expect(spender('reconcile').get('/x', REPOSITORY)).rejects.toMatchObject({
    code: 'github_unavailable',
  });
  const waits: Date[] = [];
  answers.push(fail);
  await spender('reconcile', (until) => waits.push(until)).get('/x', REPOSITORY);
  expect(waits).toHaveLength(1);
});
