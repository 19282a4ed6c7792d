import { createHash } from 'node:crypto';
import { pipeline, Readable } from 'node:stream';
import { constants, createInflateRaw } from 'node:zlib';
import { codeOf, EverlogError, messageOf } from '../errors.ts';
import type { RecordedLog } from '../archive/record.ts';
import type { ObjectPin, ObjectStore } from '../store/object-store.ts';
import type { LineRange } from './log-view.ts';
import type { JobStep } from './log-steps.ts';
import { corruptLog } from './log-reader.ts';

/** A run of blocks of a log, whose gzip can be entered at the first. */
export interface LogPart {
  /** Indexes of the first block, and of the one behind the last. */
  readonly from: number;
  readonly to: number;
  /** Number of the part's first line in the whole log. */
  readonly firstLine: number;
}

type Points = NonNullable<RecordedLog['points']>;

/** Stored bytes asked for with one request. */
const REQUEST_BYTES_MAX = 16 * 1024 * 1024;
const CHUNK_BYTES = 64 * 1024;
/** CRC and length behind the deflate stream. */
const TRAILER_BYTES = 8;

/**
 * The part of a log that holds all of some lines, or all that was written in the time of some steps; null where the log has no
 * points, or where reading less than all of it could miss a line: stamps that go back, or steps whose time is not known.
 */
export function partOf(
  log: RecordedLog,
  wanted: { readonly lines: LineRange | null; readonly steps: readonly JobStep[] | null },
): LogPart | null {
  const points = log.points ?? null;
  if (points === null || points.length < 2) return null;
  const byLines = wanted.lines === null ? null : blocksOfLines(points, wanted.lines);
  const byTime = wanted.steps === null ? null : blocksOfSteps(points, wanted.steps);
  const found = byLines ?? byTime;
  if (found === null || (found.from === 0 && found.to === points.length)) return null;
  return { ...found, firstLine: points[found.from]?.[2] ?? 1 };
}

function blocksOfLines(points: Points, { from, to }: LineRange): { from: number; to: number } {
  const first = points.findLastIndex(([, , line]) => line <= from);
  const behind = points.findIndex(([, , line]) => line > to);
  return { from: Math.max(0, first), to: behind === -1 ? points.length : behind };
}

/**
 * A second belongs to a step as a whole, so the part begins in a block that begins before the step's first second, and ends before
 * a block that begins behind its last one.
 */
function blocksOfSteps(points: Points, steps: readonly JobStep[]): { from: number; to: number } | null {
  const starts = steps.map(({ startedMs }) => startedMs);
  const ends = steps.map(({ completedMs }) => completedMs);
  const seconds = points.map(([, , , second]) => second);
  const known = seconds.filter((second) => second !== null);
  if (known.some((second, index) => second < (known[index - 1] ?? second))) return null;
  if ([...starts, ...ends].includes(null) || steps.length === 0) return null;
  const first = Math.min(...starts.map((ms) => (ms ?? 0) / 1_000));
  const last = Math.max(...ends.map((ms) => (ms ?? 0) / 1_000));
  const from = seconds.findLastIndex((second) => second !== null && second < first);
  const behind = seconds.findIndex((second) => second !== null && second > last);
  return { from: Math.max(0, from), to: behind === -1 ? points.length : behind };
}

/**
 * Reads a part of a recorded log as the bytes GitHub served, with one request for each 16 MiB stored. When the generator has ended
 * without throwing, each block had the SHA-256 that the record says.
 * @throws EverlogError `object_corrupt` (give up) naming the key when the log is missing or differs from its record;
 *   `store_unavailable` (retry) when reading breaks off.
 */
export async function* readLogPart(
  store: ObjectStore,
  log: RecordedLog,
  part: LogPart,
): AsyncGenerator<Buffer> {
  const points = log.points ?? [];
  const inflate = createInflateRaw({ chunkSize: CHUNK_BYTES, finishFlush: constants.Z_SYNC_FLUSH });
  const stored = Readable.from(storedBytes(store, log, points, part), { objectMode: false });
  // The outcome is seen by whoever reads `inflate`, which a failure of the source destroys.
  pipeline(stored, inflate, () => undefined);
  let block = part.from;
  let at = points[block]?.[0] ?? 0;
  let hash = createHash('sha256');
  const end = points[part.to]?.[0] ?? log.bytes;
  try {
    for await (const chunk of inflate) {
      if (!Buffer.isBuffer(chunk)) throw new Error(`log ${log.key} was not read as bytes`);
      if (at + chunk.length > end) throw corruptLog(log, 'has more bytes in a block than are recorded');
      for (let from = 0; from < chunk.length;) {
        const blockEnd = points[block + 1]?.[0] ?? log.bytes;
        const some = chunk.subarray(from, from + blockEnd - at);
        hash.update(some);
        at += some.length;
        from += some.length;
        if (at < blockEnd) continue;
        checkBlock(log, block, hash.digest('hex'));
        hash = createHash('sha256');
        block += 1;
      }
      yield chunk;
    }
  } catch (error) {
    if (error instanceof EverlogError) throw error;
    const code = codeOf(error) ?? '';
    if (code.startsWith('Z_')) throw corruptLog(log, `cannot be decompressed (${messageOf(error)})`, error);
    throw error;
  } finally {
    inflate.destroy();
    stored.destroy();
  }
  if (at !== end) throw corruptLog(log, `ends at byte ${at} of ${end}`);
}

async function* storedBytes(
  store: ObjectStore,
  log: RecordedLog,
  points: Points,
  part: LogPart,
): AsyncGenerator<Buffer> {
  let at = points[part.from]?.[1] ?? 0;
  const end = points[part.to]?.[1] ?? log.stored_bytes - TRAILER_BYTES;
  let pin: ObjectPin = { versionId: log.version_id, etag: null };
  while (at < end) {
    const to = Math.min(end, at + REQUEST_BYTES_MAX);
    const read = await store.readRange(log.key, { from: at, to }, pin);
    if (read === null) throw corruptLog(log, 'is missing from the archive');
    if (read.bytes.length !== to - at) throw corruptLog(log, `has no byte ${at + read.bytes.length}`);
    pin = read.pin;
    yield read.bytes;
    at = to;
  }
}

function checkBlock(log: RecordedLog, block: number, sha256: string): void {
  const expected = log.points?.[block]?.[4];
  if (sha256 !== expected) throw corruptLog(log, `has a block ${block} that is not the recorded one`);
}
