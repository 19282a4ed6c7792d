import { readFileSync, writeFileSync } from 'node:fs';
import { expect } from 'vitest';

/** A table in a document that is made by a test, between two marks on lines of their own. */
export interface DocumentedTable {
  readonly file: string;
  readonly begin: string;
  readonly end: string;
}

/** Expects that the document has these rows, the head first; with `EVERLOG_WRITE_DOCS=1` they are written there. */
export function expectDocumented(
  { file, begin, end }: DocumentedTable,
  rows: readonly (readonly string[])[],
): void {
  const text = readFileSync(file, 'utf8');
  const written = `${text.slice(0, text.indexOf(begin))}${begin}\n\n${tableOf(rows)}\n${text.slice(text.indexOf(end))}`;
  if (process.env['EVERLOG_WRITE_DOCS'] === '1') writeFileSync(file, written);
  expect(readFileSync(file, 'utf8')).toBe(written);
}

/** As prettier writes tables. */
function tableOf(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(3, ...rows.map((row) => (row[column] ?? '').length)),
  );
  const lineOf = (row: readonly string[]): string =>
    `| ${widths.map((width, column) => (row[column] ?? '').padEnd(width)).join(' | ')} |\n`;
  const [head = [], ...body] = rows;
  return lineOf(head) + lineOf(widths.map((width) => '-'.repeat(width))) + body.map(lineOf).join('');
}
