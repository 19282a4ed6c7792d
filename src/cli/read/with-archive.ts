import { openStandingArchive } from '../../service/standing-archive.ts';
import { openIndexFor } from '../../service/indexing.ts';
import { loadConfig, parseArchiveUrl, type ArchiveUrl, type Config } from '../../config.ts';
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
  const url = archiveNamed(archive, config);
  const store = await openStandingArchive(config, url);
  const closing: (() => Promise<void>)[] = [];
  const openIndex: ReadingDeps['openIndex'] = async (onProblem) => {
    const opened = await openIndexFor(config, url, store, onProblem);
    if (opened !== null) closing.push(() => opened.close());
    return opened?.index ?? null;
  };
  try {
    const { stdout, stderr } = process;
    return await run({
      store,
      openIndex,
      stdout,
      stderr,
      now: () => new Date(),
      webUrl: config.web.url,
      terminal: standardTerminal(),
    });
  } finally {
    for (const close of closing) await close();
    await store.close();
  }
}

/**
 * The archive that `--archive` names, or the configured one.
 * @throws EverlogError `usage`
 */
export function archiveNamed(text: string | undefined, config: Pick<Config, 'archive'>): ArchiveUrl {
  if (text === undefined) return config.archive;
  const parsed = parseArchiveUrl(text);
  if (parsed === null) throw giveUp('usage', '--archive is not s3://BUCKET/PREFIX, file:FOLDER or a folder');
  return parsed;
}
