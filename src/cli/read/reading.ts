import type { Command } from 'commander';
import { runCat, type CatOptions } from './cat.ts';
import { runLs, type LsOptions } from './ls.ts';
import { addFilterOptions } from './filter-options.ts';
import { wantedPager } from '../../config.ts';
import { withPager } from '../terminal/pager.ts';
import { withArchive, type ArchiveOption } from './with-archive.ts';

/** `everlog ls` and `cat`: commands that need only the archive. */
export function registerReading(program: Command, done: (exit: number) => void): void {
  addFilterOptions(
    program
      .command('ls')
      .description('recorded jobs, newest first')
      .argument('[url]', 'a GitHub address, pasted: of a job, run, commit, pull request or repository'),
  )
    .option('-L, --limit <n>', 'how many', '50')
    .option('--explain', 'say what the answer cost, and how far it reaches')
    .option('--json [fields]', 'NDJSON of records as they are stored, or of these members of them')
    .option('--archive <url>', 'another archive than EVERLOG_ARCHIVE_URL')
    .action(async (url: string | undefined, options: LsOptions & ArchiveOption) => {
      const asked = addressBehindJson(url, options.json);
      done(await withArchive(options.archive, (deps) => runLs(deps, { ...options, ...asked }, asked.url)));
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
    .option('--no-pager', 'print to the terminal at once; else long logs are shown through PAGER, or less')
    .option('--archive <url>', 'another archive than EVERLOG_ARCHIVE_URL')
    .option('--json', 'NDJSON, a line each')
    .action(async (target: string, options: CatOptions & ArchiveOption & { readonly pager: boolean }) => {
      const isPaged = options.pager && options.json !== true && options.raw !== true;
      done(
        await withArchive(options.archive, (deps) =>
          isPaged && deps.terminal.isTTY
            ? withPager(
                deps,
                (paged) => runCat({ ...deps, ...paged, progress: deps.stderr }, target, options),
                wantedPager(),
              )
            : runCat(deps, target, options),
        ),
      );
    });
}

/** `ls --json URL`: what follows the option is an address, and no list of members. */
function addressBehindJson(
  url: string | undefined,
  json: LsOptions['json'],
): { readonly url: string | undefined; readonly json: LsOptions['json'] } {
  const isAddress = url === undefined && typeof json === 'string' && /[/:]|^\d+$/.test(json);
  return isAddress ? { url: json, json: true } : { url, json };
}
