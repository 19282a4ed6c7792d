import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { open, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { giveUp, messageOf } from '../../../errors.ts';

/**
 * Rows on disk, divided by a hash of their group, so that everything about one group can be looked at together without
 * ever holding more than a small part of all groups. Files have no name while they are used: nothing is left of them
 * however the process ends.
 */

/** Files of one division. A bucket that is still too large is divided again. */
const BUCKETS = 64;
/** A bucket up to this size is held in memory at once, as some ten times its size in objects. */
const BUCKET_BYTES_MAX = 4 * 1024 * 1024;
/** Rows wait for each other up to this size: 64 of them are 4 MiB. */
const BUFFER_BYTES = 64 * 1024;
/** Each division takes six bits of the hash: seven of them tell four million million groups apart. */
const DIVISIONS_MAX = 7;

/** One fact about a group. `R` survives JSON. */
export interface GroupedRow<R> {
  readonly group: string;
  readonly fact: R;
}

export interface DiskGroupBy<R> {
  add(group: string, fact: R): Promise<void>;
  /** The rows of every group, some groups at a time; may be read once, after the last `add`. */
  groups(): AsyncGenerator<ReadonlyMap<string, readonly R[]>>;
  /** Frees the disk. */
  close(): Promise<void>;
}

/**
 * Groups rows in files of a folder. Each row must be one that `parse` takes back from its JSON.
 */
export function openDiskGroupBy<R>(
  folder: string,
  parse: (value: unknown) => R,
  bucketBytesMax = BUCKET_BYTES_MAX,
): DiskGroupBy<R> {
  // Unknown to whoever chose the keys, so that they cannot all be made to fall into one bucket.
  return new Division({ folder, parse, salt: randomBytes(16), bucketBytesMax }, 0);
}

interface Terms<R> {
  readonly folder: string;
  readonly parse: (value: unknown) => R;
  readonly salt: Buffer;
  readonly bucketBytesMax: number;
}

class Division<R> implements DiskGroupBy<R> {
  readonly #terms: Terms<R>;
  readonly #depth: number;
  readonly #files = new Map<number, BucketFile>();

  constructor(terms: Terms<R>, depth: number) {
    this.#terms = terms;
    this.#depth = depth;
  }

  async add(group: string, fact: R): Promise<void> {
    return this.#put(group, `${JSON.stringify([group, fact])}\n`);
  }

  async *groups(): AsyncGenerator<ReadonlyMap<string, readonly R[]>> {
    for (const [number, file] of this.#files) {
      const isLast = this.#depth + 1 >= DIVISIONS_MAX;
      if (isLast || file.size <= this.#terms.bucketBytesMax) yield await this.#held(file);
      else yield* this.#divided(file);
      await file.close();
      this.#files.delete(number);
    }
  }

  async close(): Promise<void> {
    for (const file of this.#files.values()) await file.close();
    this.#files.clear();
  }

  async #put(group: string, line: string): Promise<void> {
    const number = this.#bucketOf(group);
    const file = this.#files.get(number) ?? new BucketFile(this.#terms.folder);
    this.#files.set(number, file);
    await file.append(line);
  }

  async #held(file: BucketFile): Promise<ReadonlyMap<string, readonly R[]>> {
    const groups = new Map<string, R[]>();
    for await (const line of file.lines()) {
      const { group, fact } = this.#row(line);
      const known = groups.get(group);
      if (known === undefined) groups.set(group, [fact]);
      else known.push(fact);
    }
    return groups;
  }

  async *#divided(file: BucketFile): AsyncGenerator<ReadonlyMap<string, readonly R[]>> {
    const finer = new Division(this.#terms, this.#depth + 1);
    try {
      for await (const line of file.lines()) await finer.#put(this.#row(line).group, `${line}\n`);
      await file.close();
      yield* finer.groups();
    } finally {
      await finer.close();
    }
  }

  #row(line: string): GroupedRow<R> {
    const value: unknown = JSON.parse(line);
    if (!Array.isArray(value) || typeof value[0] !== 'string')
      throw new Error('a bucket holds what is no row');
    return { group: value[0], fact: this.#terms.parse(value[1]) };
  }

  #bucketOf(group: string): number {
    const hash = createHash('sha256').update(this.#terms.salt).update(group).digest();
    return (hash[this.#depth] ?? 0) % BUCKETS;
  }
}

/** A file without a name that is written once and read once. */
class BucketFile {
  readonly #folder: string;
  #handle: FileHandle | null = null;
  #waiting: string[] = [];
  #waitingBytes = 0;
  /** Written. */
  #bytes = 0;
  /** Writes follow each other. */
  #written: Promise<void> = Promise.resolve();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** In bytes, with what waits to be written. */
  get size(): number {
    return this.#bytes + this.#waitingBytes;
  }

  async append(line: string): Promise<void> {
    this.#waiting.push(line);
    this.#waitingBytes += line.length;
    if (this.#waitingBytes >= BUFFER_BYTES) await this.#flush();
  }

  async *lines(): AsyncGenerator<string> {
    await this.#flush();
    let rest: Buffer = Buffer.alloc(0);
    for (let at = 0; at < this.#bytes;) {
      const piece = Buffer.allocUnsafe(Math.min(BUFFER_BYTES * 4, this.#bytes - at));
      const read = await this.#handle?.read(piece, 0, piece.length, at);
      if (read === undefined || read.bytesRead === 0) throw new Error('a bucket ended before its end');
      at += read.bytesRead;
      const bytes: Buffer = Buffer.concat([rest, piece.subarray(0, read.bytesRead)]);
      const end = bytes.lastIndexOf(0x0a) + 1;
      if (end > 0) yield* bytes.toString('utf8', 0, end - 1).split('\n');
      rest = bytes.subarray(end);
    }
  }

  async close(): Promise<void> {
    // Whoever appended has heard of a failure.
    await this.#written.catch(() => undefined);
    await this.#handle?.close();
    this.#handle = null;
    this.#waiting = [];
    this.#bytes = 0;
  }

  async #flush(): Promise<void> {
    const bytes = Buffer.from(this.#waiting.join(''));
    this.#waiting = [];
    this.#waitingBytes = 0;
    const before = this.#written;
    this.#written = (async () => {
      await before;
      await this.#write(bytes);
    })();
    return this.#written;
  }

  async #write(bytes: Buffer): Promise<void> {
    if (bytes.length === 0) return;
    try {
      this.#handle ??= await openNameless(this.#folder);
      for (let at = 0; at < bytes.length;) {
        const { bytesWritten } = await this.#handle.write(bytes, at, bytes.length - at, this.#bytes);
        at += bytesWritten;
        this.#bytes += bytesWritten;
      }
    } catch (error) {
      const problem = `cannot write temporary files in ${this.#folder} (${messageOf(error)})`;
      throw giveUp('spool_unavailable', `${problem}: set TMPDIR to a folder with more room`, error);
    }
  }
}

async function openNameless(folder: string): Promise<FileHandle> {
  const path = join(folder, `everlog-verify-${randomUUID()}`);
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
  const handle = await open(path, flags, 0o600);
  try {
    await unlink(path);
  } catch (error) {
    await handle.close();
    throw error;
  }
  return handle;
}
