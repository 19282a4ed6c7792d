import { readdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import {
  CHECKPOINTS_ROOT,
  CUSTODY_ROOT,
  DIGESTS_ROOT,
  LOGS_ROOT,
  NAMES_ROOT,
  RECORDS_ROOT,
  RUNS_ROOT,
  SIGNING_KEYS_ROOT,
} from '../archive/keys.ts';
import type { ArchiveUrl, Config } from '../config.ts';
import { EverlogError, giveUp } from '../errors.ts';
import { FOLDER_STORE_MARK } from '../store/folder/write.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { openArchive } from './archive.ts';

/** Whether a place is an archive, told apart from an empty one, and where one is that may be meant. */

/** What an archive has one of from its first hour on; those of a large archive first. */
const ROOTS = [
  RECORDS_ROOT,
  DIGESTS_ROOT,
  NAMES_ROOT,
  SIGNING_KEYS_ROOT,
  RUNS_ROOT,
  CUSTODY_ROOT,
  LOGS_ROOT,
  CHECKPOINTS_ROOT,
  'probe/',
];
/** What Everlog itself makes at the top of a folder: nothing else is in one that was only prepared. */
const OWN_NAMES: ReadonlySet<string> = new Set([FOLDER_STORE_MARK, 'v1', 'ledger', 'index', 'probe']);
/** How far above a place, and through how many beside and below it, one that is meant is looked for. */
const LEVELS_ABOVE_MAX = 4;
const FOLDERS_MAX = 200;
const PREFIXES_MAX = 10;
/** Objects passed on the way from one prefix to the next. */
const OBJECTS_PASSED_MAX = 1_000;

type StoreConfig = Pick<Config, 's3' | 'proxies'>;

/**
 * Opens an archive for a command that reads it, and must not take what is none for an empty one. Makes nothing.
 * @throws EverlogError `not_found` where there is none, naming one near by; what the store's listing fails with
 */
export async function openStandingArchive(config: StoreConfig, url: ArchiveUrl): Promise<ObjectStore> {
  const store = await openArchive(config, url);
  try {
    await demandArchive(config, url, store);
  } catch (error) {
    await store.close();
    throw error;
  }
  return store;
}

/**
 * Refuses a place that is no archive.
 * @throws EverlogError `not_found` that names one near by; what the store's listing fails with
 */
export async function demandArchive(config: StoreConfig, url: ArchiveUrl, store: ObjectStore): Promise<void> {
  if ((await holdsArchive(store)) || (url.kind === 'folder' && (await isPrepared(url.folder)))) return;
  const near = await archiveNear(config, url);
  const hint = near === null ? '' : `; there is one at ${near}`;
  const is =
    url.kind === 'folder' && (await folderNames(url.folder)) === null ? 'no such folder' : 'no records';
  throw giveUp(
    'not_found',
    `there is no Everlog archive at ${store.location} (${is} there)${hint}: correct --archive or EVERLOG_ARCHIVE_URL; everlog up or work makes an archive`,
  );
}

/** Whether anything stands there that only an archive has. */
async function holdsArchive(store: Pick<ObjectStore, 'list'>): Promise<boolean> {
  for (const root of ROOTS) for await (const _object of store.list(root)) return true;
  return false;
}

/** Whether a service made the folder its archive, and has stored nothing yet, or what it stored has gone. */
async function isPrepared(folder: string): Promise<boolean> {
  const names = await folderNames(folder);
  return names !== null && names.includes(FOLDER_STORE_MARK) && names.every((name) => OWN_NAMES.has(name));
}

/** Names in a folder; null where there is none that can be read. */
async function folderNames(folder: string): Promise<readonly string[] | null> {
  return readdir(folder).catch(() => null);
}

/** The location of an archive above, below or beside a place that is none; null where none is seen. */
async function archiveNear(config: StoreConfig, url: ArchiveUrl): Promise<string | null> {
  const above = placesAbove(url);
  for (const place of above) {
    const found = await locationOf(config, place);
    if (found !== null) return found;
  }
  for (const place of [url, ...above.slice(0, 1)]) {
    for (const below of await placesBelow(config, place).catch(() => [])) {
      const found = await locationOf(config, below);
      if (found !== null) return found;
    }
  }
  return null;
}

async function locationOf(config: StoreConfig, url: ArchiveUrl): Promise<string | null> {
  try {
    const store = await openArchive(config, url);
    try {
      return (await holdsArchive(store)) ? store.location : null;
    } finally {
      await store.close();
    }
  } catch (error) {
    // A hint only: the rights may end at the place that was named.
    if (error instanceof EverlogError) return null;
    throw error;
  }
}

function placesAbove(url: ArchiveUrl): ArchiveUrl[] {
  const places: ArchiveUrl[] = [];
  let at = url.kind === 'folder' ? resolve(url.folder) : url.prefix;
  while (places.length < LEVELS_ABOVE_MAX) {
    const above = dirname(at);
    if (at === '' || above === at) break;
    at = url.kind === 's3' && above === '.' ? '' : above;
    places.push(url.kind === 'folder' ? { ...url, folder: at } : { ...url, prefix: at });
  }
  return places;
}

async function placesBelow(config: StoreConfig, url: ArchiveUrl): Promise<ArchiveUrl[]> {
  if (url.kind === 'folder') {
    const entries = await readdir(url.folder, { withFileTypes: true });
    const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    return folders
      .sort()
      .slice(0, FOLDERS_MAX)
      .map((name) => ({ kind: 'folder', folder: join(url.folder, name) }));
  }
  const store = await openArchive(config, url);
  try {
    const names = await prefixesIn(store);
    return names.map((name) => ({ ...url, prefix: url.prefix === '' ? name : `${url.prefix}/${name}` }));
  } finally {
    await store.close();
  }
}

/** The first prefixes at the top of a store, each found behind the end of the one before. */
async function prefixesIn(store: Pick<ObjectStore, 'list'>): Promise<string[]> {
  const names: string[] = [];
  let passed = 0;
  // The character after `/` sorts behind everything below a prefix.
  for (let after: string | null = ''; after !== null && names.length < PREFIXES_MAX;) {
    let next: string | null = null;
    for await (const { key } of store.list('', after)) {
      if ((passed += 1) > OBJECTS_PASSED_MAX) return names;
      const end = key.indexOf('/');
      if (end < 1) continue;
      names.push(key.slice(0, end));
      next = `${key.slice(0, end)}0`;
      break;
    }
    after = next;
  }
  return names;
}
