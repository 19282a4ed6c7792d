import type { DemoFindings, DemoJob } from './demo-findings.ts';
import type { DemoLedger } from './demo-ledger.ts';
import type { DemoFolder } from './demo-service.ts';
import { formatBytes, formatCount, formatDuration } from '../terminal/format.ts';
import { inertText } from '../../log/terminal-sanitiser.ts';
import { formatTable, paint, type Cell, type TableColumn } from '../terminal/table.ts';
import type { Terminal } from '../terminal/terminal.ts';

/** What the report is made of. */
export interface DemoReport {
  /** The ledger's problems included. */
  readonly findings: DemoFindings;
  readonly ledger: DemoLedger;
  readonly folder: DemoFolder;
  readonly elapsedMs: number;
  /** Of the job whose failed step is shown; null when none failed. */
  readonly excerpt: DemoExcerpt | null;
  /** Null when the service is not to go on. */
  readonly serving: {
    readonly webhooks: string;
    readonly admin: string | null;
    readonly web: string | null;
    readonly github: string;
  } | null;
}

export interface DemoExcerpt {
  readonly job: DemoJob;
  /** Last lines of the failed step, harmless already. */
  readonly lines: readonly string[];
}

const COLUMNS: readonly TableColumn[] = [
  { title: 'REPOSITORY', shrinkTo: 10 },
  { title: 'JOB', shrinkTo: 19, fit: cutMiddle },
  { title: 'ATTEMPT', align: 'right', dropOrder: 1 },
  { title: 'EXPECTED' },
  { title: 'FOUND' },
  { title: 'LOG', align: 'right' },
  { title: 'LINES', align: 'right', dropOrder: 3 },
  { title: 'TOOK', align: 'right', dropOrder: 2 },
  { title: 'SHA-256', dropOrder: 4 },
];
const SHA_CHARACTERS = 12;
/** Width of the table in a file or a pipe, where people read it too. */
const PLAIN_COLUMNS = 120;
const NONE = '–';
const ERROR_MARK = '##[error]';
const LASTING = 'npx everlog demo';

/** The demo's answer for people. */
export function formatDemoReport(report: DemoReport, terminal: Terminal): string {
  const { findings, excerpt } = report;
  return [
    section('What came of each delivery', demoJobTable(findings.jobs, terminal), terminal),
    excerpt === null ? '' : section(excerptTitle(excerpt), excerptText(excerpt, terminal), terminal),
    verdict(report, terminal),
    findings.problems.length > 0 || report.serving !== null
      ? section('Where it is', places(report), terminal) + section('Go on with', nextSteps(report), terminal)
      : `The demo’s folder is removed. To keep the archive and look around in it:\n  ${LASTING}\n`,
    report.serving === null ? '' : servingText(report.folder, terminal),
  ].join('');
}

/** The demo's answer as a JSON document's content. */
export function demoReportJson(report: DemoReport): Record<string, unknown> {
  const { findings, folder, serving } = report;
  const isKept = serving !== null || findings.problems.length > 0;
  return {
    ok: findings.problems.length === 0,
    elapsed_ms: Math.round(report.elapsedMs),
    folder: isKept ? folder.path : null,
    archive: isKept ? folder.archive : null,
    webhooks: serving?.webhooks ?? null,
    admin: serving?.admin ?? null,
    web: serving?.web ?? null,
    objects: findings.objects,
    compared: findings.compared,
    run_events: findings.runEvents,
    ledger: {
      sequence: report.ledger.sequence,
      entries: report.ledger.entries,
      sha256: report.ledger.sha256,
      key_id: report.ledger.keyId,
      verified: report.ledger.verified,
    },
    deliveries: findings.jobs.map((job) => ({
      title: job.title,
      repository: job.repository,
      job_id: job.jobId,
      job_name: job.jobName,
      run_attempt: job.runAttempt,
      status: job.answer.status,
      answer: job.answer.outcome,
      expected: job.expected,
      found: job.found,
      took_ms: job.tookMs === null ? null : Math.round(job.tookMs),
      record_key: job.recordKey,
      log: job.record?.log ?? null,
      problems: job.problems,
    })),
    problems: findings.problems,
  };
}

function section(title: string, text: string, terminal: Terminal): string {
  return `${paint(title, 'title', terminal)}\n\n${text}\n`;
}

function demoJobTable(jobs: readonly DemoJob[], terminal: Terminal): string {
  const isOneOwner = new Set(jobs.map(({ repository }) => repository.split('/')[0])).size === 1;
  const rows = jobs.map((job): Cell[] => {
    const log = job.record?.log ?? null;
    const isGood = job.problems.length === 0;
    return [
      { text: isOneOwner ? job.repository.slice(job.repository.indexOf('/') + 1) : job.repository },
      job.jobName === null ? { text: `(${job.title})`, tone: 'dim' } : { text: job.jobName },
      { text: String(job.runAttempt ?? NONE) },
      { text: job.expected },
      { text: `${isGood ? '✓' : '✗'} ${job.found}`, tone: isGood ? 'good' : 'bad' },
      { text: log === null ? NONE : formatBytes(log.bytes) },
      { text: log === null ? NONE : formatCount(log.lines) },
      { text: job.tookMs === null ? NONE : formatDuration(job.tookMs) },
      { text: log === null ? NONE : log.sha256.slice(0, SHA_CHARACTERS), tone: 'dim' },
    ];
  });
  const columns = terminal.isTTY ? terminal.columns : PLAIN_COLUMNS;
  return formatTable(COLUMNS, rows, { ...terminal, isTTY: true, columns });
}

function excerptTitle({ job }: DemoExcerpt): string {
  return `How the job ‘${inertText(job.jobName ?? '')}’ failed, from its log in the archive`;
}

function excerptText({ lines }: DemoExcerpt, terminal: Terminal): string {
  const bar = paint('│', 'dim', terminal);
  return lines
    .map((line) => `  ${bar} ${line.includes(ERROR_MARK) ? paint(line, 'bad', terminal) : line}\n`)
    .join('');
}

function verdict({ findings, ledger, elapsedMs }: DemoReport, terminal: Terminal): string {
  const { compared, jobs, problems } = findings;
  if (problems.length > 0) {
    const title = `✗ ${problems.length === 1 ? 'One thing is' : `${problems.length} things are`} not as expected`;
    return `${paint(title, 'bad', terminal)}\n\n${problems.map((it) => `  ${inertText(it)}\n`).join('')}\n`;
  }
  const count = (found: string): number => jobs.filter((job) => job.found === found).length;
  const facts = [
    `${compared.logs} logs, ${formatBytes(compared.bytes)}: every byte is GitHub’s, by SHA-256`,
    `${count('not_produced')} jobs that never ran: recorded as such, not forgotten`,
    `${count('duplicate')} redelivery: nothing new; ${count('refused')} forged delivery: refused, no trace`,
    ledgerFact(ledger),
  ];
  const title = `✓ All as expected, in ${formatDuration(elapsedMs)}`;
  return `${paint(title, 'good', terminal)}\n\n${facts.map((it) => `  ${it}\n`).join('')}\n`;
}

function ledgerFact({ sequence, entries, keyId, verified }: DemoLedger): string {
  const { objects, bytes } = verified;
  const key = `${keyId.slice(0, SHA_CHARACTERS)}…`;
  return `digest ${sequence} seals ${entries} objects; verified from the files and its key ${key}: ${objects} objects, ${formatBytes(bytes)}`;
}

function places({ folder, serving }: DemoReport): string {
  const rows: [string, string][] = [
    ['archive', folder.archive],
    ['service log', folder.logFile],
  ];
  if (serving !== null && serving.web !== null) rows.push(['web page', serving.web]);
  if (serving !== null && serving.admin !== null) rows.push(['metrics', `${serving.admin}/metrics`]);
  return alignedRows(rows);
}

function alignedRows(rows: readonly (readonly [string, string])[]): string {
  const width = rows.reduce((most, [name]) => Math.max(most, name.length), 0);
  return rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}\n`).join('');
}

function nextSteps({ folder, findings, ledger, excerpt, serving }: DemoReport): string {
  const everlog = `EVERLOG_ARCHIVE_URL=${shellWord(folder.archive)} npx everlog`;
  const steps: [string, string][] = [['All jobs in the archive', `${everlog} ls`]];
  const failed = excerpt?.job.record ?? null;
  if (failed !== null) {
    steps.push(['The failed step of the failed job', `${everlog} cat ${failed.job_id} --failed`]);
    const address = `${serving?.github ?? 'https://127.0.0.1'}/${failed.owner}/${failed.repo}/actions/runs/${failed.run_id}/job/${failed.job_id}`;
    steps.push(['A log by the address that the browser shows', `${everlog} cat ${shellWord(address)}`]);
  }
  const log = (failed ?? findings.jobs.find(({ record }) => record?.log)?.record)?.log ?? null;
  if (log !== null) {
    const command = `gunzip -c ${shellWord(`${folder.archive}/${log.key}`)} | sha256sum`;
    steps.push([
      `Its bytes by stock tools, which must give ${log.sha256.slice(0, SHA_CHARACTERS)}…`,
      command,
    ]);
  }
  steps.push(['The whole archive, checked from its files alone', `${everlog} verify --key ${ledger.keyId}`]);
  return steps.map(([what, command]) => `  ${what}\n    ${command}\n`).join('');
}

function servingText(folder: DemoFolder, terminal: Terminal): string {
  return (
    `${paint('Everlog and the simulated GitHub keep running: Ctrl-C ends them.', 'title', terminal)}\n` +
    `The archive stays; to remove all of it: rm -r ${shellWord(folder.path)}\n`
  );
}

/** The jobs of a matrix differ at the end of their names. */
function cutMiddle(text: string, width: number): string {
  const head = Math.ceil((width - 1) / 2);
  return `${text.slice(0, head)}…${text.slice(text.length - (width - 1 - head))}`;
}

/** A word as a shell takes it. */
function shellWord(word: string): string {
  return /^[\w./:=@-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
