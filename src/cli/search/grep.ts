import type { Command } from 'commander';
import { momentMsOf, type RecordFilters } from '../../archive/find/record-filters.ts';
import { SeenValues } from '../../archive/find/seen-values.ts';
import type { JobRecord, RecordedLog } from '../../archive/record.ts';
import { EverlogError } from '../../errors.ts';
import { JsonText } from '../../json-text.ts';
import { compilePattern, LineSearch, type FoundLine, type LinePattern } from '../../log/line-search.ts';
import { readLog } from '../../log/log-reader.ts';
import { inertLine, inertText } from '../../log/terminal-sanitiser.ts';
import { EXIT } from '../exit.ts';
import { addFilterOptions, type FilterOptions } from '../read/filter-options.ts';
import { filtersOf, tellEmptiness } from '../read/ls.ts';
import { withReadingSession, type ReadingDeps, type ReadingSession } from '../read/reading-session.ts';
import { withArchive, type ArchiveOption } from '../read/with-archive.ts';
import { confirmed } from '../terminal/confirm.ts';
import { counted, formatBytes, formatCount } from '../terminal/format.ts';
import { jobTitleOf, repositoryTitle } from '../terminal/job-table.ts';
import { paint } from '../terminal/table.ts';
import { openFinder, readingHooks } from '../read/find-jobs.ts';
import { printInOrder } from './in-order.ts';

export interface GrepOptions extends FilterOptions {
  /** Lines to show around a match. */
  readonly context?: string | undefined;
  readonly ignoreCase?: boolean | undefined;
  readonly fixedStrings?: boolean | undefined;
  readonly filesWithMatches?: boolean | undefined;
  readonly json?: boolean | undefined;
  /** Goes on without asking, however much there is to read. */
  readonly yes?: boolean | undefined;
}

/** More log text than this is read only when somebody says so: it takes minutes, and a store charges for it. */
const ASKED_ABOVE_BYTES = 1_000_000_000;
/** Jobs searched at once: enough to hide a store's latency on two cores. */
const LOGS_IN_FLIGHT_MAX = 8;
/** Jobs of one search: some 300 bytes of memory each. */
const JOBS_MAX = 1_000_000;
const CONTEXT_LINES_MAX = 1_000;
/** Longest line shown to a person; a program gets all of it. */
const SHOWN_CHARACTERS_MAX = 2_000;

/** `everlog grep`: searches the text of archived logs. */
export function registerGrep(program: Command, done: (exit: number) => void): void {
  addFilterOptions(
    program
      .command('grep')
      .description('search log text, the newest job first')
      .argument(
        '<pattern>',
        'a regular expression (RE2 syntax), matched against each line behind its time stamp',
      )
      .argument('[url]', 'a GitHub address, pasted: of a job, run, commit, pull request or repository'),
  )
    .option('-C, --context <lines>', 'lines to show around a match')
    .option('-i, --ignore-case', 'without regard to case')
    .option('-F, --fixed-strings', 'take the pattern at its letters')
    .option('-l, --files-with-matches', 'only the jobs that have a match')
    .option('-y, --yes', 'read more than 1 GB without asking')
    .option('--json', 'NDJSON, a match each')
    .option('--archive <url>', 'another archive than EVERLOG_ARCHIVE_URL')
    .action(async (pattern: string, url: string | undefined, options: GrepOptions & ArchiveOption) => {
      done(await withArchive(options.archive, (deps) => runGrep(deps, pattern, options, url)));
    });
}

/**
 * Searches the logs of the matching jobs, the newest first, and prints their matches in that order. Says first how many jobs and
 * bytes that means, and at the end how many lines of how many jobs matched. Each log is checked against its record on the way.
 * Returns 0; 2 for bad options; 3 when nothing matched; 4 when a log is not what was archived or a record cannot be read.
 * @throws EverlogError where the archive does not answer; `usage` when there is nobody to ask before a large search.
 */
export async function runGrep(
  deps: ReadingDeps,
  text: string,
  options: GrepOptions,
  address?: string,
): Promise<number> {
  return withReadingSession(deps, async (session) => {
    const parsed = filtersOf(options, address, deps.now());
    const context = parseContext(options.context);
    const compiled = compilePattern(text, {
      ignoreCase: options.ignoreCase === true,
      fixed: options.fixedStrings === true,
    });
    const problems = [
      ...(parsed.ok ? [] : parsed.problems),
      ...(compiled.ok ? [] : [compiled.problem]),
      ...(context === null ? [`-C takes a number of lines up to ${formatCount(CONTEXT_LINES_MAX)}`] : []),
    ];
    if (!parsed.ok || !compiled.ok || context === null) {
      for (const problem of problems) await session.say(`everlog grep: ${inertText(problem)}`);
      return EXIT.usage;
    }
    const jobs = await jobsToSearch(deps, session, parsed.filters);
    if (jobs === null) return EXIT.usage;
    if (jobs.length === 0) return (await session.tellProblems()) > 0 ? EXIT.findings : EXIT.notFound;
    const bytes = jobs.reduce((sum, job) => sum + job.log.bytes, 0);
    const size = `${counted(jobs.length, 'job')}, ${formatBytes(bytes)} of text`;
    await session.say(`Searching ${size} …`);
    if (bytes > ASKED_ABOVE_BYTES && !(await confirmed(`Read ${size}?`, options.yes === true)))
      return EXIT.usage;
    const search: PlannedSearch = { pattern: compiled.pattern, context, options, jobs, bytes };
    const found = await searchJobs(deps, session, search);
    if (found === 'reader gone') return EXIT.ok;
    session.progress.clear();
    await session.say(`${counted(found.lines, 'line')} in ${counted(found.jobs, 'job')}.`);
    const unreadable = await session.tellProblems();
    if (found.corrupt > 0 || unreadable > 0) return EXIT.findings;
    return found.lines > 0 ? EXIT.ok : EXIT.notFound;
  });
}

interface SearchedJob {
  readonly record: JobRecord;
  readonly log: RecordedLog;
}

interface PlannedSearch {
  readonly pattern: LinePattern;
  readonly context: number;
  readonly options: GrepOptions;
  readonly jobs: readonly SearchedJob[];
  readonly bytes: number;
}

function parseContext(text: string | undefined): number | null {
  if (text === undefined) return 0;
  const lines = /^\d{1,4}$/.test(text) ? Number(text) : Infinity;
  return lines <= CONTEXT_LINES_MAX ? lines : null;
}

/** The matching jobs that have a log, the newest first; null, and told, when there are too many. */
async function jobsToSearch(
  deps: ReadingDeps,
  session: ReadingSession,
  filters: RecordFilters,
): Promise<SearchedJob[] | null> {
  const jobs: SearchedJob[] = [];
  const seen = new SeenValues(filters);
  const hooks = readingHooks(session, seen, 'looking for jobs: ');
  const finder = await openFinder(deps, session);
  for await (const { record } of finder.all(filters, hooks)) {
    // What GitHub sent of the job and its points are the largest part of a record, and nothing here needs them.
    if (record.log !== null)
      jobs.push({ record: { ...record, job: JsonText.of({}) }, log: { ...record.log, points: null } });
    if (jobs.length > JOBS_MAX) {
      await session.say(
        `everlog grep: more than ${formatCount(JOBS_MAX)} jobs match; narrow it, as by --since`,
      );
      return null;
    }
  }
  session.progress.clear();
  if (jobs.length === 0) {
    const all = finder.isIndexed ? await finder.see(filters, seen) : seen.jobs;
    await tellEmptiness(deps, session, filters, {
      looked: all ?? 0,
      unknown: all === null ? [] : seen.unknown(),
    });
  }
  return jobs.sort(
    (a, b) => momentMsOf(b.record) - momentMsOf(a.record) || b.record.job_id - a.record.job_id,
  );
}

interface GrepTotals {
  readonly lines: number;
  readonly jobs: number;
  readonly corrupt: number;
}

/** Searches several logs at once and prints what is found in the order of the jobs. */
async function searchJobs(
  deps: ReadingDeps,
  session: ReadingSession,
  search: PlannedSearch,
): Promise<GrepTotals | 'reader gone'> {
  let [lines, jobs, corrupt, bytes] = [0, 0, 0, 0];
  let isWanted = true;
  await printInOrder(
    search.jobs,
    LOGS_IN_FLIGHT_MAX,
    async (job, print) => {
      if (!isWanted) return;
      const found = new LineSearch(search.pattern, search.context);
      let shown = 0;
      const show = async (some: readonly FoundLine[]): Promise<void> => {
        const text = shownLines(deps, job.record, search.options, some, shown === 0);
        shown += some.length;
        if (text !== '') await print(text);
      };
      try {
        for await (const chunk of readLog(deps.store, job.log)) {
          if (!isWanted) return;
          bytes += chunk.length;
          session.progress.show(
            () =>
              `${formatBytes(bytes)} of ${formatBytes(search.bytes)} searched, ${counted(lines, 'line')} found`,
          );
          await show(found.push(chunk));
          if (search.options.filesWithMatches === true && found.count > 0) break;
        }
        await show(found.end());
      } catch (error) {
        if (!(error instanceof EverlogError) || error.code !== 'object_corrupt') throw error;
        corrupt += 1;
        await session.say(`everlog: NOT what was archived: ${inertText(error.message)}`);
      }
      lines += search.options.filesWithMatches === true ? Math.min(1, found.count) : found.count;
      if (found.count > 0) jobs += 1;
    },
    async (text) => {
      session.progress.clear();
      isWanted = await session.out.write(text);
      return isWanted;
    },
  );
  return isWanted ? { lines, jobs, corrupt } : 'reader gone';
}

function shownLines(
  deps: ReadingDeps,
  record: JobRecord,
  options: GrepOptions,
  lines: readonly FoundLine[],
  isFirst: boolean,
): string {
  if (lines.length === 0) return '';
  if (options.filesWithMatches === true) {
    if (!isFirst) return '';
    return options.json === true ? `${foundLineJson(record, null)}\n` : `${jobHeading(record)}\n`;
  }
  if (options.json === true) {
    return lines
      .filter(({ matched }) => matched)
      .map((line) => `${foundLineJson(record, line)}\n`)
      .join('');
  }
  const heading =
    deps.terminal.isTTY && isFirst ? `${paint(jobHeading(record), 'title', deps.terminal)}\n` : '';
  return heading + lines.map((line) => `${shownLine(deps, record, line)}\n`).join('');
}

function jobHeading(record: JobRecord): string {
  const attempt = record.run_attempt === null ? '' : ` · attempt ${record.run_attempt}`;
  return `${inertText(repositoryTitle(record))} · ${inertText(jobTitleOf(record))}${attempt} · job ${record.job_id}`;
}

/** `399444496:120:text` for programs, like grep's own; below the job's title for people. */
function shownLine(deps: ReadingDeps, record: JobRecord, { line, text, matched }: FoundLine): string {
  const separator = matched ? ':' : '-';
  const shown = inertLine(text.slice(0, SHOWN_CHARACTERS_MAX));
  if (!deps.terminal.isTTY) return `${record.job_id}${separator}${line}${separator}${shown}`;
  return `${paint(String(line).padStart(6), 'dim', deps.terminal)}${separator} ${shown}`;
}

function foundLineJson(record: JobRecord, found: FoundLine | null): string {
  const { host, owner, repo, run_id, run_attempt, job_id, job_name, workflow_name, head_sha } = record;
  const line = found === null ? {} : { line: found.line, time: found.time, text: found.text };
  const document = {
    job_id,
    ...line,
    run_id,
    run_attempt,
    host,
    owner,
    repo,
    workflow_name,
    job_name,
    head_sha,
  };
  return JSON.stringify(document);
}
