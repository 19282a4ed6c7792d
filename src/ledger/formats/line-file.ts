import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { createGunzip, createGzip, type Gzip } from 'node:zlib';
import type { PutBody } from '../../store/object-store.ts';
import { fileBody } from '../../store/put-body.ts';
import { EverlogError, messageOf, retryable } from '../../errors.ts';
import { linesOf } from './lines.ts';
import { openNameless } from '../../folders.ts';

/** Lines in a temp file that has no name: they may be more than memory holds, and are gone with the process. */
export interface LineFile {
  /** Adds a line, which MUST hold no line feed. One call at a time. */
  append(line: string): Promise<void>;
  /** Ends the file; nothing can be added afterwards. */
  finish(): Promise<FinishedLines>;
  /** Gives the disk back; the body can no longer be opened. */
  close(): Promise<void>;
}

export interface FinishedLines {
  /** Lines. */
  readonly count: number;
  /** Of the lines with their line feeds. */
  readonly bytes: number;
  readonly sha256: string;
  /** The file as it is stored. */
  readonly body: PutBody;
  lines(): AsyncGenerator<string>;
}

/** Lines are collected in memory up to this before they are hashed and written: few calls, little memory. */
const CHUNK_CHARS = 64 * 1024;
const GZIP_LEVEL = 6;
/** As spool files are named, so that those of a process killed while making one are cleared away with them. */
const NAME_PREFIX = 'everlog-spool-';

/**
 * Opens an empty file in `folder`.
 * @throws EverlogError `spool_unavailable` (retry), as every other method does
 */
export async function openLineFile(
  folder: string,
  options: { readonly name: string; readonly gzip: boolean },
): Promise<LineFile> {
  const file = await guarded(() => openNameless(join(folder, `${NAME_PREFIX}${options.name}`)));
  return new TempLines(file, options.gzip);
}

class TempLines implements LineFile {
  private readonly file: FileHandle;
  private readonly hash = createHash('sha256');
  private readonly storedHash = createHash('sha256');
  private readonly gzip: Gzip | null;
  /** Settles when all that was compressed is written; a failure is kept until somebody waits. */
  private readonly drained: Promise<Error | null>;
  private pending = '';
  private count = 0;
  private bytes = 0;
  private storedBytes = 0;

  constructor(file: FileHandle, gzip: boolean) {
    this.file = file;
    this.gzip = gzip ? createGzip({ level: GZIP_LEVEL }) : null;
    this.drained = this.drain().then(
      () => null,
      (error: unknown) => {
        this.gzip?.destroy();
        return error instanceof Error ? error : new Error(messageOf(error));
      },
    );
  }

  async append(line: string): Promise<void> {
    this.pending += `${line}\n`;
    this.count += 1;
    if (this.pending.length >= CHUNK_CHARS) await this.flush();
  }

  async finish(): Promise<FinishedLines> {
    await this.flush();
    if (this.gzip !== null) {
      this.gzip.end();
      await this.throwFailure();
    }
    const { file, gzip, count, bytes, storedBytes } = this;
    const sha256 = this.hash.digest('hex');
    const body = fileBody({ fd: file.fd, bytes: storedBytes, sha256: this.storedHash.digest('hex') });
    return { count, bytes, sha256, body, lines: () => storedLines(body, gzip !== null) };
  }

  async close(): Promise<void> {
    this.gzip?.destroy();
    await this.drained;
    await this.file.close();
  }

  private async flush(): Promise<void> {
    const chunk = Buffer.from(this.pending);
    this.pending = '';
    this.bytes += chunk.byteLength;
    this.hash.update(chunk);
    const { gzip } = this;
    if (gzip === null) {
      await this.store(chunk);
    } else if (!gzip.write(chunk)) {
      const roomAgain = new Promise<void>((resolve) => gzip.once('drain', resolve));
      await Promise.race([roomAgain, this.drained]);
    }
    if (gzip?.destroyed === true) await this.throwFailure();
  }

  private async drain(): Promise<void> {
    for await (const chunk of this.gzip ?? []) {
      if (!Buffer.isBuffer(chunk)) throw new Error('zlib gave text for bytes');
      await this.store(chunk);
    }
  }

  private async store(chunk: Buffer): Promise<void> {
    this.storedBytes += chunk.byteLength;
    this.storedHash.update(chunk);
    if (chunk.byteLength > 0) await guarded(() => this.file.appendFile(chunk));
  }

  private async throwFailure(): Promise<void> {
    const failure = await this.drained;
    if (failure !== null) throw failure;
  }
}

async function* storedLines(body: PutBody, isGzip: boolean): AsyncGenerator<string> {
  const opened = body.open();
  const source = opened instanceof Readable ? opened : Readable.from([opened], { objectMode: false });
  if (!isGzip) {
    yield* linesOf(source);
    return;
  }
  if (body.bytes > 0) yield* linesOf(source.pipe(createGunzip()));
}

async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof EverlogError) throw error;
    const message = `cannot write to the spool (EVERLOG_SPOOL_DIR): ${messageOf(error)}`;
    throw retryable('spool_unavailable', message, error);
  }
}
