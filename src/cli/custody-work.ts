import { openArchive } from '../compose.ts';
import { openRecording, type Recording } from '../compose/recording.ts';
import type { ObjectStore } from '../archive/object-store.ts';
import { loadConfig, type Config } from '../config.ts';
import { withReadingSession, type ReadingSession } from './reading-session.ts';
import { standardTerminal } from './standard-terminal.ts';
import { openCommandQueue } from './queue-work.ts';

/** How a command that writes to the evidence gets at the archive and at the queue, by which the sealer is told. */

export interface CustodyWork {
  readonly config: Config;
  readonly archive: ObjectStore;
  readonly session: ReadingSession;
  /**
   * The archive for writing, opened when it is asked for: a command that only looks needs no queue. Fails before anything was
   * changed when the queue does not answer, as nobody would seal the change.
   */
  readonly recording: () => Promise<Recording>;
}

/** Runs a command with the configured archive open. */
export async function withCustodyWork(work: (custody: CustodyWork) => Promise<number>): Promise<number> {
  const config = loadConfig({});
  const archive = await openArchive(config, config.archive);
  const closers: (() => Promise<void>)[] = [() => archive.close()];
  const { stdout, stderr } = process;
  const now = (): Date => new Date();
  try {
    return await withReadingSession(
      { store: archive, stdout, stderr, now, terminal: standardTerminal() },
      (session) =>
        work({
          config,
          archive,
          session,
          recording: async () => {
            const queue = await openCommandQueue();
            closers.unshift(() => queue.close());
            return openRecording(archive, queue.control);
          },
        }),
    );
  } finally {
    for (const close of closers) await close();
  }
}

/** Options that were given, as a custody object tells them. */
export function scopeOf(options: object): Readonly<Record<string, string>> {
  const given = Object.entries(options).filter(([, value]) => value !== undefined && value !== false);
  return Object.fromEntries(given.map(([name, value]) => [name, String(value)]));
}
