import { spawn, type ChildProcess } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { programFolders, type Pager } from '../../config/other-programs.ts';
import type { OutputStream } from './terminal.ts';

/** Outputs of a command whose text is shown through a pager. */
export interface Paged {
  readonly stdout: OutputStream;
  /** Goes into the pager too, at its place between the text. */
  readonly stderr: OutputStream;
}

/** Lines of standard error that are told again when a command has failed: the reader may have left before they came. */
const REPEATED_MAX = 100;

/**
 * Runs a command whose standard output goes through a pager. The pager
 * begins with the first text; a command that has none writes its standard error as ever. Waits until the reader has left.
 */
export async function withPager(
  real: Paged,
  run: (paged: Paged) => Promise<number>,
  settings: Pager | null,
): Promise<number> {
  if (settings === null || !isProgramInstalled(settings)) return run(real);
  const pager = new PagerStreams(settings, real.stderr);
  try {
    const exit = await run({ stdout: pager.stdout, stderr: pager.stderr });
    await pager.end(exit !== 0);
    return exit;
  } catch (error) {
    await pager.end(true);
    throw error;
  }
}

/** Once the pager is there Ctrl-C is its own: it stops a search in it, and must not leave the terminal without its settings. */
function ignoreInterrupt(): void {}

class PagerStreams {
  readonly #settings: Pager;
  readonly #real: OutputStream;
  #child: (ChildProcess & { readonly stdin: NodeJS.WritableStream }) | null = null;
  #closed: Promise<void> = Promise.resolve();
  readonly #said: (Uint8Array | string)[] = [];

  readonly stdout: OutputStream = {
    write: (bytes, done) => {
      this.#start().write(bytes, done);
      return true;
    },
    on: () => undefined,
    off: () => undefined,
  };

  readonly stderr: OutputStream = {
    write: (bytes, done) => {
      if (this.#said.length < REPEATED_MAX) this.#said.push(bytes);
      if (this.#child === null) done();
      else this.#child.stdin.write(bytes, done);
      return true;
    },
    on: () => undefined,
    off: () => undefined,
  };

  constructor(settings: Pager, real: OutputStream) {
    this.#settings = settings;
    this.#real = real;
  }

  /** Ends the text and waits for the reader; then tells again what was said, where that matters or nobody saw it. */
  async end(isFailure: boolean): Promise<void> {
    const wasShown = this.#child !== null;
    this.#child?.stdin.end();
    await this.#closed;
    process.off('SIGINT', ignoreInterrupt);
    if (wasShown && !isFailure) return;
    for (const bytes of this.#said)
      await new Promise<void>((resolve) => this.#real.write(bytes, () => resolve()));
  }

  #start(): NodeJS.WritableStream {
    if (this.#child !== null) return this.#child.stdin;
    const { command, env } = this.#settings;
    const child = spawn('sh', ['-c', command], { stdio: ['pipe', 'inherit', 'inherit'], env });
    // A reader who leaves breaks the pipe: each write is told so by its callback.
    child.stdin.on('error', () => undefined);
    this.#closed = new Promise((resolve) => {
      child.on('close', () => resolve());
      child.on('error', () => resolve());
    });
    process.on('SIGINT', ignoreInterrupt);
    this.#child = child;
    for (const bytes of this.#said) child.stdin.write(bytes);
    return child.stdin;
  }
}

/** Whether the first word of a command is a program that can be run. */
function isProgramInstalled({ command, env }: Pager): boolean {
  const [program = ''] = command.split(/\s+/);
  const places = program.includes('/')
    ? [program]
    : programFolders(env).map((folder) => join(folder, program));
  return places.some((place) => {
    try {
      accessSync(place, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
