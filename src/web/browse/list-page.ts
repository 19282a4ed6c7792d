import type { StoredRecord } from '../../archive/find/find-records.ts';
import { type JobRecord, momentOf, resultOf } from '../../archive/record.ts';
import type { StoredRun } from '../../archive/run-object.ts';
import { absenceReason } from '../../log/absence-reason.ts';
import { html, type Html } from '../html.ts';
import { titleOf, type Addresses } from '../log/job-facts.ts';
import { durationOf, resultClass } from '../log/log-lines-html.ts';
import type { CoverageMarks } from './coverage-marks.ts';

/** Job ids named of those that a run has and the archive has not. */
const MISSING_NAMED_MAX = 20;

/** Jobs as a table, in the order given, each with what the ledger does not vouch for. */
export function jobTable(
  records: readonly StoredRecord[],
  addresses: Addresses,
  marks: CoverageMarks['marks'],
  withRepository: boolean,
): Html {
  return html`<table class="jobs">
    <thead>
      <tr>
        <th scope="col">Result</th>
        ${withRepository ? html`<th scope="col">Repository</th>` : ''}
        <th scope="col">Workflow / job</th>
        <th scope="col">Branch</th>
        <th scope="col" class="num">Attempt</th>
        <th scope="col" class="num">Took</th>
        <th scope="col">Completed (UTC)</th>
      </tr>
    </thead>
    <tbody>
      ${records.map((stored) => jobRowHtml(stored.record, addresses, marks.get(stored.key), withRepository))}
    </tbody>
  </table>`;
}

const MARKS = {
  unsealed: html`<span class="mark">not sealed yet</span>`,
  changed: html`<span class="mark bad">not what was sealed</span>`,
  unknown: html`<span class="mark">not looked up in the ledger</span>`,
};

function jobRowHtml(
  record: JobRecord,
  addresses: Addresses,
  mark: keyof typeof MARKS | undefined,
  withRepository: boolean,
): Html {
  const tookMs = Date.parse(record.completed_at ?? '') - Date.parse(record.started_at ?? '');
  const why = record.log === null ? absenceReason(record.outcome) : '';
  const repository = withRepository
    ? html`<td><a href="${addresses.repository(record)}">${record.owner}/${record.repo}</a></td>`
    : '';
  return html`<tr>
    <td class="result ${record.log === null ? 'dim' : resultClass(record.conclusion ?? '')}">
      ${resultOf(record)}
    </td>
    ${repository}
    <td class="title">
      <a href="${addresses.job(record)}">${titleOf(record)}</a>${mark === undefined ? '' : MARKS[mark]}${
        why === '' ? '' : html`<br /><span class="dim">No log: ${why}</span>`
      }
    </td>
    <td>${record.head_branch ?? '–'}</td>
    <td class="num" data-label="attempt">${record.run_attempt ?? '–'}</td>
    <td class="num">${Number.isNaN(tookMs) ? '–' : durationOf(tookMs)}</td>
    <td><a href="${addresses.run(record)}">${momentOf(record).slice(0, 16).replace('T', ' ')}</a></td>
  </tr>`;
}

/** Says in one line what the ledger does not vouch for in a list; nothing where it vouches for all. */
export function ledgerNote({ ledger, marks }: CoverageMarks): Html {
  const changed = [...marks.values()].filter((mark) => mark === 'changed').length;
  if (changed > 0)
    return html`<p class="seal wrong" role="alert">
      <b class="bad"
        >${changed} of these ${changed === 1 ? 'records is' : 'records are'} not what was sealed:</b
      >
      run <code>everlog verify</code>.
    </p>`;
  if (ledger === 'none')
    return html`<p class="facts">
      This archive has no ledger: nothing proves that these records were not changed.
    </p>`;
  if (ledger === 'unread')
    return html`<p class="facts">The ledger could not be read, so nothing is known of seals here.</p>`;
  return html``;
}

/** What the archive knows of one attempt of a run. */
export interface RunAttempt {
  readonly attempt: number;
  readonly records: readonly StoredRecord[];
  /** GitHub's listing of the attempt as it was accounted for; null where that has not been done. */
  readonly run: StoredRun | null;
}

/** A run: its attempts, newest first, and the jobs of each. */
export function runPage(
  title: string,
  record: JobRecord,
  attempts: readonly RunAttempt[],
  addresses: Addresses,
  marks: CoverageMarks,
): Html {
  const jobs = attempts.reduce((all, { records }) => all + records.length, 0);
  return html`<h1>${title}</h1>
    <p class="facts">
      ${record.head_branch ?? ''} <code>${record.head_sha?.slice(0, 12) ?? ''}</code> ·
      ${jobs === 1 ? 'one job' : `${jobs} jobs`} recorded in
      ${attempts.length === 1 ? 'one attempt' : `${attempts.length} attempts`}
    </p>
    ${ledgerNote(marks)}
    ${attempts.map(
      ({ attempt, records, run }) =>
        html`<h2 id="attempt-${attempt}">Attempt ${attempt}</h2>
          <p class="facts">${completenessOf(records, run)}</p>
          ${jobTable(records, addresses, marks.marks, false)}`,
    )}`;
}

/** Whether all jobs that GitHub listed of an attempt are accounted for, in words. */
function completenessOf(records: readonly StoredRecord[], run: StoredRun | null): Html {
  if (run === null) return html`Not compared with GitHub’s listing yet, so jobs may be missing here.`;
  if (run.outcome === 'deleted') return html`The run was gone at GitHub before its jobs could be listed.`;
  const here = new Set(records.map(({ record }) => record.job_id));
  const missing = run.expected.filter((id) => !here.has(id));
  const counted = `${run.expected.length} ${run.expected.length === 1 ? 'job' : 'jobs'}`;
  if (missing.length === 0)
    return html`All ${counted} that GitHub listed are accounted
    for${run.complete ? '' : ' so far; some answers are provisional and looked at again'}.`;
  const named = missing.slice(0, MISSING_NAMED_MAX).join(', ');
  return html`<b class="bad"
      >${missing.length} of ${counted} that GitHub listed have no readable record here:</b
    >
    ${named}${missing.length > MISSING_NAMED_MAX ? ' …' : ''}`;
}
