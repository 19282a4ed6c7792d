import type { StoredRecord } from '../archive/find/find-records.ts';
import { momentOf, type JobRecord, type RecordedLog } from '../archive/record.ts';
import { stepsOf, type JobStep } from '../log/log-steps.ts';
import { absenceReason } from '../log/absence-reason.ts';
import { html, type Html } from './html.ts';
import { durationOf, resultClass } from './log/log-lines-html.ts';
import { WINDOW_LINES, type ShownLog } from './log/log-window.ts';
import type { SealState } from './seal.ts';

/** How an address below a repository is made: GitHub's own path, or Everlog's for another host. */
export interface Addresses {
  repository(record: Pick<JobRecord, 'host' | 'owner' | 'repo'>): string;
  run(record: JobRecord): string;
  job(record: JobRecord): string;
}

/** `github.com`'s paths are GitHub's own; those of other hosts stand below `/-/h/HOST`. */
export function addressesOf(mainHost: string): Addresses {
  const repository = ({ host, owner, repo }: Pick<JobRecord, 'host' | 'owner' | 'repo'>): string =>
    `${host === mainHost ? '' : `/-/h/${encodeURIComponent(host)}`}/${encodeURIComponent(owner)}/${encodeURIComponent(repo)}`;
  const run = (record: JobRecord): string => `${repository(record)}/actions/runs/${record.run_id}`;
  return { repository, run, job: (record) => `${run(record)}/job/${record.job_id}` };
}

/** How a job ended, in one word. */
export function resultOf(record: JobRecord): string {
  return record.log === null ? record.outcome : (record.conclusion ?? '–');
}

/** `CI / build`. */
export function titleOf({ workflow_name, job_name }: JobRecord): string {
  return [workflow_name, job_name].filter((name) => name !== null && name !== '').join(' / ') || 'A job';
}

/** The facts of a job in one line. */
export function factsOf(record: JobRecord): Html {
  const tookMs = Date.parse(record.completed_at ?? '') - Date.parse(record.started_at ?? '');
  const attempt = record.run_attempt === null ? null : `attempt ${record.run_attempt}`;
  const parts = [
    html`<b class="${resultClass(record.conclusion ?? '')}">${resultOf(record)}</b>`,
    record.head_branch,
    record.head_sha === null ? null : html`<code>${record.head_sha.slice(0, 12)}</code>`,
    html`<time datetime="${momentOf(record)}">${momentOf(record).slice(0, 16).replace('T', ' ')} UTC</time>`,
    Number.isNaN(tookMs) ? null : durationOf(tookMs),
    attempt,
    record.runner_name,
    record.log === null ? null : `${record.log.lines.toLocaleString('en-US')} lines`,
  ].filter((part) => part !== null);
  return html`<p class="facts">${parts.map((part, index) => html`${index === 0 ? '' : ' · '}${part}`)}</p>`;
}

/** Why there is no log, in words. */
export function absencePage(record: JobRecord): Html {
  return html`<h1>${titleOf(record)}</h1>
    ${factsOf(record)}
    <section class="note">
      <p>No log: ${absenceReason(record.outcome)}.</p>
      <p class="dim">${record.absence?.reason ?? ''}</p>
    </section>`;
}

/** A job's log with its steps. */
export function jobPage(
  stored: StoredRecord,
  log: RecordedLog,
  shown: ShownLog,
  seal: SealState,
  address: string,
  query: string | null,
): Html {
  const { record } = stored;
  const wide = log.lines > 999_999 ? ' wide' : '';
  return html`<h1>${titleOf(record)}</h1>
    ${factsOf(record)} ${sealLine(seal, shown.isWhole, address)}
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
              value="${query ?? ''}"
              aria-label="Search this log"
              placeholder="Search all lines (/)"
              maxlength="500"
            /><button>Search</button>
          </form>
          <button type="button" id="stamps" hidden title="Time stamps: local, UTC, relative, none (t)">
            Times
          </button>
          <a href="${address}/raw">Raw</a><a href="${address}/download">Download</a
          ><a href="${address}/proof">Proof</a>
        </div>
        ${windowLinks(log, shown, address)}
        <div class="lines${wide}">${shown.lines}</div>
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
  return html`<li>
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

/** What is known of a log's truth, and no more. */
export function sealLine(seal: SealState, isWhole: boolean, address: string): Html {
  const bytes = isWhole
    ? 'The log’s SHA-256 was checked just now.'
    : 'Each block shown was checked against its SHA-256, or the log as a whole.';
  if (seal.kind === 'changed') {
    return html`<p class="seal wrong">
      <b class="bad">Not what was archived:</b> ${seal.why}. <a href="${address}/proof">Details</a>
    </p>`;
  }
  if (seal.kind === 'not_sealed') {
    return html`<p class="seal">
      ${bytes} The record stands in no digest yet, so nothing proves that it was not changed.
    </p>`;
  }
  const signed = seal.isSigned
    ? html`<b class="ok">Sealed</b> in digest ${seal.sequence} of
        ${seal.sealedAt.slice(0, 16).replace('T', ' ')} UTC, signed by key
        <code>${seal.keyId.slice(0, 16)}</code> (named by the archive, not pinned).`
    : html`<b class="bad">The signature of digest ${seal.sequence} is not good.</b>`;
  return html`<p class="seal ${seal.isSigned ? 'good' : 'wrong'}">
    ${bytes} ${signed} <a href="${address}/proof">Proof</a>
  </p>`;
}

/** All that can be checked by hand of one job. */
export function proofPage(stored: StoredRecord, seal: SealState): Html {
  const { record, key } = stored;
  const rows: readonly (readonly [string, string])[] = [
    ['Record', key],
    ['Log', record.log?.key ?? 'none'],
    ['SHA-256 of the log as GitHub served it', record.log?.sha256 ?? '–'],
    ['SHA-256 of the stored object', record.log?.stored_sha256 ?? '–'],
    ['Source of the details', record.details_source],
    ['Recorded at', record.recorded_at],
    ...(seal.kind === 'sealed'
      ? ([
          ['Digest', `ledger/digests/${String(seal.sequence).padStart(10, '0')}/digest.json`],
          ['SHA-256 of the digest', seal.digestSha256],
          ['Signature by the key the archive names', seal.isSigned ? 'good' : 'NOT good'],
          ['Key', seal.keyId],
        ] as const)
      : ([['Ledger', seal.kind === 'changed' ? seal.why : 'in no digest yet']] as const)),
  ];
  return html`<h1>Proof of ${titleOf(record)}</h1>
    ${factsOf(record)}
    <table>
      ${rows.map(
        ([name, value]) =>
          html`<tr>
            <th scope="row">${name}</th>
            <td><code>${value}</code></td>
          </tr>`,
      )}
    </table>
    <h2>Check it yourself</h2>
    <p>
      This page believes the archive’s own key and looks at one digest. The whole chain, the anchor and a
      pinned key are checked by
    </p>
    <p><code>everlog verify --key FINGERPRINT</code></p>
    <p>A bundle with its own <code>verify.sh</code>, for bash, openssl and jq:</p>
    <p><code>everlog export --out proof --run ${record.run_id} --job '${record.job_name ?? ''}'</code></p>`;
}
