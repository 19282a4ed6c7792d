import { inertText } from '../../log/terminal-sanitiser.ts';
import { inertOutput } from './print.ts';

/** What a command writes to: a stream as Node has them, so far as commands need it. */
export interface OutputStream {
  write(bytes: Uint8Array | string, done: (error?: Error | null) => void): boolean;
  on(event: 'error', listener: (error: Error) => void): unknown;
  off(event: 'error', listener: (error: Error) => void): unknown;
}

export interface Terminal {
  readonly isTTY: boolean;
  readonly columns: number;
  /** Whether colours are wanted: a terminal, and `NO_COLOR` not set. */
  readonly color: boolean;
}

/** Writes one after another, each when the one before has been taken. */
export interface Output {
  /** Text goes through `inertOutput`; bytes go as they are. Answers false when the reader has gone away (`| head`): nothing more is wanted. */
  write(bytes: Uint8Array | string): Promise<boolean>;
  close(): void;
}

const READER_GONE: ReadonlySet<string> = new Set(['EPIPE', 'ERR_STREAM_DESTROYED']);

/** Opens a stream for writing with back pressure; `close` leaves the stream open and only stops listening to it. */
export function openOutput(stream: OutputStream): Output {
  // A failed write is told to its callback as well; unheard, the event would end the process.
  const ignore = (): void => undefined;
  stream.on('error', ignore);
  return {
    write: (bytes) =>
      new Promise((resolve, reject) => {
        if (bytes.length === 0) return resolve(true);
        stream.write(typeof bytes === 'string' ? inertOutput(bytes) : bytes, (error) => {
          if (error === undefined || error === null) resolve(true);
          else if ('code' in error && READER_GONE.has(String(error.code))) resolve(false);
          else reject(error);
        });
      }),
    close: () => stream.off('error', ignore),
  };
}

/** One line of progress on a terminal, shown only when waiting has become noticeable. */
export interface Progress {
  /** Says how far it is; cheap enough to be called for every record. */
  show(text: () => string): void;
  /** Takes the line away before something else is written. */
  clear(): void;
}

/** Quiet until then: most answers come sooner, and a flashing line only disturbs. */
const QUIET_MS = 1_000;
const REFRESH_MS = 200;
const CLEAR_LINE = '\r\u001b[2K';

/** Progress on `stderr` when that is a terminal, else none. The text MUST be one short line of Everlog's own words. */
export function openProgress(stderr: OutputStream, terminal: Terminal, now: () => Date): Progress {
  let nextMs = now().getTime() + QUIET_MS;
  let isShown = false;
  const done = (): void => undefined;
  const clear = (): void => {
    if (!isShown) return;
    isShown = false;
    process.off('exit', clear);
    stderr.write(CLEAR_LINE, done);
  };
  return {
    show(text) {
      if (!terminal.isTTY) return;
      const nowMs = now().getTime();
      if (nowMs < nextMs) return;
      nextMs = nowMs + REFRESH_MS;
      // A command that is interrupted leaves no half line to the shell.
      if (!isShown) process.once('exit', clear);
      isShown = true;
      stderr.write(`${CLEAR_LINE}${inertText(text()).slice(0, Math.max(1, terminal.columns - 1))}`, done);
    },
    clear,
  };
}
