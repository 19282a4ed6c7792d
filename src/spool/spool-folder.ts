import { randomUUID } from 'node:crypto';
import { lstat, opendir, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, giveUp, messageOf } from '../errors.ts';
import { openNameless } from '../folders.ts';

/** Files of the spool's folder: they lose their name as soon as they are open. */

/** How the name of every spool file begins. */
const NAME_PREFIX = 'everlog-spool-';
/** A spool file has its name for an instant; one that has kept it for so long lost its process in that instant. */
const ABANDONED_AFTER_MS = 60_000;
/** What no waiting changes; a full disk may have room again. */
const FINAL: ReadonlySet<unknown> = new Set(['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'EROFS', 'ELOOP']);

/** Nobody else can open the file, and it is gone with the process, however that ends. `name` MUST be new in the folder. */
export function openSpoolFile(folder: string, name: string): Promise<FileHandle> {
  return openNameless(join(folder, `${NAME_PREFIX}${name}`));
}

/**
 * Refuses a folder in which no spool file can be made, by making one.
 * @throws EverlogError `config_invalid`; nothing for a disk that is full now
 */
export async function demandSpoolFolder(folder: string): Promise<void> {
  try {
    await (await openSpoolFile(folder, randomUUID())).close();
  } catch (error) {
    if (!FINAL.has(codeOf(error))) return;
    throw giveUp(
      'config_invalid',
      `EVERLOG_SPOOL_DIR: no file can be made in ${folder} (${messageOf(error)}): name a folder that is there and can be written to`,
      error,
    );
  }
}

/** Removes the empty files of processes that were killed between making one and taking its name away; never throws. */
export async function removeAbandonedSpoolFiles(folder: string, nowMs: number): Promise<void> {
  try {
    for await (const entry of await opendir(folder)) {
      if (!entry.isFile() || !entry.name.startsWith(NAME_PREFIX)) continue;
      const path = join(folder, entry.name);
      if (nowMs - (await lstat(path)).mtimeMs > ABANDONED_AFTER_MS) await unlink(path);
    }
  } catch {
    // A folder that cannot be read is told of by the first log that needs it.
  }
}
