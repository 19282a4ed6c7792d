import type { Command } from 'commander';
import { isFailed } from '../../archive/find/conclusion.ts';
import type { RecordFilters } from '../../archive/find/record-filters.ts';
import { SeenValues } from '../../archive/find/seen-values.ts';
import { momentOf, type JobRecord } from '../../archive/record.ts';
import { isDecidedByRows } from '../../index/job-query.ts';
import type { DayStats } from '../../index/stats.ts';
import { EXIT } from '../exit.ts';
import { addFilterOptions, type FilterOptions } from '../read/filter-options.ts';
import { openFinder, readingHooks, type JobFinder } from '../read/find-jobs.ts';
import { filtersOf, tellEmptiness } from '../read/ls.ts';
import { withReadingSession, type ReadingDeps, type ReadingSession } from '../read/reading-session.ts';
import { withArchive, type ArchiveOption } from '../read/with-archive.ts';
import { counted, formatBytes, formatCount, formatDuration } from '../terminal/format.ts';
import { formatTable, keepDifference, type Cell } from '../terminal/table.ts';

export interface StatsOptions extends FilterOptions {
  readonly json?: boolean | undefined;
  readonly explain?: boolean | undefined;
}

/** Repositories and days told apart; what comes after them is counted together. */
const GROUPS_MAX = 10_000;
/** Rows shown of each table; a program gets all of them. */
const REPOSITORIES_SHOWN_MAX = 30;
const DAYS_SHOWN_MAX = 31;
const BAR_CHARACTERS = 20;
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/** `everlog stats`: how many jobs, how large, how long, how often they failed. */
export function registerStats(program: Command, done: (exit: number) => void): void {
  addFilterOptions(
    program
      .command('stats')
      .description('jobs, bytes, failures and durations by repository and day')
      .argument('[url]', 'a GitHub address, pasted: of a job, run, commit, pull request or repository'),
  )
    .option('--explain', 'say what the answer cost, and how far it reaches')
    .option('--json', 'one JSON document')
    .option('--archive <url>', 'another archive than EVERLOG_ARCHIVE_URL')
    .action(async (url: string | undefined, options: StatsOptions & ArchiveOption) => {
      done(await withArchive(options.archive, (deps) => runStats(deps, options, url)));
    });
}

/**
 * Counts the jobs that match, by repository and by day of their end (UTC).
 * Returns 0; 2 for bad options; 4 when some records could not be read: they are in no count.
 * @throws EverlogError where the archive does not answer.
 */
export async function runStats(deps: ReadingDeps, options: StatsOptions, address?: string): Promise<number> {
  return withReadingSession(deps, async (session) => {
    const parsed = filtersOf(options, address, deps.now());
    if (!parsed.ok) {
      for (const problem of parsed.problems) await session.say(`everlog stats: ${problem}`);
      return EXIT.usage;
    }
    const finder = await openFinder(deps, session);
    const counts =
      (await countByIndex(deps, session, finder, parsed.filters)) ??
      (await countJobs(deps, session, finder, parsed.filters));
    if (options.json === true) await session.out.write(`${JSON.stringify(statsDocument(counts))}\n`);
    else if (counts.total.jobs > 0) await session.out.write(statsText(deps, counts));
    if (options.explain === true) await finder.explain(session);
    return (await session.tellProblems()) > 0 ? EXIT.findings : EXIT.ok;
  });
}

interface Count {
  jobs: number;
  failed: number;
  archived: number;
  /** Of the logs as GitHub served them, and of the stored objects. */
  logBytes: number;
  storedBytes: number;
  /** Of jobs whose start and end are known. */
  timed: number;
  seconds: number;
  longestSeconds: number;
}

interface GroupedCounts {
  readonly total: Count;
  readonly repositories: ReadonlyMap<string, Count>;
  readonly days: ReadonlyMap<string, Count>;
}

/**
 * Adds up rows of the index, no record being read; null where there is none that can be used, or rows leave open which jobs
 * pass. Jobs whose records were removed since they were indexed are counted.
 */
async function countByIndex(
  deps: ReadingDeps,
  session: ReadingSession,
  finder: JobFinder,
  filters: RecordFilters,
): Promise<GroupedCounts | null> {
  if (!isDecidedByRows(filters)) return null;
  const counts = await finder.ask(async (index) => {
    const [repositories, days] = [new Map<string, Count>(), new Map<string, Count>()];
    const total = newCount();
    for await (const sum of index.stats(filters)) {
      const repository = `${sum.host === 'github.com' ? '' : `${sum.host}/`}${sum.repository}`;
      for (const count of [total, countNamed(repositories, repository), countNamed(days, sum.dt)])
        addSum(count, sum);
      session.progress.show(() => `${formatCount(total.jobs)} jobs counted`);
    }
    return { total, repositories, days };
  });
  session.progress.clear();
  if (counts?.total.jobs === 0) {
    const seen = new SeenValues(filters);
    const looked = await finder.see(filters, seen);
    await tellEmptiness(deps, session, filters, {
      looked: looked ?? 0,
      unknown: looked === null ? [] : seen.unknown(),
    });
  }
  return counts;
}

function addSum(count: Count, sum: DayStats): void {
  count.jobs += sum.jobs;
  count.failed += sum.failed;
  count.archived += sum.logs;
  count.logBytes += sum.logBytes;
  count.storedBytes += sum.storedBytes;
  count.timed += sum.timed;
  count.seconds += sum.durationMs / 1_000;
  count.longestSeconds = Math.max(count.longestSeconds, sum.longestMs / 1_000);
}

async function countJobs(
  deps: ReadingDeps,
  session: ReadingSession,
  finder: JobFinder,
  filters: RecordFilters,
): Promise<GroupedCounts> {
  const [repositories, days] = [new Map<string, Count>(), new Map<string, Count>()];
  const total = newCount();
  const seen = new SeenValues(filters);
  const hooks = readingHooks(session, seen);
  for await (const { record } of finder.all(filters, hooks)) {
    const { host, owner, repo } = record;
    const repository = `${host === 'github.com' ? '' : `${host}/`}${owner}/${repo}`.toLowerCase();
    for (const count of [
      total,
      countNamed(repositories, repository),
      countNamed(days, momentOf(record).slice(0, 10)),
    ])
      addRecord(count, record);
  }
  session.progress.clear();
  if (total.jobs === 0)
    await tellEmptiness(deps, session, filters, { looked: seen.jobs, unknown: seen.unknown() });
  return { total, repositories, days };
}

function newCount(): Count {
  return {
    jobs: 0,
    failed: 0,
    archived: 0,
    logBytes: 0,
    storedBytes: 0,
    timed: 0,
    seconds: 0,
    longestSeconds: 0,
  };
}

function countNamed(groups: Map<string, Count>, name: string): Count {
  const known = groups.get(name) ?? groups.get(groups.size >= GROUPS_MAX ? 'others' : name);
  if (known !== undefined) return known;
  const count = newCount();
  groups.set(groups.size >= GROUPS_MAX ? 'others' : name, count);
  return count;
}

function addRecord(count: Count, record: JobRecord): void {
  count.jobs += 1;
  if (isFailed(record.conclusion)) count.failed += 1;
  if (record.log !== null) {
    count.archived += 1;
    count.logBytes += record.log.bytes;
    count.storedBytes += record.log.stored_bytes;
  }
  const seconds = (Date.parse(record.completed_at ?? '') - Date.parse(record.started_at ?? '')) / 1_000;
  if (!(seconds >= 0)) return;
  count.timed += 1;
  count.seconds += seconds;
  count.longestSeconds = Math.max(count.longestSeconds, seconds);
}

function statsDocument({ total, repositories, days }: GroupedCounts): object {
  const list = (groups: ReadonlyMap<string, Count>, name: string): object[] =>
    [...groups].map(([group, count]) => ({ [name]: group, ...countMembers(count) }));
  return {
    ...countMembers(total),
    repositories: list(byJobs(repositories), 'repository'),
    days: list(byName(days), 'day'),
  };
}

function countMembers(count: Count): Record<string, number | null> {
  return {
    jobs: count.jobs,
    failed: count.failed,
    archived: count.archived,
    log_bytes: count.logBytes,
    stored_bytes: count.storedBytes,
    runner_seconds: Math.round(count.seconds),
    mean_seconds: count.timed === 0 ? null : Math.round(count.seconds / count.timed),
    longest_seconds: count.timed === 0 ? null : Math.round(count.longestSeconds),
  };
}

function byJobs(groups: ReadonlyMap<string, Count>): ReadonlyMap<string, Count> {
  return new Map([...groups].sort(([a, one], [b, other]) => other.jobs - one.jobs || (a < b ? -1 : 1)));
}

function byName(groups: ReadonlyMap<string, Count>): ReadonlyMap<string, Count> {
  return new Map([...groups].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function statsText({ terminal }: ReadingDeps, { total, repositories, days }: GroupedCounts): string {
  const shownRepositories = [...byJobs(repositories)].slice(0, REPOSITORIES_SHOWN_MAX);
  const shownDays = [...byName(days)].slice(-DAYS_SHOWN_MAX);
  const table = (title: string, groups: readonly (readonly [string, Count])[]): string => {
    const most = Math.max(1, ...groups.map(([, { jobs }]) => jobs));
    return formatTable(
      [
        { title, shrinkTo: 12, fit: keepDifference },
        { title: 'JOBS', align: 'right' },
        ...(terminal.isTTY ? [{ title: '', dropOrder: 3 }] : []),
        { title: 'FAILED', align: 'right' },
        { title: 'LOGS', align: 'right', dropOrder: 1 },
        { title: 'MEAN', align: 'right', dropOrder: 2 },
        { title: 'RUNNER TIME', align: 'right', dropOrder: 1 },
      ],
      groups.map(([name, count]) => rowOf(name, count, terminal.isTTY ? barOf(count.jobs / most) : null)),
      terminal,
    );
  };
  const rest = repositories.size - shownRepositories.length;
  const parts = [
    table('REPOSITORY', shownRepositories),
    ...(rest > 0 ? [`… and ${counted(rest, 'more repository', 'more repositories')}\n`] : []),
    table('DAY (UTC)', shownDays),
    table('IN ALL', [[counted(days.size, 'day'), total]]),
  ];
  return parts.join('\n');
}

function rowOf(name: string, count: Count, bar: string | null): readonly Cell[] {
  const share = count.jobs === 0 ? 0 : (100 * count.failed) / count.jobs;
  const failed =
    count.failed === 0 ? '0' : `${formatCount(count.failed)} (${share.toFixed(share < 10 ? 1 : 0)} %)`;
  return [
    { text: name },
    { text: formatCount(count.jobs) },
    ...(bar === null ? [] : [{ text: bar }]),
    { text: failed, ...(count.failed > 0 ? { tone: 'bad' as const } : {}) },
    { text: formatBytes(count.logBytes) },
    { text: count.timed === 0 ? '–' : formatDuration((count.seconds / count.timed) * 1_000) },
    { text: formatDuration(count.seconds * 1_000) },
  ];
}

/** A bar of a share from 0 to 1, to an eighth of a character. */
function barOf(share: number): string {
  const eighths = Math.max(1, Math.round(share * BAR_CHARACTERS * 8));
  return '█'.repeat(Math.floor(eighths / 8)) + (EIGHTHS[eighths % 8] ?? '');
}
