import { open, statfs, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { curable, messageOf, retryable, type EverlogError } from '../../errors.ts';

/** What a machine can lack for a database to work, however whole that is. */

/** Below this much room Postgres dies in recovery, which looks like corruption and is not. A log segment is 16 MiB. */
const FREE_SPACE_MIN_BYTES = 64 * 1024 * 1024;
/** A segment of Postgres' write-ahead log. Where a file cannot become that long, PGlite tries for ever and hears no signal (measured). */
const SEGMENT_BYTES = 16 * 1024 * 1024;
const WRITE_BYTES = 1024 * 1024;
/** The file that is written to see whether it can grow; it has its name for an instant, and the next trial takes one that was left. */
const GROWTH_FILE = 'growth';

interface Lack {
  /** Node's codes, and the words of Postgres, which are musl's. */
  readonly words: RegExp;
  readonly what: string;
  readonly cure: string;
  /** Whether it may pass by itself. */
  readonly passes: boolean;
}

const LACKS: readonly Lack[] = [
  {
    words: /\bEFBIG\b|file too large/i,
    what: 'a limit on the size of files stands in the way',
    cure: 'raise it (ulimit -f unlimited; LimitFSIZE=infinity in a systemd unit)',
    passes: false,
  },
  {
    words: /\bEDQUOT\b|quota exceeded/i,
    what: 'the disk quota is used up',
    cure: 'raise the quota of the user that Everlog runs as, or free space in it',
    passes: true,
  },
  {
    words: /\bENOSPC\b|no space left/i,
    what: 'the disk is full',
    cure: 'free space on it',
    passes: true,
  },
  {
    words: /\b(EMFILE|ENFILE)\b|too many open files|no file descriptors/i,
    what: 'too many files are open',
    cure: 'raise the limit (ulimit -n; LimitNOFILE= in a systemd unit)',
    passes: true,
  },
  {
    words: /\bENOMEM\b|out of memory|cannot allocate|could not allocate|allocation failed/i,
    what: 'there is not enough memory',
    cure: 'give the process more',
    passes: true,
  },
  {
    words: /\bEROFS\b|read-only file system/i,
    what: 'the file system is read-only',
    cure: 'mount it for writing, or name another folder in EVERLOG_QUEUE_URL',
    passes: false,
  },
  {
    words: /\b(EACCES|EPERM)\b|permission denied|operation not permitted/i,
    what: 'a file cannot be read and written',
    cure: 'give the user that Everlog runs as the rights',
    passes: false,
  },
  {
    words: /\b(EIO|ESTALE)\b|i\/o error|input\/output error|stale file handle/i,
    what: 'the disk does not read or write',
    cure: 'mend the disk or its mount',
    passes: false,
  },
];

/** What a failure says that the machine lacks, as an error with its cure; null where it says nothing of the kind. */
export function lackOf(folder: string, words: string, cause?: unknown): EverlogError | null {
  const lack = LACKS.find((one) => one.words.test(words));
  if (lack === undefined) return null;
  return curable(
    'queue_unavailable',
    lack.passes ? 'retry' : 'give_up',
    `The queue in ${folder} cannot be opened, as ${lack.what} (${words}); the jobs in it are kept`,
    lack.cure,
    cause,
  );
}

/** Refuses (retry) a folder whose disk is nearly full, before Postgres dies of it. */
export async function requireRoom(folder: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize >= FREE_SPACE_MIN_BYTES) return;
  throw retryable(
    'queue_unavailable',
    `The queue folder ${folder} has less than ${FREE_SPACE_MIN_BYTES} bytes of free space.`,
  );
}

/**
 * Refuses a folder in which no file can grow as long as a segment of the write-ahead log, by growing one: a limit on files and a
 * quota tell themselves no other way. Whoever calls it MUST hold the folder.
 * @throws EverlogError `queue_unavailable` that names what stands in the way
 */
export async function requireGrowth(folder: string): Promise<void> {
  const path = join(folder, GROWTH_FILE);
  try {
    const file = await open(path, 'w', 0o600);
    try {
      await unlink(path);
      const piece = Buffer.alloc(WRITE_BYTES);
      for (let bytes = 0; bytes < SEGMENT_BYTES; bytes += WRITE_BYTES) await file.writeFile(piece);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw (
      lackOf(folder, messageOf(error), error) ??
      retryable(
        'queue_unavailable',
        `The queue folder ${folder} cannot be written to: ${messageOf(error)}.`,
        error,
      )
    );
  }
}
