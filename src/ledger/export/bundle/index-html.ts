import { createHash } from 'node:crypto';
import { pageAddress } from '../../../archive/find/page-address.ts';
import { countsByStatus, isUnsound, STATUSES } from './index-rows.ts';
import type { IndexRow, Status } from './index-rows.ts';
import { htmlText } from './visible-text.ts';

/** What stands above the table. */
export interface BundleSummary {
  readonly madeAt: string;
  readonly archive: string;
  readonly version: string;
  /** Options as they were given. */
  readonly scope: Readonly<Record<string, string>>;
  readonly sequences: readonly number[];
  readonly keyIds: readonly string[];
  /** Where people reach the web page; null, or missing, where there is none. */
  readonly webUrl?: string | null;
}

/** Rows shown: a page that a browser still scrolls well. The rest is in `index.csv`. */
const ROWS_SHOWN_MAX = 5_000;

const STYLE = `
:root{color-scheme:light dark;--ink:#1c2330;--soft:#5b6577;--line:#d9dee7;--paper:#fff;--shade:#f5f7fa;--good:#116b3c;--bad:#a4161a;--goodbg:#e3f4ea;--badbg:#fce8e8}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf2;--soft:#9aa5b8;--line:#313a49;--paper:#12161d;--shade:#1a2029;--good:#7fd6a3;--bad:#ff9b9b;--goodbg:#153524;--badbg:#451a1c}}
*{box-sizing:border-box}
body{margin:0;padding:2.5rem clamp(1rem,4vw,3.5rem);background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:1.6rem;margin:0 0 .25rem;letter-spacing:-.01em}
h2{font-size:1.05rem;margin:2.25rem 0 .75rem}
p{margin:.25rem 0;max-width:72ch}
.soft,caption{color:var(--soft)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.35rem 1.5rem;margin:1.5rem 0;padding:1rem 1.25rem;background:var(--shade);border:1px solid var(--line);border-radius:8px}
dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere}
code,.hash{font:.86em/1.4 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:8px}
table{border-collapse:collapse;width:100%;font-size:.9rem}
caption{text-align:left;padding:.75rem .9rem}
th,td{text-align:left;vertical-align:top;padding:.55rem .9rem;border-top:1px solid var(--line)}
th{font-weight:600;color:var(--soft);white-space:nowrap;background:var(--shade)}
td.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td.time{white-space:nowrap;font-variant-numeric:tabular-nums}
tbody tr:hover{background:var(--shade)}
bdi{overflow-wrap:anywhere}
a{color:inherit}
.status{display:inline-block;padding:.05rem .55rem;border-radius:99px;font-size:.82rem;white-space:nowrap;background:var(--goodbg);color:var(--good)}
.status.bad{background:var(--badbg);color:var(--bad)}
ul{margin:.25rem 0;padding-left:1.2rem}
@media print{body{padding:0}.scroll{border:0;overflow:visible}}
`;

/**
 * `index.html` of a bundle: one readable page without scripts, pictures or requests. Whatever comes from records is written
 * so that nothing in it is markup, acts or hides; a policy in the page forbids everything but its own style besides.
 */
export function indexHtml(rows: readonly IndexRow[], summary: BundleSummary): string {
  const policy = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'`;
  const shown = rows.slice(0, ROWS_SHOWN_MAX);
  const body = [
    '<h1>Evidence bundle</h1>',
    '<p class="soft">Job logs and their records, with the digests that cover them. This page is for reading; what proves something are the files beside it. <code>VERIFY.md</code> says how to check them.</p>',
    facts(rows, summary),
    '<h2>What the statuses mean</h2>',
    legend(rows),
    '<h2>Jobs</h2>',
    '<div class="scroll"><table>',
    caption(rows.length),
    '<thead><tr><th>Status</th><th>Repository</th><th>Workflow / job</th><th>Branch, commit</th><th>Result</th><th>Completed (UTC)</th><th>Log</th><th>Record</th></tr></thead>',
    `<tbody>\n${shown.map((row) => tableRow(row, summary.webUrl ?? null)).join('\n')}\n</tbody></table></div>`,
  ];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="referrer" content="no-referrer"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>Evidence bundle</title><style>${STYLE}</style></head><body>
${body.join('\n')}
</body></html>
`;
}

function facts(rows: readonly IndexRow[], summary: BundleSummary): string {
  const counts = countsByStatus(rows);
  const scope = Object.entries(summary.scope).map(
    ([name, value]) => `<code>--${htmlText(name)} ${htmlText(value)}</code>`,
  );
  const statuses = [...counts].map(([status, count]) => `${count.toLocaleString('en-US')} ${badge(status)}`);
  const terms: readonly (readonly [string, string])[] = [
    ['Made', `${htmlText(summary.madeAt)} by Everlog ${htmlText(summary.version)}`],
    ['Archive', `<bdi>${htmlText(summary.archive)}</bdi>`],
    ['Asked for', scope.length === 0 ? 'everything' : scope.join(' ')],
    ['Contents', statuses.length === 0 ? 'nothing' : statuses.join(' ')],
    ['Covering digests', ranges(summary.sequences)],
    ['Signing keys', summary.keyIds.map((id) => `<span class="hash">${htmlText(id)}</span>`).join('<br>')],
  ];
  return `<dl>${terms.map(([term, value]) => `<dt>${term}</dt><dd>${value === '' ? 'none' : value}</dd>`).join('\n')}</dl>`;
}

function legend(rows: readonly IndexRow[]): string {
  const items = [...countsByStatus(rows).keys()].map(
    (status) => `<li>${badge(status)} ${htmlText(STATUSES[status])}</li>`,
  );
  return `<ul>${items.join('\n')}</ul>`;
}

function caption(count: number): string {
  return count > ROWS_SHOWN_MAX
    ? `<caption>The first ${ROWS_SHOWN_MAX.toLocaleString('en-US')} of ${count.toLocaleString('en-US')}; all are in <a href="index.csv">index.csv</a>.</caption>`
    : '<caption>The same with every field: <a href="index.csv">index.csv</a>.</caption>';
}

function tableRow(row: IndexRow, webUrl: string | null): string {
  const { record, problem } = row;
  if (problem !== null) {
    return `<tr><td>${badge(row.status)}</td><td colspan="7"><bdi>${htmlText(problem.key)}</bdi><br><bdi class="soft">${htmlText(problem.what)}</bdi></td></tr>`;
  }
  if (record === null) {
    return `<tr><td>${badge(row.status)}</td><td colspan="7">no job of commit <span class="hash">${htmlText(row.askedFor ?? '')}</span></td></tr>`;
  }
  const { facts: it } = record;
  const isHere = row.sequence !== null && row.status !== 'missing';
  const hasLog = isHere && it.log !== null && row.status !== 'erased' && row.status !== 'expired';
  const commit = htmlText((it.head_sha ?? '').slice(0, 12));
  const cells = [
    badge(row.status),
    `<bdi>${htmlText(`${it.owner}/${it.repo}`)}</bdi>${it.host === 'github.com' ? '' : `<br><span class="soft">${htmlText(it.host)}</span>`}`,
    `<bdi>${htmlText(it.workflow_name ?? '–')}</bdi> / <bdi>${htmlText(it.job_name ?? '–')}</bdi><br><span class="soft">run ${it.run_id}, attempt ${it.run_attempt ?? 1}, ${jobLink(webUrl, it)}</span>`,
    `<bdi>${htmlText(it.head_branch ?? '–')}</bdi><br><span class="hash soft" title="${htmlText(it.head_sha ?? '')}">${commit}</span>`,
    `<bdi>${htmlText(it.conclusion ?? '–')}</bdi>${it.outcome === 'archived' ? '' : `<br><span class="soft">${htmlText(it.outcome)}</span>`}`,
  ];
  const log =
    hasLog && it.log !== null
      ? `${link(it.log.key, 'log')}<br><span class="soft">${exactBytes(it.log.bytes)}</span>`
      : '–';
  const record_ = isHere
    ? `${link(record.key, record.revision === 1 ? 'record' : `revision ${record.revision}`)}<br><span class="soft">digest ${row.sequence ?? ''}</span>`
    : '–';
  const custody = row.custody === null ? '' : `<br>${link(row.custody, 'custody')}`;
  const time = htmlText((it.completed_at ?? '–').replace('T', ' ').replace(/Z$/, ''));
  return `<tr>${cells.map((cell) => `<td>${cell}</td>`).join('')}<td class="time">${time}</td><td class="number">${log}</td><td>${record_}${custody}</td></tr>`;
}

/** The job's page, where there is one; the rest of the bundle needs nothing but itself. */
function jobLink(
  webUrl: string | null,
  { host, owner, repo, run_id, job_id }: NonNullable<IndexRow['record']>['facts'],
): string {
  if (webUrl === null) return `job ${job_id}`;
  const address = pageAddress(webUrl, { host, owner, repo, runId: run_id, jobId: job_id });
  return `<a href="${htmlText(address)}">job ${job_id}</a>`;
}

/** A link into the bundle. Each part is encoded, so that a key can name nothing else. */
function link(key: string, text: string): string {
  const href = key.split('/').map(encodeURIComponent).join('/');
  return `<a href="${href}">${htmlText(text)}</a>`;
}

function badge(status: Status): string {
  const isBad = isUnsound({
    status,
    askedFor: null,
    record: null,
    sequence: null,
    custody: null,
    problem: null,
  });
  return `<span class="status${isBad ? ' bad' : ''}">${status.replace('_', ' ')}</span>`;
}

/** `1–3, 7`. */
function ranges(sequences: readonly number[]): string {
  const parts: [number, number][] = [];
  for (const sequence of sequences) {
    const last = parts.at(-1);
    if (last !== undefined && last[1] === sequence - 1) last[1] = sequence;
    else parts.push([sequence, sequence]);
  }
  return parts.map(([from, to]) => (from === to ? `${from}` : `${from}–${to}`)).join(', ');
}

function exactBytes(bytes: number): string {
  return `${bytes.toLocaleString('en-US')} B`;
}
