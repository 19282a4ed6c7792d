import { Html, escapeHtml } from '../html.ts';
import { lineToHtml } from './ansi.ts';
import { LineReader, type LineListener, type LogLine } from '../../log/log-lines.ts';
import type { JobStep } from '../../log/log-steps.ts';

/** Lines from `from` to `to` of the whole log, both included. */
export interface LineWindow {
  readonly from: number;
  readonly to: number;
}

/** How lines are shown. */
export interface LinesLook {
  readonly window: LineWindow;
  /** Lines that the address points at. */
  readonly pointedAt: LineWindow | null;
  readonly isOpen: (step: JobStep | null) => boolean;
  /** Makes the text of a line HTML. */
  readonly textToHtml: (text: string) => string;
}

/** Bytes shown of one line; the raw view has all of them. */
const LINE_BYTES_MAX = 16 * 1024;
/** HTML of all lines together before long ones are cut shorter and nothing is linked any more: a page that a browser still takes. */
const HTML_CHARACTERS_MAX = 6 * 1024 * 1024;
const CUT_LINE_BYTES = 256;
/** Lines laid out together: a browser skips blocks that are not in view. */
const BLOCK_LINES = 250;
const GROUP = '##[group]';
const END_GROUP = '##[endgroup]';
const MARKS: readonly (readonly [string, string])[] = [
  ['##[error]', 'error'],
  ['##[warning]', 'warning'],
  ['##[notice]', 'notice'],
  ['##[command]', 'command'],
  ['[command]', 'command'],
  ['##[debug]', 'debug'],
];

/** Turns the lines of a window into HTML, step by step; what is open at the end of a step is closed there. */
export class LogLinesHtml implements LineListener {
  readonly #look: LinesLook;
  readonly #reader: LineReader;
  readonly #parts: string[] = [];
  #line: LogLine | null = null;
  #bytes: Buffer[] = [];
  #length = 0;
  #left = 0;
  #htmlCharacters = 0;
  #step: number | null | undefined = undefined;
  #group = false;
  #blockLines = 0;
  /** Where the block that is open begins in `#parts`. */
  #blockAt = 0;

  constructor(steps: readonly JobStep[], firstLine: number, look: LinesLook) {
    this.#look = look;
    this.#reader = new LineReader(steps, this, firstLine);
  }

  push(chunk: Buffer): void {
    this.#reader.push(chunk);
  }

  end(): Html {
    this.#reader.end();
    this.#closeStep();
    return new Html(this.#parts.join(''));
  }

  onLine(line: LogLine): void {
    this.#line = isWithin(line.number, this.#look.window) ? line : null;
    this.#bytes = [];
    this.#length = 0;
    this.#left = 0;
  }

  onBytes(bytes: Buffer): void {
    if (this.#line === null) return;
    const max = this.#isFull() ? CUT_LINE_BYTES : LINE_BYTES_MAX;
    const kept = bytes.subarray(0, Math.max(0, max - this.#length));
    if (kept.length > 0) this.#bytes.push(Buffer.from(kept));
    this.#length += kept.length;
    this.#left += bytes.length - kept.length;
  }

  onLineEnd(): void {
    const line = this.#line;
    if (line === null) return;
    const bytes = Buffer.concat(this.#bytes).subarray(line.prefixBytes);
    const step = line.step;
    if (this.#step === undefined || (step?.number ?? null) !== this.#step) this.#openStep(step);
    this.#show(line, bytes);
  }

  #show(line: LogLine, bytes: Buffer): void {
    const head = bytes.toString('latin1', 0, 16);
    if (head.startsWith(END_GROUP)) return this.#closeGroup();
    if (head.startsWith(GROUP)) {
      this.#closeGroup();
      const title =
        lineToHtml(bytes.subarray(GROUP.length), this.#isFull() ? escapeHtml : this.#look.textToHtml) || '…';
      this.#htmlCharacters += title.length;
      this.#parts.push(
        `</div><details class="group" open><summary id="L${line.number}" data-n="${line.number}">${title}</summary>`,
      );
      this.#group = true;
      this.#openBlock();
      return;
    }
    if (this.#blockLines >= BLOCK_LINES) {
      // Only a block whose height is known before it is laid out may be left out of view.
      this.#parts[this.#blockAt] = '<div class="block full">';
      this.#parts.push('</div>');
      this.#openBlock();
    }
    this.#blockLines += 1;
    const [mark, kind] = MARKS.find(([start]) => head.startsWith(start)) ?? ['', ''];
    const { text, updates } = lastState(bytes.subarray(mark.length));
    const stamp = line.time === null ? '' : ` data-t="${escapeHtml(line.time)}"`;
    const folded = updates > 1 ? ` <small>(${updates} updates)</small>` : '';
    const left = this.#left.toLocaleString('en-US');
    const cut = this.#left > 0 ? ` <small>(${left} more bytes, which Raw has)</small>` : '';
    const shown = lineToHtml(text, this.#isFull() ? escapeHtml : this.#look.textToHtml) + folded + cut;
    this.#htmlCharacters += shown.length;
    const isPointedAt = this.#look.pointedAt !== null && isWithin(line.number, this.#look.pointedAt);
    const names = [kind, isPointedAt ? 'sel' : ''].filter((name) => name !== '').join(' ');
    const className = names === '' ? '' : ` class="${names}"`;
    this.#parts.push(`<div id="L${line.number}" data-n="${line.number}"${stamp}${className}>${shown}</div>`);
  }

  #isFull(): boolean {
    return this.#htmlCharacters > HTML_CHARACTERS_MAX;
  }

  #openStep(step: JobStep | null): void {
    this.#closeStep();
    this.#step = step?.number ?? null;
    const open = this.#look.isOpen(step) ? ' open' : '';
    const title = step === null ? 'Between the steps' : `${step.number} · ${step.name}`;
    const result = step?.conclusion ?? '';
    const took =
      step?.startedMs === null || step?.completedMs === null || step === null
        ? ''
        : `<span class="took">${durationOf(step.completedMs - step.startedMs)}</span>`;
    const id = step === null ? '' : ` id="step-${step.number}"`;
    this.#parts.push(
      `<details class="step ${resultClass(result)}"${id}${open}><summary><span>${lineToHtml(Buffer.from(title))}</span>${took}</summary>`,
    );
    this.#openBlock();
  }

  #openBlock(): void {
    this.#blockAt = this.#parts.length;
    this.#blockLines = 0;
    this.#parts.push('<div class="block">');
  }

  #closeGroup(): void {
    if (!this.#group) return;
    this.#group = false;
    this.#parts.push('</div></details>');
    this.#openBlock();
  }

  #closeStep(): void {
    if (this.#step === undefined) return;
    this.#closeGroup();
    this.#parts.push('</div></details>');
    this.#step = undefined;
  }
}

function isWithin(line: number, { from, to }: LineWindow): boolean {
  return line >= from && line <= to;
}

/** A line that a program wrote over and over, as it stood at the end. */
function lastState(bytes: Buffer): { text: Buffer; updates: number } {
  if (!bytes.includes(0x0d)) return { text: bytes, updates: 1 };
  const states = bytes
    .toString('latin1')
    .split('\r')
    .filter((state) => state !== '');
  return { text: Buffer.from(states.at(-1) ?? '', 'latin1'), updates: states.length };
}

/** The class of how something ended: one of a few, whatever GitHub says. */
export function resultClass(conclusion: string): 'ok' | 'bad' | 'dim' {
  if (conclusion === 'success') return 'ok';
  return ['failure', 'timed_out', 'startup_failure'].includes(conclusion) ? 'bad' : 'dim';
}

/** `8s`, `1m 05s`, `2h 03m`. */
export function durationOf(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  const two = (value: number): string => String(value).padStart(2, '0');
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m ${two(seconds % 60)}s`;
  return `${Math.floor(seconds / 3_600)}h ${two(Math.floor(seconds / 60) % 60)}m`;
}
