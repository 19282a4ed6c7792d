import type { ObjectStore } from '../../../src/store/object-store.ts';
import type { ReadingDeps } from '../../../src/cli/read/reading-session.ts';
import type { OutputStream, Terminal } from '../../../src/cli/terminal/terminal.ts';

/** A stream that keeps what is written, and can behave like a pipe whose reader has gone. */
export interface CapturedStream extends OutputStream {
  bytes(): Buffer;
  text(): string;
}

/** @param breakAfterWrites after so many writes, every further one fails as in a broken pipe. */
export function captureStream(breakAfterWrites = Infinity): CapturedStream {
  const written: Buffer[] = [];
  const listeners = new Set<(error: Error) => void>();
  let writes = 0;
  return {
    write(bytes, done) {
      writes += 1;
      if (writes > breakAfterWrites) {
        const error = Object.assign(new Error('write EPIPE'), { code: 'EPIPE' });
        done(error);
        if (listeners.size === 0) throw error;
        for (const listener of listeners) listener(error);
        return false;
      }
      written.push(Buffer.from(bytes));
      setImmediate(() => done());
      return true;
    },
    on: (_event, listener) => listeners.add(listener),
    off: (_event, listener) => listeners.delete(listener),
    bytes: () => Buffer.concat(written),
    text: () => Buffer.concat(written).toString('utf8'),
  };
}

export const PIPE: Terminal = { isTTY: false, columns: 80, color: false };
export const SCREEN: Terminal = { isTTY: true, columns: 120, color: false };

/** What a reading command is given in tests; the clock stands still. */
export function readingDeps(
  store: ObjectStore,
  terminal: Terminal = PIPE,
  stdout: CapturedStream = captureStream(),
): ReadingDeps & { stdout: CapturedStream; stderr: CapturedStream } {
  return { store, terminal, stdout, stderr: captureStream(), now: () => new Date('2020-06-01T12:00:00Z') };
}
