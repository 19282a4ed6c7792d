import type { Terminal } from '../terminal/terminal.ts';
import type { ComparisonPlan, ComparisonProgress, ComparisonResult } from './comparison.ts';
import { counted, formatCount, formatDuration, formatMoment } from '../terminal/format.ts';
import { inertText } from '../../log/terminal-sanitiser.ts';
import { formatTable } from '../terminal/table.ts';

/** What a comparison of GitHub with the archive shows: progress, the gaps, and the figures. */

const BAR_WIDTH = 20;
/** Gaps shown to a person; `--json` has more. */
const GAPS_SHOWN_MAX = 100;
const RUN_NUMBERS_SHOWN_MAX = 5;

/** One line of how far it is; with a known total a bar, the rate and the time left. */
export function progressLine(progress: ComparisonProgress, elapsedMs: number): string {
  const { counts, runsTotal, queued, apiCalls } = progress;
  const logs = `${counted(queued, 'log')} queued, ${formatCount(Math.max(0, counts.missing))} to come`;
  const expiring =
    counts.expiring === 0 ? '' : `, ${counted(counts.expiring, 'log')} to expire within 7 days`;
  if (runsTotal === null) {
    return `${counted(counts.runs, 'run')} of ${counted(progress.repositories, 'repository', 'repositories')} compared, ${logs}${expiring}, ${counted(apiCalls, 'API call')}`;
  }
  const share = runsTotal === 0 ? 1 : Math.min(1, counts.runs / runsTotal);
  const bar = '#'.repeat(Math.round(share * BAR_WIDTH)).padEnd(BAR_WIDTH, '.');
  const done = counts.runs;
  const perMinute = elapsedMs < 1_000 ? null : (done / elapsedMs) * 60_000;
  const left = runsTotal - counts.runs;
  const eta =
    perMinute === null || perMinute <= 0 ? '' : `, ETA ${formatDuration((left / perMinute) * 60_000)}`;
  const rate = perMinute === null ? '' : `, ${counted(Math.round(perMinute), 'run')}/min`;
  return `[${bar}] ${Math.floor(share * 100)} % of ${counted(runsTotal, 'run')}${rate}${eta}, ${logs}${expiring}`;
}

/** The document of `--json`. */
export function comparisonDocument(plan: ComparisonPlan, result: ComparisonResult): Record<string, unknown> {
  const { counts } = result;
  return {
    gaps: result.gaps,
    gaps_found: result.gapsFound,
    queued: plan.dryRun ? 0 : result.queued,
    ...(plan.dryRun ? { would_queue: result.queued, would_cost_api_calls: fetchCalls(result) } : {}),
    archived: counts.archived,
    absent: counts.absent,
    unfinished: counts.unfinished,
    missing: counts.missing,
    unreadable: counts.unreadable,
    jobs: counts.jobs,
    runs: counts.runs,
    attempts_complete: counts.attempts_complete,
    attempts_compared: counts.attempts_compared,
    looked_again: counts.looked_again,
    expiring: counts.expiring,
    repositories: result.repositories,
    skipped: result.skipped.map(({ host, installation, account, suspended, reason }) => ({
      host,
      installation,
      account,
      suspended,
      reason,
    })),
    deleted_run_numbers: result.runNumberGaps,
    api_calls: result.apiCalls,
    since: plan.since.toISOString(),
    until: plan.until.toISOString(),
    reconciled_through: result.reconciledThrough?.toISOString() ?? null,
    dry_run: plan.dryRun,
  };
}

/** The gaps as a table, then the figures. */
export function comparisonText(plan: ComparisonPlan, result: ComparisonResult, terminal: Terminal): string {
  const { counts, gaps, gapsFound } = result;
  const shown = gaps.slice(0, GAPS_SHOWN_MAX);
  const table = shown.length === 0 ? '' : gapTable(shown, terminal);
  const absent = Object.entries(counts.absent).map(
    ([outcome, jobs]) => `${formatCount(jobs)} ${inertText(outcome)}`,
  );
  const lines = [
    ...(gapsFound > shown.length ? [`… and ${formatCount(gapsFound - shown.length)} more gaps`] : []),
    ...result.skipped
      .filter(({ suspended }) => suspended)
      .map(({ account, reason }) => `not looked into: ${inertText(account ?? '')}: ${reason}`),
    ...runNumberLines(result),
    `${counted(result.repositories, 'repository', 'repositories')}, ${counted(counts.runs, 'run')} and ${counted(counts.jobs, 'job')} from ${formatMoment(plan.since.toISOString())} to ${formatMoment(plan.until.toISOString())} UTC`,
    `${formatCount(counts.archived)} archived, ${absent.length === 0 ? '0 absent' : absent.join(', ')}, ${formatCount(counts.unfinished)} not over, ${formatCount(counts.missing)} missing`,
    queuedLine(plan, result),
    gapsFound === 0 ? 'No gaps.' : `${counted(gapsFound, 'gap')} ${gapsFound === 1 ? 'remains' : 'remain'}.`,
  ];
  return `${table}${lines.join('\n')}\n`;
}

function gapTable(gaps: ComparisonResult['gaps'], terminal: Terminal): string {
  return formatTable(
    [
      { title: 'REPOSITORY', shrinkTo: 12 },
      { title: 'RUN' },
      { title: 'JOB ID' },
      { title: 'SINCE' },
      { title: 'NEXT LOOK' },
      { title: 'REASON', shrinkTo: 20 },
    ],
    gaps.map((gap) => [
      { text: gap.repo === '' ? `${gap.host} ${gap.owner}`.trim() : `${gap.owner}/${gap.repo}` },
      { text: gap.run_id === null ? '' : `${gap.run_id}/${gap.run_attempt ?? 1}` },
      { text: String(gap.job_id ?? '') },
      { text: formatMoment(gap.since) },
      { text: formatMoment(gap.next_at) },
      { text: gap.reason, tone: 'bad' as const },
    ]),
    terminal,
  );
}

function queuedLine(plan: ComparisonPlan, result: ComparisonResult): string {
  const calls = counted(result.apiCalls, 'API call');
  if (!plan.dryRun) return `${counted(result.queued, 'job')} queued, ${calls}`;
  return `Dry run: ${counted(result.queued, 'job')} would be queued and cost up to ${counted(fetchCalls(result), 'API call')}; looking took ${calls}`;
}

/** A job's details and its link. */
function fetchCalls({ queued }: ComparisonResult): number {
  return queued * 2;
}

function runNumberLines({ runNumberGaps }: ComparisonResult): string[] {
  const shown = runNumberGaps
    .slice(0, RUN_NUMBERS_SHOWN_MAX)
    .map(({ repository, run_number }) => `${repository} #${run_number}`);
  if (shown.length === 0) return [];
  const more = runNumberGaps.length > shown.length ? ` and ${runNumberGaps.length - shown.length} more` : '';
  return [`Run numbers without a run, deleted before they were seen: ${inertText(shown.join(', '))}${more}`];
}
