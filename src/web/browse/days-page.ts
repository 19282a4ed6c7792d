import { html, type Html } from '../html.ts';
import { absenceReason } from '../../log/absence-reason.ts';
import { countText } from './charts.ts';
import type { DigestDay, ToldGap } from './digest-days.ts';

/** Completeness by day, as the digests say. */
export function daysPage(
  days: readonly (DigestDay | string)[],
  left: 'none' | 'older' | 'newer',
  now: Date,
  charts: Html,
): Html {
  const today = now.toISOString().slice(0, 10);
  return html`<h1>Completeness by day</h1>
    <p class="facts">
      As the digests of each UTC day say: jobs of the run attempts that it sealed, and what was known to be
      missing at its end. The signatures are not checked here: <code>everlog verify</code> does.
    </p>
    ${charts} ${days.length === 0 ? html`<p>No digest was made in this time.</p>` : daysTable(days, today)}
    ${left === 'none' ? '' : html`<p class="facts">There are more digests than one page reads: ${left} days are left out.</p>`}`;
}

function daysTable(days: readonly (DigestDay | string)[], today: string): Html {
  return html`<table class="days">
    <thead>
      <tr>
        <th scope="col">Day</th>
        <th scope="col" class="num">Expected</th>
        <th scope="col" class="num">Archived</th>
        <th scope="col">Without a log</th>
        <th scope="col" class="num">Waiting</th>
        <th scope="col" class="num">Failed</th>
        <th scope="col" class="num">Gaps</th>
        <th scope="col">Compared with GitHub through</th>
      </tr>
    </thead>
    <tbody>
      ${days.map((day) => (typeof day === 'string' ? emptyRow(day, day === today) : dayRow(day)))}
    </tbody>
  </table>`;
}

/** A day of which no digest tells anything. */
function emptyRow(day: string, isToday: boolean): Html {
  return html`<tr>
    <td><a href="/?since=${day}&until=${day}">${day}</a></td>
    <td colspan="7" class="${isToday ? 'dim' : 'bad'}">
      ${isToday ? 'No digest yet.' : 'No digest was made, so nothing is known of its gaps.'}
    </td>
  </tr>`;
}

function dayRow({ day, digests, expected, archived, absent, last }: DigestDay): Html {
  const without = [...absent].map(
    ([outcome, jobs]) =>
      html`<span title="No log: ${absenceReason(outcome)}">${countText(jobs)} ${outcome}</span> `,
  );
  return html`<tr>
    <td>
      <a href="/?since=${day}&until=${day}">${day}</a>
      <span class="dim">${digests} ${digests === 1 ? 'digest' : 'digests'}</span>
    </td>
    <td class="num" data-label="expected">${countText(expected)}</td>
    <td class="num" data-label="archived">${countText(archived)}</td>
    <td>${without.length === 0 ? '–' : without}</td>
    <td class="num" data-label="waiting">${countText(last.pending)}</td>
    <td class="num ${last.failed > 0 ? 'bad' : ''}" data-label="failed">${countText(last.failed)}</td>
    <td class="num" data-label="gaps">
      ${last.gaps === 0 ? '0' : html`<a class="bad" href="/-/days/${day}">${countText(last.gaps)}</a>`}
    </td>
    <td>${last.reconciledThrough?.slice(0, 16).replace('T', ' ') ?? 'never yet'}</td>
  </tr>`;
}

/** What the last digest of a day says is missing, and why. */
export function gapsPage(
  day: string,
  {
    sequence,
    count,
    gaps,
  }: { readonly sequence: number; readonly count: number; readonly gaps: readonly ToldGap[] },
): Html {
  return html`<h1>Gaps at the end of ${day}</h1>
    <p class="facts">
      As digest ${sequence} says: ${count === 1 ? 'one entry' : `${countText(count)} entries`}.
    </p>
    ${
      gaps.length === 0
        ? html`<p>${count === 0 ? 'No job was known to be missing.' : 'They cannot be shown.'}</p>`
        : html`<table class="gaps">
            <thead>
              <tr>
                <th scope="col">Where</th>
                <th scope="col">Run</th>
                <th scope="col">Job</th>
                <th scope="col" class="num">Jobs</th>
                <th scope="col">Why</th>
                <th scope="col">Since (UTC)</th>
              </tr>
            </thead>
            <tbody>
              ${gaps.map(
                (gap) =>
                  html`<tr>
                    <td>${gap.place}</td>
                    <td>${gap.runId ?? '–'}</td>
                    <td>${gap.jobId ?? '–'}</td>
                    <td class="num" data-label="jobs">${countText(gap.jobs)}</td>
                    <td>${gap.reason}</td>
                    <td>${gap.since?.slice(0, 16).replace('T', ' ') ?? '–'}</td>
                  </tr>`,
              )}
            </tbody>
          </table>`
    }
    ${gaps.length > 0 && gaps.length < count ? html`<p class="facts">The first ${countText(gaps.length)} of them.</p>` : ''}`;
}
