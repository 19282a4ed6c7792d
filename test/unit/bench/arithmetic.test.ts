import { expect, test } from 'vitest';
import { exponent, median, quantile, ratios, spread } from '../../bench/arithmetic.ts';
import { atLeast, atMost, compared, plain } from '../../bench/findings.ts';
import { interleaved } from '../../bench/rounds.ts';
import { plotOf } from '../../bench/plot.ts';
import { tableOf } from '../../bench/table.ts';

test('the median is the middle value, or the mean of two', () => {
  expect(median([5, 1, 9])).toBe(5);
  expect(median([4, 1, 2, 100])).toBe(3);
  // Numbers, not words: 10 comes after 9.
  expect(median([10, 9, 1])).toBe(9);
  expect(() => median([])).toThrow('no values');
});

test('a quantile lies between its neighbours', () => {
  const hundred = Array.from({ length: 101 }, (_, index) => 100 - index);
  expect(quantile(hundred, 0.99)).toBe(99);
  expect(quantile([0, 10], 0.25)).toBe(2.5);
});

test('the spread is half the range over the median', () => {
  expect(spread([90, 100, 130])).toBeCloseTo(0.2);
  expect(spread([7, 7, 7])).toBe(0);
});

test('ratios go round by round', () => {
  expect(ratios([2, 9], [1, 3])).toEqual([2, 3]);
  expect(() => ratios([1], [1, 2])).toThrow('1 rounds against 2');
});

test.each([
  ['grows with the size', 1],
  ['grows with its square', 2],
  ['stays', 0],
])('the exponent of a cost that %s', (_name, power) => {
  const points = [1_000, 10_000, 100_000].map((size) => ({ size, cost: 3 * size ** power }));
  expect(exponent(points)).toBeCloseTo(power);
});

test('the exponent is that of the best line where no line fits', () => {
  // By hand: logarithms to base 10 of sizes and costs are (0, 0), (1, 2), (2, 2): slope 1.
  const points = [
    { size: 1, cost: 1 },
    { size: 10, cost: 100 },
    { size: 100, cost: 100 },
  ];
  expect(exponent(points)).toBeCloseTo(1);
});

test('a comparison is the median of its rounds’ ratios, not the ratio of medians', () => {
  const shared = { what: 'jobs', unit: 'jobs/s', against: 'peer', name: 'peer' } as const;
  const finding = compared({ ...shared, everlog: [10, 40, 90], theirs: [10, 20, 30], target: atLeast(2) });
  expect(finding).toMatchObject({
    everlog: 40,
    peer: { name: 'peer', value: 20 },
    limit: null,
    ratio: 2,
    met: true,
  });
  expect(finding.spread).toBeCloseTo(0.5);
  expect(compared({ ...shared, everlog: [10], theirs: [5], target: atMost(1) }).met).toBe(false);
  expect(plain('memory', 'MB', [250], atMost(250)).met).toBe(true);
});

test('every contestant is measured once a round, in turns', async () => {
  const order: string[] = [];
  const measure = (name: string) => (): Promise<number> => Promise.resolve(order.push(name));
  const of = await interleaved(3, { a: measure('a'), b: measure('b') });
  expect(order.join('')).toBe('abbaab');
  expect(of('a')).toEqual([1, 4, 5]);
});

test('the table and the picture tell what was missed', () => {
  const findings = [plain('memory <peak>', 'MB', [500], atMost(250)), plain('speed', 'MB/s', [60])];
  const area = { name: 'worker', title: 'Worker', findings, notes: ['a note'] };
  expect(tableOf(area)).toMatch(/memory <peak>, MB .* at most 250: NOT met/);
  const svg = plotOf([area]);
  expect(svg).toContain('memory &lt;peak&gt;');
  expect(svg).toContain('500 MB (at most 250)');
  expect(svg).not.toContain('speed');
});
