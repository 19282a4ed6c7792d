import type { JobRecord, RecordedLog } from '../../archive/record.ts';
import { LineReader, type LineListener, type LogLine } from '../../log/log-lines.ts';
import { partOf, readLogPart } from '../../log/log-parts.ts';
import { readLog } from '../../log/log-reader.ts';
import { failedStepsOf, stepsOf, type JobStep } from '../../log/log-steps.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import type { Html } from '../html.ts';
import { LogLinesHtml, type LineWindow } from './log-lines-html.ts';

/** Logs up to this stand whole in the page, so that the browser's own find works. */
const WHOLE_LINES_MAX = 10_000;
const WHOLE_BYTES_MAX = 2 * 1024 * 1024;
/** Lines of one window of a larger log. */
export const WINDOW_LINES = 2_000;
/** What is known of a log without its lines, a few kilobytes each. */
const OUTLINES_KEPT_MAX = 200;
/** Logs read through at once; more wait, as each takes a core. */
const PASSES_MAX = 2;

/** What a reader points at, of a log that does not stand whole in the page. */
export interface WantedLines {
  readonly line: number | null;
  readonly step: number | null;
}

export interface ShownLog {
  readonly lines: Html;
  readonly window: LineWindow;
  /** Whether all of the log is in the page, and so its hash was checked just now. */
  readonly isWhole: boolean;
  /** First line of each step that printed something. */
  readonly firstLines: ReadonlyMap<number, number>;
}

/** Where the steps of a log begin and where its last error stands. */
interface Outline {
  readonly firstLines: ReadonlyMap<number, number>;
  readonly lastError: number | null;
}

/** Reads logs for pages: whole ones up to 10,000 lines, windows of 2,000 of larger ones, in bounded memory. */
export class LogWindows {
  readonly #store: ObjectStore;
  readonly #outlines = new Map<string, Outline>();
  #passes = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(store: ObjectStore) {
    this.#store = store;
  }

  /**
   * The lines to show of a job's log.
   * @throws EverlogError `object_corrupt` where the log is not what its record says; where the store does not answer.
   */
  async show(record: JobRecord, log: RecordedLog, wanted: WantedLines): Promise<ShownLog> {
    const steps = stepsOf(record);
    const failed = new Set(failedStepsOf(record).map(({ number }) => number));
    const isWhole = log.lines <= WHOLE_LINES_MAX && log.bytes <= WHOLE_BYTES_MAX;
    const outline = isWhole ? null : await this.#outline(log, steps);
    const window = outline === null ? { from: 1, to: Infinity } : windowOf(log, outline, wanted);
    const isOpen = (step: JobStep | null): boolean =>
      !isWhole ||
      steps.length < 2 ||
      failed.size === 0 ||
      (step !== null && (failed.has(step.number) || step.number === wanted.step));
    const part = isWhole ? null : partOf(log, { lines: window, steps: null });
    const page = new LogLinesHtml(steps, window, part?.firstLine ?? 1, isOpen);
    const firsts = new Outliner(steps);
    const chunks = part === null ? readLog(this.#store, log) : readLogPart(this.#store, log, part);
    for await (const chunk of chunks) {
      page.push(chunk);
      if (isWhole) firsts.push(chunk);
    }
    const lines = page.end();
    const firstLines = isWhole ? firsts.end().firstLines : (outline?.firstLines ?? new Map<number, number>());
    return { lines, window: { from: window.from, to: Math.min(window.to, log.lines) }, isWhole, firstLines };
  }

  async #outline(log: RecordedLog, steps: readonly JobStep[]): Promise<Outline> {
    const known = this.#outlines.get(log.sha256);
    if (known !== undefined) return known;
    await this.#begin();
    try {
      const outliner = new Outliner(steps);
      for await (const chunk of readLog(this.#store, log)) outliner.push(chunk);
      const outline = outliner.end();
      if (this.#outlines.size >= OUTLINES_KEPT_MAX) {
        const [oldest] = this.#outlines.keys();
        if (oldest !== undefined) this.#outlines.delete(oldest);
      }
      this.#outlines.set(log.sha256, outline);
      return outline;
    } finally {
      this.#passes -= 1;
      this.#waiting.shift()?.();
    }
  }

  async #begin(): Promise<void> {
    while (this.#passes >= PASSES_MAX) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
    this.#passes += 1;
  }
}

function windowOf(log: RecordedLog, outline: Outline, { line, step }: WantedLines): LineWindow {
  const stepLine = step === null ? undefined : outline.firstLines.get(step);
  const target = line ?? stepLine ?? outline.lastError ?? 1;
  const inside = Math.min(Math.max(1, target), Math.max(1, log.lines));
  const from = Math.floor((inside - 1) / WINDOW_LINES) * WINDOW_LINES + 1;
  return { from, to: from + WINDOW_LINES - 1 };
}

/** Finds the first line of each step, and the last error. */
class Outliner implements LineListener {
  readonly #firstLines = new Map<number, number>();
  readonly #reader: LineReader;
  #lastError: number | null = null;
  #line: LogLine | null = null;
  #isStart = false;

  constructor(steps: readonly JobStep[]) {
    this.#reader = new LineReader(steps, this);
  }

  push(chunk: Buffer): void {
    this.#reader.push(chunk);
  }

  end(): Outline {
    this.#reader.end();
    return { firstLines: this.#firstLines, lastError: this.#lastError };
  }

  onLine(line: LogLine): void {
    this.#line = line;
    this.#isStart = true;
    if (line.step !== null && !this.#firstLines.has(line.step.number)) {
      this.#firstLines.set(line.step.number, line.number);
    }
  }

  onBytes(bytes: Buffer): void {
    if (!this.#isStart || this.#line === null) return;
    this.#isStart = false;
    const at = this.#line.prefixBytes;
    if (bytes.toString('latin1', at, at + 9) === '##[error]') this.#lastError = this.#line.number;
  }

  onLineEnd(): void {
    this.#line = null;
  }
}
