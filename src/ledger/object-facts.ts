import { createHash } from 'node:crypto';
import type { ObjectHead, ObjectStore } from '../store/object-store.ts';

/** An object as the store has it, read to its end. */
export interface ReadObject {
  readonly head: ObjectHead;
  readonly bytes: number;
  readonly sha256: string;
  /** Null when there are more than were asked for. */
  readonly content: Buffer | null;
}

/** Reads and hashes an object of any size, keeping its bytes up to `keptBytesMax`; null where there is none. */
export async function readObject(
  store: Pick<ObjectStore, 'read'>,
  key: string,
  keptBytesMax: number,
): Promise<ReadObject | null> {
  const found = await store.read(key);
  if (found === null) return null;
  const hash = createHash('sha256');
  let kept: Buffer[] | null = [];
  let bytes = 0;
  for await (const chunk of found.body) {
    if (!(chunk instanceof Uint8Array)) throw new Error(`object ${key} was not read as bytes`);
    bytes += chunk.byteLength;
    hash.update(chunk);
    if (bytes > keptBytesMax) kept = null;
    kept?.push(Buffer.from(chunk));
  }
  const content = kept === null ? null : Buffer.concat(kept);
  return { head: found.head, bytes, sha256: hash.digest('hex'), content };
}
