import { constants } from 'node:fs';
import { access, lstat, open, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { giveUp } from '../../errors.ts';
import { folderError, isMissing } from './errors.ts';
import { listFolder } from './listing.ts';
import { FolderWriter } from './write.ts';
import type { HardLink } from './write.ts';
import { relayBody } from '../object-body.ts';
import { checkObjectKey } from '../object-key.ts';
import { boundsOf, checkRange } from '../object-store.ts';
import type {
  ByteRange,
  ListedObject,
  ObjectHead,
  ObjectPin,
  ObjectStore,
  RangeRead,
} from '../object-store.ts';

/** What Linux file systems allow one name to measure. */
const NAME_BYTES_MAX = 255;
/** Most records and logs measure less: read at once, they cost a third of a stream and no more memory than they need. */
const WHOLE_BYTES_MAX = 64 * 1024;

export interface FolderStoreOptions {
  /** The archive's folder, absolute or relative to the working directory; made at the first write. */
  readonly folder: string;
  readonly now?: () => Date;
  /** How a file gets its name; stands for file systems without hard links. */
  readonly hardLink?: HardLink;
}

/**
 * Opens an archive in a folder, safe for several processes at once, and removes what killed writers left more than an
 * hour ago. Files are 0600 and folders 0700. Needs hard links: `store_unsuitable` at the first write where there are none.
 * @throws EverlogError `store_refused` when the path is no folder; `store_unavailable`
 */
export async function openFolderStore(options: FolderStoreOptions): Promise<ObjectStore> {
  const folder = resolve(options.folder);
  const now = options.now ?? ((): Date => new Date());
  const writer = new FolderWriter(folder, options.hardLink);
  const guarded = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw folderError(error, folder);
    }
  };
  await guarded(() => writer.removeAbandoned(now().getTime()));
  return folderStore(folder, writer, guarded);
}

function folderStore(
  folder: string,
  writer: FolderWriter,
  guarded: <T>(work: () => Promise<T>) => Promise<T>,
): ObjectStore {
  async function* list(prefix: string, startAfter = ''): AsyncGenerator<ListedObject> {
    try {
      yield* listFolder(folder, prefix, startAfter);
    } catch (error) {
      throw folderError(error, folder);
    }
  }
  return {
    location: `file:${folder}`,
    canKeepVersions: false,
    putIfAbsent: async (key, body) => {
      checkFolderKey(key);
      const outcome = await guarded(() => writer.write(key, body));
      return outcome === 'created' ? { outcome, versionId: null } : { outcome };
    },
    head: async (key) => {
      checkFolderKey(key);
      return guarded(() => fileHead(folder, key));
    },
    read: async (key) => {
      checkFolderKey(key);
      const opened = await guarded(() => openObject(folder, key));
      if (opened === null) return null;
      const { head, handle } = opened;
      if (head.bytes <= WHOLE_BYTES_MAX) {
        const bytes = await guarded(() => wholeFile(handle, head.bytes));
        return { head, body: Readable.from(bytes, { objectMode: false }) };
      }
      const stream = handle.createReadStream();
      return { head, body: relayBody(stream, (error) => folderError(error, folder)) };
    },
    readRange: async (key, range, pin) => {
      checkFolderKey(key);
      checkRange(range);
      return guarded(() => rangeOf(folder, key, range, pin));
    },
    list,
    listVersions: async function* listVersions(prefix) {
      for await (const object of list(prefix)) {
        yield { ...object, versionId: null, isLatest: true, isDeleteMarker: false };
      }
    },
    lockOf: async (key) => {
      checkFolderKey(key);
      return null;
    },
    setLegalHold: async (key) => {
      checkFolderKey(key);
      return 'unsupported';
    },
    remove: async (key) => {
      checkFolderKey(key);
      return guarded(() => writer.remove(key));
    },
    abilities: async () => {
      await guarded(() => writer.ready());
      return { createOnly: 'atomic', versions: false };
    },
    clock: async () => guarded(() => writer.clock()),
    ping: async () => guarded(() => answers(folder)),
    close: async () => {},
  };
}

async function fileHead(folder: string, key: string): Promise<ObjectHead | null> {
  try {
    const found = await lstat(join(folder, key));
    return found.isFile() ? objectHead(key, found) : null;
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

async function openObject(
  folder: string,
  key: string,
): Promise<{ head: ObjectHead; handle: FileHandle } | null> {
  let handle: FileHandle;
  try {
    handle = await open(join(folder, key), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
  const found = await handle.stat();
  if (found.isFile()) return { head: objectHead(key, found), handle };
  await handle.close();
  return null;
}

/** Objects never change: one of another size or time has come in the place of one that was removed. */
async function rangeOf(
  folder: string,
  key: string,
  range: ByteRange,
  pin: ObjectPin | undefined,
): Promise<RangeRead | null> {
  const opened = await openObject(folder, key);
  if (opened === null) return null;
  const { head, handle } = opened;
  const etag = `${head.bytes}-${head.lastModified.getTime()}`;
  if (pin !== undefined && (pin.versionId !== null || (pin.etag !== null && pin.etag !== etag))) {
    await handle.close();
    return null;
  }
  const { from, to } = boundsOf(range, head.bytes);
  const bytes = await wholeFile(handle, to - from, from);
  return { bytes, from, total: head.bytes, pin: { versionId: null, etag } };
}

/** Reads `length` bytes of a file and closes it; objects never change, so that its length is the one it had when it was opened. */
async function wholeFile(handle: FileHandle, length: number, from = 0): Promise<Buffer> {
  try {
    const bytes = Buffer.allocUnsafeSlow(length);
    for (let at = 0; at < length;) {
      const { bytesRead } = await handle.read(bytes, at, length - at, from + at);
      if (bytesRead === 0) throw new Error('the file was cut short while it was read');
      at += bytesRead;
    }
    return bytes;
  } finally {
    await handle.close();
  }
}

function objectHead(key: string, found: { size: number; mtime: Date }): ObjectHead {
  return {
    key,
    bytes: found.size,
    versionId: null,
    lastModified: found.mtime,
    metadata: {},
    sha256: null,
  };
}

/** A folder that is not there yet answers when it could be made. */
async function answers(folder: string): Promise<void> {
  for (let path = folder; ; path = dirname(path)) {
    try {
      if (!(await stat(path)).isDirectory()) {
        throw giveUp('store_refused', `${path} is no folder: set EVERLOG_ARCHIVE_URL to one`);
      }
      const isThere = path === folder;
      return await access(path, constants.R_OK | constants.X_OK | (isThere ? 0 : constants.W_OK));
    } catch (error) {
      if (!isMissing(error) || path === dirname(path)) throw error;
    }
  }
}

function checkFolderKey(key: string): void {
  checkObjectKey(key);
  for (const segment of key.split('/')) {
    const problem = nameProblem(segment);
    if (problem !== null) throw giveUp('store_refused', `object key ${JSON.stringify(key)} ${problem}`);
  }
}

function nameProblem(segment: string): string | null {
  if (segment.startsWith('.')) return 'has a hidden name in it, which a folder archive does not keep';
  if (Buffer.byteLength(segment) <= NAME_BYTES_MAX) return null;
  return `has a part longer than ${NAME_BYTES_MAX} bytes, the most a file name can have`;
}
