import { createTerminalSanitiser } from '../../log/terminal-sanitiser.ts';
import { escapeHtml } from '../html.ts';

/** How text is shown: colours by their number in the palette of 256, null for the page's own. */
interface Look {
  readonly fore: number | null;
  readonly back: number | null;
  readonly bold: boolean;
  readonly dim: boolean;
  readonly italic: boolean;
  readonly underline: boolean;
}

const PLAIN: Look = { fore: null, back: null, bold: false, dim: false, italic: false, underline: false };
const ESC = String.fromCharCode(0x1b);
const SEQUENCE = new RegExp(`${ESC}\\[([0-9;:]*)m`, 'g');
const PLAIN_TEXT = /^[\x20-\x7e]*$/;
/** Numbers of one sequence that are looked at; more say nothing new. */
const NUMBERS_MAX = 32;
const STEPS = [0, 95, 135, 175, 215, 255];

/**
 * A line of a log as HTML: made inert by the same filter as on a terminal, its colours as classes (`f1`, `g4`, `b`), so that no
 * style stands in the page. A colour lasts until the line's end, and counts only where the log gives the text no ground of its
 * own: the two together may not be readable. `textToHtml` makes the text itself HTML.
 */
export function lineToHtml(line: Buffer, textToHtml: (text: string) => string = escapeHtml): string {
  const bytes = line.toString('latin1');
  // Most lines hold nothing that the filter could take out of them.
  if (PLAIN_TEXT.test(bytes)) return textToHtml(bytes);
  const filter = createTerminalSanitiser({ color: true });
  const text = Buffer.concat([filter.push(line), filter.end()]).toString('utf8');
  if (!text.includes(ESC)) return textToHtml(text);
  let look = PLAIN;
  let out = '';
  let from = 0;
  for (const match of text.matchAll(SEQUENCE)) {
    out += styledSpan(look, text.slice(from, match.index), textToHtml);
    look = changed(look, (match[1] ?? '').split(/[;:]/).slice(0, NUMBERS_MAX).map(Number));
    from = match.index + match[0].length;
  }
  return out + styledSpan(look, text.slice(from), textToHtml);
}

function styledSpan(look: Look, text: string, textToHtml: (text: string) => string): string {
  if (text === '') return '';
  const classes = [
    ...(look.fore === null || look.back !== null ? [] : [`f${look.fore}`]),
    ...(look.back === null ? [] : [`g${look.back}`]),
    ...(look.bold ? ['b'] : []),
    ...(look.dim ? ['d'] : []),
    ...(look.italic ? ['i'] : []),
    ...(look.underline ? ['u'] : []),
  ];
  return classes.length === 0
    ? textToHtml(text)
    : `<span class="${classes.join(' ')}">${textToHtml(text)}</span>`;
}

function changed(look: Look, numbers: readonly number[]): Look {
  let next = look;
  for (let at = 0; at < numbers.length; at += 1) {
    const number = numbers[at] ?? 0;
    if (number === 38 || number === 48) {
      const { color, used } = colorIn(numbers, at + 1);
      next = number === 38 ? { ...next, fore: color } : { ...next, back: color };
      at += used;
    } else next = withNumber(next, number);
  }
  return next;
}

function withNumber(look: Look, number: number): Look {
  if (number >= 30 && number <= 37) return { ...look, fore: number - 30 };
  if (number >= 90 && number <= 97) return { ...look, fore: number - 82 };
  if (number >= 40 && number <= 47) return { ...look, back: number - 40 };
  if (number >= 100 && number <= 107) return { ...look, back: number - 92 };
  switch (number) {
    case 0:
      return PLAIN;
    case 1:
      return { ...look, bold: true };
    case 2:
      return { ...look, dim: true };
    case 3:
      return { ...look, italic: true };
    case 4:
      return { ...look, underline: true };
    case 22:
      return { ...look, bold: false, dim: false };
    case 23:
      return { ...look, italic: false };
    case 24:
      return { ...look, underline: false };
    case 39:
      return { ...look, fore: null };
    case 49:
      return { ...look, back: null };
    default:
      return look;
  }
}

/** `5;n` of the palette, or `2;r;g;b`, taken to the nearest colour of the palette's cube. */
function colorIn(numbers: readonly number[], at: number): { color: number | null; used: number } {
  const [kind, first = 0, second = 0, third = 0] = numbers.slice(at, at + 4);
  if (kind === 5) return { color: first >= 0 && first <= 255 ? first : null, used: 2 };
  if (kind !== 2) return { color: null, used: 0 };
  const [red, green, blue] = [first, second, third].map(nearestStep);
  return { color: 16 + 36 * (red ?? 0) + 6 * (green ?? 0) + (blue ?? 0), used: 4 };
}

function nearestStep(value: number): number {
  let nearest = 0;
  for (const [index, step] of STEPS.entries()) {
    if (Math.abs(step - value) < Math.abs((STEPS[nearest] ?? 0) - value)) nearest = index;
  }
  return nearest;
}
