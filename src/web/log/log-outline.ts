import type { RecordedLog } from '../../archive/record.ts';
import { LineReader, type LineListener, type LogLine } from '../../log/log-lines.ts';
import { readLogPart } from '../../log/log-parts.ts';
import { readLog } from '../../log/log-reader.ts';
import type { JobStep } from '../../log/log-steps.ts';
import type { ObjectStore } from '../../store/object-store.ts';

/** Where the steps of a log begin and where its last error stands. */
export interface Outline {
  /** First line of each step that printed something. */
  readonly firstLines: ReadonlyMap<number, number>;
  /** Null where there is none; of a log with points, where none stands in its last 64 MiB. */
  readonly lastError: number | null;
  /** Step of the line that was asked for; null where none was, or it belongs to none. */
  readonly wantedStep: number | null;
}

type Points = NonNullable<RecordedLog['points']>;

/** Errors end jobs, so that the last one is near the end; to know that there is none would take the whole log. */
const LOOKED_BACK_BYTES_MAX = 64 * 1024 * 1024;

/**
 * The outline of a recorded log. Of a log with points only the blocks are read in which a step may begin, and the last ones;
 * of any other, and where stamps go back, all of it. Ends when `signal` says so.
 * @throws EverlogError `object_corrupt` where what is read is not what its record says; where the store does not answer
 */
export async function outlineOf(
  store: ObjectStore,
  log: RecordedLog,
  steps: readonly JobStep[],
  signal: AbortSignal,
): Promise<Outline> {
  const points = log.points ?? [];
  if (points.length > 1 && isInOrder(points)) {
    const blocks = new Blocks(store, log, points, signal);
    return {
      firstLines: await firstLinesIn(blocks, steps),
      lastError: await lastErrorIn(blocks),
      wantedStep: null,
    };
  }
  const outliner = new Outliner(steps);
  for await (const chunk of readLog(store, log)) {
    signal.throwIfAborted();
    outliner.push(chunk);
  }
  return outliner.end();
}

function isInOrder(points: Points): boolean {
  const seconds = points.map(([, , , second]) => second).filter((second) => second !== null);
  return seconds.every((second, index) => second >= (seconds[index - 1] ?? second));
}

/** The blocks of a log, each read by itself and held against its hash. */
class Blocks {
  readonly #store: ObjectStore;
  readonly #log: RecordedLog;
  readonly #signal: AbortSignal;
  readonly points: Points;

  constructor(store: ObjectStore, log: RecordedLog, points: Points, signal: AbortSignal) {
    this.#store = store;
    this.#log = log;
    this.points = points;
    this.#signal = signal;
  }

  /** Number of a block's first line. */
  lineOf(block: number): number {
    return this.points[block]?.[2] ?? 1;
  }

  bytesOf(block: number): number {
    return (this.points[block + 1]?.[0] ?? this.#log.bytes) - (this.points[block]?.[0] ?? 0);
  }

  async readInto(outliner: Outliner, block: number): Promise<void> {
    const part = { from: block, to: block + 1, firstLine: this.lineOf(block) };
    for await (const chunk of readLogPart(this.#store, this.#log, part)) {
      this.#signal.throwIfAborted();
      outliner.push(chunk);
    }
  }
}

/**
 * Reads on from the block in which a step may begin until a line of it has come, or its time has passed. A second belongs to a step
 * as a whole, and to which of several is known only from its beginning on: so it begins in a block of an earlier second.
 */
async function firstLinesIn(blocks: Blocks, steps: readonly JobStep[]): Promise<ReadonlyMap<number, number>> {
  const firstLines = new Map<number, number>();
  const { points } = blocks;
  let next = 0;
  let outliner = new Outliner(steps);
  for (const { number, from, to } of rangesOf(steps, points)) {
    if (from > next) {
      next = from;
      outliner = new Outliner(steps, null, blocks.lineOf(from));
    }
    while (!firstLines.has(number) && next < to) {
      await blocks.readInto(outliner, next);
      next += 1;
      const known = next === points.length ? outliner.end().firstLines : outliner.firstLines;
      for (const [step, line] of known) if (!firstLines.has(step)) firstLines.set(step, line);
    }
  }
  return firstLines;
}

interface StepRange {
  readonly number: number;
  /** Of the first block in which it may begin, and of the one behind the last. */
  readonly from: number;
  readonly to: number;
}

/** In the order in which the steps began. */
function rangesOf(steps: readonly JobStep[], points: Points): StepRange[] {
  const ran = steps.flatMap((step) =>
    step.startedMs === null || step.conclusion === 'skipped' ? [] : [{ ...step, startedMs: step.startedMs }],
  );
  const inOrder = ran.sort((a, b) => a.startedMs - b.startedMs || a.number - b.number);
  return inOrder.map(({ number, startedMs, completedMs }) => {
    const behind = points.findIndex(
      ([, , , second]) => second !== null && completedMs !== null && second * 1_000 > completedMs,
    );
    return {
      number,
      from: Math.max(
        0,
        points.findLastIndex(([, , , second]) => second !== null && second * 1_000 < startedMs),
      ),
      to: behind === -1 ? points.length : behind,
    };
  });
}

async function lastErrorIn(blocks: Blocks): Promise<number | null> {
  let looked = 0;
  for (let block = blocks.points.length - 1; block >= 0 && looked < LOOKED_BACK_BYTES_MAX; block -= 1) {
    const outliner = new Outliner([], null, blocks.lineOf(block));
    await blocks.readInto(outliner, block);
    const { lastError } = outliner.end();
    if (lastError !== null) return lastError;
    looked += blocks.bytesOf(block);
  }
  return null;
}

/** Finds the first line of each step, and the last error, in what it is given. */
export class Outliner implements LineListener {
  readonly firstLines = new Map<number, number>();
  readonly #reader: LineReader;
  readonly #wantedLine: number | null;
  #wantedStep: number | null = null;
  #lastError: number | null = null;
  #line: LogLine | null = null;
  #isStart = false;

  /** @param firstLine number of the first line that will come, in the whole log */
  constructor(steps: readonly JobStep[], wantedLine: number | null = null, firstLine = 1) {
    this.#wantedLine = wantedLine;
    this.#reader = new LineReader(steps, this, firstLine);
  }

  push(chunk: Buffer): void {
    this.#reader.push(chunk);
  }

  end(): Outline {
    this.#reader.end();
    return { firstLines: this.firstLines, lastError: this.#lastError, wantedStep: this.#wantedStep };
  }

  onLine(line: LogLine): void {
    this.#line = line;
    this.#isStart = true;
    if (line.number === this.#wantedLine) this.#wantedStep = line.step?.number ?? null;
    if (line.step !== null && !this.firstLines.has(line.step.number)) {
      this.firstLines.set(line.step.number, line.number);
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
