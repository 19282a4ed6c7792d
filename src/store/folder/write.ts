import { randomUUID } from 'node:crypto';
import { lstat, link, open, opendir, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf, giveUp } from '../../errors.ts';
import { makeFolders } from '../../folders.ts';
import { isMissing } from './errors.ts';
import { checkedChunks } from '../object-body.ts';
import type { PutBody } from '../object-store.ts';

/** Where objects are written before they get their name; on the same file system, as hard links demand. Made with the archive. */
export const FOLDER_STORE_MARK = '.tmp';
const TEMPORARY_NAME = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** A temp file not written to for so long belongs to a process that was killed: a live one writes all the time. */
const ABANDONED_AFTER_MS = 60 * 60 * 1000;
/** Logs hold secrets: only Everlog's own user reads them unless somebody decides otherwise. */
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;
/** Another process may remove an empty folder between its making and the link; more often than this it is no accident. */
const LINK_TRIES = 3;
/** Folders remembered as being on disk; forgotten all at once past this, which costs only repeated fsyncs. */
const DURABLE_FOLDERS_MAX = 10_000;

/** Answers of `link` on file systems without hard links. */
const NO_HARD_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EINVAL']);

/** `link(2)`: gives a file a second name, or fails with EEXIST. */
export type HardLink = (from: string, to: string) => Promise<void>;

/** Writes objects into one folder: whole, durable and never over another. */
export class FolderWriter {
  readonly #folder: string;
  readonly #hardLink: HardLink;
  readonly #durableFolders = new Set<string>();
  #suitable: Promise<void> | null = null;

  constructor(folder: string, hardLink: HardLink = link) {
    this.#folder = folder;
    this.#hardLink = hardLink;
  }

  /** Makes the folder and finds out once whether its file system has hard links; a failure is looked at again. */
  async ready(): Promise<void> {
    this.#suitable ??= this.#probe();
    try {
      await this.#suitable;
    } catch (error) {
      this.#suitable = null;
      throw error;
    }
  }

  /** Stores `body` under `key` unless there is a file. Throws errnos as they come, and `object_corrupt`. */
  async write(key: string, body: PutBody): Promise<'created' | 'exists'> {
    await this.ready();
    const path = join(this.#folder, key);
    if (await isStored(path)) {
      await this.#makeDurable(dirname(path));
      return 'exists';
    }
    const temporary = this.#temporaryPath();
    try {
      await writeWhole(temporary, key, body);
      return await this.#name(temporary, path);
    } finally {
      await removeIfThere(temporary);
    }
  }

  /**
   * Removes the object of `key`, for good once this answers; what is no regular file is not an object, and stays. Folders
   * stay too: another process may be about to write there.
   */
  async remove(key: string): Promise<'removed' | 'missing'> {
    const path = join(this.#folder, key);
    try {
      if (!(await lstat(path)).isFile()) return 'missing';
      await unlink(path);
    } catch (error) {
      if (isMissing(error)) return 'missing';
      throw error;
    }
    await syncFolder(dirname(path));
    return 'removed';
  }

  /** The time that the file system gives to a file that is written now. */
  async clock(): Promise<Date> {
    await this.ready();
    const path = this.#temporaryPath();
    try {
      const handle = await open(path, 'wx', FILE_MODE);
      try {
        await handle.write(Buffer.from('now\n'));
        return (await handle.stat()).mtime;
      } finally {
        await handle.close();
      }
    } finally {
      await removeIfThere(path);
    }
  }

  /** Removes what killed writers left, and nothing of others. `nowMs` is compared with the files' times of modification. */
  async removeAbandoned(nowMs: number): Promise<void> {
    const folder = join(this.#folder, FOLDER_STORE_MARK);
    try {
      for await (const entry of await opendir(folder)) {
        const path = join(folder, entry.name);
        if (!entry.isFile() || !TEMPORARY_NAME.test(entry.name)) continue;
        const { mtimeMs } = await lstat(path);
        if (nowMs - mtimeMs > ABANDONED_AFTER_MS) await removeIfThere(path);
      }
    } catch (error) {
      if (!isMissing(error) && !['EACCES', 'EPERM', 'EROFS'].includes(codeOf(error) ?? '')) throw error;
    }
  }

  /** The other process that won may not have come to its own fsync yet, so losing makes the name durable as well. */
  async #name(temporary: string, path: string): Promise<'created' | 'exists'> {
    const folder = dirname(path);
    for (let attempt = 1; ; attempt += 1) {
      await makeFolders(folder, FOLDER_MODE);
      let outcome: 'created' | 'exists' = 'created';
      try {
        await this.#hardLink(temporary, path);
      } catch (error) {
        if (codeOf(error) === 'ENOENT' && attempt < LINK_TRIES) {
          this.#durableFolders.clear();
          continue;
        }
        if (codeOf(error) !== 'EEXIST' || !(await isStored(path))) throw error;
        outcome = 'exists';
      }
      await this.#makeDurable(folder);
      return outcome;
    }
  }

  /** Writes the names in `folder` to disk, and the folder's own name and its parents' the first time. */
  async #makeDurable(folder: string): Promise<void> {
    await syncFolder(folder);
    let child = folder;
    while (child !== this.#folder && !this.#durableFolders.has(child)) {
      const parent = dirname(child);
      await syncFolder(parent);
      if (this.#durableFolders.size >= DURABLE_FOLDERS_MAX) this.#durableFolders.clear();
      this.#durableFolders.add(child);
      child = parent;
    }
  }

  async #probe(): Promise<void> {
    await this.#makeOwnFolders();
    const first = this.#temporaryPath();
    const second = this.#temporaryPath();
    try {
      const handle = await open(first, 'wx', FILE_MODE);
      await handle.close();
      await this.#hardLink(first, second);
    } catch (error) {
      if (!NO_HARD_LINKS.has(codeOf(error) ?? '')) throw error;
      throw giveUp(
        'store_unsuitable',
        `the file system of ${this.#folder} has no hard links, without which objects could be overwritten or half written; set EVERLOG_ARCHIVE_URL to a folder on another file system (ext4, XFS, Btrfs, ZFS, NFS) or to a bucket`,
        error,
      );
    } finally {
      await removeIfThere(first);
      await removeIfThere(second);
    }
  }

  async #makeOwnFolders(): Promise<void> {
    try {
      await makeDurableFolder(this.#folder);
      await makeFolders(join(this.#folder, FOLDER_STORE_MARK), FOLDER_MODE);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
      // As below /proc: what is above it is there, and takes no folders.
      const message = `the folder ${this.#folder} cannot be made: choose another EVERLOG_ARCHIVE_URL`;
      throw giveUp('store_misconfigured', message, error);
    }
  }

  #temporaryPath(): string {
    return join(this.#folder, FOLDER_STORE_MARK, randomUUID());
  }
}

/** Whether an object has this path. A folder there is no object, and no object can be made of it. */
async function isStored(path: string): Promise<boolean> {
  try {
    if ((await lstat(path)).isFile()) return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
  throw giveUp('store_refused', `${path} is in the way: an object is to be stored there, and it is no file`);
}

async function writeWhole(path: string, key: string, body: PutBody): Promise<void> {
  const handle = await open(path, 'wx', FILE_MODE);
  try {
    for await (const chunk of checkedChunks(key, body)) await writeAll(handle, chunk);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function writeAll(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let at = 0; at < chunk.byteLength;) {
    const { bytesWritten } = await handle.write(chunk, at);
    if (bytesWritten === 0) throw new Error('the file system accepted no bytes');
    at += bytesWritten;
  }
}

async function makeDurableFolder(folder: string): Promise<void> {
  const firstMade = await makeFolders(folder, FOLDER_MODE);
  if (firstMade === null) return;
  const above = dirname(firstMade);
  for (let made = folder; made !== above; made = dirname(made)) await syncFolder(dirname(made));
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function removeIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}
