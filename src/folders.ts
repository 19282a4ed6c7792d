import { mkdir, open, unlink, type FileHandle } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { codeOf } from './errors.ts';

/** Another process may remove an empty folder between its making and the next one's; more often than this it is no accident. */
const TRIES = 3;

/**
 * Makes a folder and what is missing above it; answers the topmost one made, null where all was there. Not `mkdir` with
 * `recursive`: below /proc that never ends and keeps its thread, and on a file system mounted read-only it says ENOENT.
 * Whatever stands at the path already counts as there. @throws the system's errors
 */
export async function makeFolders(folder: string, mode = 0o777): Promise<string | null> {
  const path = resolve(folder);
  let topmost: string | null = null;
  for (let tries = 1; ; tries += 1) {
    try {
      await mkdir(path, { mode });
      return topmost ?? path;
    } catch (error) {
      const errno = codeOf(error);
      if (errno === 'EEXIST') return topmost;
      if (errno !== 'ENOENT' || path === dirname(path) || tries === TRIES) throw error;
    }
    topmost = (await makeFolders(dirname(path), mode)) ?? topmost;
  }
}

/** Makes a file that nobody else can open and that is gone with the process, however that ends. The path MUST be new. */
export async function openNameless(path: string): Promise<FileHandle> {
  const file = await open(path, 'wx+', 0o600);
  await unlink(path);
  return file;
}
