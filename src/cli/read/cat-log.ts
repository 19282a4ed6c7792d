import { readLog } from '../../log/log-reader.ts';
import type { JobRecord, RecordedLog } from '../../archive/record.ts';
import { momentOf } from '../../archive/record.ts';
import { EverlogError } from '../../errors.ts';
import { EXIT } from '../exit.ts';
import { formatBytes, formatCount, formatDuration, formatMoment } from '../terminal/format.ts';
import { inertText } from '../../log/inert.ts';
import { jobTitleOf, repositoryOf, resultOf } from '../terminal/job-table.ts';
import { failedStepsOf, stepsOf } from '../../log/log-steps.ts';
import type { JobStep } from '../../log/log-steps.ts';
import { createLogView } from '../../log/log-view.ts';
import type { LineRange, LogView } from '../../log/log-view.ts';
import type { ReadingDeps, ReadingSession } from './reading-session.ts';
import { paint } from '../terminal/table.ts';

/** What is to be printed of a log. */
export interface CatRequest {
  readonly step: number | null;
  /** Line within that step that the address points at. */
  readonly pointedAt: number | null;
  readonly failed: boolean;
  readonly lines: LineRange | null;
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
  if (isForPeople) for (const line of headerOf(deps, record, log, wanted.steps)) await session.say(line);

  const view = createLogView({
    format: request.format,
    color: deps.terminal.color,
    steps,
    onlySteps: wanted.steps === null ? null : new Set(wanted.steps.map(({ number }) => number)),
    onlyLines: request.lines,
    pointedAt: request.pointedAt,
  });
  let endsOpen = false;
  const show = async (bytes: Buffer): Promise<boolean> => {
    if (bytes.length > 0) endsOpen = bytes.at(-1) !== LF;
    return session.out.write(bytes);
  };
  try {
    for await (const chunk of readLog(deps.store, log)) if (!(await show(view.push(chunk)))) return EXIT.ok;
  } catch (error) {
    if (!(error instanceof EverlogError) || error.code !== 'object_corrupt') throw error;
    await show(view.end());
    if (isForPeople && endsOpen) await session.say('');
    await session.say(`everlog: NOT what was archived: ${inertText(error.message)}`);
    return EXIT.findings;
  }
  if (!(await show(view.end()))) return EXIT.ok;
  if (isForPeople && endsOpen) await session.say('');
  if (isForPeople) await session.say(paint(`verified ✓ SHA-256 ${log.sha256}`, 'dim', deps.terminal));
  return sayWhatWasSelected(session, log, wanted.steps, view);
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
  const named = steps.filter(({ number }) => number === request.step);
  if (named.length > 0) return { steps: named };
  const list = steps.map((step) => `  ${describeStep(step)}`).join('\n');
  return { problem: `The job has no step ${request.step}. Its steps:\n${list}`, exit: EXIT.notFound };
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
  const title = `${inertText(repositoryOf(record))} · ${inertText(jobTitleOf(record))}`;
  const attempt = record.run_attempt === null ? '' : ` · attempt ${record.run_attempt}`;
  return [
    `${paint(title, 'title', terminal)}${attempt} · job ${record.job_id}`,
    facts.join(' · '),
    ...(record.fetch.possibly_truncated ? ['GitHub may have served this log before it was whole.'] : []),
    ...(steps ?? []).map((step) => `step ${describeStep(step)}`),
  ];
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
): Promise<number> {
  const pointed = view.pointedLine();
  if (pointed !== null) await session.say(`The line pointed at is line ${formatCount(pointed)} of the log.`);
  if (view.selectedLines() !== 0) return EXIT.ok;
  if (steps === null) {
    await session.say(`No such line: the log has ${formatCount(log.lines)}.`);
    return EXIT.notFound;
  }
  const names = steps.map(describeStep).join(', ');
  await session.say(`No line of the log falls within step ${names}, judged by the lines' time stamps.`);
  return EXIT.ok;
}
