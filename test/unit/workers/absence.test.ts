import { expect, test } from 'vitest';
import { looksBroken } from '../../../workers/absence.ts';

/** When a missing log proves nothing. */

test.each([
  { found: 0, nothing: 49, broken: false },
  { found: 0, nothing: 50, broken: true },
  { found: 40, nothing: 10, broken: true },
  { found: 41, nothing: 9, broken: false },
  { found: 81, nothing: 20, broken: false },
  { found: 80, nothing: 20, broken: true },
])(
  'of $found logs found and $nothing missing at the first look, the host looks broken: $broken',
  ({ found, nothing, broken }) => {
    expect(looksBroken({ found, nothing })).toBe(broken);
  },
);

test('a host of which nothing is counted does not look broken', () => {
  expect(looksBroken({})).toBe(false);
});
