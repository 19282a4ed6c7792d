import { openArchive } from '../../service/archive.ts';
import { loadConfig, parseArchiveUrl, type ArchiveUrl } from '../../config.ts';
import { giveUp } from '../../errors.ts';
import type { ReadingDeps } from './reading-session.ts';
import { standardTerminal } from '../terminal/standard-terminal.ts';

/** The option by which every reading command takes another archive. */
export interface ArchiveOption {
  readonly archive?: string;
}

/** Runs a command that needs only the archive: the configured one, or the one that `--archive` names. */
export async function withArchive(
  archive: string | undefined,
  run: (deps: ReadingDeps) => Promise<number>,
): Promise<number> {
  const config = loadConfig({});
  const store = await openArchive(config, archive === undefined ? config.archive : archiveOf(archive));
  try {
    const { stdout, stderr } = process;
    return await run({ store, stdout, stderr, now: () => new Date(), terminal: standardTerminal() });
  } finally {
    await store.close();
  }
}

function archiveOf(text: string): ArchiveUrl {
  const parsed = parseArchiveUrl(text);
  if (parsed === null) throw giveUp('usage', '--archive is not s3://BUCKET/PREFIX, file:FOLDER or a folder');
  return parsed;
}
