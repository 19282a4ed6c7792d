import type { Command } from 'commander';
import { loadConfig, type Config } from '../../config.ts';
import { compactIndex } from '../../index/write/compact.ts';
import type { IndexProgress } from '../../index/write/indexer.ts';
import { rebuildIndex } from '../../index/write/rebuild.ts';
import { indexStatus, type IndexStatus } from '../../index/write/status.ts';
import { indexerOf, openIndexStore } from '../../service/indexing.ts';
import { openStandingArchive } from '../../service/standing-archive.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { EXIT } from '../exit.ts';
import { withReadingSession, type ReadingSession } from '../read/reading-session.ts';
import { archiveNamed } from '../read/with-archive.ts';
import { counted, formatBytes, formatCount, formatMoment } from '../terminal/format.ts';
import { standardTerminal } from '../terminal/standard-terminal.ts';

/** `everlog index`: the query index, always rebuildable from ledger and records. */

interface IndexOptions {
  readonly json?: boolean;
  readonly archive?: string;
}

interface Places {
  readonly config: Config;
  readonly archive: ObjectStore;
  readonly index: ObjectStore;
}

export function registerIndex(program: Command, done: (exit: number) => void): void {
  const index = program
    .command('index')
    .description('the query index: make it anew, merge its parts, see how far it is');
  const commands = [
    ['rebuild', 'make the index anew from ledger and records; one that was broken off goes on', rebuild],
    ['compact', 'merge the parts of days that have ended', compact],
    ['status', 'how far the index is, and how large', printIndexStatus],
  ] as const;
  for (const [name, description, run] of commands) {
    index
      .command(name)
      .description(description)
      .option('--json', 'one JSON document')
      .option('--archive <url>', 'another archive than EVERLOG_ARCHIVE_URL, with the index below it')
      .action(async (options: IndexOptions) => done(await withPlaces(options, run)));
  }
}

type IndexWork = (places: Places, options: IndexOptions, session: ReadingSession) => Promise<number>;

async function withPlaces(options: IndexOptions, run: IndexWork): Promise<number> {
  const config = loadConfig({});
  const url = archiveNamed(options.archive, config);
  const archive = await openStandingArchive(config, url);
  const index = await openIndexStore(config, url);
  const { stdout, stderr } = process;
  const deps = { store: archive, stdout, stderr, now: () => new Date(), terminal: standardTerminal() };
  try {
    return await withReadingSession(deps, (session) => run({ config, archive, index }, options, session));
  } finally {
    await index.close();
    await archive.close();
  }
}

async function rebuild(
  { config, archive, index }: Places,
  options: IndexOptions,
  session: ReadingSession,
): Promise<number> {
  const deps = indexerOf(config, archive, index, session.noteProblem);
  const onProgress = (progress: IndexProgress): void =>
    session.progress.show(() => indexProgressText(progress));
  const report = await rebuildIndex(deps, { now: () => new Date(), onProgress });
  const merged = await compactIndex(
    { index, spoolDir: config.spoolFolder },
    {
      now: new Date(),
      all: true,
      onProgress: (partition, parts) =>
        session.progress.show(() => `merging ${counted(parts, 'part')} of ${partition}`),
    },
  );
  session.progress.clear();
  const problems = await session.tellProblems();
  const document = { ...report, merged: merged.merged, unreadable: problems };
  const text = `Indexed ${counted(report.rows, 'row')} of ${counted(report.digests, 'digest')}, up to digest ${report.through}.\n`;
  const withoutLedger = `Indexed ${counted(report.rows, 'row')}; this archive has no ledger, so that what is recorded from now on comes in with the next \`everlog index rebuild\`.\n`;
  const told = report.through === 0 ? withoutLedger : text;
  await session.out.write(options.json === true ? `${JSON.stringify(document)}\n` : told);
  return problems > 0 ? EXIT.findings : EXIT.ok;
}

async function compact(
  { config, index }: Places,
  options: IndexOptions,
  session: ReadingSession,
): Promise<number> {
  const report = await compactIndex(
    { index, spoolDir: config.spoolFolder },
    {
      now: new Date(),
      all: true,
      onProgress: (partition, parts) =>
        session.progress.show(() => `merging ${counted(parts, 'part')} of ${partition}`),
    },
  );
  session.progress.clear();
  const text = `Merged ${counted(report.parts, 'part')} into ${report.merged}; ${report.removed} removed.\n`;
  await session.out.write(options.json === true ? `${JSON.stringify(report)}\n` : text);
  return EXIT.ok;
}

/** Without an index the exit is 3; one that is behind is no finding, as readers read what is missing besides. */
async function printIndexStatus(
  { archive, index }: Places,
  options: IndexOptions,
  session: ReadingSession,
): Promise<number> {
  const found = await indexStatus(archive, index);
  const { through, recordedThrough, behind, rebuilding, files, bytes, days } = found;
  const document = {
    index: index.location,
    through,
    recorded_through: recordedThrough?.toISOString() ?? null,
    behind,
    rebuilding,
    files,
    bytes,
    days,
  };
  await session.out.write(
    options.json === true ? `${JSON.stringify(document)}\n` : indexStatusText(index, found),
  );
  return through === null ? EXIT.notFound : EXIT.ok;
}

function indexStatusText(index: ObjectStore, found: IndexStatus): string {
  const { through, recordedThrough, behind, rebuilding, files, bytes, days } = found;
  const state = rebuilding
    ? 'It is being made anew, or that was broken off: run `everlog index rebuild`.\n'
    : '';
  if (through === null) {
    return `There is no index at ${index.location}.\n${state || 'Run `everlog index rebuild`, or let a worker of the upkeep role make it.\n'}`;
  }
  const lines = [
    ['index', index.location],
    ['through', `digest ${through}, recorded until ${formatMoment(recordedThrough?.toISOString() ?? null)}`],
    ['behind', counted(behind, 'digest')],
    ['days', days === null ? 'none' : `${days.first} to ${days.last}`],
    ['size', `${counted(files, 'file')}, ${formatBytes(bytes)}`],
  ] as const;
  return lines.map(([name, value]) => `${name.padEnd(8)} ${value}\n`).join('') + state;
}

function indexProgressText({ sequence, records, of }: IndexProgress): string {
  if (sequence === 0) return `${formatCount(records)} records read`;
  return `digest ${sequence}: ${formatCount(records)} of ${formatCount(of)} read`;
}
