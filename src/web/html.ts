import { inertLine } from '../log/terminal-sanitiser.ts';

/** Text of somebody else's, fit to stand in an element or in a quoted attribute. */
export function escapeHtml(text: string): string {
  if (!/[&<>"']/.test(text)) return text;
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** HTML that Everlog wrote itself, or that was escaped: what `html` lets through as it is. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  toString(): string {
    return this.text;
  }
}

/** What somebody typed, to stand in a box again as it was; escaped. */
export function typed(text: string): Html {
  return new Html(escapeHtml(text));
}

/** Nothing that acts. */
const PLAIN = /^[\x20-\x7e]*$/;

type HtmlPart = string | number | Html | null | undefined | false | readonly HtmlPart[];

/**
 * A piece of a page: whatever text is put in is escaped, and made inert as on a terminal, so that a name neither turns the words
 * around it nor hides what it is; HTML is let through.
 */
export function html(strings: TemplateStringsArray, ...parts: readonly HtmlPart[]): Html {
  return new Html(strings.reduce((all, text, index) => all + partText(parts[index - 1]) + text));
}

function partText(part: HtmlPart): string {
  if (part === null || part === undefined || part === false) return '';
  if (part instanceof Html) return part.text;
  if (typeof part === 'string') return escapeHtml(PLAIN.test(part) ? part : inertLine(part));
  return typeof part === 'number' ? String(part) : part.map(partText).join('');
}
