import { createStepLocator } from './log-steps.ts';
import type { JobStep } from './log-steps.ts';

/** What is known of a line when it begins. */
export interface LogLine {
  /** From 1, of the whole log. */
  readonly number: number;
  /** GitHub's stamp, like `2026-09-20T02:19:47.8429278Z`; null where the line has none. */
  readonly time: string | null;
  /** Null where no step's time matches. */
  readonly step: JobStep | null;
  /** Length of a byte order mark before the line. */
  readonly markBytes: number;
  /** Length of byte order mark, stamp and the space behind it. */
  readonly prefixBytes: number;
}

/** Hears a log line by line, a line's bytes in pieces, so that its length does not matter. */
export interface LineListener {
  onLine(line: LogLine): void;
  /** The next bytes of the line, with its byte order mark and stamp, without its line feed. */
  onBytes(bytes: Buffer): void;
  onLineEnd(hasLineFeed: boolean): void;
}

const LF = 0x0a;
/** Byte order mark, stamp, and enough behind it to know the start of a step by. */
const HEAD_BYTES = 64;
const STAMP = /^(\u00ef\u00bb\u00bf)?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{7}Z)(?: |(?=\r?$))/;
const MARK = '\u00ef\u00bb\u00bf';
const MARK_BYTES = 3;

/** Cuts the chunks of a log into lines, stamps and steps; holds at most the first 64 bytes of a line. */
export class LineReader {
  readonly #listener: LineListener;
  readonly #locator;
  #lines: number;
  /** The start of a line, until there is enough of it to announce the line. */
  #head: Buffer[] = [];
  #headBytes = 0;
  #isAnnounced = false;
  #second = '';
  #secondMs = 0;

  /** @param firstLine number of the first line that will come, in the whole log */
  constructor(steps: readonly JobStep[], listener: LineListener, firstLine = 1) {
    this.#lines = firstLine - 1;
    this.#listener = listener;
    this.#locator = createStepLocator(steps);
  }

  push(chunk: Buffer): void {
    let from = 0;
    while (from < chunk.length) {
      const lineFeed = chunk.indexOf(LF, from);
      const to = lineFeed === -1 ? chunk.length : lineFeed;
      this.#add(chunk.subarray(from, to));
      if (lineFeed === -1) return;
      this.#endLine(true);
      from = to + 1;
    }
  }

  /** Ends the last line, when it had no line feed. */
  end(): void {
    if (this.#isAnnounced || this.#headBytes > 0) this.#endLine(false);
  }

  #add(bytes: Buffer): void {
    if (bytes.length === 0) return;
    if (this.#isAnnounced) return this.#listener.onBytes(bytes);
    this.#head.push(bytes);
    this.#headBytes += bytes.length;
    if (this.#headBytes >= HEAD_BYTES) this.#announce();
  }

  #endLine(hasLineFeed: boolean): void {
    if (!this.#isAnnounced) this.#announce();
    this.#listener.onLineEnd(hasLineFeed);
    this.#isAnnounced = false;
  }

  #announce(): void {
    const [only] = this.#head;
    const head = this.#head.length === 1 && only !== undefined ? only : Buffer.concat(this.#head);
    this.#head = [];
    this.#headBytes = 0;
    this.#isAnnounced = true;
    this.#lines += 1;
    this.#listener.onLine(this.#describe(head.toString('latin1', 0, HEAD_BYTES)));
    if (head.length > 0) this.#listener.onBytes(head);
  }

  #describe(head: string): LogLine {
    const [prefix, , second, fraction] = STAMP.exec(head) ?? [];
    const hasStamp = prefix !== undefined && second !== undefined && fraction !== undefined;
    if (hasStamp && second !== this.#second) {
      this.#second = second;
      this.#secondMs = Date.parse(`${second}Z`);
    }
    const isTime = hasStamp && !Number.isNaN(this.#secondMs);
    const markBytes = head.startsWith(MARK) ? MARK_BYTES : 0;
    return {
      number: this.#lines,
      time: isTime ? second + fraction : null,
      step: this.#locator.locate(isTime ? this.#secondMs : null, isTime ? head.slice(prefix.length) : ''),
      markBytes,
      prefixBytes: isTime ? prefix.length : markBytes,
    };
  }
}
