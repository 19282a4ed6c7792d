import { describe, expect, test } from 'vitest';
import { parsePartKey, partKey } from '../../../src/archive/index-keys.ts';
import { failedStep } from '../../../src/index/job-row.ts';
import { JsonText } from '../../../src/json-text.ts';
import { mergeSpans } from '../../../src/index/parquet/ranged-file.ts';
import { widest, type Part } from '../../../src/index/parts.ts';

function part(from: number, to: number): Part {
  const name = { table: 'jobs', partition: '2026-11-20', from, to } as const;
  return { ...name, key: partKey(name), bytes: 1 };
}

describe('parts', () => {
  test.each([
    [
      'what a wider one contains is left out',
      [
        [1, 1],
        [2, 2],
        [1, 3],
        [4, 4],
      ],
      [
        [4, 4],
        [1, 3],
      ],
    ],
    [
      'parts that overlap both count',
      [
        [1, 5],
        [4, 9],
      ],
      [
        [4, 9],
        [1, 5],
      ],
    ],
    [
      'the widest of several',
      [
        [0, 0],
        [0, 5],
        [0, 9],
        [3, 9],
        [9, 9],
      ],
      [[0, 9]],
    ],
    [
      'one that begins with a wider one',
      [
        [3, 3],
        [3, 7],
      ],
      [[3, 7]],
    ],
  ])('%s', (_what, ranges, kept) => {
    const parts = ranges.map(([from = 0, to = 0]) => part(from, to));
    expect(widest(parts).map(({ from, to }) => [from, to])).toEqual(kept);
  });

  test('names are read as they are written, and nothing else is', () => {
    for (const name of [
      { table: 'jobs', partition: '2026-11-20', from: 0, to: 0 },
      { table: 'commits', partition: '2026-11', from: 4001, to: 12_345_678_901 },
    ] as const) {
      expect(parsePartKey(partKey(name))).toEqual(name);
    }
    expect(partKey({ table: 'jobs', partition: '2026-11-20', from: 4001, to: 4024 })).toBe(
      'jobs/dt=2026-11-20/0000004001-0000004024.parquet',
    );
    for (const key of [
      'jobs/dt=2026-11-20/0000000002-0000000001.parquet',
      'jobs/dt=2026-11/0000000001-0000000001.parquet',
      'commits/month=2026-11-20/0000000001-0000000001.parquet',
      'recent/dt=2026-11-20/1200-x.parquet',
      'jobs/dt=2026-11-20/1-2.parquet',
    ]) {
      expect(parsePartKey(key)).toBeNull();
    }
  });
});

describe('spans that are read together', () => {
  const MIB = 1024 * 1024;
  test('small gaps are read too', () => {
    expect(
      mergeSpans(
        [
          { from: 10, to: 20 },
          { from: 0, to: 5 },
          { from: 15, to: 30 },
        ],
        9,
      ),
    ).toEqual([{ from: 0, to: 30 }]);
  });
  test('large ones where there would be too many requests, the smallest first', () => {
    const spans = [0, 2, 7, 20].map((at) => ({ from: at * MIB, to: at * MIB + 1 }));
    expect(mergeSpans(spans, 9)).toEqual(spans);
    expect(mergeSpans(spans, 2)).toEqual([{ from: 0, to: 7 * MIB + 1 }, spans[3]]);
    expect(mergeSpans(spans, 1)).toEqual([{ from: 0, to: 20 * MIB + 1 }]);
    expect(mergeSpans([], 1)).toEqual([]);
  });
});

describe('the step that failed', () => {
  const step = (name: string, conclusion: string | null) => ({ name, conclusion });
  test.each([
    ['the first that did', [step('a', 'success'), step('b', 'failure'), step('c', 'failure')], 'b'],
    ['one out of time where none failed', [step('a', 'cancelled'), step('b', 'timed_out')], 'b'],
    ['none', [step('a', 'success'), step('b', null)], null],
    ['no steps that can be read', [{ name: 1 }], null],
    ['no steps', undefined, null],
  ])('%s', (_what, steps, name) => {
    expect(failedStep(JsonText.of({ steps }))).toBe(name);
  });
});
