import type { Command } from 'commander';
import { parseJobReference, type JobReference } from '../../archive/find/job-reference.ts';
import { readHolds } from '../../archive/custody/holds.ts';
import { hasWork, planPurge, purge, type PurgeOptions, type PurgePlan } from '../../archive/custody/purge.ts';
import type { PurgeResult } from '../../archive/custody/purge.ts';
import { giveUp } from '../../errors.ts';
import { confirmed } from '../terminal/confirm.ts';
import { withCustodyWork, type CustodyWork } from './custody-work.ts';
import { EXIT } from '../exit.ts';
import { counted, formatCount } from '../terminal/format.ts';
import { inertText } from '../../log/terminal-sanitiser.ts';
import { jobTitleOf, repositoryTitle } from '../terminal/job-table.ts';
import { lockedDocument, lockedLine, sealedByText } from './removal-report.ts';
import { gatherValues } from '../repeatable.ts';

/** `everlog purge`: removes logs for good, with evidence. */

interface PurgeCommand {
  readonly job: readonly string[];
  readonly reason: string;
  readonly record?: boolean;
  readonly bypassGovernance?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly json?: boolean;
}

interface Wanted {
  readonly text: string;
  readonly reference: JobReference;
  /** A host that the job must be of, where one was named without an address. */
  readonly host: string | null;
}

interface PurgedJob {
  readonly wanted: Wanted;
  /** Null: the archive does not know the job. */
  readonly plan: PurgePlan | null;
  /** Null: nothing was done. */
  readonly result: PurgeResult | null;
}

export function registerPurge(program: Command, done: (exit: number) => void): void {
  program
    .command('purge')
    .description('remove the logs of jobs for good, with evidence: for leaked secrets and duties of erasure')
    .option('--job <job>', 'HOST/ID, address or job id; can be repeated', gatherValues, [])
    .requiredOption('--reason <text>', 'why, for the custody object')
    .option('--record', 'the records too; the next revision leaves out what may tell of people')
    .option('--bypass-governance', 'pass over GOVERNANCE locks, with the right to it')
    .option('--dry-run', 'look and print; remove nothing')
    .option('--yes', 'do not ask')
    .option('--json', 'one JSON document')
    .action(async (options: PurgeCommand) => done(await runPurge(options)));
}

async function runPurge(command: PurgeCommand): Promise<number> {
  const reason = command.reason.trim();
  if (reason === '') throw giveUp('usage', '--reason is empty: say why, for whoever finds the logs gone');
  if (command.job.length === 0)
    throw giveUp('usage', '--job is missing: name each job by HOST/ID, its address or its id');
  const wanted = command.job.map(wantedOf);
  const options: PurgeOptions = {
    reason,
    record: command.record === true,
    bypassGovernance: command.bypassGovernance === true,
  };
  return withCustodyWork(async (work) => {
    const { session, archive } = work;
    const holds = await readHolds(archive, session.noteProblem);
    let keys = 0;
    const hooks = {
      onProblem: session.noteProblem,
      onKey: () => session.progress.show(() => `${formatCount((keys += 1))} records looked at`),
    };
    const outcomes: PurgedJob[] = [];
    for (const one of wanted) {
      const plan = await planPurge(archive, one.reference, one.host, holds, options, new Date(), hooks);
      outcomes.push({ wanted: one, plan, result: null });
    }
    session.progress.clear();
    const isWork = outcomes.some(({ plan }) => plan !== null && plan.heldBy.length === 0 && hasWork(plan));
    const goesOn = command.dryRun !== true && isWork;
    if (goesOn && !(await mayGoOn(work, outcomes, command))) return EXIT.failed;
    const { final, sealedBy } = goesOn
      ? await carryOut(work, outcomes, options)
      : { final: outcomes, sealedBy: null };
    if (command.json === true)
      await session.out.write(`${JSON.stringify(purgeDocument(final, sealedBy, command))}\n`);
    else {
      const lines = final.map((outcome) => purgeText(outcome, command)).join('');
      await session.out.write(lines + (goesOn ? sealedByText(sealedBy) : ''));
    }
    return purgeExit(final, await session.tellProblems());
  });
}

function wantedOf(text: string): Wanted {
  const parsed = parseJobReference(text);
  if (!parsed.ok) throw giveUp('usage', `--job ${inertText(text)}: ${parsed.problem}`);
  const { reference } = parsed;
  if (reference.kind === 'place' && reference.jobId === null) {
    throw giveUp('usage', `--job ${inertText(text)} names a run: name its jobs`);
  }
  return { text, reference, host: reference.host };
}

async function mayGoOn(
  { session, archive }: CustodyWork,
  outcomes: readonly PurgedJob[],
  command: PurgeCommand,
): Promise<boolean> {
  const plans = outcomes.flatMap(({ plan }) => (plan === null || plan.heldBy.length > 0 ? [] : [plan]));
  for (const plan of command.yes === true ? [] : plans) await session.say(planLine(plan));
  const objects = plans.flatMap(({ copies }) => copies.flatMap(({ free }) => free)).length;
  const question = `Remove ${counted(objects, 'object')} from ${inertText(archive.location)} for good?`;
  if (await confirmed(question, command.yes === true)) return true;
  await session.say('nothing was changed');
  return false;
}

async function carryOut(
  work: CustodyWork,
  outcomes: readonly PurgedJob[],
  options: PurgeOptions,
): Promise<{ readonly final: readonly PurgedJob[]; readonly sealedBy: number | null }> {
  const deps = await work.recording();
  await work.seal();
  const final: PurgedJob[] = [];
  for (const outcome of outcomes) {
    const { plan } = outcome;
    const isDue = plan !== null && plan.heldBy.length === 0;
    final.push(isDue ? { ...outcome, result: await purge(deps, plan, options) } : outcome);
  }
  return { final, sealedBy: await work.seal() };
}

function purgeExit(outcomes: readonly PurgedJob[], problems: number): number {
  const isKept = ({ plan, result }: PurgedJob): boolean =>
    plan !== null && (plan.heldBy.length > 0 || lockedCopies(plan, result).length > 0);
  if (problems > 0 || outcomes.some(isKept)) return EXIT.findings;
  return outcomes.some(({ plan }) => plan === null) ? EXIT.notFound : EXIT.ok;
}

/** What stays behind a lock, also of a plan that was not carried out. */
function lockedCopies(plan: PurgePlan, result: PurgeResult | null): PurgeResult['locked'] {
  return result?.locked ?? plan.copies.flatMap(({ locked }) => locked);
}

function purgeDocument(
  outcomes: readonly PurgedJob[],
  sealedBy: number | null,
  command: PurgeCommand,
): object {
  return {
    dry_run: command.dryRun === true,
    sealed_by: sealedBy,
    jobs: outcomes.flatMap(({ plan, result }) =>
      plan === null
        ? []
        : [
            {
              host: plan.host,
              job_id: plan.jobId,
              objects: plan.copies.reduce((sum, { free }) => sum + free.length, 0),
              removed: result?.removed ?? 0,
              erased: result?.erased ?? [],
              custody: result?.custody ?? [],
              held_by: plan.heldBy,
              locked: lockedCopies(plan, result).map(lockedDocument),
            },
          ],
    ),
    missing: outcomes.flatMap(({ wanted, plan }) => (plan === null ? [wanted.text] : [])),
  };
}

function purgeText({ wanted, plan, result }: PurgedJob, command: PurgeCommand): string {
  if (plan === null) return `${inertText(wanted.text)}: no such job is recorded\n`;
  const lines: string[] = [];
  const name = `${plan.host}/${plan.jobId}`;
  if (plan.heldBy.length > 0) {
    lines.push(`${name}: held by case ${plan.heldBy.map(inertText).join(', ')}; nothing was removed`);
  } else if (result === null) {
    const nothing =
      lockedCopies(plan, result).length > 0 ? 'nothing may be removed' : 'nothing is left to remove';
    lines.push(command.dryRun === true && hasWork(plan) ? planLine(plan) : `${name}: ${nothing}`);
  } else {
    lines.push(`${name}: removed ${counted(result.removed, 'object')}`);
    for (const key of result.erased) lines.push(`  ${key} says that the job was erased`);
    for (const key of result.custody) lines.push(`  ${key} says by whom and why`);
  }
  for (const locked of lockedCopies(plan, result)) lines.push(`  ${lockedLine(locked)}`);
  return lines.map((line) => `${line}\n`).join('');
}

function planLine(plan: PurgePlan): string {
  const free = plan.copies.flatMap((copy) => copy.free);
  const logs = free.filter(({ type }) => type === 'log').length;
  const record = plan.copies[0]?.newest.record;
  const title =
    record === undefined ? '' : ` (${inertText(`${repositoryTitle(record)}: ${jobTitleOf(record)}`)})`;
  const counts = `${counted(free.length, 'object')}, ${formatCount(logs)} of them logs`;
  return `${plan.host}/${plan.jobId}${title}: would remove ${counts}`;
}
