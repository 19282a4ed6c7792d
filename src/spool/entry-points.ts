import { createHash, type Hash } from 'node:crypto';

/**
 * Where a log's gzip can be entered without reading what stands before: a full flush at the first line end past each block.
 * `[byte, stored_byte, line, second, sha256]` of the block that begins there: its first byte in the log and in the stored object,
 * its first line (from 1), the time stamp of that line in whole seconds since 1970 (null where it has none), and the SHA-256 of
 * the block's log bytes, lower-case hex (CONTRACT §5). From `stored_byte` on the object is raw deflate.
 */
export type EntryPoint = readonly [
  byte: number,
  storedByte: number,
  line: number,
  second: number | null,
  sha256: string,
];

/** Logs below this have no points: they are read whole in one request. */
const POINTED_LOG_BYTES_MIN = 1024 * 1024;
/** Length of the first blocks. Shorter ones would cost the compression more than a percent. */
const BLOCK_BYTES = 1024 * 1024;
/** After so many blocks their length doubles, so that the points of a 10 GiB log stay near 130 KB. */
const BLOCKS_PER_LENGTH = 256;
/** Length of the header that Node's zlib writes: no name, no comment. */
const GZIP_HEADER_BYTES = 10;
/** A line's time stamp ends within so many bytes, a byte order mark before it included. */
const STAMP_BYTES_MAX = 32;
const STAMP = /^\uFEFF?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?Z/;
const LINE_FEED = 0x0a;

/** Follows a log from its first byte and says where its blocks end. */
export class EntryPoints {
  readonly #points: EntryPoint[] = [];
  #bytes = 0;
  #line = 1;
  #block = { byte: 0, line: 1, head: Buffer.alloc(0), hash: newHash() };
  /** Where in the stored object each block begins, as far as the compressor has said. */
  readonly #storedBytes: number[] = [GZIP_HEADER_BYTES];

  /** How many of `chunk`'s first bytes end the present block; null when it goes on beyond the chunk. The chunk is the next one. */
  endIn(chunk: Buffer): number | null {
    const missing = this.#block.byte + blockBytes(this.#points.length) - this.#bytes;
    if (chunk.byteLength < missing) return null;
    const feed = chunk.indexOf(LINE_FEED, Math.max(0, missing - 1));
    return feed === -1 ? null : feed + 1;
  }

  /** Takes in bytes of the present block. */
  add(chunk: Buffer): void {
    const block = this.#block;
    block.hash.update(chunk);
    if (block.head.byteLength < STAMP_BYTES_MAX) {
      block.head = Buffer.concat([block.head, chunk.subarray(0, STAMP_BYTES_MAX - block.head.byteLength)]);
    }
    for (let at = chunk.indexOf(LINE_FEED); at !== -1; at = chunk.indexOf(LINE_FEED, at + 1)) this.#line += 1;
    this.#bytes += chunk.byteLength;
  }

  /** Ends the present block and begins the next. What it returns MUST be told where that one begins in the stored object. */
  cut(): (storedByte: number) => void {
    this.#endBlock();
    const index = this.#points.length;
    this.#block = { byte: this.#bytes, line: this.#line, head: Buffer.alloc(0), hash: newHash() };
    return (storedByte) => {
      this.#storedBytes[index] = storedByte;
    };
  }

  /** The points of the whole log, once the compressor has ended; null for a log that needs none. */
  finish(): readonly EntryPoint[] | null {
    if (this.#bytes < POINTED_LOG_BYTES_MIN) return null;
    if (this.#bytes > this.#block.byte) this.#endBlock();
    return this.#points.map(([byte, , line, second, sha256], index) => {
      const storedByte = this.#storedBytes[index];
      if (storedByte === undefined) throw new Error(`block ${index} of a log was not flushed`);
      return [byte, storedByte, line, second, sha256];
    });
  }

  #endBlock(): void {
    const { byte, line, head, hash } = this.#block;
    this.#points.push([byte, 0, line, stampSecond(head), hash.digest('hex')]);
  }
}

function newHash(): Hash {
  return createHash('sha256');
}

function blockBytes(index: number): number {
  return BLOCK_BYTES * 2 ** Math.floor(index / BLOCKS_PER_LENGTH);
}

function stampSecond(head: Buffer): number | null {
  const stamp = STAMP.exec(head.toString('utf8'))?.[1];
  const ms = stamp === undefined ? Number.NaN : Date.parse(`${stamp}Z`);
  return Number.isNaN(ms) ? null : ms / 1000;
}
