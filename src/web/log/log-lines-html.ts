import { Html, escapeHtml } from '../html.ts';
import { lineToHtml } from './ansi.ts';
import { LineReader, type LineListener, type LogLine } from '../../log/log-lines.ts';
import type { JobStep } from '../../log/log-steps.ts';

/** Lines from `from` to `to` of the whole log, both included. */
export interface LineWindow {
  readonly from: number;
  readonly to: number;
}

/** Bytes shown of one line; the raw view has all of them. */
const LINE_BYTES_MAX = 16 * 1024;
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
  readonly #window: LineWindow;
  readonly #isOpen: (step: JobStep | null) => boolean;
  readonly #reader: LineReader;
  readonly #parts: string[] = [];
  #line: LogLine | null = null;
  #bytes: Buffer[] = [];
  #length = 0;
  #step: number | null | undefined = undefined;
  #group = false;
  #blockLines = 0;

  constructor(
    steps: readonly JobStep[],
    window: LineWindow,
    firstLine: number,
    isOpen: (step: JobStep | null) => boolean,
  ) {
    this.#window = window;
    this.#isOpen = isOpen;
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
    this.#line = line.number >= this.#window.from && line.number <= this.#window.to ? line : null;
    this.#bytes = [];
    this.#length = 0;
  }

  onBytes(bytes: Buffer): void {
    if (this.#line === null || this.#length >= LINE_BYTES_MAX) return;
    const kept = bytes.subarray(0, LINE_BYTES_MAX - this.#length);
    this.#bytes.push(Buffer.from(kept));
    this.#length += kept.length;
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
      const title = lineToHtml(bytes.subarray(GROUP.length)) || '…';
      this.#parts.push(
        `</div><details class="group" open><summary id="L${line.number}" data-n="${line.number}">${title}</summary><div class="block">`,
      );
      this.#group = true;
      this.#blockLines = 0;
      return;
    }
    if (this.#blockLines >= BLOCK_LINES) {
      this.#parts.push('</div><div class="block">');
      this.#blockLines = 0;
    }
    this.#blockLines += 1;
    const [mark, kind] = MARKS.find(([start]) => head.startsWith(start)) ?? ['', ''];
    const { text, updates } = lastState(bytes.subarray(mark.length));
    const stamp = line.time === null ? '' : ` data-t="${escapeHtml(line.time)}"`;
    const shown = lineToHtml(text) + (updates > 1 ? ` <small>(${updates} updates)</small>` : '');
    const className = kind === '' ? '' : ` class="${kind}"`;
    this.#parts.push(`<div id="L${line.number}" data-n="${line.number}"${stamp}${className}>${shown}</div>`);
  }

  #openStep(step: JobStep | null): void {
    this.#closeStep();
    this.#step = step?.number ?? null;
    const open = this.#isOpen(step) ? ' open' : '';
    const title = step === null ? 'Between the steps' : `${step.number} · ${step.name}`;
    const result = step?.conclusion ?? '';
    const took =
      step?.startedMs === null || step?.completedMs === null || step === null
        ? ''
        : `<span class="took">${durationOf(step.completedMs - step.startedMs)}</span>`;
    const id = step === null ? '' : ` id="step-${step.number}"`;
    this.#parts.push(
      `<details class="step ${resultClass(result)}"${id}${open}><summary><span>${lineToHtml(Buffer.from(title))}</span>${took}</summary><div class="block">`,
    );
    this.#blockLines = 0;
  }

  #closeGroup(): void {
    if (!this.#group) return;
    this.#group = false;
    this.#blockLines = 0;
    this.#parts.push('</div></details><div class="block">');
  }

  #closeStep(): void {
    if (this.#step === undefined) return;
    this.#closeGroup();
    this.#parts.push('</div></details>');
    this.#step = undefined;
  }
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
