import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Readable } from 'node:stream';

/** Output kept per process; older lines are dropped first, so that a chatty child cannot fill the test's memory. */
const KEPT_OUTPUT_BYTES = 1024 * 1024;
/** How much of a child's last output an error message quotes. */
const QUOTED_OUTPUT_CHARS = 4000;
/** A child that ignores a polite signal on stop is killed after this. */
const STOP_GRACE_MS = 10_000;
/** Sets the parent-death signal, so that a child dies even when the test process is killed outright. */
const SETPRIV = '/usr/bin/setpriv';
const HAS_SETPRIV = existsSync(SETPRIV);
const REPOSITORY = resolve(import.meta.dirname, '../../..');

/** One line of a child's output. `json` is set where the line is a JSON object. */
export interface OutputLine {
  stream: 'stdout' | 'stderr';
  text: string;
  json: Readonly<Record<string, unknown>> | undefined;
}

export interface ProcessExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** A child process of a test. It dies with the test process, however that ends. */
export interface ManagedProcess {
  readonly pid: number;
  /** Resolves when the process has ended and its output was read; never rejects. */
  readonly exited: Promise<ProcessExit>;
  readonly running: boolean;
  /** The newest output, at most 1 MiB of each stream. */
  stdout(): string;
  stderr(): string;
  /**
   * Resolves with the first kept or coming line that satisfies `predicate`.
   * Rejects, quoting the last output, when the process ends first or `timeoutMs` passes.
   */
  waitForLine(predicate: (line: OutputLine) => boolean, timeoutMs: number): Promise<OutputLine>;
  /** Sends `signal` (SIGTERM by default) and waits for the end, except for SIGSTOP, SIGCONT and the like. */
  kill(signal?: NodeJS.Signals): Promise<ProcessExit>;
  /** Asks politely, then kills after 10 s. */
  stop(): Promise<ProcessExit>;
  /** Resident memory now, in KiB. Throws once the process has ended. */
  rssKb(): number;
  /** The highest resident memory so far, in KiB. Throws once the process has ended. */
  peakRssKb(): number;
}

export interface SpawnOptions {
  /** The whole environment beside PATH, HOME, LANG and TMPDIR: nothing else of the test's own leaks in. */
  env?: Readonly<Record<string, string>>;
  cwd?: string;
}

const livePids = new Set<number>();
const liveFolders = new Set<string>();
let exitHookSet = false;

function cleanUpAtExit(): void {
  if (exitHookSet) return;
  exitHookSet = true;
  process.on('exit', killAndRemoveAll);
  // A test worker is ended by SIGTERM, which skips the exit hook unless someone listens.
  process.once('SIGTERM', () => {
    killAndRemoveAll();
    if (process.listenerCount('SIGTERM') === 0) process.kill(process.pid, 'SIGTERM');
  });
}

function killAndRemoveAll(): void {
  for (const pid of livePids) sendSignal(pid, 'SIGKILL');
  for (const folder of liveFolders) removeFolder(folder);
}

function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Already gone, which is what a caller wants of every signal but a stop.
  }
}

/** A new empty folder in the system's temporary folder, removed when the test process ends. */
export function temporaryFolder(prefix = 'everlog-test-'): string {
  cleanUpAtExit();
  const folder = mkdtempSync(join(tmpdir(), prefix));
  liveFolders.add(folder);
  return folder;
}

/** Removes a folder made by `temporaryFolder` before the test process ends. */
export function removeTemporaryFolder(folder: string): void {
  liveFolders.delete(folder);
  removeFolder(folder);
}

/** A TCP port that was free a moment ago. Another process may take it first: retry on a clash. */
export async function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((found, failed) => {
    server.once('error', failed);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (address === null || typeof address === 'string') failed(new Error('no TCP port was given'));
        else found(address.port);
      });
    });
  });
}

/**
 * Starts `everlog` as a user would run it, built: `node dist/src/cli/main.js …args`.
 * `entry` replaces `dist/src/cli/main.js` (with its node flags, if any).
 */
export function spawnEverlog(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  options: { cwd?: string; entry?: readonly string[] } = {},
): ManagedProcess {
  const entry = options.entry ?? [join(REPOSITORY, 'dist/src/cli/main.js')];
  return spawnManaged(process.execPath, [...entry, ...args], { env, cwd: options.cwd ?? REPOSITORY });
}

/** Starts any program as a child that cannot outlive the test process. */
export function spawnManaged(
  command: string,
  args: readonly string[],
  options: SpawnOptions = {},
): ManagedProcess {
  cleanUpAtExit();
  const wrapped = HAS_SETPRIV ? [SETPRIV, '--pdeathsig', 'KILL', '--', command] : [command];
  const child = spawn(wrapped[0] ?? command, [...wrapped.slice(1), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...baseEnvironment(), ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  return manage(child, command);
}

function baseEnvironment(): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of ['PATH', 'HOME', 'LANG', 'TMPDIR']) {
    const value = process.env[name];
    if (value !== undefined) kept[name] = value;
  }
  return kept;
}

function manage(child: ChildProcessByStdio<null, Readable, Readable>, command: string): ManagedProcess {
  const pid = child.pid ?? 0;
  if (pid !== 0) livePids.add(pid);
  const output = new ProcessOutput();
  output.read('stdout', child.stdout);
  output.read('stderr', child.stderr);
  let ended = false;
  const exited = new Promise<ProcessExit>((resolveExit) => {
    const finish = (exit: ProcessExit): void => {
      ended = true;
      livePids.delete(pid);
      output.close();
      resolveExit(exit);
    };
    child.once('error', (error) => {
      output.add('stderr', `${command}: ${error.message}`);
      finish({ code: 127, signal: null });
    });
    child.once('close', (code, signal) => finish({ code, signal }));
  });
  const kill = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<ProcessExit> => {
    if (!ended && pid !== 0) sendSignal(pid, signal);
    if (ENDING_SIGNALS.has(signal)) return exited;
    return { code: null, signal: null };
  };
  return {
    pid,
    exited,
    get running() {
      return !ended;
    },
    stdout: () => output.text('stdout'),
    stderr: () => output.text('stderr'),
    waitForLine: async (predicate, timeoutMs) => output.waitFor(predicate, timeoutMs, command),
    kill,
    stop: async () => {
      const timer = setTimeout(() => sendSignal(pid, 'SIGKILL'), STOP_GRACE_MS);
      const exit = await kill('SIGTERM');
      clearTimeout(timer);
      return exit;
    },
    rssKb: () => statusKb(pid, 'VmRSS'),
    peakRssKb: () => statusKb(pid, 'VmHWM'),
  };
}

const ENDING_SIGNALS = new Set<NodeJS.Signals>([
  'SIGTERM',
  'SIGKILL',
  'SIGINT',
  'SIGQUIT',
  'SIGABRT',
  'SIGSEGV',
]);

function statusKb(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const value = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1];
  if (value === undefined) throw new Error(`process ${pid} has ended: it has no ${field}`);
  return Number(value);
}

/** Splits a child's output into lines, keeps the newest, and tells those who wait for one. */
class ProcessOutput {
  readonly #lines: OutputLine[] = [];
  readonly #keptBytes = { stdout: 0, stderr: 0 };
  readonly #listeners = new Set<(line: OutputLine | 'closed') => void>();
  #closed = false;

  read(stream: OutputLine['stream'], source: Readable): void {
    let partial = '';
    source.setEncoding('utf8');
    source.on('data', (chunk: string) => {
      const pieces = (partial + chunk).split('\n');
      // A line longer than all that is kept is passed on in parts.
      partial = pieces.pop() ?? '';
      for (const piece of pieces) this.add(stream, piece);
      if (partial.length >= KEPT_OUTPUT_BYTES) {
        this.add(stream, partial);
        partial = '';
      }
    });
    source.on('end', () => {
      if (partial !== '') this.add(stream, partial);
    });
  }

  add(stream: OutputLine['stream'], text: string): void {
    const line = { stream, text, json: jsonObject(text) };
    this.#lines.push(line);
    this.#keptBytes[stream] += text.length + 1;
    while (this.#keptBytes[stream] > KEPT_OUTPUT_BYTES) {
      const oldest = this.#lines.findIndex((kept) => kept.stream === stream);
      const [dropped] = this.#lines.splice(oldest, 1);
      if (dropped === undefined) break;
      this.#keptBytes[stream] -= dropped.text.length + 1;
    }
    for (const listener of this.#listeners) listener(line);
  }

  close(): void {
    this.#closed = true;
    for (const listener of this.#listeners) listener('closed');
  }

  text(stream: OutputLine['stream']): string {
    return this.#lines
      .filter((line) => line.stream === stream)
      .map((line) => `${line.text}\n`)
      .join('');
  }

  async waitFor(
    predicate: (line: OutputLine) => boolean,
    timeoutMs: number,
    command: string,
  ): Promise<OutputLine> {
    const seen = this.#lines.find((line) => predicate(line));
    if (seen !== undefined) return seen;
    if (this.#closed) throw this.#failure(`${command} ended without the expected line`);
    return new Promise((found, failed) => {
      const finish = (): void => {
        clearTimeout(timer);
        this.#listeners.delete(listener);
      };
      const listener = (line: OutputLine | 'closed'): void => {
        if (line === 'closed') {
          finish();
          failed(this.#failure(`${command} ended without the expected line`));
        } else if (predicate(line)) {
          finish();
          found(line);
        }
      };
      const timer = setTimeout(() => {
        finish();
        failed(this.#failure(`${command} did not print the expected line within ${timeoutMs} ms`));
      }, timeoutMs);
      this.#listeners.add(listener);
    });
  }

  #failure(problem: string): Error {
    const recent = this.#lines.map((line) => line.text).join('\n');
    return new Error(`${problem}; its last output:\n${recent.slice(-QUOTED_OUTPUT_CHARS)}`);
  }
}

function jsonObject(text: string): Readonly<Record<string, unknown>> | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
