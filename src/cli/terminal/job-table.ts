import { momentOf, resultOf } from '../../archive/record.ts';
import type { JobRecord } from '../../archive/record.ts';
import { formatBytes, formatMoment } from './format.ts';
import { formatTable, keepDifference } from './table.ts';
import type { Cell, TableColumn, Tone } from './table.ts';
import type { Terminal } from './terminal.ts';

const BETWEEN_NAMES = ' / ';
/** Characters of a commit's hash, as GitHub shows them. */
const SHA_CHARACTERS = 7;

const TONES: ReadonlyMap<string, Tone> = new Map([
  ['success', 'good'],
  ['failure', 'bad'],
  ['timed_out', 'bad'],
  ['startup_failure', 'bad'],
]);

/**
 * The table of jobs that `ls` prints and `cat` lets choose from. Its result is the conclusion where there is a log, else the
 * outcome, which says why there is none. On a narrow terminal columns give way whose cells are all the same first.
 * `now` says which year need not be shown.
 */
export function formatJobTable(records: readonly JobRecord[], terminal: Terminal, now: Date): string {
  const year = now.toISOString().slice(0, 5);
  const shortMoment = (text: string): string => (text.startsWith(year) ? text.slice(5) : text.slice(0, 10));
  const hasOneHost = new Set(records.map(({ host }) => host)).size <= 1;
  const hasAttempts = new Set(records.map(({ run_attempt }) => run_attempt ?? 1)).size > 1;
  const columns: readonly TableColumn[] = [
    { title: 'COMPLETED (UTC)', dropOrder: 2, shortWidth: 11, fit: shortMoment },
    { title: 'RESULT' },
    { title: 'REPOSITORY', shrinkTo: 11, fit: keepDifference },
    { title: 'WORKFLOW / JOB', shrinkTo: 14, fit: keepDifference },
    { title: 'BRANCH', shrinkTo: 8, dropOrder: 3, fit: keepDifference },
    { title: 'SHA', dropOrder: 5 },
    { title: 'ATTEMPT', align: 'right', ...(hasAttempts ? {} : { dropOrder: 7 }) },
    { title: 'SIZE', align: 'right', dropOrder: 1 },
    { title: 'RUN', align: 'right', dropOrder: 6 },
    { title: 'JOB ID', align: 'right' },
  ];
  return formatTable(
    columns,
    records.map((record) => jobCells(record, hasOneHost)),
    terminal,
  );
}

function jobCells(record: JobRecord, hasOneHost: boolean): readonly Cell[] {
  const result = resultOf(record);
  const tone = record.log === null ? 'dim' : TONES.get(result);
  return [
    { text: formatMoment(momentOf(record)) },
    { text: result, ...(tone === undefined ? {} : { tone }) },
    { text: hasOneHost ? `${record.owner}/${record.repo}` : repositoryTitle(record) },
    { text: jobTitleOf(record) },
    { text: record.head_branch ?? '–' },
    { text: record.head_sha?.slice(0, SHA_CHARACTERS) ?? '–' },
    { text: String(record.run_attempt ?? '–') },
    { text: record.log === null ? '–' : formatBytes(record.log.bytes) },
    { text: String(record.run_id) },
    { text: String(record.job_id) },
  ];
}

/** `CI / build`; GitHub does not always name both. Not harmless yet. */
export function jobTitleOf(record: JobRecord): string {
  const names = [record.workflow_name, record.job_name].filter((name) => name !== null && name !== '');
  return names.length > 0 ? names.join(BETWEEN_NAMES) : '–';
}

/** `octo-org/Octo-Repo`, with its host where that is not github.com. Not harmless yet. */
export function repositoryTitle(record: JobRecord): string {
  const name = `${record.owner}/${record.repo}`;
  return record.host === 'github.com' ? name : `${record.host}/${name}`;
}
