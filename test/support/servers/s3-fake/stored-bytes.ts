import { createReadStream } from 'node:fs';
import { open, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { removeTemporaryFolder, temporaryFolder } from '../../processes/processes.ts';
import { newId, S3Error } from './protocol.ts';

/** Larger bodies are kept on disk, so that fifty of 20 MB do not fill the memory of the test process. */
const MEMORY_MAX_BYTES = 1024 * 1024;

/** The bytes of one stored body. */
export interface StoredBytes {
  readonly size: number;
  /** From `start` up to but not including `end`. */
  read(start: number, end: number): Readable;
  discard(): Promise<void>;
}

export interface BytesWriter {
  write(chunk: Buffer): Promise<void>;
  finish(): Promise<StoredBytes>;
  /** Forgets what was written so far. */
  abort(): Promise<void>;
}

/** Keeps bodies in memory, on disk when large, or not at all. */
export class BytesStore {
  readonly #dropBodies: boolean;
  readonly #folder = temporaryFolder('everlog-s3-fake-');

  constructor(dropBodies: boolean) {
    this.#dropBodies = dropBodies;
  }

  writer(): BytesWriter {
    return this.#dropBodies ? droppingWriter() : new SpillingWriter(join(this.#folder, newId()));
  }

  close(): void {
    removeTemporaryFolder(this.#folder);
  }
}

class SpillingWriter implements BytesWriter {
  readonly #path: string;
  #chunks: Buffer[] = [];
  #size = 0;
  #file: FileHandle | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  async write(chunk: Buffer): Promise<void> {
    this.#size += chunk.length;
    if (this.#file === undefined) {
      this.#chunks.push(chunk);
      if (this.#size <= MEMORY_MAX_BYTES) return;
      this.#file = await open(this.#path, 'wx');
      await this.#file.writeFile(Buffer.concat(this.#chunks));
      this.#chunks = [];
    } else {
      await this.#file.writeFile(chunk);
    }
  }

  async finish(): Promise<StoredBytes> {
    if (this.#file === undefined) return bytesInMemory(Buffer.concat(this.#chunks));
    await this.#file.close();
    return bytesOnDisk(this.#path, this.#size);
  }

  async abort(): Promise<void> {
    if (this.#file === undefined) return;
    await this.#file.close();
    await rm(this.#path, { force: true });
  }
}

function droppingWriter(): BytesWriter {
  let size = 0;
  return {
    write: async (chunk) => {
      size += chunk.length;
    },
    finish: async () => ({
      size,
      read: () => {
        throw new S3Error('NotImplemented', 'This server was told to drop bodies');
      },
      discard: async () => {},
    }),
    abort: async () => {},
  };
}

function bytesInMemory(bytes: Buffer): StoredBytes {
  return {
    size: bytes.length,
    read: (start, end) => Readable.from([bytes.subarray(start, end)], { objectMode: false }),
    discard: async () => {},
  };
}

function bytesOnDisk(path: string, size: number): StoredBytes {
  return {
    size,
    read: (start, end) => (end > start ? createReadStream(path, { start, end: end - 1 }) : Readable.from([])),
    discard: async () => rm(path, { force: true }),
  };
}
