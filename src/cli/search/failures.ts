import type { Command } from 'commander';
import type { FailingSince } from '../../archive/find/failing-since.ts';
import type { RecordFilters } from '../../archive/find/record-filters.ts';
import { momentOf, type JobRecord } from '../../archive/record.ts';
import { EverlogError } from '../../errors.ts';
import { inertLine, inertText } from '../../log/terminal-sanitiser.ts';
import { failedStepsOf, stepsOf } from '../../log/log-steps.ts';
import { readLog } from '../../log/log-reader.ts';
import { StepTails, type StepTail } from '../../log/step-tail.ts';
import { EXIT } from '../exit.ts';
import { describeAbsence } from '../read/absence.ts';
import { addFilterOptions, type FilterOptions } from '../read/filter-options.ts';
import { openFinder } from '../read/find-jobs.ts';
import { filtersOf, parseLimit } from '../read/ls.ts';
import { withReadingSession, type ReadingDeps, type ReadingSession } from '../read/reading-session.ts';
import { withArchive, type ArchiveOption } from '../read/with-archive.ts';
import { counted, formatCount, formatMoment } from '../terminal/format.ts';
import { jobTitleOf, repositoryTitle } from '../terminal/job-table.ts';
import { paint } from '../terminal/table.ts';
import { findFailures } from './find-failures.ts';
import { printInOrder } from './in-order.ts';

export interface FailuresOptions extends FilterOptions {
  readonly limit?: string | undefined;
  /** Last lines of each failed step. */
  readonly lines?: string | undefined;
  readonly json?: boolean | undefined;
  readonly explain?: boolean | undefined;
}

/** How far back failures are shown unless told otherwise: last night's, and those of the day before it. */
const USUAL_DAYS = 1;
const DAY_MS = 86_400_000;
const LIMIT = 50;
const LINES = 10;
const LINES_MAX = 1_000;
const LOGS_IN_FLIGHT_MAX = 8;
const SHOWN_CHARACTERS_MAX = 1_000;
const SHA_CHARACTERS = 7;

/** `everlog failures`: what failed, why, and since when. */
export function registerFailures(program: Command, done: (exit: number) => void): void {
  addFilterOptions(
    program
      .command('failures')
      .description(
        'the failed jobs of the last day, or of --since, each with the last lines of its failed step',
      )
      .argument('[url]', 'a GitHub address, pasted: of a job, run, commit, pull request or repository'),
  )
    .option('-L, --limit <n>', 'how many jobs', String(LIMIT))
    .option('-n, --lines <n>', 'last lines of each failed step', String(LINES))
    .option('--explain', 'say what the answer cost, and how far it reaches')
    .option('--json', 'NDJSON, a job each')
    .option('--archive <url>', 'another archive than EVERLOG_ARCHIVE_URL')
    .action(async (url: string | undefined, options: FailuresOptions & ArchiveOption) => {
      done(await withArchive(options.archive, (deps) => runFailures(deps, options, url)));
    });
}

/**
 * Prints the failed jobs of a time, the newest first: the last lines of the step that failed, and the commit and attempt at which
 * the job of that name on that branch began to fail, as far as the archive's last 30 days before that time know.
 * Returns 0, also when nothing failed; 2 for bad options; 4 when a log or record is not what was archived.
 * @throws EverlogError where the archive does not answer.
 */
export async function runFailures(
  deps: ReadingDeps,
  options: FailuresOptions,
  address?: string,
): Promise<number> {
  return withReadingSession(deps, async (session) => {
    const parsed = filtersOf(options, address, deps.now());
    const limit = parseLimit(options.limit, LIMIT);
    const lines =
      options.lines === undefined ? LINES : /^\d{1,4}$/.test(options.lines) ? Number(options.lines) : -1;
    const problems = [
      ...(parsed.ok ? [] : parsed.problems),
      ...(limit === null ? ['--limit takes a number of jobs'] : []),
      ...(lines < 0 || lines > LINES_MAX ? [`--lines takes a number up to ${formatCount(LINES_MAX)}`] : []),
    ];
    if (!parsed.ok || limit === null || problems.length > 0) {
      for (const problem of problems) await session.say(`everlog failures: ${problem}`);
      return EXIT.usage;
    }
    const filters = usualTime(parsed.filters, deps.now(), address !== undefined || options.run !== undefined);
    const finder = await openFinder(deps, session);
    const found = await findFailures(deps, session, finder, filters, limit);
    const shown = found.failed.slice(0, limit);
    let corrupt = 0;
    let isWanted = true;
    await printInOrder(
      shown,
      LOGS_IN_FLIGHT_MAX,
      async ({ record }, print) => {
        const tails = await tailsOf(deps, session, record, lines);
        if (tails === 'corrupt') corrupt += 1;
        const failure = { record, tails: tails === 'corrupt' ? [] : tails, since: found.history.of(record) };
        await print(options.json === true ? failureJson(failure) : failureText(deps, failure));
      },
      async (text) => {
        session.progress.clear();
        isWanted = await session.out.write(text);
        return isWanted;
      },
    );
    if (!isWanted) return EXIT.ok;
    if (found.failed.length > shown.length) {
      const more = found.count === null ? 'more' : counted(found.count - shown.length, 'more', 'more');
      await session.say(`… and ${more}; --limit shows them.`);
    }
    if (options.explain === true) await finder.explain(session);
    const unreadable = await session.tellProblems();
    return corrupt > 0 || unreadable > 0 ? EXIT.findings : EXIT.ok;
  });
}

function usualTime(filters: RecordFilters, now: Date, isPointedAt: boolean): RecordFilters {
  if (
    isPointedAt ||
    filters.since !== undefined ||
    filters.until !== undefined ||
    filters.shaPrefix !== undefined
  )
    return filters;
  return { ...filters, since: new Date(now.getTime() - USUAL_DAYS * DAY_MS) };
}

async function tailsOf(
  deps: ReadingDeps,
  session: ReadingSession,
  record: JobRecord,
  limit: number,
): Promise<readonly StepTail[] | 'corrupt'> {
  const steps = failedStepsOf(record);
  if (record.log === null || steps.length === 0)
    return steps.map((step) => ({ step, lines: [], firstLine: null }));
  const tails = new StepTails(stepsOf(record), steps, limit);
  try {
    for await (const chunk of readLog(deps.store, record.log)) tails.push(chunk);
    return tails.end();
  } catch (error) {
    if (!(error instanceof EverlogError) || error.code !== 'object_corrupt') throw error;
    await session.say(`everlog: NOT what was archived: ${inertText(error.message)}`);
    return 'corrupt';
  }
}

interface Failure {
  readonly record: JobRecord;
  readonly tails: readonly StepTail[];
  readonly since: FailingSince | null;
}

function failureJson({ record, tails, since }: Failure): string {
  const { job_id, run_id, run_attempt, host, owner, repo, workflow_name, job_name, head_branch, head_sha } =
    record;
  const [first] = tails;
  const document = {
    job_id,
    run_id,
    step: first?.step.name ?? null,
    lines: first?.lines ?? [],
    step_number: first?.step.number ?? null,
    first_line: first?.firstLine ?? null,
    other_steps: tails
      .slice(1)
      .map(({ step, lines }) => ({ step: step.name, step_number: step.number, lines })),
    run_attempt,
    host,
    owner,
    repo,
    workflow_name,
    job_name,
    head_branch,
    head_sha,
    conclusion: record.conclusion,
    outcome: record.outcome,
    completed_at: record.completed_at,
    failing_since: since,
  };
  return `${JSON.stringify(document)}\n`;
}

function failureText({ terminal }: ReadingDeps, { record, tails, since }: Failure): string {
  const title = `${inertText(repositoryTitle(record))} · ${inertText(jobTitleOf(record))}`;
  const attempt = record.run_attempt === null ? '' : ` · attempt ${record.run_attempt}`;
  const facts = [
    paint(inertText(record.conclusion ?? ''), 'bad', terminal),
    ...[record.head_branch, record.head_sha?.slice(0, SHA_CHARACTERS)].flatMap((part) =>
      part ? [inertText(part)] : [],
    ),
    `${formatMoment(momentOf(record))} UTC`,
    `run ${record.run_id}`,
    `job ${record.job_id}`,
  ];
  const lines = [
    `${paint(title, 'title', terminal)}${attempt}`,
    `  ${facts.join(' · ')}`,
    ...sinceLine(record, since),
  ];
  for (const { step, lines: tail, firstLine } of tails) {
    const from = firstLine === null ? '' : `, from line ${formatCount(firstLine)}`;
    lines.push(`  step ${step.number} ${inertText(step.name)}${from}:`);
    for (const line of tail) lines.push(`    ${inertLine(line.slice(0, SHOWN_CHARACTERS_MAX))}`);
  }
  if (record.log === null) lines.push(`  ${describeAbsence(record)}`);
  else if (tails.length === 0)
    lines.push('  GitHub named no failed step; the whole log: everlog cat ' + record.job_id);
  return `${lines.join('\n')}\n\n`;
}

function sinceLine(record: JobRecord, since: FailingSince | null): string[] {
  if (since === null) return [];
  if (since.failures === 1) return ['  failed for the first time, as far as is recorded'];
  const sha =
    since.head_sha === null ? 'an unknown commit' : inertText(since.head_sha.slice(0, SHA_CHARACTERS));
  const attempt = since.run_attempt === null ? '' : `, attempt ${since.run_attempt}`;
  const run = since.run_id === record.run_id ? '' : ` of run ${since.run_id}`;
  return [
    `  failing since ${sha}${attempt}${run} (${formatMoment(since.at)} UTC), ${counted(since.failures, 'time')}`,
  ];
}
