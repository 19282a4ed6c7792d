import type { AsyncBuffer } from 'hyparquet';
import { giveUp } from '../../errors.ts';
import type { ByteRange, ObjectPin, ObjectStore } from '../../store/object-store.ts';

/** What a reader asked of the store, for `--explain`. */
export interface ReadMeter {
  requests: number;
  bytes: number;
}

/** The object is no longer there: whoever listed it lists again. */
export class Gone extends Error {}

interface Segment {
  readonly from: number;
  readonly bytes: Promise<Buffer>;
  readonly to: number;
}

/** Bytes from `from` up to but not including `to`. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** A larger gap costs more to read than another request does: at 100 MB/s, 25 ms are 2.5 MB; kept small for slow lines. */
const GAP_BYTES_MAX = 64 * 1024;

/**
 * One object of the index, read by ranges that are asked for beforehand and merged, so that a Parquet reader's many small
 * reads cost few requests. Every read is of the object that the first one found.
 */
export class RangedFile implements AsyncBuffer {
  readonly key: string;
  readonly byteLength: number;
  readonly #store: Pick<ObjectStore, 'readRange'>;
  readonly #meter: ReadMeter;
  #pin: ObjectPin | undefined;
  #segments: Segment[] = [];

  constructor(store: Pick<ObjectStore, 'readRange'>, key: string, byteLength: number, meter: ReadMeter) {
    this.#store = store;
    this.key = key;
    this.byteLength = byteLength;
    this.#meter = meter;
  }

  /**
   * Fetches spans that will be read, with at most `requestsMax` requests: small gaps are read too, and larger ones where
   * there would be more requests.
   */
  async prefetch(spans: readonly Span[], requestsMax: number): Promise<void> {
    const missing = spans.filter((span) => span.to > span.from && this.#holding(span) === undefined);
    await Promise.all(mergeSpans(missing, requestsMax).map((span) => this.#fetch(span).bytes));
  }

  /** Forgets what was read, but for the end of the file, where it is described. */
  release(): void {
    this.#segments = this.#segments.filter(({ to }) => to === this.byteLength);
  }

  /** For the Parquet reader. */
  async slice(from: number, to = this.byteLength): Promise<ArrayBuffer> {
    const span = { from, to: Math.min(to, this.byteLength) };
    const segment = this.#holding(span) ?? this.#fetch(span);
    const bytes = await segment.bytes;
    const copy = new Uint8Array(span.to - span.from);
    copy.set(bytes.subarray(span.from - segment.from, span.to - segment.from));
    return copy.buffer;
  }

  #holding({ from, to }: Span): Segment | undefined {
    return this.#segments.find((segment) => segment.from <= from && segment.to >= to);
  }

  #fetch(span: Span): Segment {
    const segment = { ...span, bytes: this.#read(span) };
    this.#segments.push(segment);
    return segment;
  }

  async #read(range: ByteRange & Span): Promise<Buffer> {
    this.#meter.requests += 1;
    const read = await this.#store.readRange(this.key, range, this.#pin);
    if (read === null) throw new Gone(this.key);
    this.#meter.bytes += read.bytes.byteLength;
    this.#pin ??= read.pin;
    if (read.total !== this.byteLength || read.bytes.byteLength !== range.to - range.from) {
      throw giveUp('object_corrupt', `${this.key} has not the length it was listed with`);
    }
    return read.bytes;
  }
}

/** Merges spans across small gaps, and further, the smallest gaps first, until there are at most `requestsMax`. */
export function mergeSpans(spans: readonly Span[], requestsMax: number): readonly Span[] {
  const sorted = [...spans].sort((a, b) => a.from - b.from);
  let merged: Span[] = [];
  const gaps: number[] = [];
  for (const span of sorted) {
    const last = merged.at(-1);
    if (last !== undefined && span.from - last.to <= 0) {
      merged[merged.length - 1] = { from: last.from, to: Math.max(last.to, span.to) };
      continue;
    }
    if (last !== undefined) gaps.push(span.from - last.to);
    merged.push(span);
  }
  const largestFirst = [...gaps].sort((a, b) => b - a);
  // The gaps that stay are the largest, and none of them is small.
  const limit = Math.max(GAP_BYTES_MAX, largestFirst[requestsMax - 1] ?? 0);
  const result: Span[] = [];
  for (const span of merged) {
    const last = result.at(-1);
    if (last !== undefined && span.from - last.to <= limit)
      result[result.length - 1] = { from: last.from, to: span.to };
    else result.push(span);
  }
  merged = result;
  return merged;
}
