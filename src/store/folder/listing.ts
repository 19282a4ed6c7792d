import type { Dirent } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isMissing } from './errors.ts';
import { compareKeys } from '../object-key.ts';
import type { ListedObject } from '../object-store.ts';

/** Files looked up at once: hides the latency of network file systems, stays far below the limit of open files. */
const LOOKUPS_AT_ONCE = 32;
/** Keys measure 1,024 bytes, so nothing of ours lies deeper. */
const DEPTH_MAX = 512;

interface Entry {
  /** The key of a file; of a folder the key with `/` at the end, which is what its contents sort as. */
  readonly key: string;
  readonly isFolder: boolean;
}

/**
 * Files below `root` whose key starts with `prefix`, in order of the key's UTF-8 bytes, after `startAfter`. Holds the names of one
 * folder per level at a time. Hidden names, symbolic links and special files are not objects.
 */
export async function* listFolder(
  root: string,
  prefix: string,
  startAfter: string,
): AsyncGenerator<ListedObject> {
  const base = prefix.slice(0, prefix.lastIndexOf('/') + 1);
  if (base !== '' && base.slice(0, -1).split('/').some(isNoPlainName)) return;
  yield* walk(root, base, { prefix, startAfter }, 0);
}

async function* walk(
  root: string,
  base: string,
  wanted: { prefix: string; startAfter: string },
  depth: number,
): AsyncGenerator<ListedObject> {
  if (depth > DEPTH_MAX) return;
  const entries = await folderEntries(root, base, wanted);
  for (let at = 0; at < entries.length; at += LOOKUPS_AT_ONCE) {
    const some = entries.slice(at, at + LOOKUPS_AT_ONCE);
    const files = await Promise.all(
      some.map(async (entry) => (entry.isFolder ? null : lookUp(root, entry.key))),
    );
    for (const [index, entry] of some.entries()) {
      const file = files[index] ?? null;
      if (entry.isFolder) yield* walk(root, entry.key, wanted, depth + 1);
      else if (file !== null) yield file;
    }
  }
}

async function folderEntries(
  root: string,
  base: string,
  { prefix, startAfter }: { prefix: string; startAfter: string },
): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (const found of await namesIn(join(root, base))) {
    const isFolder = found.isDirectory();
    if (isNoPlainName(found.name) || !(isFolder || found.isFile())) continue;
    const key = base + found.name + (isFolder ? '/' : '');
    const mayMatch = key.startsWith(prefix) || (isFolder && prefix.startsWith(key));
    const comesLater = compareKeys(key, startAfter) > 0 || (isFolder && startAfter.startsWith(key));
    if (mayMatch && comesLater) entries.push({ key, isFolder });
  }
  return entries.sort((a, b) => compareKeys(a.key, b.key));
}

/**
 * Paths below `prefix`, which ends with `/`, of what `listFolder` passes over: hidden names, symbolic links and special files.
 * In no order; does not look into hidden folders, nor follow links.
 */
export async function* listPassedOver(root: string, prefix: string, depth = 0): AsyncGenerator<string> {
  if (depth > DEPTH_MAX) return;
  for (const found of await namesIn(join(root, prefix))) {
    const path = prefix + found.name;
    if (isNoPlainName(found.name) || !(found.isDirectory() || found.isFile())) yield path;
    else if (found.isDirectory()) yield* listPassedOver(root, `${path}/`, depth + 1);
  }
}

async function namesIn(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

async function lookUp(root: string, key: string): Promise<ListedObject | null> {
  try {
    const { size, mtime } = await lstat(join(root, key));
    return { key, bytes: size, lastModified: mtime };
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

function isNoPlainName(name: string): boolean {
  return name === '' || name.startsWith('.') || name.includes('\0');
}
