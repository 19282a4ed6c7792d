import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { giveUp, messageOf, type EverlogError } from '../../errors.ts';
import { makeFolders } from '../../folders.ts';

/** A folder held by this process alone until `release`, or until the process ends in whatever way. */
export interface FolderLock {
  /** Resolves if the lock is lost although nobody released it: another process may then take the folder. */
  readonly lost: Promise<void>;
  /** Frees the folder. Resolves when another process can take it; repeating it is harmless. */
  release(): Promise<void>;
}

/**
 * How long a lock is waited for, in seconds. A killed owner's lock falls within milliseconds of its death, and a
 * supervisor may restart us in exactly those.
 */
const ACQUIRE_WAIT_SECONDS = 2;
/** Waiting for an answer beyond the wait itself means that `flock` hangs, as it can on a dead network mount. */
const ANSWER_LIMIT_MS = 10_000;
/** Exit code asked of `flock` for "somebody else holds it", apart from all its own. */
const HELD_BY_ANOTHER_EXIT_CODE = 75;
/** Kept of what a failing `flock` says. */
const KEPT_COMPLAINT_CHARS = 500;

const LOCK_FILE = 'lock';
const ANOTHER_QUEUE =
  'Stop the other process, or give one of them another folder or a queue server with EVERLOG_QUEUE_URL.';
/**
 * The holder's program: says that the lock is held, then lives until its input closes. It ignores the signals that a
 * terminal or a supervisor sends to every process of a service, because the service still drains after them.
 */
const HOLDER_SCRIPT = `trap '' HUP INT TERM; echo held; exec cat >/dev/null`;

const ownerSchema = z.object({ pid: z.number(), host: z.string(), started_at: z.string() });

/**
 * Takes `folder` (made when missing, 0700) for this process. The lock is a child process that holds `flock` on
 * `folder/lock` and reads our pipe: the operating system ends it when we die, even by SIGKILL.
 *
 * Throws `queue_locked` (give up) when another process holds the folder, naming it, and `queue_unavailable`
 * (give up) when the folder cannot be locked at all.
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const file = join(folder, LOCK_FILE);
  try {
    await makeFolders(folder, 0o700);
  } catch (error) {
    throw giveUp(
      'queue_unavailable',
      `The queue folder ${folder} cannot be made: ${messageOf(error)}.`,
      error,
    );
  }
  const child = spawnHolder(file);
  await held(child, folder, file);
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
  });
  // The holder must not keep an otherwise finished process alive.
  child.unref();
  if (hasUnref(child.stdin)) child.stdin.unref();
  if (hasUnref(child.stdout)) child.stdout.unref();
  if (hasUnref(child.stderr)) child.stderr.unref();
  // Only a message is poorer without it; what a full disk or a limit on files is told of comes later.
  await writeOwner(file).catch(() => undefined);

  let released = false;
  return {
    lost: new Promise((resolve) => {
      child.once('exit', () => {
        if (!released) resolve();
      });
    }),
    release: async () => {
      released = true;
      child.ref();
      child.stdin?.end();
      await exited;
    },
  };
}

function spawnHolder(file: string): ChildProcess {
  const waiting = ['-w', String(ACQUIRE_WAIT_SECONDS), '-E', String(HELD_BY_ANOTHER_EXIT_CODE)];
  const child = spawn('flock', [...waiting, '-F', file, 'sh', '-c', HOLDER_SCRIPT], {
    stdio: 'pipe',
    detached: true,
  });
  // A holder that died breaks the pipe; its exit is what counts.
  child.stdin.on('error', () => undefined);
  return child;
}

/** Resolves when the holder says that it holds the lock; rejects with what stands in its way. */
async function held(child: ChildProcess, folder: string, file: string): Promise<void> {
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error('the lock holder has no output pipes');
  let complaint = '';
  stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(0, KEPT_COMPLAINT_CHARS);
  });
  const giveUpWaiting = AbortSignal.timeout(ANSWER_LIMIT_MS);
  const answers = new AbortController();
  const signal = AbortSignal.any([giveUpWaiting, answers.signal]);
  try {
    const outcome = await Promise.race([
      once(stdout, 'data', { signal }).then(() => 'held' as const),
      once(child, 'close', { signal }).then(() => 'ended' as const),
    ]);
    if (outcome === 'held') return;
  } catch (error) {
    child.kill('SIGKILL');
    throw lockRefusal(folder, giveUpWaiting.aborted ? 'flock does not answer' : error);
  } finally {
    answers.abort();
  }
  if (child.exitCode === HELD_BY_ANOTHER_EXIT_CODE) {
    const owner = await readOwner(file);
    throw giveUp('queue_locked', `The queue folder ${folder} belongs to ${owner}. ${ANOTHER_QUEUE}`);
  }
  throw lockRefusal(folder, complaint.trim() || `flock ended with ${child.exitCode ?? child.signalCode}`);
}

function lockRefusal(folder: string, reason: unknown): EverlogError {
  const text = isMissingProgram(reason)
    ? `the program "flock" was not found: install util-linux, or use a queue server with EVERLOG_QUEUE_URL`
    : messageOf(reason);
  return giveUp('queue_unavailable', `The queue folder ${folder} cannot be locked: ${text}.`, reason);
}

function isMissingProgram(reason: unknown): boolean {
  return reason instanceof Error && 'code' in reason && reason.code === 'ENOENT';
}

/** Leaves word for whoever is refused. Never read for anything but that message. */
async function writeOwner(file: string): Promise<void> {
  const startedAt = new Date(Date.now() - process.uptime() * 1000).toISOString();
  const owner = { pid: process.pid, host: hostname(), started_at: startedAt };
  await writeFile(file, `${JSON.stringify(owner)}\n`);
}

async function readOwner(file: string): Promise<string> {
  try {
    const owner = ownerSchema.parse(JSON.parse(await readFile(file, 'utf8')));
    return `process ${owner.pid} on ${JSON.stringify(owner.host)}, running since ${owner.started_at}`;
  } catch {
    return 'another process';
  }
}

/** The pipes of a child are sockets, which can be unreferenced; their declared type does not say so. */
function hasUnref<T extends object>(stream: T | null): stream is T & { unref(): void } {
  return stream !== null && 'unref' in stream && typeof stream.unref === 'function';
}
