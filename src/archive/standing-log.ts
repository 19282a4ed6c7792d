import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { ObjectHead, ObjectStore } from '../store/object-store.ts';
import type { RecordedLog } from './record.ts';

/** What stands at a log's key. */
export type StandingLog =
  | { readonly kind: 'nothing' }
  /** A whole log; what its record says of it is computed from the bytes. */
  | { readonly kind: 'log'; readonly log: RecordedLog }
  /** What is no gzip of one whole log, or not the one that it was stored as. */
  | { readonly kind: 'no_log' }
  /** A gzip that unpacks to more bytes than a log may have. */
  | { readonly kind: 'too_large' };

const LINE_FEED = 0x0a;

/**
 * Reads what stands at a log's key, at most `logBytesMax` bytes of it unpacked: whoever may write to the archive can plant
 * anything there, and it must neither keep a job from its log nor be taken for it.
 */
export async function readStandingLog(
  store: ObjectStore,
  key: string,
  logBytesMax: number,
): Promise<StandingLog> {
  const found = await store.read(key);
  if (found === null) return { kind: 'nothing' };
  const stored = createHash('sha256');
  const served = createHash('sha256');
  let storedBytes = 0;
  let bytes = 0;
  let lines = 0;
  let last: number | undefined;
  async function* counted(): AsyncGenerator<Buffer> {
    for await (const chunk of found?.body ?? []) {
      if (!Buffer.isBuffer(chunk)) throw new Error(`object ${key} was not read as bytes`);
      stored.update(chunk);
      storedBytes += chunk.byteLength;
      yield chunk;
    }
  }
  const gunzip = createGunzip();
  // The error reaches the loop below through the stream itself.
  pipeline(counted(), gunzip, () => undefined);
  try {
    for await (const chunk of gunzip) {
      if (!Buffer.isBuffer(chunk)) throw new Error('zlib gave text for bytes');
      served.update(chunk);
      bytes += chunk.byteLength;
      if (bytes > logBytesMax) return { kind: 'too_large' };
      for (let at = chunk.indexOf(LINE_FEED); at !== -1; at = chunk.indexOf(LINE_FEED, at + 1)) lines += 1;
      last = chunk[chunk.byteLength - 1] ?? last;
    }
  } catch (error) {
    if (isZlibError(error)) return { kind: 'no_log' };
    throw error;
  }
  const sha256 = served.digest('hex');
  // An empty object is no gzip, the empty log is twenty bytes of it; what follows a gzip is passed over by whoever unpacks it.
  const isWhole = storedBytes > 0 && gunzip.bytesWritten === found.head.bytes;
  if (!isWhole || !isAsStored(found.head, sha256, bytes)) return { kind: 'no_log' };
  return {
    kind: 'log',
    log: {
      key,
      version_id: found.head.versionId,
      sha256,
      bytes,
      lines: lines + (last !== undefined && last !== LINE_FEED ? 1 : 0),
      stored_sha256: stored.digest('hex'),
      stored_bytes: storedBytes,
      encoding: 'gzip',
      points: null,
    },
  };
}

/** Where the store keeps what a log was stored as, it has to be that; copies of an archive may have lost it. */
function isAsStored({ metadata }: ObjectHead, sha256: string, bytes: number): boolean {
  const { sha256: storedAs = sha256, bytes: storedBytes = String(bytes) } = metadata;
  return storedAs === sha256 && storedBytes === String(bytes);
}

function isZlibError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('Z_');
}
