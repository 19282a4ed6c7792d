import type { JobStep } from './log-steps.ts';
import { LineReader, type LineListener, type LogLine } from './log-lines.ts';

/** The last lines of one step. */
export interface StepTail {
  readonly step: JobStep;
  /** Without GitHub's stamps, the last one last; not harmless yet. */
  readonly lines: readonly string[];
  /** Number of the first of them in the whole log. */
  readonly firstLine: number | null;
}

/** Bytes kept of one line. */
const LINE_BYTES_MAX = 4_096;

/**
 * Collects the last `limit` lines of each of some steps of a log. What a runner prints between the steps is in none of them.
 * Holds at most `limit` lines of 4 KiB for each step.
 */
export class StepTails implements LineListener {
  readonly #limit: number;
  readonly #tails = new Map<number, { step: JobStep; lines: { number: number; text: string }[] }>();
  readonly #reader: LineReader;
  #line: LogLine | null = null;
  #bytes: Buffer[] = [];
  #length = 0;

  constructor(all: readonly JobStep[], wanted: readonly JobStep[], limit: number) {
    this.#limit = limit;
    for (const step of wanted) this.#tails.set(step.number, { step, lines: [] });
    this.#reader = new LineReader(all, this);
  }

  push(chunk: Buffer): void {
    this.#reader.push(chunk);
  }

  end(): StepTail[] {
    this.#reader.end();
    return [...this.#tails.values()].map(({ step, lines }) => ({
      step,
      lines: lines.map(({ text }) => text),
      firstLine: lines[0]?.number ?? null,
    }));
  }

  onLine(line: LogLine): void {
    this.#line = line.step !== null && this.#tails.has(line.step.number) ? line : null;
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
    const tail = line?.step === null || line === null ? undefined : this.#tails.get(line.step.number);
    if (line === null || tail === undefined) return;
    const text = Buffer.concat(this.#bytes).subarray(line.prefixBytes).toString('utf8').replace(/\r$/, '');
    tail.lines.push({ number: line.number, text });
    if (tail.lines.length > this.#limit) tail.lines.shift();
  }
}
