import { createHash } from 'node:crypto';

/** What a log is known by; computed from its chunks alone. */
export interface LogDigest {
  sha256: string;
  bytes: number;
  /** Line feeds, plus one if the last line has none. */
  lines: number;
}

/** A log that can be read any number of times, a chunk at a time, so that its size never has to fit in memory. */
export interface LogSource {
  bytes: number;
  chunks(): Iterable<Uint8Array>;
}

/** Small enough to be sent in one write while a large log is still cut into several. */
const CHUNK_BYTES = 65_536;
const LINE_FEED = 10;

/** A log held in memory. */
export function logFromBytes(content: Uint8Array | string): LogSource {
  const bytes = Buffer.from(content);
  return {
    bytes: bytes.length,
    *chunks() {
      for (let offset = 0; offset < bytes.length; offset += CHUNK_BYTES) {
        yield bytes.subarray(offset, offset + CHUNK_BYTES);
      }
    },
  };
}

/** Hashes and counts a log by reading it through once, in flat memory. */
export function digestLog(log: LogSource): LogDigest {
  const hash = createHash('sha256');
  let bytes = 0;
  let lineFeeds = 0;
  let last = LINE_FEED;
  for (const chunk of log.chunks()) {
    hash.update(chunk);
    bytes += chunk.length;
    for (let at = chunk.indexOf(LINE_FEED); at !== -1; at = chunk.indexOf(LINE_FEED, at + 1)) lineFeeds += 1;
    last = chunk.at(-1) ?? last;
  }
  return { sha256: hash.digest('hex'), bytes, lines: lineFeeds + (last === LINE_FEED ? 0 : 1) };
}

/** The whole log as one buffer: for small logs and assertions. */
export function readWholeLog(log: LogSource): Buffer {
  return Buffer.concat([...log.chunks()]);
}
