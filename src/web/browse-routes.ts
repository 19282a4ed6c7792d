import { parseAddress, type CodeAddress, type JobReference } from '../archive/find/job-reference.ts';
import { listRepositories } from '../archive/find/list-repositories.ts';
import type { StoredRecord } from '../archive/find/find-records.ts';
import type { RecordFilters } from '../archive/find/record-filters.ts';
import { scanRecords } from '../archive/find/scan-records.ts';
import type { JobRecord } from '../archive/record.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { html, type Html } from './html.ts';
import { jobTable, runPage } from './list-page.ts';
import { noteOf } from './page.ts';
import { filtersIn, type Page } from './requests.ts';
import { crumbsOf, type Site } from './site.ts';

/** Jobs shown on a list page. */
const LISTED_MAX = 100;
const REPOSITORIES_LISTED_MAX = 500;

/** The newest jobs, and the repositories that have some. */
export async function home(site: Site, c: Page): Promise<Response> {
  const filters = filtersIn(c);
  const { records, lacking } = await visible(site, c, filters);
  const repositories: Html[] = [];
  const addresses = await site.addresses();
  for await (const one of listRepositories(site.deps.store)) {
    repositories.push(html`<li><a href="${addresses.repository(one)}">${one.owner}/${one.repo}</a></li>`);
    if (repositories.length >= REPOSITORIES_LISTED_MAX) break;
  }
  const content = html`<h1>Newest jobs</h1>
    <p class="facts">Of ${site.deps.store.location}. <a href="/?failed=1">Failed ones only</a> ${lacking}</p>
    ${records.length === 0 ? noteOf('Nothing here yet', 'No job that matches is recorded, or you may see none.') : jobTable(records, addresses, true)}
    <h2>Repositories</h2>
    <ul>
      ${repositories}
    </ul>`;
  return site.page('Newest jobs', [], content);
}

/** The box: any pasted address, id or commit leads to its page. */
export async function go(site: Site, c: Page): Promise<Response> {
  const text = c.req.query('u') ?? '';
  const sha =
    /^[0-9a-f]{7,64}$/i.test(text.trim()) && !/^\d+$/.test(text.trim()) ? text.trim().toLowerCase() : null;
  if (sha !== null) return c.redirect(`/?sha=${sha}`, 303);
  const parsed = parseAddress(text);
  if (!parsed.ok) {
    return site.page('No address', [], noteOf('This is no address', `${parsed.problem}.`), 404);
  }
  const target = await pathOf(site, c, parsed.address);
  return target === null ? site.missing() : c.redirect(target, 303);
}

async function pathOf(site: Site, c: Page, address: JobReference | CodeAddress): Promise<string | null> {
  const addresses = await site.addresses();
  if (address.kind === 'id') {
    const found = await site.found(address);
    const [first] = found;
    if (first === undefined || !(await site.may(c, first.record))) return null;
    return first.record.job_id === address.id ? addresses.job(first.record) : addresses.run(first.record);
  }
  const host = address.host ?? (await site.mainHost());
  const place = addresses.repository({ host, owner: address.owner, repo: address.repo });
  if (address.kind !== 'place') {
    if (address.sha !== null) return `${place}/commit/${address.sha}`;
    return address.number === null ? place : `${place}/pull/${address.number}`;
  }
  const { runId, jobId, attempt, step, line } = address;
  if (runId === null) {
    const [first] = await site.found(address);
    return first !== undefined && (await site.may(c, first.record)) ? addresses.job(first.record) : null;
  }
  const run = `${place}/actions/runs/${runId}`;
  if (jobId === null) return attempt === null ? run : `${run}/attempts/${attempt}`;
  const fragment = step === null ? '' : `?step=${step}#step:${step}:${line ?? 1}`;
  return `${run}/job/${jobId}${fragment}`;
}

/** A run's attempts and jobs. */
export async function run(site: Site, c: Page): Promise<Response> {
  const reference = await site.reference(c);
  if (reference === null) return site.missing();
  const records = await site.found(reference);
  const [first] = records;
  if (first === undefined || !(await site.may(c, first.record))) return site.missing();
  const addresses = await site.addresses();
  return site.page(`Run ${first.record.run_id}`, crumbsOf(first.record), runPage(records, addresses));
}

/** Jobs of a repository, commit, pull request or branch. */
export async function code(site: Site, c: Page): Promise<Response> {
  const [owner, repo] = [c.req.param('owner') ?? '', c.req.param('repo') ?? ''];
  const host = c.req.param('host') ?? (await site.mainHost());
  const path = c.req.path.replace(/^\/-\/h\/[^/]+/, '');
  const parsed = parseAddress(`https://${host}${path}`);
  if (!parsed.ok || parsed.address.kind === 'id' || parsed.address.kind === 'place') return site.missing();
  const { sha, number } = parsed.address;
  const filters: RecordFilters = {
    ...filtersIn(c),
    host,
    repo: { owner, repo },
    ...(sha === null ? {} : { shaPrefix: sha }),
    ...(number === null ? {} : { pullRequest: number }),
  };
  const { records, lacking } = await visible(site, c, filters);
  if (records.length === 0) return site.missing();
  const heading =
    sha === null ? (number === null ? '' : `Pull request ${number}`) : `Commit ${sha.slice(0, 12)}`;
  const content = html`<h1>${owner}/${repo}</h1>
    <p class="facts">
      ${heading} The newest ${records.length} jobs recorded. <a href="?failed=1">Failed ones only</a>
      ${lacking}
    </p>
    ${jobTable(records, await site.addresses(), false)}`;
  return site.page(`${owner}/${repo}`, [owner, repo], content);
}

interface Listed {
  readonly records: readonly JobRecord[];
  /** What the list may lack. */
  readonly lacking: string;
}

async function visible(site: Site, c: Page, filters: RecordFilters): Promise<Listed> {
  const { store, findJobs } = site.deps;
  const found = findJobs === undefined ? await scanned(store, filters) : await findJobs(filters, LISTED_MAX);
  const records: JobRecord[] = [];
  for (const { record } of found.records) if (await site.may(c, record)) records.push(record);
  return { records, lacking: found.isIndexed ? 'Jobs of the last minute may not be listed yet.' : '' };
}

async function scanned(
  store: ObjectStore,
  filters: RecordFilters,
): Promise<{ readonly records: readonly StoredRecord[]; readonly isIndexed: boolean }> {
  const records: StoredRecord[] = [];
  const options = { limit: LISTED_MAX, onProblem: () => undefined };
  for await (const stored of scanRecords(store, filters, options)) records.push(stored);
  return { records, isIndexed: false };
}
