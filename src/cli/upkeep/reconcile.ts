import type { Command } from 'commander';
import { openArchive } from '../../service/archive.ts';
import {
  noteComparison,
  openReconciling,
  rerunWindow,
  type ComparedScope,
} from '../../service/reconciling.ts';
import { loadConfig, type Config } from '../../config.ts';
import { giveUp } from '../../errors.ts';
import { openLocalRateLimiter } from '../../queue/rate-limiter.ts';
import { comparisonDocument, comparisonText, progressLine } from './comparison-report.ts';
import { runComparison, type ComparisonPlan, type ComparisonProgress } from './comparison.ts';
import { EXIT } from '../exit.ts';
import { formatMoment } from '../terminal/format.ts';
import { openWorkingQueue, type CommandQueue } from '../queue-work.ts';
import { parseFilters } from '../read/filter-options.ts';
import { standardTerminal, terminalOf } from '../terminal/standard-terminal.ts';
import { openProgress } from '../terminal/terminal.ts';
import { print, tell } from '../terminal/print.ts';

/** `everlog reconcile` and `everlog backfill`: compare GitHub with the archive and queue what is missing. */

interface CompareOptions {
  readonly since?: string;
  readonly until?: string;
  readonly repo?: string;
  readonly owner?: string;
  readonly dryRun?: boolean;
  readonly wait?: boolean;
  readonly json?: boolean;
}

/** Where standard error is no terminal, progress is a line this often. */
const PLAIN_PROGRESS_MS = 30_000;
/** Places that could not be looked into, as digests tell of them. */
const PLACES_NOTED_MAX = 100;

export function registerReconcile(program: Command, done: (exit: number) => void): void {
  const reconcile = program
    .command('reconcile')
    .description('compare GitHub with the archive, queue what is missing, print the gaps');
  addOptions(reconcile).action(async (options: CompareOptions) => done(await compare('reconcile', options)));
  const backfill = program
    .command('backfill')
    .description('fetch what is older than the installation: oldest-expiring first, resumable');
  addOptions(backfill).action(async (options: CompareOptions) => done(await compare('backfill', options)));
}

function addOptions(command: Command): Command {
  return command
    .option('--since <date>', 'runs created since: date, RFC 3339, or a duration ago such as 7d')
    .option('--until <date>', 'runs created until')
    .option('--repo <owner/repo>', 'this repository alone')
    .option('--owner <owner>', 'repositories of this owner')
    .option('--dry-run', 'look and print; write and queue nothing')
    .option('--wait', 'wait until every job has ended or been put off')
    .option('--json', 'one JSON document');
}

async function compare(purpose: 'reconcile' | 'backfill', options: CompareOptions): Promise<number> {
  const config = loadConfig({ github: true });
  const startedAt = new Date();
  const plan = planOf(purpose, options, config, startedAt);
  const archive = await openArchive(config, config.archive);
  const queue: CommandQueue | null = plan.dryRun ? null : await openWorkingQueue();
  const progress = openComparisonProgress(purpose, startedAt);
  const { reconciler, close } = openReconciling(config, archive, {
    purpose,
    queue: queue?.control ?? null,
    rateLimiter: queue?.rateLimiter ?? openLocalRateLimiter(() => new Date()),
    onWait: (until, why) => progress.say(`waiting until ${formatMoment(until.toISOString())} UTC: ${why}`),
  });
  try {
    const control = queue?.control ?? {
      stateOf: () => Promise.reject(new Error('a dry run queues nothing')),
    };
    const waits = !plan.dryRun && (plan.waits || queue?.waits === true);
    const result = await runComparison({ ...plan, waits }, reconciler, control, (soFar) =>
      progress.show(soFar),
    );
    progress.clear();
    // What somebody asked for by name may be mistyped, or looked at in passing: a digest tells only of what all looks found.
    const isWide = plan.scope === null;
    const places = result.gaps.filter(({ run_id }) => isWide && run_id === null).slice(0, PLACES_NOTED_MAX);
    if (queue !== null)
      await noteComparison(config, queue.control.notes, {
        places,
        isWhole: isWide && result.reconciledThrough !== null,
        through: isUsual(plan.scope, options) ? result.reconciledThrough : null,
      });
    if (plan.scope !== null && result.repositories + result.gapsFound === 0)
      throw giveUp('not_found', `GitHub shows ${unseen(plan.scope)}`);
    const text =
      options.json === true
        ? `${JSON.stringify(comparisonDocument(plan, result))}\n`
        : comparisonText(plan, result, standardTerminal());
    print(text);
    return result.gapsFound > 0 ? EXIT.findings : EXIT.ok;
  } finally {
    progress.clear();
    await close();
    await queue?.close();
    await archive.close();
  }
}

function unseen(scope: NonNullable<ComparedScope>): string {
  return scope.kind === 'owner'
    ? `no repositories of ${scope.owner}`
    : `no repository ${scope.owner}/${scope.repo}`;
}

/** Whether a command looked at all that could be missing, and not at a part that somebody chose. */
function isUsual(scope: ComparedScope, { since, until }: CompareOptions): boolean {
  return scope === null && since === undefined && until === undefined;
}

function planOf(
  purpose: 'reconcile' | 'backfill',
  options: CompareOptions,
  config: Config,
  now: Date,
): ComparisonPlan {
  const { since, until, repo, owner } = options;
  const parsed = parseFilters({ since, until, repo, owner }, now);
  if (!parsed.ok) throw giveUp('usage', parsed.problems.join('; '));
  const { filters } = parsed;
  if (filters.repo !== undefined && filters.owner !== undefined)
    throw giveUp('usage', 'give --repo or --owner, not both');
  const end = filters.until !== undefined && filters.until < now ? filters.until : now;
  const backfill = purpose === 'backfill';
  const retained = new Date(now.getTime() - config.logRetentionMs);
  const usual = backfill ? retained : rerunWindow(end, config.reconcileLookbackMs).from;
  const from = filters.since ?? usual;
  return {
    scope: comparedScope(filters),
    // Nothing older is left to be fetched.
    since: backfill && from < retained ? retained : from,
    until: end,
    lookbackMs: backfill || filters.since !== undefined ? null : config.reconcileLookbackMs,
    backfill,
    dryRun: options.dryRun === true,
    waits: options.wait === true,
  };
}

function comparedScope(filters: { owner?: string; repo?: { owner: string; repo: string } }): ComparedScope {
  if (filters.repo !== undefined) return { kind: 'repository', ...filters.repo };
  return filters.owner === undefined ? null : { kind: 'owner', owner: filters.owner };
}

interface ComparisonProgressLine {
  show(progress: ComparisonProgress): void;
  say(text: string): void;
  clear(): void;
}

/** A line in place on a terminal, elsewhere one now and then; the first at once, so that a restart is seen to go on. */
function openComparisonProgress(purpose: string, startedAt: Date): ComparisonProgressLine {
  const terminal = terminalOf(process.stderr);
  const line = openProgress(process.stderr, terminal, () => new Date());
  let nextMs = 0;
  const say = (text: string): void => {
    line.clear();
    tell(`${purpose}: ${text}\n`);
  };
  return {
    say,
    show(progress) {
      const elapsedMs = Date.now() - startedAt.getTime();
      if (terminal.isTTY) {
        line.show(() => progressLine(progress, elapsedMs));
      } else if (Date.now() >= nextMs) {
        nextMs = Date.now() + PLAIN_PROGRESS_MS;
        say(progressLine(progress, elapsedMs));
      }
    },
    clear: () => line.clear(),
  };
}
