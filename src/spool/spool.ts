import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { constants, createGzip, gzipSync } from 'node:zlib';
import { EverlogError, messageOf, retryable } from '../errors.ts';
import type { PutBody } from '../store/object-store.ts';
import { bytesBody, fileBody } from '../store/put-body.ts';
import { EntryPoints, type EntryPoint } from './entry-points.ts';
import { openSpoolFile } from './spool-folder.ts';
import type { SpoolSpace } from './spool-space.ts';

/**
 * A log is read at full speed into the spool, compressed and hashed on the way, and only then put into the store:
 * the store may be slow, and a PUT may need repeating when the link is long dead (DESIGN decision 2).
 */
export interface SpooledLog {
  /** The gzip bytes. */
  readonly body: PutBody;
  /** SHA-256 of the log as GitHub serves it, lower-case hex. */
  readonly sha256: string;
  readonly bytes: number;
  /** Line feeds, plus one if the last line has none. */
  readonly lines: number;
  /** Where the gzip can be entered; null for a log of less than 1 MiB. */
  readonly points: readonly EntryPoint[] | null;
  /** Gives memory and disk back; the body can no longer be opened. */
  release(): Promise<void>;
}

/** Logs up to this are compressed in one synchronous call: 2.4 times a stream's throughput, about a millisecond (measured). */
const ONE_CALL_BYTES_MAX = 64 * 1024;
/** Compressed bytes kept in memory before a temp file is opened. */
const MEMORY_BYTES_MAX = 1024 * 1024;
const GZIP_LEVEL = 6;
/** Chunks come from the network in 16 to 64 KiB; a trip to the thread pool for each costs more than gathering them. */
const BLOCK_BYTES = 128 * 1024;
/** What may wait for the compressor, so that it never waits while the next block is read and hashed. */
const AHEAD_BYTES = BLOCK_BYTES;
/** What the compressor gives at once. */
const OUTPUT_BYTES = 64 * 1024;
const LINE_FEED = 0x0a;

export interface SpoolLimits {
  readonly folder: string;
  /** Larger logs are not kept (EVERLOG_JOB_LOG_MAX_BYTES). */
  readonly logBytesMax: number;
  /** Logs whose gzip is larger are not kept: a store takes so much in one PUT. */
  readonly storedBytesMax: number;
  /** What no other spool file of any process has in its name. */
  readonly temporaryName: () => string;
}

/** What became of reading a log. */
export type SpoolResult =
  | { readonly kind: 'spooled'; readonly log: SpooledLog }
  /** The log is larger than EVERLOG_JOB_LOG_MAX_BYTES. */
  | { readonly kind: 'log_too_large' }
  /** The log's gzip is larger than one PUT may carry. */
  | { readonly kind: 'gzip_too_large' };

/**
 * Reads a log to its end into the spool.
 * @throws EverlogError `spool_full` (see `SpoolSpace.grow`), `spool_unavailable` (retry), and what the source throws.
 */
export async function spoolLog(
  source: AsyncIterable<Buffer>,
  space: SpoolSpace,
  limits: SpoolLimits,
): Promise<SpoolResult> {
  const tally = new LogTally();
  const head: Buffer[] = [];
  // Made when it is needed: its stream and buffers cost more than a small log's whole compression.
  let sink: GzipSink | null = null;
  try {
    for await (const chunk of source) {
      tally.add(chunk);
      if (tally.bytes > limits.logBytesMax) {
        await sink?.discard();
        return { kind: 'log_too_large' };
      }
      if (sink !== null) await sink.write(chunk);
      else head.push(chunk);
      if (sink === null && tally.bytes > ONE_CALL_BYTES_MAX) {
        sink = new GzipSink(space, limits);
        await sink.write(Buffer.concat(head));
        head.length = 0;
      }
    }
    const { body, points } =
      sink === null
        ? { body: bytesBody(gzipSync(Buffer.concat(head), { level: GZIP_LEVEL })), points: null }
        : await sink.finish();
    const release = async (): Promise<void> => sink?.discard();
    return { kind: 'spooled', log: { body, ...tally.result(), points, release } };
  } catch (error) {
    await sink?.discard();
    if (error instanceof GzipTooLarge) return { kind: 'gzip_too_large' };
    throw error;
  }
}

/** Ends the compression of a log that no store would take whole. */
class GzipTooLarge extends Error {}

/** Length, hash and lines of a log, chunk by chunk. */
class LogTally {
  bytes = 0;
  private readonly hash = createHash('sha256');
  private lineFeeds = 0;
  private lastByte: number | undefined;

  add(chunk: Buffer): void {
    if (chunk.byteLength === 0) return;
    this.bytes += chunk.byteLength;
    this.hash.update(chunk);
    for (let at = chunk.indexOf(LINE_FEED); at !== -1; at = chunk.indexOf(LINE_FEED, at + 1))
      this.lineFeeds += 1;
    this.lastByte = chunk[chunk.byteLength - 1];
  }

  result(): { sha256: string; bytes: number; lines: number } {
    const open = this.lastByte !== undefined && this.lastByte !== LINE_FEED;
    return { sha256: this.hash.digest('hex'), bytes: this.bytes, lines: this.lineFeeds + (open ? 1 : 0) };
  }
}

/** Compresses on the thread pool, into memory first and into an unlinked temp file past `MEMORY_BYTES_MAX`. */
class GzipSink {
  private readonly space: SpoolSpace;
  private readonly limits: SpoolLimits;
  private readonly hash = createHash('sha256');
  private readonly gzip = createGzip({ level: GZIP_LEVEL, chunkSize: OUTPUT_BYTES });
  private readonly points = new EntryPoints();
  /** Chunks not yet given to the compressor. */
  private block: Buffer[] = [];
  private blockBytes = 0;
  private memory: Buffer[] = [];
  private bytes = 0;
  private file: FileHandle | null = null;
  /** Given to the compressor and not taken by it yet. */
  private aheadBytes = 0;
  private onRoom: () => void = () => undefined;
  private drained: Promise<void> | null = null;

  constructor(space: SpoolSpace, limits: SpoolLimits) {
    this.space = space;
    this.limits = limits;
  }

  async write(chunk: Buffer): Promise<void> {
    let rest = chunk;
    for (let end = this.points.endIn(rest); end !== null; end = this.points.endIn(rest)) {
      await this.gather(rest.subarray(0, end));
      await this.compressGathered();
      const begins = this.points.cut();
      this.gzip.flush(constants.Z_FULL_FLUSH, () => begins(this.bytes + this.gzip.readableLength));
      rest = rest.subarray(end);
    }
    await this.gather(rest);
  }

  private async gather(chunk: Buffer): Promise<void> {
    this.points.add(chunk);
    this.block.push(chunk);
    this.blockBytes += chunk.byteLength;
    if (this.blockBytes >= BLOCK_BYTES) await this.compressGathered();
  }

  private async compressGathered(): Promise<void> {
    const drained = this.begin();
    // A compressor that is gone has failed, and what drained it says why: the rest need not be read.
    if (this.gzip.destroyed) await drained;
    const block = this.takeBlock();
    this.aheadBytes += block.byteLength;
    this.gzip.write(block, () => {
      this.aheadBytes -= block.byteLength;
      this.onRoom();
    });
    while (this.aheadBytes > AHEAD_BYTES) {
      const room = new Promise<void>((resolve) => {
        this.onRoom = resolve;
      });
      await Promise.race([drained, room]);
    }
  }

  async finish(): Promise<{ body: PutBody; points: readonly EntryPoint[] | null }> {
    const drained = this.begin();
    this.gzip.end(this.takeBlock());
    await drained;
    const points = this.points.finish();
    const sha256 = this.hash.digest('hex');
    if (this.file === null) {
      return { body: { bytes: this.bytes, sha256, open: () => Buffer.concat(this.memory) }, points };
    }
    await this.flush();
    return { body: fileBody({ fd: this.file.fd, bytes: this.bytes, sha256 }), points };
  }

  async discard(): Promise<void> {
    this.gzip.destroy();
    await this.drained?.catch(() => undefined);
    this.memory = [];
    const { file } = this;
    this.file = null;
    await file?.close();
  }

  private takeBlock(): Buffer {
    const block = Buffer.concat(this.block);
    this.block = [];
    this.blockBytes = 0;
    return block;
  }

  private begin(): Promise<void> {
    if (this.drained === null) {
      this.drained = this.drain();
      // It may fail while nobody waits for it but the next chunk; the next block, or the end, tells.
      this.drained.catch(() => undefined);
    }
    return this.drained;
  }

  private async drain(): Promise<void> {
    for await (const chunk of this.gzip) {
      if (!Buffer.isBuffer(chunk)) throw new Error('zlib gave text for bytes');
      this.bytes += chunk.byteLength;
      if (this.bytes > this.limits.storedBytesMax) throw new GzipTooLarge('larger than one PUT may carry');
      this.space.grow(this.bytes);
      this.hash.update(chunk);
      this.memory.push(chunk);
      if (this.bufferedBytes() > MEMORY_BYTES_MAX) await this.flush();
    }
  }

  private bufferedBytes(): number {
    return this.memory.reduce((sum, chunk) => sum + chunk.byteLength, 0);
  }

  private async flush(): Promise<void> {
    try {
      this.file ??= await openSpoolFile(this.limits.folder, this.limits.temporaryName());
      const chunk = Buffer.concat(this.memory);
      this.memory = [];
      if (chunk.byteLength > 0) await this.file.appendFile(chunk);
    } catch (error) {
      if (error instanceof EverlogError) throw error;
      throw retryable(
        'spool_unavailable',
        `cannot write to the spool (EVERLOG_SPOOL_DIR): ${messageOf(error)}`,
        error,
      );
    }
  }
}
