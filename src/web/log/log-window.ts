import type { JobRecord, RecordedLog } from '../../archive/record.ts';
import { partOf, readLogPart } from '../../log/log-parts.ts';
import { readLog } from '../../log/log-reader.ts';
import { failedStepsOf, stepsOf, type JobStep } from '../../log/log-steps.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { escapeHtml, type Html } from '../html.ts';
import type { Reader } from '../access/access.ts';
import type { Turns } from '../turns.ts';
import { repositoryAddress } from './job-facts.ts';
import { LogLinesHtml, type LineWindow } from './log-lines-html.ts';
import { Outliner, outlineOf, type Outline } from './log-outline.ts';
import { SharedWork } from './shared-work.ts';
import { sourceLinks } from './source-links.ts';

/** Logs up to this stand whole in the page, so that the browser's own find works. */
const WHOLE_LINES_MAX = 10_000;
const WHOLE_BYTES_MAX = 2 * 1024 * 1024;
/** Lines of one window of a larger log. */
export const WINDOW_LINES = 2_000;
/** What is known of a log without its lines, a few kilobytes each. */
const OUTLINES_KEPT_MAX = 200;

/** What a reader points at. */
export interface WantedLines {
  readonly lines: LineWindow | null;
  readonly step: number | null;
}

/** Whose page it is, and whether somebody still waits for it. */
export interface WindowVisit {
  readonly reader: Reader;
  readonly signal: AbortSignal;
}

export interface ShownLog {
  readonly lines: Html;
  readonly window: LineWindow;
  /** Whether all of the log is in the page, and so its hash was checked just now. */
  readonly isWhole: boolean;
  /** First line of each step that printed something. */
  readonly firstLines: ReadonlyMap<number, number>;
}

/** Reads logs for pages: whole ones up to 10,000 lines, windows of 2,000 of larger ones, in bounded memory. */
export class LogWindows {
  readonly #store: ObjectStore;
  readonly #outlines = new Map<string, Outline>();
  readonly #passes: Turns;
  readonly #wholePages: Turns;
  readonly #beingMade = new SharedWork<ShownLog>();

  /** `passes`: whose turn it is to read a large log through, which takes a core; `wholePages`: to hold a small one in memory. */
  constructor(store: ObjectStore, passes: Turns, wholePages: Turns) {
    this.#store = store;
    this.#passes = passes;
    this.#wholePages = wholePages;
  }

  /**
   * The lines to show of a job's log. Reading ends when the visit's `signal` says that nobody waits any more.
   * @throws EverlogError `object_corrupt` where the log is not what its record says; where the store does not answer.
   */
  async show(
    record: JobRecord,
    log: RecordedLog,
    wanted: WantedLines,
    visit: WindowVisit,
  ): Promise<ShownLog> {
    const steps = stepsOf(record);
    const isWhole = log.lines <= WHOLE_LINES_MAX && log.bytes <= WHOLE_BYTES_MAX;
    if (!isWhole) return this.#windowed(record, log, steps, wanted, visit);
    const { host, job_id: jobId, revision } = record;
    // Of many who follow one link at once, each sees a log whose hash is checked after having asked.
    return this.#beingMade.join(
      JSON.stringify([host, jobId, revision, log, wanted]),
      (signal) =>
        this.#wholePages.take(visit.reader, () => this.#whole(record, log, steps, wanted, signal), signal),
      visit.signal,
    );
  }

  async #whole(
    record: JobRecord,
    log: RecordedLog,
    steps: readonly JobStep[],
    wanted: WantedLines,
    signal: AbortSignal,
  ): Promise<ShownLog> {
    const chunks: Buffer[] = [];
    const outliner = new Outliner(steps, wanted.lines?.from ?? null);
    for await (const chunk of readLog(this.#store, log)) {
      signal.throwIfAborted();
      outliner.push(chunk);
      chunks.push(chunk);
    }
    const { firstLines, wantedStep } = outliner.end();
    const open = new Set([...failedStepsOf(record).map(({ number }) => number), wanted.step, wantedStep]);
    open.delete(null);
    const page = new LogLinesHtml(steps, 1, {
      window: { from: 1, to: WHOLE_LINES_MAX },
      pointedAt: wanted.lines,
      isOpen: (step) => steps.length < 2 || open.size === 0 || (step !== null && open.has(step.number)),
      textToHtml: textToHtmlOf(record),
    });
    for (const chunk of chunks) page.push(chunk);
    return { lines: page.end(), window: { from: 1, to: log.lines }, isWhole: true, firstLines };
  }

  async #windowed(
    record: JobRecord,
    log: RecordedLog,
    steps: readonly JobStep[],
    wanted: WantedLines,
    visit: WindowVisit,
  ): Promise<ShownLog> {
    const { reader, signal } = visit;
    const outline = await this.#outline(record, log, steps, visit);
    const window = windowOf(log, outline, wanted, failedStepsOf(record));
    const part = partOf(log, { lines: window, steps: null });
    const page = new LogLinesHtml(steps, part?.firstLine ?? 1, {
      window,
      pointedAt: wanted.lines,
      isOpen: () => true,
      textToHtml: textToHtmlOf(record),
    });
    const read = async (): Promise<void> => {
      const chunks = part === null ? readLog(this.#store, log) : readLogPart(this.#store, log, part);
      for await (const chunk of chunks) {
        signal.throwIfAborted();
        page.push(chunk);
      }
    };
    // What can be entered near its window costs little; the rest waits for its turn.
    await (part === null ? this.#passes.take(reader, read, signal) : read());
    const shown = { from: window.from, to: Math.min(window.to, log.lines) };
    return { lines: page.end(), window: shown, isWhole: false, firstLines: outline.firstLines };
  }

  async #outline(
    record: JobRecord,
    log: RecordedLog,
    steps: readonly JobStep[],
    { reader, signal }: WindowVisit,
  ): Promise<Outline> {
    // Steps decide too where each begins, and two jobs may have printed the same.
    const name = `${record.job_id} ${record.revision} ${log.sha256}`;
    const known = this.#outlines.get(name);
    if (known !== undefined) return known;
    const look = async (): Promise<Outline> => {
      const outline = await outlineOf(this.#store, log, steps, signal);
      const [oldest] = this.#outlines.keys();
      if (this.#outlines.size >= OUTLINES_KEPT_MAX && oldest !== undefined) this.#outlines.delete(oldest);
      this.#outlines.set(name, outline);
      return outline;
    };
    return this.#passes.take(reader, look, signal);
  }
}

/** Links places in the source, where the commit and its host are known. */
function textToHtmlOf(record: JobRecord): (text: string) => string {
  const source = repositoryAddress(record);
  return source === null || record.head_sha === null ? escapeHtml : sourceLinks(source, record.head_sha);
}

function windowOf(
  log: RecordedLog,
  { firstLines, lastError }: Outline,
  { lines, step }: WantedLines,
  failed: readonly JobStep[],
): LineWindow {
  const stepLine = step === null ? undefined : firstLines.get(step);
  const failedLine = failed.map(({ number }) => firstLines.get(number)).findLast((it) => it !== undefined);
  const target = lines?.from ?? stepLine ?? lastError ?? failedLine ?? 1;
  const inside = Math.min(Math.max(1, target), Math.max(1, log.lines));
  const from = Math.floor((inside - 1) / WINDOW_LINES) * WINDOW_LINES + 1;
  return { from, to: from + WINDOW_LINES - 1 };
}
