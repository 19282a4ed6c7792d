import { describe, expect, test } from 'vitest';
import { parseDuration, parseSize } from '../../src/units.ts';

describe('a duration', () => {
  test.each([
    ['300ms', 300],
    ['10s', 10_000],
    ['5m', 300_000],
    ['1h', 3_600_000],
    ['7d', 604_800_000],
    ['0s', 0],
  ])('%s is %d ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  test.each(['', '5', 's', '-5m', '1.5h', '5 m', '5M', '1h30m', '5m\n', '999999999999999d', '1e3s', '٣s'])(
    '%j is none',
    (text) => {
      expect(parseDuration(text)).toBeNull();
    },
  );
});

describe('a size', () => {
  test.each([
    ['0', 0],
    ['1048576', 1_048_576],
    ['1KiB', 1024],
    ['64MiB', 67_108_864],
    ['10 GiB', 10_737_418_240],
    ['2TiB', 2_199_023_255_552],
  ])('%s is %d bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  test.each([
    '',
    'MiB',
    '64MB',
    '64M',
    '64mib',
    '-1',
    '1.5GiB',
    '64MiB ',
    ' 64MiB',
    '64  MiB',
    '999999999999999TiB',
  ])('%j is none', (text) => {
    expect(parseSize(text)).toBeNull();
  });
});
