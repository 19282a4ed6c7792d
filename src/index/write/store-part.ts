import { createHash, randomUUID } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, retryable } from '../../errors.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { bytesBody, fileBody } from '../../store/put-body.ts';
import { writeParquet } from '../parquet/write-file.ts';
import type { Table } from './tables.ts';
import { openNameless } from '../../folders.ts';

/** Larger files wait in the spool folder until they are whole: a PUT is told their length and hash beforehand. */
const MEMORY_BYTES_MAX = 16 * 1024 * 1024;
/** As spool files are named, so that those of a process killed while making one are cleared away with them. */
const NAME_PREFIX = 'everlog-spool-index-';

/**
 * Stores sorted rows under a key that never had other rows; answers how many there were. Nothing is stored where there is
 * none, nor where the key has an object already: another process has done the same work.
 * @throws EverlogError where the store does not answer, and `spool_unavailable`
 */
export async function storePart<T extends object>(
  store: ObjectStore,
  key: string,
  table: Table<T>,
  rows: AsyncIterable<T> | Iterable<T>,
  spoolDir: string,
): Promise<number> {
  const body = new PartBody(spoolDir);
  try {
    const count = await writeParquet(table.columns, rows, (bytes) => body.add(bytes));
    if (count > 0) {
      await store.putIfAbsent(key, body.finish(), {
        contentType: 'application/vnd.apache.parquet',
        kind: 'other',
      });
    }
    return count;
  } finally {
    await body.close();
  }
}

class PartBody {
  readonly #spoolDir: string;
  readonly #hash = createHash('sha256');
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #file: FileHandle | null = null;

  constructor(spoolDir: string) {
    this.#spoolDir = spoolDir;
  }

  async add(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes);
    this.#chunks.push(bytes);
    this.#bytes += bytes.byteLength;
    if (this.#file === null && this.#bytes <= MEMORY_BYTES_MAX) return;
    const chunks = this.#chunks;
    this.#chunks = [];
    try {
      this.#file ??= await openNameless(join(this.#spoolDir, NAME_PREFIX + randomUUID()));
      for (const chunk of chunks) await this.#file.appendFile(chunk);
    } catch (error) {
      const message = `cannot write to the spool (EVERLOG_SPOOL_DIR): ${messageOf(error)}`;
      throw retryable('spool_unavailable', message, error);
    }
  }

  finish(): ReturnType<typeof bytesBody> {
    if (this.#file === null) return bytesBody(Buffer.concat(this.#chunks));
    return fileBody({ fd: this.#file.fd, bytes: this.#bytes, sha256: this.#hash.digest('hex') });
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }
}
