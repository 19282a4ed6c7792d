import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { codeOf, EverlogError, giveUp, messageOf, retryable } from '../errors.ts';
import type { ObjectStore } from '../store/object-store.ts';
import type { RecordedLog } from '../archive/record.ts';

/** Size of the pieces a log is read in: larger ones cost memory and win no time. */
const CHUNK_BYTES = 64 * 1024;

/**
 * Reads a recorded log as the bytes GitHub served, in pieces of up to 64 KiB and flat memory. When the generator has ended
 * without throwing, the bytes were those of the record: their number and SHA-256 have been checked, and not one more than
 * recorded was given out.
 * @throws EverlogError `object_corrupt` (give up) naming the key when the log is missing, is no gzip, or differs from what
 *   the record says; `store_unavailable` (retry) when reading breaks off.
 */
export async function* readLog(store: ObjectStore, log: RecordedLog): AsyncGenerator<Buffer> {
  if (log.encoding !== 'gzip')
    throw corruptLog(log, `is recorded in an unknown encoding, ${JSON.stringify(log.encoding)}`);
  const found = await store.read(log.key, log.version_id ?? undefined);
  if (found === null) throw corruptLog(log, 'is missing from the archive');

  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  // The outcome is seen by whoever reads `gunzip`, which a failure of the body destroys.
  pipeline(found.body, gunzip, () => undefined);
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    for await (const chunk of gunzip) {
      if (!Buffer.isBuffer(chunk)) throw new Error(`log ${log.key} was not read as bytes`);
      bytes += chunk.byteLength;
      if (bytes > log.bytes) throw corruptLog(log, `is longer than the recorded ${log.bytes} bytes`);
      hash.update(chunk);
      yield chunk;
    }
  } catch (error) {
    throw readingFailure(log, error);
  } finally {
    gunzip.destroy();
    found.body.destroy();
  }
  if (bytes !== log.bytes) throw corruptLog(log, `has ${bytes} bytes, recorded are ${log.bytes}`);
  const sha256 = hash.digest('hex');
  if (sha256 !== log.sha256) throw corruptLog(log, `has SHA-256 ${sha256}, recorded is ${log.sha256}`);
}

function readingFailure(log: RecordedLog, error: unknown): unknown {
  if (error instanceof EverlogError) return error;
  const code = codeOf(error) ?? '';
  if (code.startsWith('Z_')) return corruptLog(log, `cannot be decompressed (${messageOf(error)})`, error);
  // Without a code it is a broken invariant of our own, not the store's failure.
  if (code === '') return error;
  return retryable('store_unavailable', `reading log ${log.key} broke off (${code})`, error);
}

/** What is wrong with a stored log, as the error of whoever reads it. */
export function corruptLog(log: RecordedLog, what: string, cause?: unknown): EverlogError {
  return giveUp('object_corrupt', `log ${log.key} ${what}`, cause);
}
