import { createHash } from 'node:crypto';
import { read } from 'node:fs';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import type { PutBody } from './object-store.ts';

/** How much of a file is read at once: few calls for a large log, little memory for many at once. */
const FILE_CHUNK_BYTES = 256 * 1024;

const readAt = promisify(read);

/** A body of bytes in memory; hashed here. The bytes MUST NOT change afterwards. */
export function bytesBody(bytes: Uint8Array): PutBody {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { bytes: bytes.byteLength, sha256, open: () => bytes };
}

/**
 * A body in an open file, which may have no name any more. Each `open()` reads from the first byte and leaves the descriptor's
 * position alone. The caller closes `fd`, and not before the put has ended. `bytes` and `sha256` (lower-case hex) are the
 * caller's word; stores check them.
 */
export function fileBody(file: { fd: number; bytes: number; sha256: string }): PutBody {
  const { fd, bytes, sha256 } = file;
  return { bytes, sha256, open: () => (bytes === 0 ? new Uint8Array(0) : fileStream(fd, bytes)) };
}

/** Not `createReadStream`: that closes a descriptor that is not its own as soon as the stream is destroyed. */
function fileStream(fd: number, bytes: number): Readable {
  return Readable.from(fileChunks(fd, bytes), { objectMode: false, highWaterMark: FILE_CHUNK_BYTES });
}

async function* fileChunks(fd: number, bytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes;) {
    const chunk = Buffer.allocUnsafe(Math.min(FILE_CHUNK_BYTES, bytes - at));
    const { bytesRead } = await readAt(fd, chunk, 0, chunk.byteLength, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield chunk.subarray(0, bytesRead);
  }
}
