import { momentOf } from '../../archive/record.ts';
import type { JobRecord } from '../../archive/record.ts';
import { formatBytes, formatMoment } from './format.ts';
import { formatTable } from './table.ts';
import type { Cell, Column, Tone } from './table.ts';
import type { Terminal } from './terminal.ts';

/** One job as a line of a table. */
export type JobRow = readonly Cell[];

const ELLIPSIS = '…';
const BETWEEN_NAMES = ' / ';
/** Fewer characters of a workflow's name say nothing. */
const WORKFLOW_CHARACTERS_MIN = 3;

const TONES: ReadonlyMap<string, Tone> = new Map([
  ['success', 'good'],
  ['failure', 'bad'],
  ['timed_out', 'bad'],
  ['startup_failure', 'bad'],
]);

/** A record's line: its conclusion where there is a log, else its outcome, which says why there is none. */
export function jobRow(record: JobRecord): JobRow {
  const result = resultOf(record);
  const tone = record.log === null ? 'dim' : TONES.get(result);
  return [
    { text: formatMoment(momentOf(record)) },
    { text: result, ...(tone === undefined ? {} : { tone }) },
    { text: repositoryOf(record) },
    { text: jobTitleOf(record) },
    { text: record.head_branch ?? '–' },
    { text: String(record.run_attempt ?? '–') },
    { text: record.log === null ? '–' : formatBytes(record.log.bytes) },
    { text: String(record.job_id) },
  ];
}

/** The table of jobs that `ls` prints and `cat` lets choose from. `now` says which year need not be shown. */
export function formatJobTable(rows: readonly JobRow[], terminal: Terminal, now: Date): string {
  const year = now.toISOString().slice(0, 5);
  const shortMoment = (text: string): string => (text.startsWith(year) ? text.slice(5) : text.slice(0, 10));
  const columns: readonly Column[] = [
    { title: 'COMPLETED', dropOrder: 2, shortWidth: 11, fit: shortMoment },
    { title: 'RESULT' },
    { title: 'REPOSITORY', shrinkTo: 11, fit: endOf },
    { title: 'WORKFLOW / JOB', shrinkTo: 14, fit: shortJobTitle },
    { title: 'BRANCH', shrinkTo: 8, dropOrder: 3 },
    { title: 'ATTEMPT', align: 'right', dropOrder: 4 },
    { title: 'SIZE', align: 'right', dropOrder: 1 },
    { title: 'JOB ID', align: 'right' },
  ];
  return formatTable(columns, rows, terminal);
}

/** The repository says more than its owner, whom neighbouring lines often share. */
function endOf(text: string, width: number): string {
  return ELLIPSIS + text.slice(1 - width);
}

/** The workflow's name gives way to the job's. */
function shortJobTitle(text: string, width: number): string {
  const at = text.indexOf(BETWEEN_NAMES);
  if (at === -1) return text;
  const job = text.slice(at + BETWEEN_NAMES.length);
  const room = width - job.length - BETWEEN_NAMES.length - ELLIPSIS.length;
  return room < WORKFLOW_CHARACTERS_MIN ? job : text.slice(0, room) + ELLIPSIS + BETWEEN_NAMES + job;
}

/** How a job ended, in one word. */
export function resultOf(record: JobRecord): string {
  return record.log === null ? record.outcome : (record.conclusion ?? '–');
}

/** `CI / build`; GitHub does not always name both. Not harmless yet. */
export function jobTitleOf(record: JobRecord): string {
  const names = [record.workflow_name, record.job_name].filter((name) => name !== null && name !== '');
  return names.length > 0 ? names.join(' / ') : '–';
}

/** `octo-org/Octo-Repo`, with its host where that is not github.com. Not harmless yet. */
export function repositoryOf(record: JobRecord): string {
  const name = `${record.owner}/${record.repo}`;
  return record.host === 'github.com' ? name : `${record.host}/${name}`;
}
