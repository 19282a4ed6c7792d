import { openStandingArchive } from '../../service/standing-archive.ts';
import { openRecording, type Recording } from '../../service/recording.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { loadConfig, type Config } from '../../config.ts';
import { EverlogError } from '../../errors.ts';
import { withReadingSession, type ReadingSession } from '../read/reading-session.ts';
import { standardTerminal } from '../terminal/standard-terminal.ts';
import { archiveNamed, type ArchiveOption } from '../read/with-archive.ts';
import { openCommandQueue, type CommandQueue } from '../queue-work.ts';

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
  /**
   * Appends a digest where this process can: before a removal, so that what goes was sealed, and after it, so that its custody
   * object is. Answers the digest's sequence; null where the sealer is another process, or after saying why it failed.
   */
  readonly seal: () => Promise<number | null>;
}

/** Runs a command with the configured archive open, or, where it only looks, with the one that `archive` names. */
export async function withCustodyWork(
  work: (custody: CustodyWork) => Promise<number>,
  { archive: named }: ArchiveOption = {},
): Promise<number> {
  const config = loadConfig({});
  const archive = await openStandingArchive(config, archiveNamed(named, config));
  const closers: (() => Promise<void>)[] = [() => archive.close()];
  let queue: CommandQueue | null = null;
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
            const open = await openCommandQueue();
            queue = open;
            closers.unshift(() => open.close());
            return openRecording(archive, open.control);
          },
          seal: () => sealed(queue, config, session),
        }),
    );
  } finally {
    for (const close of closers) await close();
  }
}

async function sealed(
  queue: CommandQueue | null,
  config: Config,
  session: ReadingSession,
): Promise<number | null> {
  if (queue === null || config.sealing.signingKey === null) return null;
  try {
    const waiting = (): void => void session.say('everlog: waiting for another sealer to end');
    const digest = await queue.seal({ final: false }, waiting);
    if (digest.outcome === 'sealed') return digest.sequence;
    await session.say('everlog: the ledger is closed: nothing seals what is done now');
  } catch (error) {
    if (!(error instanceof EverlogError)) throw error;
    await session.say(`everlog: not sealed: ${error.message}`);
  }
  return null;
}

/** Options that were given, as a custody object tells them. */
export function givenOptions(options: object): Readonly<Record<string, string>> {
  const given = Object.entries(options).filter(([, value]) => value !== undefined && value !== false);
  return Object.fromEntries(given.map(([name, value]) => [name, String(value)]));
}
