import type { StoredRecord } from '../archive/find/find-records.ts';
import { momentOf, type JobRecord } from '../archive/record.ts';
import { absenceReason } from '../log/absence-reason.ts';
import { html, type Html } from './html.ts';
import { resultOf, titleOf, type Addresses } from './job-page.ts';
import { durationOf, resultClass } from './log/log-lines-html.ts';

/** Jobs as a table, in the order given. */
export function jobTable(records: readonly JobRecord[], addresses: Addresses, withRepository: boolean): Html {
  return html`<table>
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
      ${records.map((record) => jobRow(record, addresses, withRepository))}
    </tbody>
  </table>`;
}

function jobRow(record: JobRecord, addresses: Addresses, withRepository: boolean): Html {
  const tookMs = Date.parse(record.completed_at ?? '') - Date.parse(record.started_at ?? '');
  const why = record.log === null ? absenceReason(record.outcome) : '';
  const repository = withRepository
    ? html`<td><a href="${addresses.repository(record)}">${record.owner}/${record.repo}</a></td>`
    : '';
  return html`<tr>
    <td class="${record.log === null ? 'dim' : resultClass(record.conclusion ?? '')}" title="${why}">
      ${resultOf(record)}
    </td>
    ${repository}
    <td>
      <a href="${addresses.job(record)}">${titleOf(record)}</a
      >${why === '' ? '' : html`<br /><span class="dim">No log: ${why}</span>`}
    </td>
    <td>${record.head_branch ?? '–'}</td>
    <td class="num">${record.run_attempt ?? '–'}</td>
    <td class="num">${Number.isNaN(tookMs) ? '–' : durationOf(tookMs)}</td>
    <td><a href="${addresses.run(record)}">${momentOf(record).slice(0, 16).replace('T', ' ')}</a></td>
  </tr>`;
}

/** A run: its attempts, and the jobs of each. */
export function runPage(records: readonly StoredRecord[], addresses: Addresses): Html {
  const attempts = [...new Set(records.map(({ record }) => record.run_attempt ?? 1))].sort((a, b) => b - a);
  const [first] = records;
  if (first === undefined) return html``;
  const { record } = first;
  return html`<h1>${record.workflow_name ?? 'Run'} · run ${record.run_id}</h1>
    <p class="facts">
      ${record.head_branch ?? ''} <code>${record.head_sha?.slice(0, 12) ?? ''}</code> · ${records.length} jobs
      recorded in ${attempts.length === 1 ? 'one attempt' : `${attempts.length} attempts`}. Jobs that GitHub
      never told of are not here.
    </p>
    ${attempts.map(
      (attempt) =>
        html`<h2 id="attempt-${attempt}">Attempt ${attempt}</h2>
          ${jobTable(
            records.filter((one) => (one.record.run_attempt ?? 1) === attempt).map((one) => one.record),
            addresses,
            false,
          )}`,
    )}`;
}
