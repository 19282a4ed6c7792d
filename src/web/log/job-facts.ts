import { type JobRecord, momentOf, resultOf } from '../../archive/record.ts';
import { html, type Html } from '../html.ts';
import { durationOf, resultClass } from './log-lines-html.ts';

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

/** `CI / build`. */
export function titleOf({ workflow_name, job_name }: JobRecord): string {
  return [workflow_name, job_name].filter((name) => name !== null && name !== '').join(' / ') || 'A job';
}

/** The facts of a job in one line. */
export function factsHtml(record: JobRecord): Html {
  const tookMs = Date.parse(record.completed_at ?? '') - Date.parse(record.started_at ?? '');
  const attempt = record.run_attempt === null ? null : `attempt ${record.run_attempt}`;
  const parts = [
    html`<b class="${resultClass(record.conclusion ?? '')}">${resultOf(record)}</b>`,
    record.head_branch,
    shaOf(record),
    html`<time datetime="${momentOf(record)}">${momentOf(record).slice(0, 16).replace('T', ' ')} UTC</time>`,
    Number.isNaN(tookMs) ? null : durationOf(tookMs),
    attempt,
    record.runner_name,
    record.log === null ? null : `${record.log.lines.toLocaleString('en-US')} lines`,
  ].filter((part) => part !== null);
  return html`<p class="facts">${parts.map((part, index) => html`${index === 0 ? '' : ' · '}${part}`)}</p>`;
}

/** The commit, at GitHub where the host's address is known. */
function shaOf(record: JobRecord): Html | null {
  const sha = record.head_sha;
  if (sha === null) return null;
  const source = repositoryAddress(record);
  const short = html`<code>${sha.slice(0, 12)}</code>`;
  return source === null
    ? short
    : html`<a href="${source}/commit/${encodeURIComponent(sha)}" rel="noreferrer">${short}</a>`;
}

/** Where a repository's source is, on its own host; null where the host is none of GitHub's own names. */
export function repositoryAddress({
  host,
  owner,
  repo,
}: Pick<JobRecord, 'host' | 'owner' | 'repo'>): string | null {
  if (!/^[a-z0-9-]+(?:\.[a-z0-9-]+)+$/.test(host) || /^[\d.]+$/.test(host)) return null;
  return `https://${host}/${encodeURIComponent(owner)}/${encodeURIComponent(repo)}`;
}
