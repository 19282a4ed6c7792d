import { describe, expect, test } from 'vitest';
import { createStepLocator, failedStepsOf, stepsOf } from '../../../src/log/log-steps.ts';
import { makeRecord } from '../../support/oracles/archived-jobs.ts';

const DAY = '2026-09-20T02:19:';

/** `[from, to]` in seconds of one minute; null where GitHub gave none. */
function step(
  number: number,
  from: number | null,
  to: number | null,
  conclusion = 'success',
  name = `step ${number}`,
) {
  const at = (second: number | null): string | null =>
    second === null ? null : `${DAY}${String(second).padStart(2, '0')}Z`;
  return { number, name, conclusion, status: 'completed', started_at: at(from), completed_at: at(to) };
}

function locate(
  steps: readonly unknown[],
  lines: readonly (readonly [second: number | null, text?: string])[],
) {
  const locator = createStepLocator(stepsOf(makeRecord({ job: { steps } })));
  return lines.map(([second, text]) => {
    const ms = second === null ? null : Date.parse(`${DAY}00Z`) + second * 1_000;
    return locator.locate(ms, text ?? 'text')?.number ?? null;
  });
}

describe('a line belongs', () => {
  test('to the step in whose time it was written, both end seconds included', () => {
    const steps = [step(1, 2, 4), step(2, 6, 9)];
    expect(locate(steps, [[2], [4.9], [6], [9.999]])).toEqual([1, 1, 2, 2]);
  });

  test('to no step before, between and after', () => {
    expect(locate([step(1, 2, 4), step(2, 6, 9)], [[1.9], [5], [10]])).toEqual([null, null, null]);
  });

  test('to the step that began, in the second in which another ended', () => {
    expect(locate([step(1, 2, 5), step(2, 5, 9)], [[4], [5.1], [5.9], [6]])).toEqual([1, 2, 2, 2]);
  });

  test('to the first of several that began in that second, until a line looks like the start of the next', () => {
    const steps = [
      step(1, 2, 2, 'success', 'Set up job'),
      step(2, 2, 2),
      step(3, 2, 2, 'failure'),
      step(4, 2, 2, 'success', 'Post Run actions/checkout@v4'),
      step(5, 2, 2, 'success', 'Complete job'),
    ];
    expect(locate(steps, [[2.0], [2.1]])).toEqual([1, 1]);
    const lines = [
      'Current runner version',
      '##[group]Run a',
      'a',
      '##[group]Run b',
      '##[error]b',
      'Post job cleanup.',
      'x',
    ];
    expect(
      locate(
        steps,
        [...lines, 'Cleaning up orphan processes'].map((text) => [2, text] as const),
      ),
    ).toEqual([1, 2, 2, 3, 3, 4, 4, 5]);
  });

  test('to the step that began last when an earlier one ends in the same second', () => {
    const steps = [step(1, 0, 2), step(2, 2, 2), step(3, 2, 5)];
    expect(locate(steps, [[1], [2, '##[group]Run b'], [2, 'b'], [2, '##[group]Run c'], [3]])).toEqual([
      1, 2, 2, 3, 3,
    ]);
  });

  test('where the line before does, when it has no stamp', () => {
    expect(locate([step(1, 2, 4)], [[null], [3], [null], [9], [null]])).toEqual([null, 1, 1, null, null]);
  });

  test('never to a skipped step, or to one that did not begin', () => {
    expect(locate([step(1, 2, 3), step(2, 3, 3, 'skipped'), step(3, null, null)], [[3]])).toEqual([1]);
  });

  test('to a step without an end until the next begins', () => {
    expect(locate([step(1, 2, null), step(2, 5, null)], [[4], [5], [50]])).toEqual([1, 2, 2]);
  });
});

test('steps that GitHub gave in another shape are left out', () => {
  expect(stepsOf(makeRecord({ job: {} }))).toEqual([]);
  expect(stepsOf(makeRecord({ job: { steps: 'none' } }))).toEqual([]);
  const odd = [null, 7, { name: 'x' }, step(2, 1, 2), { number: 1, name: 'old', started_at: 'soon' }];
  expect(stepsOf(makeRecord({ job: { steps: odd } }))).toMatchObject([
    { number: 1, conclusion: null, startedMs: null },
    { number: 2, conclusion: 'success' },
  ]);
});

describe('failed steps', () => {
  const failedOf = (conclusion: string | null, steps: readonly unknown[]) =>
    failedStepsOf(makeRecord({ conclusion, job: { steps } })).map(({ number }) => number);

  test('are those that failed or timed out', () => {
    const steps = [
      step(1, 1, 2),
      step(2, 2, 3, 'failure'),
      step(3, 3, 4, 'skipped'),
      step(4, 4, 5, 'timed_out'),
    ];
    expect(failedOf('failure', steps)).toEqual([2, 4]);
    expect(failedOf('success', steps)).toEqual([2, 4]);
  });

  test('are the last that ran, when the job failed and no step did', () => {
    expect(failedOf('failure', [step(1, 1, 2), step(2, 2, 3), step(3, 3, 3, 'skipped')])).toEqual([2]);
  });

  test('are the cancelled ones, when the job was cancelled', () => {
    expect(failedOf('cancelled', [step(1, 1, 2), step(2, 2, 3, 'cancelled'), step(3, 3, 3)])).toEqual([2]);
  });

  test('are none, when the job did not fail', () => {
    expect(failedOf('success', [step(1, 1, 2)])).toEqual([]);
    expect(failedOf(null, [step(1, 1, 2)])).toEqual([]);
    expect(failedOf('failure', [])).toEqual([]);
  });
});
