import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { BadGzip, gunzipped, openBytes, readBytes, sha256Of, type ObjectPlace } from './object-bytes.ts';
import type { RecordFacts } from '../chain/schemas.ts';
import type { Scope } from '../scope.ts';

/** Logs, compared with their entry and, where that is sound, with their record. */

type RecordedLog = NonNullable<RecordFacts['log']>;

interface ExpectedLog {
  readonly place: ObjectPlace;
  readonly bytes: number;
  readonly sha256: string;
}

/** Stored logs up to this size are read whole, and decompressed in one call where they are up to the second: several times faster. */
const WHOLE_STORED_BYTES_MAX = 256 * 1024;
const WHOLE_BYTES_MAX = 4 * 1024 * 1024;
/** Deflate cannot do better: a record that says more is wrong, whatever the log holds. */
const RATIO_MAX = 1_032;

/**
 * Reads a log and reports at most one `MODIFIED`. Without a record only the stored bytes are compared. Memory stays flat
 * and no more is decompressed than the record says.
 */
export async function checkLog(
  scope: Scope,
  expected: ExpectedLog,
  recorded: RecordedLog | null,
): Promise<'sound' | 'flawed' | 'gone'> {
  const isSmall =
    expected.bytes <= WHOLE_STORED_BYTES_MAX && (recorded === null || recorded.bytes <= WHOLE_BYTES_MAX);
  const problem =
    impossible(expected, recorded) ?? (await (isSmall ? whole : streamed)(scope, expected, recorded));
  if (problem === null) return 'sound';
  if (problem === 'gone') return 'gone';
  await scope.report({ result: 'MODIFIED', key: expected.place.key, detail: problem });
  return 'flawed';
}

function impossible(expected: ExpectedLog, recorded: RecordedLog | null): string | null {
  if (recorded === null) return null;
  if (recorded.encoding !== 'gzip') return `its record says encoding ${JSON.stringify(recorded.encoding)}`;
  if (recorded.bytes <= expected.bytes * RATIO_MAX) return null;
  return `its record says ${recorded.bytes} bytes, which ${expected.bytes} compressed ones cannot hold`;
}

async function whole(
  scope: Scope,
  expected: ExpectedLog,
  recorded: RecordedLog | null,
): Promise<string | null> {
  const read = await readBytes(scope.store, expected.place, expected.bytes);
  if (read.state === 'missing' || read.state === 'refused') return 'gone';
  if (read.state === 'too_large') return `it has more than the ${expected.bytes} bytes that were sealed`;
  scope.meter.bytes += read.bytes.length;
  const stored = storedProblem(expected, read.bytes.length, sha256Of(read.bytes));
  if (stored !== null || recorded === null) return stored;
  let log: Buffer;
  try {
    log = gunzipSync(read.bytes, { maxOutputLength: recorded.bytes + 1 });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : '';
    if (code === 'ERR_BUFFER_TOO_LARGE') return longer(recorded);
    return `it cannot be decompressed: ${error instanceof Error ? error.message : String(code)}`;
  }
  const tally = new LogTally();
  tally.add(log);
  return tally.problem(recorded);
}

async function streamed(
  scope: Scope,
  expected: ExpectedLog,
  recorded: RecordedLog | null,
): Promise<string | null> {
  const opened = await openBytes(scope.store, expected.place);
  if (opened.state !== 'open') return 'gone';
  const hash = createHash('sha256');
  let bytes = 0;
  async function* hashed(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      hash.update(chunk);
      bytes += chunk.length;
      scope.meter.bytes += chunk.length;
      yield chunk;
    }
  }
  const content = await streamedContent(hashed(opened.chunks), recorded);
  // Reading ends early at what is no gzip or too long: the hash is then not of the whole object.
  const isWhole = content === null || bytes === expected.bytes;
  return isWhole ? (storedProblem(expected, bytes, hash.digest('hex')) ?? content) : content;
}

/** What is wrong with what a log holds; reads to the end unless something is. */
async function streamedContent(
  chunks: AsyncGenerator<Buffer>,
  recorded: RecordedLog | null,
): Promise<string | null> {
  if (recorded === null) {
    while ((await chunks.next()).done !== true);
    return null;
  }
  const tally = new LogTally();
  try {
    for await (const chunk of gunzipped(chunks)) {
      tally.add(chunk);
      if (tally.bytes > recorded.bytes) return longer(recorded);
    }
  } catch (error) {
    if (!(error instanceof BadGzip)) throw error;
    return `it cannot be decompressed: ${error.message}`;
  }
  return tally.problem(recorded);
}

function storedProblem(expected: ExpectedLog, bytes: number, sha256: string): string | null {
  if (bytes !== expected.bytes) return `it has ${bytes} bytes, sealed are ${expected.bytes}`;
  return sha256 === expected.sha256 ? null : `it has SHA-256 ${sha256}, sealed is ${expected.sha256}`;
}

function longer(recorded: RecordedLog): string {
  return `it holds more than the ${recorded.bytes} bytes that its record says`;
}

/** Counts what a log holds as a record counts it. */
class LogTally {
  readonly #hash = createHash('sha256');
  bytes = 0;
  #lines = 0;
  #last: number | null = null;

  add(chunk: Buffer): void {
    this.#hash.update(chunk);
    this.bytes += chunk.length;
    for (let at = chunk.indexOf(0x0a); at !== -1; at = chunk.indexOf(0x0a, at + 1)) this.#lines += 1;
    this.#last = chunk.at(-1) ?? this.#last;
  }

  problem(recorded: RecordedLog): string | null {
    if (this.bytes !== recorded.bytes)
      return `it holds ${this.bytes} bytes, its record says ${recorded.bytes}`;
    const sha256 = this.#hash.digest('hex');
    if (sha256 !== recorded.sha256) return `it holds SHA-256 ${sha256}, its record says ${recorded.sha256}`;
    const lines = this.#lines + (this.#last === null || this.#last === 0x0a ? 0 : 1);
    return lines === recorded.lines ? null : `it holds ${lines} lines, its record says ${recorded.lines}`;
  }
}
