import { seededRandom } from '../random.ts';
import type { StepFacts } from '../facts.ts';
import type { LogSource } from './log-source.ts';
import { fillerTexts, fixedTexts } from './log-phrases.ts';

/** What a generated log is about. The same input gives the same bytes. */
export interface LogTextOptions {
  seed: number;
  jobName: string;
  repository: string;
  steps: readonly StepFacts[];
  /** Exact size wanted; without it, or when it is below what the steps print anyway, the natural size. */
  bytes?: number;
}

const BOM = Buffer.from([0xef, 0xbb, 0xbf]);
const STAMP_BYTES = '2026-09-20T02:19:47.8429278Z '.length;
const SECOND_BYTES = '2026-09-20T02:19:47'.length;
const TICKS_PER_MS = 10_000;
const TICKS_PER_SECOND = 10_000_000;
const BLOCK_BYTES = 65_536;
const DIGIT_ZERO = 48;

interface Section {
  startTick: number;
  endTick: number;
  before: Buffer[];
  after: Buffer[];
  fillerBytes: number;
}

/** Writes 7-digit stamps that never run backwards; ticks are 100 ns since the epoch, exact in a double until 2255. */
class Stamper {
  #second = -1;
  readonly #text = Buffer.alloc(SECOND_BYTES);
  #last = 0;

  write(target: Buffer, offset: number, wantedTick: number): void {
    const tick = wantedTick > this.#last ? wantedTick : this.#last + 1;
    this.#last = tick;
    const second = Math.floor(tick / TICKS_PER_SECOND);
    if (second !== this.#second) {
      this.#second = second;
      this.#text.write(new Date(second * 1000).toISOString().slice(0, SECOND_BYTES), 'latin1');
    }
    this.#text.copy(target, offset);
    target[offset + SECOND_BYTES] = 46;
    let fraction = tick - second * TICKS_PER_SECOND;
    for (let digit = 7; digit >= 1; digit -= 1) {
      const rest = Math.floor(fraction / 10);
      target[offset + SECOND_BYTES + digit] = DIGIT_ZERO + fraction - rest * 10;
      fraction = rest;
    }
  }
}

function blankLine(text: string): Buffer {
  const line = Buffer.alloc(STAMP_BYTES + Buffer.byteLength(text) + 1);
  line.write('0000-00-00T00:00:00.0000000Z ', 'latin1');
  line.write(text, STAMP_BYTES);
  line[line.length - 1] = 10;
  return line;
}

/** Lines without a repeated whole: one block of them is stamped again and again. */
function fillerBlock(seed: number): { block: Buffer; offsets: number[] } {
  const random = seededRandom(seed);
  const texts = fillerTexts(random);
  const lines: Buffer[] = [];
  const offsets: number[] = [];
  let bytes = 0;
  for (;;) {
    const line = blankLine(texts[Math.floor(random() * texts.length)] ?? 'ok');
    if (bytes + line.length > BLOCK_BYTES) return { block: Buffer.concat(lines), offsets };
    offsets.push(bytes);
    lines.push(line);
    bytes += line.length;
  }
}

function planSections(options: LogTextOptions): { sections: Section[]; bytes: number } {
  const random = seededRandom(options.seed);
  const sections = options.steps.map((step) => {
    const startTick = Date.parse(step.started_at ?? '1970-01-01T00:00:00Z') * TICKS_PER_MS;
    const endTick = Date.parse(step.completed_at ?? step.started_at ?? '1970-01-01T00:00:00Z') * TICKS_PER_MS;
    const { before, after } = fixedTexts(step, options, random);
    return { startTick, endTick, before: before.map(blankLine), after: after.map(blankLine), fillerBytes: 0 };
  });
  const fixedBytes = sections
    .flatMap((section) => [...section.before, ...section.after])
    .reduce((sum, line) => sum + line.length, BOM.length);
  const longest = sections.reduce<Section | undefined>(
    (best, section) =>
      best === undefined || section.endTick - section.startTick > best.endTick - best.startTick
        ? section
        : best,
    undefined,
  );
  const wanted = options.bytes ?? 0;
  // A filler line needs room for its stamp and line feed, so a smaller remainder stays unfilled.
  if (longest !== undefined && wanted - fixedBytes > STAMP_BYTES) longest.fillerBytes = wanted - fixedBytes;
  return { sections, bytes: fixedBytes + (longest?.fillerBytes ?? 0) };
}

/** Whole blocks while they fit, then single lines, then one line of dots that makes the size exact. */
function* fillerLines(total: number, seed: number): Generator<{ chunk: Buffer; offsets: number[] }> {
  const { block, offsets } = fillerBlock(seed);
  let left = total;
  for (; left > block.length * 2; left -= block.length) yield { chunk: Buffer.from(block), offsets };
  for (let at = 0; ; at = (at + 1) % (offsets.length - 1)) {
    const line = Buffer.from(block.subarray(offsets[at], offsets[at + 1]));
    if (left - line.length <= STAMP_BYTES) break;
    left -= line.length;
    yield { chunk: line, offsets: [0] };
  }
  if (left > 0) yield { chunk: blankLine('.'.repeat(left - STAMP_BYTES - 1)), offsets: [0] };
}

function* sectionChunks(section: Section, stamper: Stamper, seed: number): Generator<Buffer> {
  // The average filler line is over 90 bytes long, so the step ends before its lines run out of time.
  const lineCount = section.before.length + section.after.length + section.fillerBytes / 90;
  const ticksPerLine = Math.max(1, Math.floor((section.endTick - section.startTick) / (lineCount + 1)));
  let tick = section.startTick + Math.min(ticksPerLine, 8_429) - 1;
  for (const line of section.before) {
    stamper.write(line, 0, tick);
    tick += ticksPerLine;
    yield Buffer.from(line);
  }
  if (section.fillerBytes > 0) {
    for (const { chunk, offsets } of fillerLines(section.fillerBytes, seed)) {
      for (const offset of offsets) {
        stamper.write(chunk, offset, tick);
        tick += ticksPerLine;
      }
      yield chunk;
    }
  }
  for (const line of section.after) {
    stamper.write(line, 0, tick);
    tick += ticksPerLine;
    yield Buffer.from(line);
  }
}

/** Small chunks joined, so that a log of short lines does not become a write per line. */
function* joined(chunks: Iterable<Buffer>): Generator<Buffer> {
  let held: Buffer[] = [];
  let bytes = 0;
  for (const chunk of chunks) {
    held.push(chunk);
    bytes += chunk.length;
    if (bytes < BLOCK_BYTES / 2) continue;
    yield Buffer.concat(held);
    held = [];
    bytes = 0;
  }
  if (bytes > 0) yield Buffer.concat(held);
}

/**
 * A log as a runner writes it: BOM, 7-digit stamps that lie within each step's times, groups, colours, masked
 * values. Any size streams in flat memory.
 */
export function generatedLog(options: LogTextOptions): LogSource {
  const { bytes } = planSections(options);
  return {
    bytes,
    *chunks() {
      const stamper = new Stamper();
      const { sections } = planSections(options);
      yield* joined(
        (function* () {
          yield BOM;
          for (const section of sections) yield* sectionChunks(section, stamper, options.seed + 1);
        })(),
      );
    },
  };
}
