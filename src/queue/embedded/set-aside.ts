import { open, readdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, EverlogError, giveUp, messageOf } from '../../errors.ts';
import type { Log } from '../../logger.ts';
import { lackOf } from './machine-lacks.ts';
import { DatabaseRefusal } from './open-database.ts';
import { DATA_FOLDER } from './queue-folder.ts';

/**
 * When the database of an embedded queue is moved away for an empty one, which takes acknowledged jobs from view: only where it is
 * known to be ruined or of another Postgres. What the operating system refuses to read may be whole.
 */

/** A version is a few digits; a broken file may hold anything. */
const KEPT_VERSION_CHARS = 20;
/** More databases than this were set aside for a reason that wants to be found. */
const SET_ASIDE_MAX = 10;
const READ_BYTES = 1024 * 1024;
/** SQLSTATEs of a database that is ruined: internal errors and corruption, and a file of it that is missing. */
const RUINED_STATES = /^(XX|58P01)/;
/** Words of Postgres by which it says so as it starts. Other words, such as those about its settings, may be about a whole one. */
const RUINED_WORDS =
  /PANIC: |invalid page|checksum|pg_control|initdb|incompatible with server|subdirectory .* is missing|no such file or directory|could not access status|could not read (block|file)/i;

/**
 * The Postgres major of the database in `data`; `unknown` where its own file of it is missing or is none.
 * @throws EverlogError `queue_unavailable` (give up) where the file cannot be read
 */
export async function majorOf(data: string): Promise<string> {
  const file = join(data, 'PG_VERSION');
  try {
    return (await readFile(file, 'utf8')).trim().slice(0, KEPT_VERSION_CHARS) || 'unknown';
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return 'unknown';
    throw unreadable(file, error);
  }
}

/**
 * Refuses to take a database that did not open for a ruined one, unless it says so itself, the machine lacks nothing and every file
 * of it can be read and written.
 * @throws EverlogError `queue_unavailable` that says what to do, and the failure itself where that does
 */
export async function demandRuined(data: string, failure: unknown): Promise<void> {
  if (failure instanceof EverlogError) throw failure;
  const words = messageOf(failure);
  const lack = lackOf(data, words, failure);
  if (lack !== null) throw lack;
  await tryReadingAll(data);
  const state = failure instanceof DatabaseRefusal ? failure.sqlState : '';
  if (RUINED_STATES.test(state) || RUINED_WORDS.test(words)) return;
  throw giveUp(
    'queue_unavailable',
    `The queue in ${data} cannot be opened (${words}), and is kept, as nothing says that it is ruined. Mend what the message names; to begin an empty queue instead, move that folder away: reconcile finds again what it held.`,
    failure,
  );
}

/** Reads every file to its end: a bad disk tells itself only by the bytes. */
async function tryReadingAll(folder: string): Promise<void> {
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    throw unreadable(folder, error);
  });
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      await tryReadingAll(path);
      continue;
    }
    try {
      const file = await open(path, 'r+');
      try {
        while ((await file.read(buffer, 0, READ_BYTES, null)).bytesRead > 0);
      } finally {
        await file.close();
      }
    } catch (error) {
      throw unreadable(path, error);
    }
  }
}

function unreadable(path: string, error: unknown): EverlogError {
  return giveUp(
    'queue_unavailable',
    `The queue cannot be opened, as ${path} cannot be read and written: ${messageOf(error)}. Mend the rights or the disk; the jobs in it are kept.`,
    error,
  );
}

/** Moves the database away, for an empty one to be begun. */
export async function setAside(folder: string, reason: string, log: Log): Promise<void> {
  const earlier = (await readdir(folder)).filter((name) => name.startsWith(`${DATA_FOLDER}.set-aside-`));
  if (earlier.length >= SET_ASIDE_MAX) {
    throw giveUp(
      'queue_unavailable',
      `The queue in ${folder} has to be set aside (${reason}), but ${earlier.length} earlier ones lie there. Find out why, then remove them.`,
    );
  }
  const stamp = new Date().toISOString().replaceAll(/[-:.]/g, '');
  const target = join(folder, `${DATA_FOLDER}.set-aside-${stamp}`);
  await rename(join(folder, DATA_FOLDER), target);
  log.error(
    { folder, set_aside: target, reason },
    'the embedded queue could not be used and was set aside: an empty one begins, and reconcile finds again what it held',
  );
}
