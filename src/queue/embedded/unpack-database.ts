import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { makeFolders } from '../../folders.ts';

/**
 * Unpacks the pristine database that comes with PGlite. PGlite's own way copies it several times in small pieces, of which the
 * process keeps a hundred megabytes for good (measured); this one has it once, in a piece that goes back to the system whole.
 */

/** It has 45 MB; as much is reserved, and used only so far as it is filled. */
const UNPACKED_BYTES_MAX = 64 * 1024 * 1024;
const BLOCK_BYTES = 512;
/** Where the members of a header are (POSIX ustar). */
const NAME = [0, 100] as const;
const SIZE = [124, 136] as const;
const KIND = [156, 157] as const;
const PREFIX = [345, 500] as const;

/**
 * Unpacks a gzip-compressed tar archive of files and folders into `folder`, which exists. The archive MUST be one that is trusted.
 * @throws the system's errors; Error for an archive that is cut short, or has anything else in it
 */
export async function unpackDatabase(packed: Blob, folder: string): Promise<void> {
  const options = { chunkSize: UNPACKED_BYTES_MAX, maxOutputLength: UNPACKED_BYTES_MAX };
  const bytes = gunzipSync(Buffer.from(await packed.arrayBuffer()), options);
  for (let at = 0; ;) {
    const header = part(bytes, at, BLOCK_BYTES);
    at += BLOCK_BYTES;
    if (header.every((byte) => byte === 0)) return;
    const name = [textAt(header, PREFIX), textAt(header, NAME)].filter((text) => text !== '').join('/');
    const path = join(folder, name);
    const kind = textAt(header, KIND);
    if (kind === '5') await makeFolders(path, 0o700);
    else if (kind === '0' || kind === '') {
      const size = Number.parseInt(textAt(header, SIZE), 8);
      await writeFile(path, part(bytes, at, size), { flag: 'wx', mode: 0o600 });
      at += Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
    } else throw new Error(`${name} in the packed database is neither file nor folder`);
  }
}

function part(bytes: Buffer, from: number, length: number): Buffer {
  if (from + length <= bytes.length) return bytes.subarray(from, from + length);
  throw new Error('the packed database is cut short');
}

/** Up to the first NUL, or the end of the member. */
function textAt(header: Buffer, [from, to]: readonly [number, number]): string {
  return header.toString('latin1', from, to).split('\0', 1).join('').trim();
}
