import type { Command } from 'commander';
import { openArchive } from '../../service/archive.ts';
import { loadConfig, parseArchiveUrl, type ArchiveUrl } from '../../config.ts';
import { giveUp } from '../../errors.ts';
import { runCat, type CatOptions } from './cat.ts';
import { runLs, type LsOptions } from './ls.ts';
import type { ReadingDeps } from './reading-session.ts';
import { addFilterOptions } from './record-filters.ts';
import { standardTerminal } from '../terminal/standard-terminal.ts';

/** `everlog ls` and `cat`: commands that need only the archive. */
export function registerReading(program: Command, done: (exit: number) => void): void {
  addFilterOptions(program.command('ls').description('recorded jobs, newest first'))
    .option('--archive <url>', 'another archive than EVERLOG_ARCHIVE_URL')
    .option('--limit <n>', 'how many', '50')
    .option('--json', 'NDJSON of records as they are stored')
    .action(async (options: LsOptions & ArchiveOption) => {
      done(await withArchive(options.archive, (deps) => runLs(deps, options)));
    });
  program
    .command('cat')
    .description('print a log')
    .argument('<url|id>', 'a GitHub address, pasted, or the id of a job or run')
    .option('--step <n|name>', 'one step, by its number or name')
    .option('--failed', 'the failed steps only; of a run, those of each failed job of its newest attempt')
    .option('--lines <a-b>', 'these lines of the whole log')
    .option('--tail <n>', 'the last lines only')
    .option('--no-timestamps', 'without GitHub’s time stamps')
    .option('--raw', 'GitHub’s bytes as they are')
    .option('--archive <url>', 'another archive than EVERLOG_ARCHIVE_URL')
    .option('--json', 'NDJSON, a line each')
    .action(async (target: string, options: CatOptions & ArchiveOption) => {
      done(await withArchive(options.archive, (deps) => runCat(deps, target, options)));
    });
}

interface ArchiveOption {
  readonly archive?: string;
}

async function withArchive(
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
