import { JsonText } from '../../../src/json-text.ts';
import { expect, test } from 'vitest';
import { runKey } from '../../../src/archive/keys.ts';
import type { ListedRun } from '../../../src/github/runs.ts';
import { findKnownAttempts, idRanges } from '../../../src/reconcile/known-attempts.ts';
import {
  isDailyTurn,
  isDueForLook,
  isScheduled,
  isTooEarly,
  restOf,
  slicesOf,
  windowsOf,
} from '../../../src/reconcile/plan.ts';
import { RunNumbers } from '../../../src/reconcile/run-numbers.ts';
import { makeAbsence, makeArchive, put } from '../../support/oracles/archived-jobs.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const NOW = new Date('2026-11-20T12:00:00Z');
const ago = (days: number): Date => new Date(NOW.getTime() - days * DAY_MS);
const LIMITS = { lookbackMs: 3 * DAY_MS, retentionMs: 90 * DAY_MS };

test('the recent pass looks at the lookback, the daily one at all that may still be run again', () => {
  expect(windowsOf('recent', NOW, LIMITS)).toEqual([{ from: ago(3), to: NOW }]);
  expect(windowsOf('daily', NOW, LIMITS).at(-1)).toEqual({ from: ago(35), to: NOW });
  expect(windowsOf('daily', NOW, { lookbackMs: 50 * DAY_MS, retentionMs: 40 * DAY_MS })).toEqual([
    { from: ago(50), to: NOW },
  ]);
});

test('within eight days every day of the retention has been gone through', () => {
  const unseen = new Set(Array.from({ length: 80 }, (_, day) => 5 + day));
  for (let day = 0; day <= 7; day += 1) {
    const today = new Date(NOW.getTime() + day * DAY_MS);
    for (const { from, to } of windowsOf('daily', today, LIMITS)) {
      for (const age of unseen) if (ago(age) >= from && ago(age) <= to) unseen.delete(age);
    }
  }
  expect([...unseen]).toEqual([]);
});

test('a broken-off window goes on where it was', () => {
  const window = { from: ago(3), to: NOW };
  expect(restOf(window, null)).toEqual(window);
  expect(restOf(window, ago(4))).toEqual(window);
  expect(restOf(window, ago(1))).toEqual({ from: ago(1), to: NOW });
  expect(restOf(window, NOW)).toBeNull();
});

test('slices cover a window without overlap', () => {
  const slices = slicesOf({ from: ago(20), to: NOW }, 7 * DAY_MS);
  expect(slices).toHaveLength(3);
  expect(slices.at(-1)?.to).toEqual(NOW);
  expect((slices[1]?.from.getTime() ?? 0) - (slices[0]?.to.getTime() ?? 0)).toBe(1_000);
});

test('each repository has exactly one daily turn a day', () => {
  for (const id of [1, 23, 24, 1_296_269]) {
    const turns = Array.from({ length: 24 }, (_, hour) => new Date(NOW.getTime() + hour * HOUR_MS));
    expect(turns.filter((turn) => isDailyTurn(id, turn, HOUR_MS))).toHaveLength(1);
  }
  expect(isDailyTurn(7, NOW, 2 * DAY_MS)).toBe(true);
});

test('a pass that begins late, or after hours without one, passes over no turn', () => {
  const at = (hours: number): Date => new Date(NOW.getTime() + hours * HOUR_MS);
  for (const id of [1, 23, 24, 1_296_269]) {
    const turns = [at(0), at(3), at(4.9), at(4.95), at(20), at(24)];
    const taken = turns.filter((turn, index) => isDailyTurn(id, turn, HOUR_MS, turns[index - 1] ?? at(-1)));
    expect(taken.length).toBeGreaterThanOrEqual(1);
    expect(isDailyTurn(id, at(30), HOUR_MS, at(2))).toBe(true);
  }
  expect(isDailyTurn(7, at(1), HOUR_MS, at(0))).toBe(isDailyTurn(7, at(1), HOUR_MS));
});

test('what is written of a run within an hour of its end is provisional', () => {
  expect(isTooEarly(at(59), at(0))).toBe(true);
  expect(isTooEarly(at(60), at(0))).toBe(false);
  expect(isTooEarly(at(-5), at(0))).toBe(true);
  function at(minutes: number): Date {
    return new Date(NOW.getTime() + minutes * 60_000);
  }
});

test('runs from before the lookback are looked into when they run again or are known', () => {
  const old = { createdAt: ago(20), startedAt: ago(20) };
  expect(isScheduled(old, false, NOW, LIMITS.lookbackMs)).toBe(false);
  expect(isScheduled(old, true, NOW, LIMITS.lookbackMs)).toBe(true);
  expect(isScheduled({ ...old, startedAt: ago(1) }, false, NOW, LIMITS.lookbackMs)).toBe(true);
  expect(isScheduled({ createdAt: ago(1), startedAt: ago(1) }, false, NOW, LIMITS.lookbackMs)).toBe(true);
});

test('an absence is looked at again once a day until the retention has passed', () => {
  const looked = (hoursAgo: number, endedDaysAgo: number) => {
    const absence = makeAbsence('unavailable', { completed_at: ago(endedDaysAgo).toISOString() });
    const last_tried_at = new Date(NOW.getTime() - hoursAgo * HOUR_MS).toISOString();
    return absence.absence === null
      ? absence
      : { ...absence, absence: { ...absence.absence, last_tried_at } };
  };
  expect(isDueForLook(looked(1, 5), NOW, LIMITS.retentionMs)).toBe(false);
  expect(isDueForLook(looked(23, 5), NOW, LIMITS.retentionMs)).toBe(true);
  expect(isDueForLook(looked(23, 91), NOW, LIMITS.retentionMs)).toBe(false);
});

test('ids of as many digits share a range, as only they are in the order of numbers', () => {
  expect(idRanges([])).toEqual([]);
  expect(idRanges([999, 1_000, 998, 1_002])).toEqual([
    { first: 998, last: 999 },
    { first: 1_000, last: 1_002 },
  ]);
});

test('known attempts are found across digit counts, names and revisions', async () => {
  const store = await makeArchive();
  const place = { host: 'github.com', owner: 'octo-org', repo: 'new' };
  const write = (runId: number, runAttempt: number, revision = 1, repo = 'new') =>
    put(store, runKey({ ...place, repo, runId, runAttempt }, revision), Buffer.from('{}\n'));
  for (const runId of [8, 9, 10, 11, 90, 99, 100, 101, 1_000]) await write(runId, 1);
  await write(99, 2);
  await write(99, 2, 2);
  await write(98, 1, 1, 'old');
  const names = [
    { owner: 'octo-org', repo: 'new' },
    { owner: 'octo-org', repo: 'old' },
  ];
  const known = await findKnownAttempts(store, 'github.com', names, [9, 10, 98, 99, 100, 102]);
  expect([...known.keys()].toSorted((a, b) => a - b)).toEqual([9, 10, 98, 99, 100]);
  expect([...(known.get(99) ?? [])].map(([attempt, { revision }]) => [attempt, revision])).toEqual([
    [1, 1],
    [2, 2],
  ]);
});

test('left-out run numbers are told of, also where pages interleave', () => {
  const numbers = new RunNumbers();
  const run = (runNumber: number, workflow = '1'): ListedRun => ({
    id: runNumber,
    runNumber,
    runAttempt: 1,
    updatedAt: null,
    status: 'completed',
    createdAt: NOW,
    startedAt: NOW,
    workflow,
    raw: JsonText.of({}),
  });
  numbers.see([run(5), run(6), run(9)]);
  numbers.see([run(8), run(10), run(2, '2'), run(3, '2')]);
  expect(numbers.gaps()).toEqual([{ workflow: '1', run_number: 7 }]);
});
