import { expect, test } from 'vitest';
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatMoment,
  parseMoment,
} from '../../../src/cli/terminal/format.ts';

const NOW = new Date('2026-11-20T12:00:00Z');

test.each([
  ['2026-11-20', 'start', '2026-11-20T00:00:00.000Z'],
  ['2026-11-20', 'end', '2026-11-20T23:59:59.999Z'],
  ['2026-11-20T02:03:04Z', 'end', '2026-11-20T02:03:04.000Z'],
  ['2026-11-20t02:03:04.5z', 'start', '2026-11-20T02:03:04.500Z'],
  ['2026-11-20 02:03:04+02:00', 'start', '2026-11-20T00:03:04.000Z'],
  ['7d', 'start', '2026-11-13T12:00:00.000Z'],
  ['2w', 'start', '2026-11-06T12:00:00.000Z'],
  ['1y', 'start', '2025-11-20T12:00:00.000Z'],
  ['yesterday', 'start', '2026-11-19T00:00:00.000Z'],
  ['yesterday', 'end', '2026-11-19T23:59:59.999Z'],
  ['2026-11-20 14:00', 'end', '2026-11-20T14:00:00.000Z'],
  ['90m', 'end', '2026-11-20T10:30:00.000Z'],
] as const)('%s as a range’s %s is %s', (text, edge, iso) => {
  expect(parseMoment(text, NOW, edge)?.toISOString()).toBe(iso);
});

test.each([
  '',
  'tomorrow',
  '2026-02-30 10:00',
  '2026-02-30',
  '2026-13-01',
  '26-11-20',
  '2026-11-20T02:03',
  '2026-11-20T25:00:00Z',
  '2026-11-20T02:03:04',
  '7',
  '999999999d',
])('%j is no moment', (text) => {
  expect(parseMoment(text, NOW, 'start')).toBeNull();
});

test.each([
  ['2026-09-20T02:19:47Z', '2026-09-20 02:19'],
  ['2026-09-20T02:19:47+02:00', '2026-09-20 00:19'],
  [null, '–'],
  ['soon', '–'],
])('the moment %j is shown as %s', (iso, shown) => {
  expect(formatMoment(iso)).toBe(shown);
});

test.each([
  [-5, '0 ms'],
  [340, '340 ms'],
  [8_999, '8 s'],
  [65_000, '1 m 05 s'],
  [7_380_000, '2 h 03 m'],
  [273_600_000, '3 d 4 h'],
])('%d ms are shown as %s', (ms, shown) => {
  expect(formatDuration(ms)).toBe(shown);
});

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1_000, '1 KiB'],
  [1_234, '1.2 KiB'],
  [102_348, '99.9 KiB'],
  [102_349, '100 KiB'],
  [1_023_000, '999 KiB'],
  [1_023_999, '1 MiB'],
  [21_345_678, '20.4 MiB'],
  [3e9, '2.8 GiB'],
  [5e15, '4547 TiB'],
])('%d bytes are shown as %s', (bytes, shown) => {
  expect(formatBytes(bytes)).toBe(shown);
});

test('counts have thousands set apart', () => {
  expect(formatCount(1_234_567)).toBe('1,234,567');
});
