import { createHash } from 'node:crypto';
import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { ObjectStore } from '../../../store/object-store.ts';
import { EverlogError } from '../../../errors.ts';

/** Reading objects that anybody may have written: every length is bounded, and what cannot be read is an answer. */

/** Size of the pieces that decompressed bytes come in. */
const CHUNK_BYTES = 64 * 1024;

/** `refused`: the store has it and does not give it, or cannot have such a key. */
export type Unread = { readonly state: 'missing' } | { readonly state: 'refused'; readonly problem: string };
export type ReadBytes =
  | { readonly state: 'read'; readonly bytes: Buffer; readonly lastModified: Date }
  | { readonly state: 'too_large'; readonly bytesMax: number }
  | Unread;
export type HashedObject =
  | {
      readonly state: 'read';
      readonly bytes: number;
      readonly sha256: string;
      readonly lastModified: Date;
    }
  | Unread;
export type OpenedBytes =
  { readonly state: 'open'; readonly chunks: AsyncIterable<Buffer>; readonly lastModified: Date } | Unread;

/** Which object: the newest version where `versionId` is null. */
export interface ObjectPlace {
  readonly key: string;
  readonly versionId: string | null;
}

/** SHA-256 in hex. */
export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/**
 * Opens an object's bytes. The caller MUST read them to their end or return from the loop, which closes them.
 * @throws EverlogError `store_unavailable`, also later while reading
 */
export async function openBytes(store: Pick<ObjectStore, 'read'>, place: ObjectPlace): Promise<OpenedBytes> {
  try {
    const found = await store.read(place.key, place.versionId ?? undefined);
    if (found === null) return { state: 'missing' };
    return { state: 'open', chunks: chunksOf(found.body), lastModified: found.head.lastModified };
  } catch (error) {
    if (error instanceof EverlogError && error.code === 'store_refused') {
      return { state: 'refused', problem: error.message };
    }
    throw error;
  }
}

/** Reads an object into memory unless it has more than `bytesMax` bytes. */
export async function readBytes(
  store: Pick<ObjectStore, 'read'>,
  place: ObjectPlace,
  bytesMax: number,
): Promise<ReadBytes> {
  const opened = await openBytes(store, place);
  if (opened.state !== 'open') return opened;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of opened.chunks) {
    bytes += chunk.length;
    if (bytes > bytesMax) return { state: 'too_large', bytesMax };
    chunks.push(chunk);
  }
  const [only] = chunks;
  const whole = only !== undefined && chunks.length === 1 ? only : Buffer.concat(chunks);
  return { state: 'read', bytes: whole, lastModified: opened.lastModified };
}

/** Reads an object for its length and hash alone. */
export async function hashObject(
  store: ObjectStore,
  place: ObjectPlace,
  onBytes: (bytes: number) => void,
): Promise<HashedObject> {
  const opened = await openBytes(store, place);
  if (opened.state !== 'open') return opened;
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of opened.chunks) {
    hash.update(chunk);
    bytes += chunk.length;
    onBytes(chunk.length);
  }
  return { state: 'read', bytes, sha256: hash.digest('hex'), lastModified: opened.lastModified };
}

/** What gzip-compressed bytes hold cannot be read: the bytes are damaged. */
export class BadGzip extends Error {
  override readonly name = 'BadGzip';
}

/**
 * Decompresses bytes as they come, in pieces of up to 64 KiB and flat memory; the caller leaves the loop when it has had enough.
 * @throws BadGzip
 */
export async function* gunzipped(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  const input = Readable.from(source, { objectMode: false });
  // The outcome is seen by whoever reads `gunzip`, which a failure of the source destroys.
  pipeline(input, gunzip, () => undefined);
  try {
    for await (const chunk of gunzip) if (Buffer.isBuffer(chunk)) yield chunk;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (!code.startsWith('Z_')) throw error;
    throw new BadGzip(error instanceof Error ? error.message : code);
  } finally {
    gunzip.destroy();
    input.destroy();
  }
}

/** Lines without their line feeds. One longer than `bytesMax` ends the reading: `too_long`, as does an end without a line feed: `cut`. */
export async function* linesOf(
  source: AsyncIterable<Buffer>,
  bytesMax: number,
): AsyncGenerator<Buffer, 'whole' | 'too_long' | 'cut'> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of source) {
    const bytes: Buffer = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let from = 0;
    for (let at = bytes.indexOf(0x0a); at !== -1; at = bytes.indexOf(0x0a, from)) {
      if (at - from > bytesMax) return 'too_long';
      yield bytes.subarray(from, at);
      from = at + 1;
    }
    rest = bytes.subarray(from);
    if (rest.length > bytesMax) return 'too_long';
  }
  return rest.length === 0 ? 'whole' : 'cut';
}

async function* chunksOf(body: Readable): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of body) {
      if (!(chunk instanceof Uint8Array)) throw new Error('an object was not read as bytes');
      yield Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk);
    }
  } finally {
    body.destroy();
  }
}
