import { columnsOf } from './index-rows.ts';
import type { IndexRow } from './index-rows.ts';
import { csvField } from './visible-text.ts';

/** `index.csv` of a bundle: UTF-8, a heading, a line for each row. */
export function indexCsv(rows: readonly IndexRow[]): string {
  const heading = columnsOf({
    status: 'sealed',
    askedFor: null,
    record: null,
    sequence: null,
    custody: null,
    problem: null,
  });
  const lines = rows.map((row) => columnsOf(row).map(([, value]) => csvField(value)));
  return [heading.map(([name]) => csvField(name)), ...lines]
    .map((fields) => `${fields.join(',')}\r\n`)
    .join('');
}
