import Table from 'cli-table3';
import { inertText } from '../../log/terminal-sanitiser.ts';
import type { Terminal } from './terminal.ts';

/** One column of a table. On a narrow terminal columns give way: those with a `dropOrder` at once, the others by and by. */
export interface TableColumn {
  readonly title: string;
  readonly align?: 'right';
  /** Width that the column may shrink to; without it, it keeps that of its content. The widest shrink first. */
  readonly shrinkTo?: number;
  /** Of the columns that have it, the highest number gives way first: it is left out, or takes its `shortWidth`. */
  readonly dropOrder?: number;
  readonly shortWidth?: number;
  /** How a cell's text is fitted into fewer characters, beside those of the other rows; by default its end is cut. */
  readonly fit?: (text: string, width: number, all: readonly string[]) => string;
}

/** A cell: text from anywhere, made harmless here; `tone` colours it where colours are wanted. */
export interface Cell {
  readonly text: string;
  readonly tone?: Tone;
}
export type Tone = 'good' | 'bad' | 'dim';

const TONES: Readonly<Record<Tone | 'title', string>> = { good: '32', bad: '31', dim: '2', title: '1' };
const GAP = 2;
/** Longest cell where there is no terminal whose width could cut it. */
const PLAIN_CHARACTERS_MAX = 200;
const NO_BORDERS = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '',
} as const;

/**
 * A table as text that ends with a line feed. On a terminal its columns are aligned and it fits the width; elsewhere it
 * has one tab between the cells and nothing is cut but at 200 characters.
 */
export function formatTable(
  columns: readonly TableColumn[],
  rows: readonly (readonly Cell[])[],
  terminal: Terminal,
): string {
  const cells = rows.map((row) => row.map(({ text, ...rest }) => ({ ...rest, text: inertText(text) })));
  if (!terminal.isTTY) {
    const titles = columns.map(({ title }) => title);
    const lines = cells.map((row) => row.map(({ text }) => text.slice(0, PLAIN_CHARACTERS_MAX)));
    return [titles, ...lines].map((line) => `${line.join('\t')}\n`).join('');
  }
  const widths = fitWidths(columns, cells, terminal.columns);
  const texts = columns.map((_, index) => cells.map((row) => row[index]?.text ?? ''));
  const shown = columns.map((_, index) => index).filter((index) => widths[index] !== undefined);
  const table = new Table({
    chars: NO_BORDERS,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': GAP, compact: true },
    colWidths: shown.map((index) => (widths[index] ?? 0) + GAP),
    colAligns: shown.map((index) => columns[index]?.align ?? 'left'),
    truncate: '…',
  });
  const pick = (row: readonly Cell[]): string[] =>
    shown.map((index) => {
      const { text, tone } = row[index] ?? { text: '' };
      const width = widths[index] ?? 0;
      const fitted =
        text.length > width ? (columns[index]?.fit?.(text, width, texts[index] ?? []) ?? text) : text;
      return tone === undefined ? fitted : paint(fitted, tone, terminal);
    });
  table.push(shown.map((index) => paint(columns[index]?.title ?? '', 'title', terminal)));
  for (const row of cells) table.push(pick(row));
  return `${table.toString().replaceAll(/ +$/gm, '')}\n`;
}

/** Shortens a text where rows are the same, so that they can still be told apart: `…shard 2 of 4`, `release/…/x64`. */
export function keepDifference(text: string, width: number, all: readonly string[]): string {
  if (text.length <= width) return text;
  if (width < 3) return text.slice(0, width);
  const shared = sharedStart(all);
  const rest = text.length - shared;
  // All that differs fits behind the ellipsis, or nothing is shared: the start says more than the end then.
  if (shared > 0 && rest <= width - 1) return `…${text.slice(text.length - width + 1)}`;
  const from = Math.max(0, Math.min(shared, text.length - width));
  const start = from > 0 ? '…' : '';
  const room = width - start.length - 1;
  const head = Math.ceil(room / 2);
  return `${start}${text.slice(from, from + head)}…${text.slice(text.length - (room - head))}`;
}

function sharedStart(texts: readonly string[]): number {
  const [first = '', ...others] = new Set(texts);
  if (others.length === 0) return 0;
  let length = 0;
  while (length < first.length && others.every((text) => text[length] === first[length])) length += 1;
  return length;
}

/** Widths of the columns that are shown; undefined for those left out. */
function fitWidths(
  columns: readonly TableColumn[],
  rows: readonly (readonly Cell[])[],
  available: number,
): (number | undefined)[] {
  const natural = columns.map(({ title }, index) =>
    rows.reduce((width, row) => Math.max(width, row[index]?.text.length ?? 0), title.length),
  );
  const highest = Math.max(...columns.map(({ dropOrder }) => dropOrder ?? 0));
  let widths: (number | undefined)[] = natural;
  for (let kept = highest; kept >= 0; kept -= 1) {
    widths = columns.map(({ dropOrder = 0, shortWidth }, index) =>
      dropOrder > kept ? shortWidth : natural[index],
    );
    if (totalOf(widths.map((width, index) => leastOf(columns[index], width))) <= available) break;
  }
  return shrinkToFit(columns, widths, available);
}

function shrinkToFit(
  columns: readonly TableColumn[],
  widths: readonly (number | undefined)[],
  available: number,
): (number | undefined)[] {
  const fitted = [...widths];
  while (totalOf(fitted) > available) {
    const [widest] = fitted
      .map((width, index) => ({ index, width: width ?? 0, least: leastOf(columns[index], width) ?? 0 }))
      .filter(({ width, least }) => width > least)
      .sort((a, b) => b.width - a.width);
    if (widest === undefined) break;
    fitted[widest.index] = widest.width - 1;
  }
  return fitted;
}

function leastOf(column: TableColumn | undefined, width: number | undefined): number | undefined {
  return width === undefined ? undefined : Math.min(width, column?.shrinkTo ?? width);
}

function totalOf(widths: readonly (number | undefined)[]): number {
  return widths.reduce<number>((sum, width) => sum + (width === undefined ? 0 : width + GAP), -GAP);
}

/** Text of Everlog's own choice, or made harmless before, in a colour where colours are wanted. */
export function paint(text: string, tone: Tone | 'title', terminal: Terminal): string {
  return terminal.color && text !== '' ? `\u001b[${TONES[tone]}m${text}\u001b[0m` : text;
}
