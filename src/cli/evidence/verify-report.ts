import type { Plan } from '../../ledger/verify/plan.ts';
import { isFinding, type Result } from '../../ledger/verify/results.ts';
import type { Meter } from '../../ledger/verify/scope.ts';
import type { KeySummary, Summary } from '../../ledger/verify/summary.ts';
import { counted, formatBytes, formatCount, formatDuration, formatMoment } from '../terminal/format.ts';
import { inertText } from '../../log/terminal-sanitiser.ts';
import { paint } from '../terminal/table.ts';
import type { Terminal } from '../terminal/terminal.ts';

/** How `everlog verify` says what it will do, what it finds, and what it all adds up to. */

/** `VALID 0 0`: as wide as the longest word. */
const WORD_WIDTH = 'RETENTION_SHORT'.length;
const LABEL_WIDTH = 'completeness'.length;

/** What is said before the work begins. */
export function planText({ digests, entries, objects, bytes, requests, estimateMs }: Plan): string {
  const size = `${counted(objects, 'object')} of ${counted(entries, 'entry', 'entries')}`;
  const cost = `${formatBytes(bytes)} in about ${counted(requests, 'request')}`;
  return `${counted(digests, 'digest')}, about ${size}: ${cost}, about ${formatDuration(estimateMs)}`;
}

/** How far the work is. */
export function progressText({ digests, objects, bytes, listed }: Readonly<Meter>): string {
  const seen = `${counted(digests, 'digest')}, ${counted(objects, 'object')}, ${formatBytes(bytes)}`;
  return listed === 0 ? seen : `${seen}; ${formatCount(listed)} versions listed`;
}

/** One result as a line, for people or as JSON. */
export function resultLine(result: Result, json: boolean, terminal: Terminal): string {
  if (json) return `${JSON.stringify(result)}\n`;
  const word = paint(result.result.padEnd(WORD_WIDTH), isFinding(result) ? 'bad' : 'dim', terminal);
  return `${word}  ${inertText(result.key)}: ${inertText(result.detail)}\n`;
}

/** The last line of `--json`. */
export function summaryLine(summary: Summary): string {
  return `${JSON.stringify({ summary })}\n`;
}

/** The summary for people. */
export function summaryText(summary: Summary, isBundle: boolean, terminal: Terminal): string {
  const { findings, results, level, sample } = summary;
  const counts = Object.entries(results).map(([word, count]) => `${word} ${formatCount(count)}`);
  const head =
    findings === 0
      ? paint('VALID', 'good', terminal)
      : paint(findings === 1 ? '1 FINDING' : `${formatCount(findings)} FINDINGS`, 'bad', terminal);
  const verdict = `${head}: ${verdictText(summary)}`;
  const looked = `${counted(summary.objects, 'object')}, ${formatBytes(summary.bytes)} read`;
  // The last digest speaks of the archive it was sealed in; a bundle holds a part of that.
  const ofArchive = isBundle ? 'of the archive that this is from: ' : '';
  const rows: [string, string][] = [
    ['results', counts.join(', ')],
    ['archive', inertText(summary.archive)],
    ['ledger', inertText(summary.stream ?? 'none')],
    ['digests', digestsText(summary, isBundle)],
    ['anchor', anchorText(summary)],
    ...summary.keys.map((key): [string, string] => ['key', keyText(key)]),
    ['key custody', 'a digest does not say where its private key is kept'],
    ['lock', ofArchive + lockText(summary)],
    ['completeness', ofArchive + completenessText(summary)],
    ['level', `${level}${sample === null ? '' : `, and ${formatCount(sample)} random entries`}: ${looked}`],
  ];
  return [verdict, ...rows.map(([label, text]) => `  ${label.padEnd(LABEL_WIDTH)}  ${text}`), ''].join('\n');
}

/** What the verdict is about: the window, what was counted in it, and how much of it is gone with evidence. */
function verdictText({ selection, window, entries, objects, erased, expired }: Summary): string {
  const whose = selection === null ? '' : `${inertText(selection)}: `;
  const what = `${whose}${counted(entries, 'entry', 'entries')} of ${counted(window.digests, 'digest')}, ${counted(objects, 'object')} looked at`;
  const when = `sealed ${formatMoment(window.from)} to ${formatMoment(window.to)}`;
  return `${what}, ${when}; ERASED ${formatCount(erased)}, EXPIRED ${formatCount(expired)}`;
}

function digestsText(
  { first_sequence, last_sequence, final, ...windows }: Summary,
  isBundle: boolean,
): string {
  if (first_sequence === null) return 'none';
  const span = `${formatMoment(windows.first_window_start)} to ${formatMoment(windows.last_window_end)}`;
  const end = final ? '; the ledger is closed' : '; nothing is claimed after that';
  const those = isBundle ? `${formatCount(windows.digests)} of ` : '';
  return `${those}${formatCount(first_sequence)} to ${formatCount(last_sequence)}, ${span}${end}`;
}

function anchorText({ anchored_sequence: sequence }: Summary): string {
  return sequence === null ? 'none was given' : `vouches up to digest ${formatCount(sequence)}`;
}

function keyText({ key_id, believed_by, revoked_at }: KeySummary): string {
  const why = {
    pinned: 'pinned',
    rotation: 'linked to the pinned key by signatures',
    archive: 'unpinned: compare it with one that you have from elsewhere, and give it with --key',
  };
  const revoked = revoked_at === null ? '' : `revoked at ${revoked_at}, `;
  return `${key_id} ${revoked}${believed_by === null ? 'not believed' : why[believed_by]}`;
}

function lockText(summary: Summary): string {
  const { lock_mode: mode, retention_days: days, create_only, queue_durability } = summary;
  if (mode === null) return 'unknown';
  const lock = mode === 'none' ? 'none' : `${mode}${days === null ? '' : ` for ${formatCount(days)} days`}`;
  const writes =
    create_only === 'atomic' ? 'the store refuses overwriting' : 'the store cannot refuse overwriting';
  return `${lock}; ${writes}; queue ${inertText(queue_durability ?? 'unknown')}`;
}

function completenessText({ completeness }: Summary): string {
  if (completeness === null) return 'unknown';
  const { reconciled_through: through, pending, failed, gaps } = completeness;
  const compared = through === null ? 'never compared with GitHub' : `compared with GitHub up to ${through}`;
  const missing = `${counted(pending, 'job')} pending, ${formatCount(failed)} failed`;
  return `${compared}; ${missing}, ${counted(gaps?.count ?? 0, 'gap')} named by the last digest`;
}
