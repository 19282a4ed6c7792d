import { readFile, stat } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Command } from 'commander';
import type { RecordFilters } from '../../archive/find/record-filters.ts';
import type { ScanPlace } from '../../archive/find/scan-records.ts';
import { placesOfCommits } from '../../index/commit-places.ts';
import { JobFinding } from '../../index/find-jobs.ts';
import type { JobIndex } from '../../index/job-index.ts';
import { inertText } from '../../log/terminal-sanitiser.ts';
import { openStandingArchive } from '../../service/standing-archive.ts';
import { openIndexFor } from '../../service/indexing.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { openRecording } from '../../service/recording.ts';
import { readVersion } from '../../service/version.ts';
import { loadConfig, type ArchiveUrl, type Config } from '../../config.ts';
import { EverlogError, giveUp, messageOf } from '../../errors.ts';
import { parseCommitList, type CommitList } from '../../ledger/export/commit-list.ts';
import { givenOptions } from './custody-work.ts';
import { EXIT } from '../exit.ts';
import { holdsQueue } from '../../queue/embedded/queue-folder.ts';
import { runExport, type ExportDeps } from './export-run.ts';
import { addFilterOptions, parseFilters, type FilterOptions } from '../read/filter-options.ts';
import { archiveNamed } from '../read/with-archive.ts';
import { standardTerminal, terminalOf } from '../terminal/standard-terminal.ts';
import { tell } from '../terminal/print.ts';

/** `everlog export`: an evidence bundle of chosen jobs. */

interface ExportOptions extends FilterOptions {
  readonly out: string;
  readonly shaFile?: string;
  readonly archive?: string;
  readonly json?: boolean;
}

/** A list of 100,000 hashes has 4 MB. */
const SHA_FILE_BYTES_MAX = 16 * 1024 * 1024;

export function registerExport(program: Command, done: (exit: number) => void): void {
  addFilterOptions(
    program
      .command('export')
      .description('an evidence bundle of the matching jobs, with a verify.sh for stock tools')
      .requiredOption('--out <dir>', 'where it is to stand: a folder that does not exist, or an empty one')
      .option(
        '--sha-file <file>',
        'jobs of these commits: one hash, or seven or more characters of one, a line',
      ),
  )
    .option('--archive <url>', 'another archive than EVERLOG_ARCHIVE_URL')
    .option('--json', 'one JSON document')
    .action(async (options: ExportOptions) => done(await exportJobs(options)));
}

async function exportJobs(options: ExportOptions): Promise<number> {
  const { out, shaFile, archive, json, ...given } = options;
  const now = new Date();
  const parsed = parseFilters(given, now);
  if (!parsed.ok) throw giveUp('usage', `export: ${parsed.problems.join('; ')}`);
  const commits = shaFile === undefined ? null : await readCommits(shaFile);
  const config = loadConfig({});
  const url = archiveNamed(archive, config);
  const store = await openStandingArchive(config, url);
  const closers: (() => Promise<void>)[] = [() => store.close()];
  const deps: ExportDeps = {
    store,
    stdout: process.stdout,
    stderr: process.stderr,
    terminal: standardTerminal(),
    progressTerminal: terminalOf(process.stderr),
    now: () => new Date(),
    recording: async () => {
      if (!isDeepStrictEqual(url, config.archive)) return 'the queue that its sealer watches is not known';
      const opened = await openQueueToTell(config);
      if (typeof opened === 'string') return opened;
      closers.unshift(() => opened.close());
      return openRecording(store, opened.control);
    },
    onInterrupt: (discard) => {
      const end = (): void => {
        discard();
        process.exit(EXIT.interrupted);
      };
      process.once('SIGINT', end).once('SIGTERM', end);
    },
  };
  const scope = givenOptions({ ...given, 'sha-file': shaFile });
  try {
    const { filters } = parsed;
    const places = commits === null ? null : await placesByIndex(config, url, store, commits, filters);
    const request = {
      filters,
      commits,
      places,
      scope,
      madeAt: now,
      version: readVersion(),
      webUrl: config.web.url,
    };
    return await runExport(deps, { out, json: json === true, request });
  } finally {
    for (const close of closers) await close();
  }
}

/** Null where there is no index that can be used: then every record is looked through. Everything that is sealed is in the index's answer. */
async function placesByIndex(
  config: Config,
  url: ArchiveUrl,
  store: ObjectStore,
  commits: CommitList,
  filters: RecordFilters,
): Promise<readonly ScanPlace[] | null> {
  const onProblem = (key: string, problem: string): void => {
    tell(`everlog: cannot read ${inertText(key)}: ${inertText(problem)}\n`);
  };
  const onUnusable = (problem: string): void => {
    tell(`everlog: the query index cannot be used, so every record is read: ${inertText(problem)}\n`);
  };
  let close = async (): Promise<void> => undefined;
  const openIndex = async (): Promise<JobIndex | null> => {
    const opened = await openIndexFor(config, url, store, onProblem);
    if (opened !== null) close = () => opened.close();
    return opened?.index ?? null;
  };
  try {
    const finding = await JobFinding.open({ archive: store, openIndex, onUnusable });
    return await finding.ask((index) => placesOfCommits(index, commits.unmet(), filters));
  } finally {
    await close();
  }
}

async function readCommits(file: string): Promise<CommitList> {
  let text: string;
  try {
    const { size } = await stat(file);
    if (size > SHA_FILE_BYTES_MAX) throw new Error('larger than any list of commits');
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw giveUp('usage', `--sha-file ${file}: ${messageOf(error)}`, error);
  }
  const parsed = parseCommitList(text);
  if (!parsed.ok) throw giveUp('usage', `--sha-file ${file}: ${parsed.problems.join('; ')}`);
  return parsed.commits;
}

/**
 * The queue, for telling the sealer of the custody object; or why there is none. An export needs only the archive, so it makes no
 * queue where there is none.
 */
async function openQueueToTell(
  config: Config,
): Promise<{ readonly control: Parameters<typeof openRecording>[1]; close(): Promise<void> } | string> {
  const { queue } = config;
  if (queue.kind === 'embedded' && !holdsQueue(queue.folder)) return 'there is no queue to tell its sealer';
  try {
    const { openCommandQueue } = await import('../queue-work.ts');
    return await openCommandQueue();
  } catch (error) {
    if (error instanceof EverlogError) return `the queue cannot be told: ${error.message}`;
    throw error;
  }
}
