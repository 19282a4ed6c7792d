import { partOf, readLogPart, type LogPart } from '../../log/log-parts.ts';
import { readLog } from '../../log/log-reader.ts';
import type { JobRecord, RecordedLog } from '../../archive/record.ts';
import { pageAddress } from '../../archive/find/page-address.ts';
import { EverlogError } from '../../errors.ts';
import { EXIT } from '../exit.ts';
import { formatBytes, formatCount, formatDuration, formatMoment } from '../terminal/format.ts';
import { inertText } from '../../log/terminal-sanitiser.ts';
import { jobTitleOf, repositoryTitle } from '../terminal/job-table.ts';
import { failedStepsOf, stepsNamed, stepsOf } from '../../log/log-steps.ts';
import type { JobStep } from '../../log/log-steps.ts';
import { createLogView } from '../../log/log-view.ts';
import type { LineRange, LogView, LogViewOptions } from '../../log/log-view.ts';
import type { ReadingDeps, ReadingSession } from './reading-session.ts';
import { paint } from '../terminal/table.ts';
import { momentOf, resultOf } from '../../archive/record.ts';

/** What is to be printed of a log. */
export interface CatRequest {
  /** Number or name of a step. */
  readonly step: string | null;
  /** Line within that step that the address points at. */
  readonly pointedAt: number | null;
  readonly failed: boolean;
  readonly lines: LineRange | null;
  /** Only so many of the last lines selected. */
  readonly tail: number | null;
  readonly noTimestamps: boolean;
  /** Whether other jobs' logs are printed before or after this one. */
  readonly isOneOfSeveral: boolean;
  readonly format: 'text' | 'raw' | 'json';
}

const LF = 0x0a;
/** Characters of a commit's hash shown, as GitHub shows them, and a few more. */
const SHA_CHARACTERS = 12;

/** Prints what is asked of one job's log, checking it on the way. Answers the exit code. */
export async function printLog(
  deps: ReadingDeps,
  session: ReadingSession,
  record: JobRecord,
  log: RecordedLog,
  request: CatRequest,
): Promise<number> {
  const steps = stepsOf(record);
  const wanted = wantedSteps(record, steps, request);
  if ('problem' in wanted) {
    await session.say(wanted.problem);
    return wanted.exit;
  }
  const isForPeople = deps.terminal.isTTY && request.format !== 'json';
  const header = headerOf(deps, record, log, wanted.steps);
  if (request.isOneOfSeveral && request.format === 'text')
    await session.out.write(`${headingOf(deps, record)}\n`);
  if (isForPeople)
    for (const line of request.isOneOfSeveral ? header.slice(1) : header) await session.say(line);

  const options: LogViewOptions = {
    format: request.format,
    color: deps.terminal.color,
    steps,
    onlySteps: wanted.steps === null ? null : new Set(wanted.steps.map(({ number }) => number)),
    onlyLines: request.lines,
    pointedAt: request.pointedAt,
    noTimestamps: request.noTimestamps,
    jobId: request.isOneOfSeveral ? record.job_id : null,
  };
  try {
    const lines = request.lines ?? tailLines(log, request, wanted.steps);
    const part = partOf(log, { lines, steps: wanted.steps });
    const read = (): AsyncGenerator<Buffer> =>
      part === null ? readLog(deps.store, log) : readLogPart(deps.store, log, part);
    const selected = { ...options, onlyLines: lines, firstLine: part?.firstLine ?? 1 };
    const skipped = await linesBeforeTail(read, request, selected);
    const view = createLogView({ ...selected, skipped });
    const shown = await printView(deps, session, read(), view);
    if (shown === 'reader gone') return EXIT.ok;
    if (shown === 'open line' && request.isOneOfSeveral && request.format === 'text')
      await session.out.write('\n');
    else if (shown === 'open line' && isForPeople) await session.say('');
    if (isForPeople) await session.say(paint(verdictOf(log, part), 'dim', deps.terminal));
    return await sayWhatWasSelected(session, log, wanted.steps, view, request);
  } catch (error) {
    if (!(error instanceof EverlogError) || error.code !== 'object_corrupt') throw error;
    await session.say(`everlog: NOT what was archived: ${inertText(error.message)}`);
    return EXIT.findings;
  }
}

/** Prints the view of a log. What was read of a log that turns out not to be the archived one is printed before that is told. */
async function printView(
  deps: ReadingDeps,
  session: ReadingSession,
  chunks: AsyncIterable<Buffer>,
  view: LogView,
): Promise<'whole' | 'open line' | 'reader gone'> {
  let endsOpen = false;
  const print = async (bytes: Buffer): Promise<boolean> => {
    if (bytes.length > 0) endsOpen = bytes.at(-1) !== LF;
    return session.out.write(bytes);
  };
  try {
    for await (const chunk of chunks) if (!(await print(view.push(chunk)))) return 'reader gone';
  } catch (error) {
    await print(view.end());
    if (endsOpen && deps.terminal.isTTY) await session.say('');
    throw error;
  }
  if (!(await print(view.end()))) return 'reader gone';
  return endsOpen ? 'open line' : 'whole';
}

/** What was checked: of a part each block, of the whole log all of it. */
function verdictOf(log: RecordedLog, part: LogPart | null): string {
  if (part === null) return `verified ✓ SHA-256 ${log.sha256}`;
  const blocks = log.points?.length ?? 0;
  return `verified ✓ SHA-256 of the ${part.to - part.from} blocks read, of ${blocks}`;
}

/** The last lines of a whole log, whose number the record says; null where something else chooses the lines. */
function tailLines(
  log: RecordedLog,
  { tail }: CatRequest,
  steps: readonly JobStep[] | null,
): LineRange | null {
  if (tail === null || steps !== null || log.lines === 0) return null;
  return { from: Math.max(1, log.lines - tail + 1), to: Infinity };
}

/** How many selected lines stand before the tail that is wanted, where they have to be counted. */
async function linesBeforeTail(
  read: () => AsyncIterable<Buffer>,
  { tail, lines }: CatRequest,
  options: LogViewOptions,
): Promise<number> {
  if (tail === null || (options.onlySteps === null && lines === null)) return 0;
  const counting = createLogView({ ...options, format: 'raw' });
  for await (const chunk of read()) counting.push(chunk);
  counting.end();
  return Math.max(0, (counting.selectedLines() ?? 0) - tail);
}

/** The steps to print, null for all of the log; or why there are none. */
function wantedSteps(
  record: JobRecord,
  steps: readonly JobStep[],
  request: CatRequest,
): { steps: readonly JobStep[] | null } | { problem: string; exit: number } {
  if (request.step === null && !request.failed) return { steps: null };
  if (steps.length === 0) {
    const problem = 'GitHub named no steps for this job, so its log cannot be told apart by step.';
    return { problem, exit: EXIT.notFound };
  }
  if (request.failed) {
    const failed = failedStepsOf(record);
    if (failed.length > 0) return { steps: failed };
    return { problem: `No step failed: the job ended with ${inertText(resultOf(record))}.`, exit: EXIT.ok };
  }
  const wanted = request.step ?? '';
  const named = stepsNamed(steps, wanted);
  const list = (some: readonly JobStep[]): string => some.map((step) => `  ${describeStep(step)}`).join('\n');
  if (named.length === 1) return { steps: named };
  if (named.length > 1) {
    const problem = `Several steps are called ${inertText(wanted)}; name one by its number:\n${list(named)}`;
    return { problem, exit: EXIT.usage };
  }
  return {
    problem: `The job has no step ${inertText(wanted)}. Its steps:\n${list(steps)}`,
    exit: EXIT.notFound,
  };
}

function headerOf(
  deps: ReadingDeps,
  record: JobRecord,
  log: RecordedLog,
  steps: readonly JobStep[] | null,
): string[] {
  const { terminal } = deps;
  const conclusion = resultOf(record);
  const tone = conclusion === 'success' ? 'good' : conclusion === 'failure' ? 'bad' : 'title';
  const commit = [record.head_branch, record.head_sha?.slice(0, SHA_CHARACTERS)].filter((part) => part);
  const tookMs = Date.parse(record.completed_at ?? '') - Date.parse(record.started_at ?? '');
  const facts = [
    paint(inertText(conclusion), tone, terminal),
    ...(commit.length > 0 ? [inertText(commit.join(' '))] : []),
    `${formatMoment(momentOf(record))} UTC${Number.isNaN(tookMs) ? '' : `, ${formatDuration(tookMs)}`}`,
    `${formatBytes(log.bytes)}, ${formatCount(log.lines)} ${log.lines === 1 ? 'line' : 'lines'}`,
  ];
  const title = `${inertText(repositoryTitle(record))} · ${inertText(jobTitleOf(record))}`;
  const attempt = record.run_attempt === null ? '' : ` · attempt ${record.run_attempt}`;
  return [
    `${paint(title, 'title', terminal)}${attempt} · job ${record.job_id}`,
    facts.join(' · '),
    ...pageLine(deps, record),
    ...(record.fetch.possibly_truncated ? ['GitHub may have served this log before it was whole.'] : []),
    ...(steps ?? []).map((step) => `step ${describeStep(step)}`),
  ];
}

/** The web page of a job, where the configuration says how people reach it. */
function pageLine({ webUrl }: ReadingDeps, { host, owner, repo, run_id, job_id }: JobRecord): string[] {
  if (webUrl === undefined || webUrl === null) return [];
  return [pageAddress(webUrl, { host, owner, repo, runId: run_id, jobId: job_id })];
}

/** Stands before each log where several are printed, so that a reader of the output can tell them apart. */
function headingOf(deps: ReadingDeps, record: JobRecord): string {
  const attempt = record.run_attempt === null ? '' : ` · attempt ${record.run_attempt}`;
  const title = `${inertText(jobTitleOf(record))}${attempt} · job ${record.job_id}`;
  return paint(`==> ${title} · ${inertText(resultOf(record))} <==`, 'title', deps.terminal);
}

function describeStep(step: JobStep): string {
  return `${step.number} ${inertText(step.name)} (${inertText(step.conclusion ?? 'no conclusion')})`;
}

/** Tells where an address pointed, and says so when nothing was selected. */
async function sayWhatWasSelected(
  session: ReadingSession,
  log: RecordedLog,
  steps: readonly JobStep[] | null,
  view: LogView,
  { pointedAt }: CatRequest,
): Promise<number> {
  const pointed = view.pointedLine();
  if (pointed !== null) await session.say(`The line pointed at is line ${formatCount(pointed)} of the log.`);
  else if (pointedAt !== null && steps !== null && view.selectedLines() !== 0) {
    await session.say(`The address points at line ${pointedAt} of the step, which has fewer.`);
  }
  if (view.selectedLines() !== 0) return EXIT.ok;
  if (steps === null) {
    await session.say(`No such line: the log has ${formatCount(log.lines)}.`);
    return EXIT.notFound;
  }
  const names = steps.map(describeStep).join(', ');
  await session.say(`No line of the log falls within step ${names}, judged by the lines' time stamps.`);
  return EXIT.ok;
}
