import { createHash } from 'node:crypto';
import { createWriteStream, rmSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { codeOf, EverlogError, giveUp, messageOf, retryable } from '../../../errors.ts';
import { checkObjectKey } from '../../../store/object-key.ts';
import { makeFolders } from '../../../folders.ts';

/** A bundle may hold secrets that a job printed: its files are for their owner alone, as an archive's are. */
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;
const SCRIPT_MODE = 0o700;

/** What was copied: its length and SHA-256, lower-case hex. */
export interface CopiedFile {
  readonly bytes: number;
  readonly sha256: string;
}

/** A bundle while it is written: beside its place, and in it only when it is whole. */
export class BundleFolder {
  readonly out: string;
  readonly #unfinished: string;

  private constructor(out: string, unfinished: string) {
    this.out = out;
    this.#unfinished = unfinished;
  }

  /**
   * Begins a bundle that is to stand at `out`. `nonce` keeps two exports apart.
   * @throws EverlogError `usage` where something stands at `out` already, or nothing can be written beside it.
   */
  static async begin(out: string, nonce: string): Promise<BundleFolder> {
    const path = resolve(out);
    await checkFree(path);
    const unfinished = join(dirname(path), `.${basename(path)}.unfinished-${nonce}`);
    try {
      await makeFolders(dirname(path));
      await mkdir(unfinished, { mode: FOLDER_MODE });
    } catch (error) {
      throw giveUp('usage', `--out: nothing can be written at ${path}: ${messageOf(error)}`, error);
    }
    return new BundleFolder(path, unfinished);
  }

  /** Writes a small file; `isScript` makes it executable. */
  async write(path: string, content: Uint8Array | string, isScript = false): Promise<void> {
    await this.#failing(async () => {
      const file = await this.#place(path);
      await writeFile(file, content, { mode: FILE_MODE });
      if (isScript) await chmod(file, SCRIPT_MODE);
    });
  }

  /** Writes a file from a stream, hashing on the way; memory is flat. Failures of the stream pass through. */
  async copy(path: string, body: NodeJS.ReadableStream): Promise<CopiedFile> {
    const hash = createHash('sha256');
    let bytes = 0;
    const counting = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        bytes += chunk.length;
        hash.update(chunk);
        done(null, chunk);
      },
    });
    return this.#failing(async () => {
      const file = await this.#place(path);
      await pipeline(body, counting, createWriteStream(file, { mode: FILE_MODE }));
      return { bytes, sha256: hash.digest('hex') };
    });
  }

  /** A small file that was written before; null when it was not. */
  async read(path: string): Promise<Buffer | null> {
    try {
      return await readFile(join(this.#unfinished, path));
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return null;
      throw error;
    }
  }

  /** Puts the whole bundle in its place. */
  async finish(): Promise<void> {
    await checkFree(this.out);
    // An empty folder in its place gives way to it in the same step.
    await this.#failing(() => rename(this.#unfinished, this.out));
  }

  /** Leaves nothing behind of a bundle that was not finished. */
  async discard(): Promise<void> {
    await rm(this.#unfinished, { recursive: true, force: true });
  }

  /** The same at once, for a process that is about to end. */
  discardNow(): void {
    rmSync(this.#unfinished, { recursive: true, force: true });
  }

  async #place(path: string): Promise<string> {
    checkObjectKey(path);
    const file = join(this.#unfinished, path);
    await makeFolders(dirname(file), FOLDER_MODE);
    return file;
  }

  async #failing<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const code = codeOf(error);
      if (error instanceof EverlogError || code === '') throw error;
      throw retryable('spool_unavailable', `the bundle cannot be written at ${this.out} (${code})`, error);
    }
  }
}

async function checkFree(path: string): Promise<void> {
  let names: string[];
  try {
    names = await readdir(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    const what = codeOf(error) === 'ENOTDIR' ? 'is no folder' : messageOf(error);
    throw giveUp('usage', `--out ${path} ${what}; name one that does not exist`, error);
  }
  if (names.length > 0)
    throw giveUp('usage', `--out ${path} is not empty; name a folder that does not exist`);
}
