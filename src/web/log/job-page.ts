import type { StoredRecord } from '../../archive/find/find-records.ts';
import type { JobRecord, RecordedLog } from '../../archive/record.ts';
import { absenceReason } from '../../log/absence-reason.ts';
import { stepsOf, type JobStep } from '../../log/log-steps.ts';
import { html, type Html } from '../html.ts';
import type { SealState } from '../seal.ts';
import { factsHtml, titleOf } from './job-facts.ts';
import { durationOf, resultClass } from './log-lines-html.ts';
import { WINDOW_LINES, type ShownLog } from './log-window.ts';
import { sealLine } from './proof-page.ts';

/** Why there is no log, in words. */
export function absencePage(record: JobRecord, seal: SealState, address: string): Html {
  const { absence } = record;
  const looked =
    absence === null
      ? ''
      : `${absence.tries} ${absence.tries === 1 ? 'look' : 'looks'}, the last at ${absence.last_tried_at?.slice(0, 16).replace('T', ' ') ?? '–'} UTC`;
  return html`<h1>${titleOf(record)}</h1>
    ${factsHtml(record)} ${sealLine(seal, null, address)}
    <section class="note">
      <p><b>No log:</b> ${absenceReason(record.outcome)}.</p>
      <p class="dim">${[absence?.reason, looked].filter(Boolean).join(' · ')}</p>
    </section>`;
}

/** A job's log with its steps. */
export function jobPage(
  stored: StoredRecord,
  log: RecordedLog,
  shown: ShownLog,
  seal: SealState,
  address: string,
): Html {
  const { record } = stored;
  const wide = log.lines > 999_999 ? ' wide' : '';
  return html`<h1>${titleOf(record)}</h1>
    ${factsHtml(record)} ${sealLine(seal, shown.isWhole, address)}
    <div class="log">
      <nav class="steps" aria-label="Steps">
        <ol>
          ${stepsOf(record).map((step) => stepItem(step, shown, address))}
        </ol>
      </nav>
      <section>
        <div class="tools">
          <form action="${address}" method="get">
            <input
              type="search"
              name="q"
              aria-label="Search this log"
              placeholder="Search all lines (/)"
              maxlength="500"
            /><button>Search</button>
          </form>
          <button type="button" id="stamps" hidden>Times: none</button>
          <a href="${address}/raw">Raw</a><a href="${address}/download">Download</a
          ><a href="${address}/proof">Proof</a>
          <span class="keys dim">n/p errors · t times · / search</span>
        </div>
        ${windowLinks(log, shown, address)}
        <div class="lines${wide}" data-start="${record.started_at ?? ''}">${shown.lines}</div>
        ${windowLinks(log, shown, address)}
      </section>
    </div>`;
}

function stepItem(step: JobStep, shown: ShownLog, address: string): Html {
  const first = shown.firstLines.get(step.number);
  const href =
    shown.isWhole || first === undefined
      ? `#step-${step.number}`
      : `${address}?step=${step.number}#L${first}`;
  const took =
    step.startedMs === null || step.completedMs === null ? '' : durationOf(step.completedMs - step.startedMs);
  const mark = { ok: '✓', bad: '✗', dim: '–' }[resultClass(step.conclusion ?? '')];
  return html`<li data-step="${step.number}" data-first="${first ?? ''}">
    <span class="${resultClass(step.conclusion ?? '')}" title="${step.conclusion ?? 'no conclusion'}"
      >${mark}</span
    ><a href="${href}">${step.name}</a><span class="took">${took}</span>
  </li>`;
}

function windowLinks(log: RecordedLog, { window, isWhole }: ShownLog, address: string): Html {
  if (isWhole) return html``;
  const link = (line: number, name: string): Html => html`<a href="${address}?line=${line}">${name}</a>`;
  const previous = window.from > 1 ? link(Math.max(1, window.from - WINDOW_LINES), '← Previous lines') : '';
  const next = window.to < log.lines ? link(window.to + 1, 'Next lines →') : '';
  const count = (line: number): string => line.toLocaleString('en-US');
  return html`<p class="facts">
    Lines ${count(window.from)} to ${count(window.to)} of ${count(log.lines)} · ${link(1, 'First')}
    ${previous} ${next} ${link(log.lines, 'Last')}
  </p>`;
}
