import { StringDecoder } from 'node:string_decoder';
import { inertJson } from '../json-text.ts';
import { createTerminalSanitiser } from './terminal-sanitiser.ts';
import type { TerminalSanitiser } from './terminal-sanitiser.ts';
import { LineReader } from './log-lines.ts';
import type { LineListener, LogLine } from './log-lines.ts';
import type { JobStep } from './log-steps.ts';

export interface LogViewOptions {
  /** `text`: harmless on a terminal. `raw`: GitHub's bytes. `json`: NDJSON of `{"line","step","time","text"}`. */
  readonly format: 'text' | 'raw' | 'json';
  /** Whether colours stay in `text`. */
  readonly color: boolean;
  /** All steps of the job, to tell to which each line belongs. */
  readonly steps: readonly JobStep[];
  /** Numbers of the steps wanted; null for all of the log. */
  readonly onlySteps: ReadonlySet<number> | null;
  /** Lines of the whole log wanted, both included, from 1; null for all. */
  readonly onlyLines: LineRange | null;
  /** A line counted from 1 within what is selected, whose number in the whole log is wanted. */
  readonly pointedAt?: number | null;
  /** Selected lines that are passed over before the first is shown, to show a tail. */
  readonly skipped?: number;
  /** Leaves GitHub's stamps out of `text`. */
  readonly noTimestamps?: boolean;
  /** Number of the first line that will come, where the log is not read from its beginning. */
  readonly firstLine?: number;
  /** Names the job in each line of `json`, where several follow one another. */
  readonly jobId?: number | null;
}

export interface LineRange {
  readonly from: number;
  /** Infinity when open. */
  readonly to: number;
}

/** Turns a log's bytes into what is shown, chunk by chunk in flat memory. */
export interface LogView {
  push(chunk: Buffer): Buffer;
  end(): Buffer;
  /** Lines selected so far; null when nothing was to be selected. */
  selectedLines(): number | null;
  /** Number in the whole log of the line pointed at; null when it has not come. */
  pointedLine(): number | null;
}

/** Lines `A-B`, `A-`, `-B` or `A`, counted from 1; null for anything else. */
export function parseLineRange(text: string): LineRange | null {
  const [, first, dash, last] = /^(\d{1,15})?(-)?(\d{1,15})?$/.exec(text) ?? [];
  if (first === undefined && last === undefined) return null;
  const from = Number(first ?? 1);
  const to = dash === undefined ? from : Number(last ?? Infinity);
  return from >= 1 && from <= to ? { from, to } : null;
}

/** Makes the view that the options ask for. */
export function createLogView(options: LogViewOptions): LogView {
  const filter = options.format === 'text' ? createTerminalSanitiser({ color: options.color }) : null;
  const wantsAll = options.onlySteps === null && options.onlyLines === null && (options.skipped ?? 0) === 0;
  if (wantsAll && options.format !== 'json' && options.noTimestamps !== true) return wholeLog(filter);

  const selection = new Selection(options);
  const reader = new LineReader(options.steps, selection, options.firstLine);
  const shown = (): Buffer => {
    const bytes = selection.take();
    return filter === null ? bytes : filter.push(bytes);
  };
  return {
    push(chunk) {
      reader.push(chunk);
      return shown();
    },
    end() {
      reader.end();
      const last = shown();
      return filter === null ? last : Buffer.concat([last, filter.end()]);
    },
    selectedLines: () => (wantsAll ? null : selection.lines),
    pointedLine: () => selection.pointedLine,
  };
}

const MARK = Buffer.from('\ufeff');

/** Without a selection lines need not be told apart, which is several times faster. */
function wholeLog(filter: TerminalSanitiser | null): LogView {
  let start: Buffer | null = Buffer.alloc(0);
  return {
    push(chunk) {
      if (filter === null) return chunk;
      if (start === null) return filter.push(chunk);
      const bytes = Buffer.concat([start, chunk]);
      const couldBeMark = bytes.length < MARK.length && MARK.subarray(0, bytes.length).equals(bytes);
      start = couldBeMark ? bytes : null;
      return couldBeMark ? Buffer.alloc(0) : filter.push(withoutMark(bytes));
    },
    end() {
      if (filter === null) return Buffer.alloc(0);
      const rest = start === null ? Buffer.alloc(0) : filter.push(start);
      return Buffer.concat([rest, filter.end()]);
    },
    selectedLines: () => null,
    pointedLine: () => null,
  };
}

function withoutMark(bytes: Buffer): Buffer {
  return bytes.subarray(0, MARK.length).equals(MARK) ? bytes.subarray(MARK.length) : bytes;
}

/** Lets the wanted lines through, as bytes or as JSON. */
class Selection implements LineListener {
  lines = 0;
  pointedLine: number | null = null;
  readonly #options: LogViewOptions;
  readonly #decoder = new StringDecoder('utf8');
  #parts: (Buffer | string)[] = [];
  #isWanted = false;
  /** Bytes at the start of the line that are not shown. */
  #skip = 0;

  constructor(options: LogViewOptions) {
    this.#options = options;
  }

  onLine(line: LogLine): void {
    this.#isWanted = this.#wants(line);
    if (!this.#isWanted) return;
    this.lines += 1;
    if (this.lines === this.#options.pointedAt) this.pointedLine = line.number;
    if (this.lines <= (this.#options.skipped ?? 0)) {
      this.#isWanted = false;
      return;
    }
    if (this.#options.format === 'json') {
      this.#skip = line.prefixBytes;
      const job = this.#options.jobId ?? null;
      const head = JSON.stringify({
        ...(job === null ? {} : { job_id: job }),
        line: line.number,
        step: line.step?.number ?? null,
        time: line.time,
      });
      this.#parts.push(`${head.slice(0, -1)},"text":"`);
    } else {
      this.#skip = this.#options.format === 'text' ? this.#hiddenBytes(line) : 0;
    }
  }

  onBytes(bytes: Buffer): void {
    if (!this.#isWanted) return;
    const shown = bytes.subarray(this.#skip);
    this.#skip = Math.max(0, this.#skip - bytes.length);
    this.#parts.push(this.#options.format === 'json' ? jsonCharacters(this.#decoder.write(shown)) : shown);
  }

  onLineEnd(hasLineFeed: boolean): void {
    if (!this.#isWanted) return;
    if (this.#options.format === 'json') this.#parts.push(`${jsonCharacters(this.#decoder.end())}"}\n`);
    else if (hasLineFeed) this.#parts.push('\n');
  }

  /** What has been let through since the last call. */
  take(): Buffer {
    const parts = this.#parts;
    this.#parts = [];
    return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
  }

  #hiddenBytes(line: LogLine): number {
    if (this.#options.noTimestamps === true) return line.prefixBytes;
    return line.number === 1 ? line.markBytes : 0;
  }

  #wants(line: LogLine): boolean {
    const { onlySteps, onlyLines } = this.#options;
    if (onlyLines !== null && (line.number < onlyLines.from || line.number > onlyLines.to)) return false;
    return onlySteps === null || (line.step !== null && onlySteps.has(line.step.number));
  }
}

/** Text inside a JSON string. */
function jsonCharacters(text: string): string {
  return inertJson(JSON.stringify(text)).slice(1, -1);
}
