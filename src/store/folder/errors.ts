import { codeOf, EverlogError, giveUp, messageOf, retryable } from '../../errors.ts';

/** Errnos that no try changes until somebody mends rights, mounts or the layout of the folder. */
const REFUSALS: ReadonlyMap<string, string> = new Map([
  ['EACCES', 'give Everlog the right to it'],
  ['EPERM', 'give Everlog the right to it'],
  ['EROFS', 'mount it for writing'],
  ['ENOTDIR', 'a file stands where a folder is needed: choose another EVERLOG_ARCHIVE_URL'],
  ['EEXIST', 'a file stands where a folder is needed: choose another EVERLOG_ARCHIVE_URL'],
  ['EISDIR', 'a folder stands where an object should be: choose another EVERLOG_ARCHIVE_URL'],
  ['ENAMETOOLONG', 'shorten the path in EVERLOG_ARCHIVE_URL'],
  ['EXDEV', 'the whole archive must be on one file system: no mounts or links to others inside it'],
  ['ELOOP', 'symbolic links cannot be objects'],
]);

/** A failed file operation as what the port promises; an `EverlogError` stays what it is. Full disks and EIO pass. */
export function folderError(error: unknown, folder: string): EverlogError {
  if (error instanceof EverlogError) return error;
  const cure = REFUSALS.get(codeOf(error) ?? '');
  const message = `archive folder ${folder}: ${messageOf(error)}`;
  if (cure !== undefined) return giveUp('store_refused', `${message}; ${cure}`, error);
  return retryable('store_unavailable', message, error);
}

/** Whether a look-up failed because there is nothing there. */
export function isMissing(error: unknown): boolean {
  const errno = codeOf(error);
  return errno === 'ENOENT' || errno === 'ENOTDIR';
}
