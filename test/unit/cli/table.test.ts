import { describe, expect, test } from 'vitest';
import { formatTable } from '../../../src/cli/terminal/table.ts';
import type { Cell, TableColumn } from '../../../src/cli/terminal/table.ts';
import { PIPE } from '../../support/harness/terminal-under-test.ts';

const COLUMNS: readonly TableColumn[] = [
  { title: 'NAME', shrinkTo: 6 },
  { title: 'WHEN', dropOrder: 1, shortWidth: 5, fit: (text) => text.slice(5) },
  { title: 'NOTE', dropOrder: 2, shrinkTo: 4 },
  { title: 'ID', align: 'right' },
];

function row(...texts: string[]): Cell[] {
  return texts.map((text) => ({ text }));
}

function at(columns: number, color = false) {
  return { isTTY: true, columns, color };
}

const ROWS = [row('a rather long name', '2020-01-20', 'a note', '1'), row('b', '2020-01-21', '', '12345')];

test('columns stand below their titles, numbers to the right', () => {
  expect(formatTable(COLUMNS, ROWS, at(60))).toBe(
    [
      'NAME                WHEN        NOTE       ID',
      'a rather long name  2020-01-20  a note      1',
      'b                   2020-01-21          12345',
      '',
    ].join('\n'),
  );
});

test.each([45, 44, 38, 33, 28, 25, 21])('nothing is wider than %d columns, and ids are whole', (width) => {
  const lines = formatTable(COLUMNS, ROWS, at(width)).trimEnd().split('\n');
  expect(lines).toHaveLength(3);
  expect(lines.filter((line) => line.length > width)).toEqual([]);
  expect(lines[2]).toMatch(/^b .* 12345$/);
});

test('columns give way in their order', () => {
  const titles = (width: number): string[] =>
    formatTable(COLUMNS, ROWS, at(width)).split('\n')[0]?.split(/ +/) ?? [];
  expect(titles(33)).toEqual(['NAME', 'WHEN', 'NOTE', 'ID']);
  expect(titles(30)).toEqual(['NAME', 'WHEN', 'ID']);
  expect(formatTable(COLUMNS, ROWS, at(21))).toContain('a rath…  01-20      1\n');
});

test('a terminal too narrow for anything still gets its lines', () => {
  expect(formatTable(COLUMNS, ROWS, at(3)).trimEnd().split('\n')).toHaveLength(3);
  expect(formatTable(COLUMNS, [], at(80))).toBe('NAME  WHEN  NOTE  ID\n');
});

test('wide characters count as two', () => {
  const [, line = ''] = formatTable(
    [{ title: 'JOB', shrinkTo: 4 }, { title: 'ID' }],
    [row('日本語日本語', '7')],
    at(12),
  ).split('\n');
  expect(line).toBe('日本…   7');
});

describe('names that others chose', () => {
  const hostile = row('\u001b[2Ja\u202eb\nc', '\u001b]0;x\u0007', '\t', '7');

  test('do not act on a terminal', () => {
    expect(formatTable(COLUMNS, [hostile], at(80))).toBe('NAME  WHEN  NOTE  ID\nab c               7\n');
  });

  test('do not make cells or lines of their own in plain text', () => {
    expect(formatTable(COLUMNS, [hostile], PIPE)).toBe('NAME\tWHEN\tNOTE\tID\nab c\t\t\t7\n');
  });
});

test('plain text is neither aligned nor cut to a width', () => {
  expect(formatTable(COLUMNS, ROWS, PIPE).split('\n')[1]).toBe('a rather long name\t2020-01-20\ta note\t1');
  expect(formatTable(COLUMNS, [row('x'.repeat(900))], PIPE).split('\n')[1]).toHaveLength(200);
});

test('colours do not move columns', () => {
  const colored = formatTable(
    COLUMNS,
    [[{ text: 'ok', tone: 'good' }, ...row('2020', 'n', '7')]],
    at(60, true),
  );
  expect(colored).toContain('\u001b[32mok\u001b[0m    2020');
});
