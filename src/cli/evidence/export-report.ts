import type { ExportReport } from '../../ledger/export/export-bundle.ts';
import { countsByStatus, type IndexRow, isUnsound, STATUSES } from '../../ledger/export/bundle/index-rows.ts';
import { counted, formatBytes, formatCount } from '../terminal/format.ts';
import { inertText } from '../../log/terminal-sanitiser.ts';

/** What became of an export, for people and for programs. */

export interface ExportOutcome {
  readonly out: string;
  readonly report: ExportReport;
  /** The first of them. */
  readonly problems: readonly { readonly key: string; readonly problem: string }[];
  readonly problemCount: number;
  readonly custody: CustodyOutcome;
}

/** The key of the custody object, or why none was left. */
export type CustodyOutcome =
  { readonly key: string; readonly problem: null } | { readonly key: null; readonly problem: string };

/** Rows named one by one; the bundle's index has all. */
const NAMED_MAX = 20;
/** The same for programs. */
const LISTED_MAX = 10_000;

/** The document of `--json`. */
export function exportDocument({ out, report, problems, problemCount, custody }: ExportOutcome): object {
  const { jobs, records, logs, bytes, sequences, keyIds, indexSha256 } = report;
  const findings = report.rows.filter(isUnsound);
  return {
    out,
    jobs,
    records,
    logs,
    bytes,
    digests: sequences,
    keys: keyIds,
    statuses: Object.fromEntries(countsByStatus(report.rows)),
    findings: findings.slice(0, LISTED_MAX).map((row) => ({
      status: row.status,
      asked_for: row.askedFor,
      record: row.record?.key ?? null,
      digest: row.sequence,
    })),
    finding_count: findings.length + problemCount,
    problems,
    index_sha256: indexSha256,
    custody: custody.key,
    custody_problem: custody.problem,
  };
}

/** The same as lines for people. */
export function exportText({ out, report, problems, problemCount, custody }: ExportOutcome): string {
  const { jobs, records, logs, bytes, sequences } = report;
  const shown = inertText(out);
  const lines = [
    `${counted(jobs, 'job')} matched. Exported to ${shown}: ${counted(records, 'record')} and ${counted(logs, 'log')} (${formatBytes(bytes)}), covered by ${counted(sequences.length, 'digest')}.`,
    `Check it with: bash ${shown}/verify.sh FINGERPRINT`,
  ];
  for (const [status, count] of countsByStatus(report.rows)) {
    if (status !== 'sealed')
      lines.push(`${formatCount(count)} ${status.replace('_', ' ')}: ${STATUSES[status]}`);
  }
  const findings = report.rows.filter(isUnsound);
  for (const row of findings.slice(0, NAMED_MAX))
    lines.push(`  ${row.status.replace('_', ' ')}: ${rowName(row)}`);
  if (findings.length > NAMED_MAX)
    lines.push(`  … and ${formatCount(findings.length - NAMED_MAX)} more in index.csv`);
  for (const { key, problem } of problems.slice(0, NAMED_MAX))
    lines.push(`${inertText(key)}: ${inertText(problem)}`);
  if (problemCount > NAMED_MAX) lines.push(`… and ${formatCount(problemCount - NAMED_MAX)} more problems`);
  if (findings.some(({ status }) => status === 'not_sealed'))
    lines.push('What is not sealed yet can be exported after the next digest: everlog seal');
  lines.push(
    custody.key === null
      ? `No custody record was left: ${inertText(custody.problem)}`
      : `Custody record: ${inertText(custody.key)}`,
  );
  return lines.map((line) => `${line}\n`).join('');
}

function rowName({ record, askedFor }: IndexRow): string {
  return inertText(record?.key ?? `commit ${askedFor ?? ''}`);
}
