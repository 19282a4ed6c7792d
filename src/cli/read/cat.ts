import type { JobRecord } from '../../archive/record.ts';
import { findRecords } from '../../archive/find/find-records.ts';
import type { FoundRecords, StoredRecord } from '../../archive/find/find-records.ts';
import { parseJobReference } from '../../archive/find/job-reference.ts';
import type { JobReference } from '../../archive/find/job-reference.ts';
import { describeAbsence } from './absence.ts';
import { printLog } from './cat-log.ts';
import type { CatRequest } from './cat-log.ts';
import { EXIT } from '../exit.ts';
import { counted, formatCount } from '../terminal/format.ts';
import { inertText } from '../../log/terminal-sanitiser.ts';
import { formatJobTable, jobTitleOf } from '../terminal/job-table.ts';
import { isFailed } from '../../archive/find/conclusion.ts';
import { stepsOf } from '../../log/log-steps.ts';
import { parseLineRange } from '../../log/log-view.ts';
import { tellUncovered } from './coverage.ts';
import { withReadingSession } from './reading-session.ts';
import type { ReadingDeps, ReadingSession } from './reading-session.ts';

export interface CatOptions {
  /** Number or name of a step. */
  readonly step?: string | undefined;
  readonly failed?: boolean | undefined;
  /** `A-B`, of the whole log, from 1. */
  readonly lines?: string | undefined;
  /** So many of the last lines. */
  readonly tail?: string | undefined;
  /** False leaves GitHub's stamps out. */
  readonly timestamps?: boolean | undefined;
  readonly raw?: boolean | undefined;
  readonly json?: boolean | undefined;
}

/** Jobs listed to choose from; of more, `ls` shows them all. */
const CHOICES_MAX = 200;
/** Last lines that can be asked for. */
const TAIL_LINES_MAX = 1_000_000;
/** Places named that were looked through in vain. */
const PLACES_NAMED_MAX = 5;

/**
 * `everlog cat`: prints the log of the job that `target` names: a pasted address, or the id of a job or run. The log's bytes are
 * checked against its record while they are printed. With `--failed`, a run means each failed job of its newest attempt.
 * Answers 0; 2 for bad options, or when several jobs match, which are listed; 3 when there is no such job, log, step or line;
 * 4 when the record or log is not what it should be. A reader that goes away (`| head`) is no failure.
 * @throws EverlogError where the archive does not answer.
 */
export async function runCat(deps: ReadingDeps, target: string, options: CatOptions): Promise<number> {
  return withReadingSession(deps, async (session) => {
    const parsed = parseJobReference(target);
    const problems = [...(parsed.ok ? [] : [parsed.problem]), ...optionProblems(options)];
    if (!parsed.ok || problems.length > 0) {
      for (const problem of problems) await session.say(`everlog cat: ${problem}`);
      return EXIT.usage;
    }

    let keys = 0;
    const found = await findRecords(deps.store, parsed.reference, {
      onProblem: session.noteProblem,
      onOddity: session.noteOddity,
      onKey() {
        keys += 1;
        session.progress.show(() => `looking for the job: ${formatCount(keys)} keys`);
      },
    });
    session.progress.clear();
    const unreadable = await session.tellProblems();
    if (found.records.length === 0) {
      if (unreadable > 0) return EXIT.findings;
      for (const line of notFoundLines(parsed.reference, found)) await session.say(line);
      return EXIT.notFound;
    }
    const chosen = chooseRecord(found.records, parsed.reference);
    const request = requestOf(options, parsed.reference);
    if (chosen === null && !request.failed) return offerChoice(deps, session, found.records);
    if (chosen !== null) await tellUncovered(deps.store, session, [chosen]);
    const exit =
      chosen === null
        ? await printFailedJobs(deps, session, found.records, request)
        : await printJob(deps, session, chosen.record, request);
    // What was printed may not be the last word, or not all.
    return exit === EXIT.ok && unreadable > 0 ? EXIT.findings : exit;
  });
}

async function printJob(
  deps: ReadingDeps,
  session: ReadingSession,
  record: JobRecord,
  request: CatRequest,
): Promise<number> {
  if (record.log !== null) return printLog(deps, session, record, record.log, request);
  const title = request.isOneOfSeveral ? `${inertText(jobTitleOf(record))} (job ${record.job_id}): ` : '';
  await session.say(`${title}${describeAbsence(record)}`);
  return EXIT.notFound;
}

/** Prints each failed job of a run's newest attempt; several runs at once cannot come from one address. */
async function printFailedJobs(
  deps: ReadingDeps,
  session: ReadingSession,
  records: readonly StoredRecord[],
  request: CatRequest,
): Promise<number> {
  const newest = Math.max(...records.map(({ record }) => record.run_attempt ?? 1));
  const failed = records.filter(
    ({ record }) => (record.run_attempt ?? 1) === newest && isFailed(record.conclusion),
  );
  const runId = records[0]?.record.run_id ?? '';
  if (failed.length === 0) {
    const jobs = records.filter(({ record }) => (record.run_attempt ?? 1) === newest);
    await session.say(
      `No job failed in attempt ${newest} of run ${runId}: ${counted(jobs.length, 'job')} recorded.`,
    );
    return EXIT.ok;
  }
  await tellUncovered(deps.store, session, failed);
  let exit: number = EXIT.ok;
  for (const { record } of failed) {
    const one = await printJob(deps, session, record, { ...request, isOneOfSeveral: true });
    // A finding says more than a log that is not there.
    if (one === EXIT.findings || exit === EXIT.ok) exit = one;
  }
  return exit;
}

function optionProblems(options: CatOptions): string[] {
  const { step, failed, lines, tail, timestamps, raw, json } = options;
  const problems: string[] = [];
  if (step !== undefined && step.trim() === '') problems.push('--step takes the number or name of a step');
  if (tail !== undefined && tailOf(tail) === null)
    problems.push(`--tail takes a number of lines from 1 to ${formatCount(TAIL_LINES_MAX)}`);
  if (timestamps === false && (raw === true || json === true))
    problems.push('--no-timestamps goes with text, not with --raw or --json');
  if (lines !== undefined && parseLineRange(lines) === null)
    problems.push('--lines takes A-B, A- or -B, counted from 1');
  if (step !== undefined && failed === true) problems.push('--step and --failed exclude each other');
  if (raw === true && json === true) problems.push('--raw and --json exclude each other');
  return problems;
}

function tailOf(text: string): number | null {
  const lines = /^[1-9]\d{0,6}$/.test(text) ? Number(text) : 0;
  return lines >= 1 && lines <= TAIL_LINES_MAX ? lines : null;
}

/** What the options ask for; a step in the address counts where no option selects anything. */
function requestOf(options: CatOptions, reference: JobReference): CatRequest {
  const lines = options.lines === undefined ? null : parseLineRange(options.lines);
  const failed = options.failed === true;
  const selects = options.step !== undefined || failed || lines !== null;
  const pasted = reference.kind === 'place' && !selects ? reference : null;
  return {
    step: options.step ?? (pasted === null || pasted.step === null ? null : String(pasted.step)),
    pointedAt: pasted?.line ?? null,
    failed,
    lines,
    tail: options.tail === undefined ? null : tailOf(options.tail),
    noTimestamps: options.timestamps === false,
    isOneOfSeveral: false,
    format: options.json === true ? 'json' : options.raw === true ? 'raw' : 'text',
  };
}

/** The one job that is meant: the only one, the only one with a log, or the only one with a log and the step pointed at. */
function chooseRecord(records: readonly StoredRecord[], reference: JobReference): StoredRecord | null {
  const step = reference.kind === 'place' ? reference.step : null;
  const withLog = records.filter(({ record }) => record.log !== null);
  const withStep = withLog.filter(({ record }) => stepsOf(record).some(({ number }) => number === step));
  for (const candidates of [records, withLog, withStep]) {
    const [only, ...others] = candidates;
    if (only !== undefined && others.length === 0) return only;
  }
  return null;
}

async function offerChoice(
  deps: ReadingDeps,
  session: ReadingSession,
  records: readonly StoredRecord[],
): Promise<number> {
  const hasLogs = records.some(({ record }) => record.log !== null);
  const shown = records.slice(0, CHOICES_MAX).map(({ record }) => record);
  await session.say(
    hasLogs
      ? `${formatCount(records.length)} jobs match; choose one with: everlog cat JOB_ID${failedHint(records)}`
      : `${formatCount(records.length)} jobs match, and none has a log:`,
  );
  await session.say(formatJobTable(shown, deps.terminal, deps.now()).trimEnd());
  if (records.length > shown.length)
    await session.say(`… and ${formatCount(records.length - shown.length)} more`);
  return hasLogs ? EXIT.usage : EXIT.notFound;
}

function failedHint(records: readonly StoredRecord[]): string {
  const runs = new Set(records.map(({ record }) => record.run_id));
  const failed = records.some(({ record }) => isFailed(record.conclusion));
  return failed && runs.size === 1 ? ' · or all that failed, with --failed' : '';
}

function notFoundLines(reference: JobReference, found: FoundRecords): string[] {
  if (reference.kind === 'id') {
    const where = reference.host === null ? '' : ` of ${inertText(reference.host)}`;
    return [`No job and no run ${reference.id}${where} is recorded in this archive.`];
  }
  const { owner, repo, runId, attempt, jobId } = reference;
  const host = reference.host === null ? '' : `${reference.host}/`;
  const parts = [
    jobId === null ? null : `job ${jobId}`,
    runId === null ? null : `run ${runId}`,
    jobId === null && attempt !== null ? `attempt ${attempt}` : null,
  ].filter((part) => part !== null);
  return [
    `Not recorded in this archive: ${parts.join(', ')} of ${host}${owner}/${repo}.`,
    `Looked below ${found.lookedBelow.slice(0, PLACES_NAMED_MAX).map(inertText).join(', ')}`,
    jobId === null
      ? `Other jobs of the repository: everlog ls --repo ${owner}/${repo}`
      : `To look in every repository: everlog cat ${jobId}`,
  ];
}
