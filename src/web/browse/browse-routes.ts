import type { RunAddress } from '../../archive/keys.ts';
import { parseAddress, type CodeAddress, type JobReference } from '../../archive/find/job-reference.ts';
import { recordedRepositories } from '../../archive/find/list-repositories.ts';
import type { RecordFilters } from '../../archive/find/record-filters.ts';
import { findRunEntries, readRun } from '../../archive/run-object.ts';
import type { StoredRecord } from '../../archive/find/find-records.ts';
import { html, type Html } from '../html.ts';
import type { Addresses } from '../log/job-facts.ts';
import { noteHtml } from '../page.ts';
import { repositoryPlace, ReadProblems } from '../read-problems.ts';
import type { Page } from '../requests.ts';
import { crumbsOf, type Site } from '../site.ts';
import type { CoverageLooks } from './coverage-marks.ts';
import type { DaySums } from './day-sums.ts';
import { filterForm, filtersIn } from './filters.ts';
import { countText } from './charts.ts';
import { findJobs, LISTED_MAX, LOOKED_AT_MAX, REPOSITORIES_ASKED_MAX, type FoundJobs } from './found-jobs.ts';
import { jobTable, ledgerNote, runPage, type RunAttempt } from './list-page.ts';

/** What pages of lists keep between requests. */
export interface Browsing {
  readonly coverage: CoverageLooks;
  readonly sums: DaySums;
}

const REPOSITORIES_LISTED_MAX = 500;

/** The newest jobs, and the repositories that have some. */
export async function home(site: Site, browsing: Browsing, c: Page): Promise<Response> {
  const query = (name: string): string | undefined => c.req.query(name);
  const parsed = filtersIn(query);
  if (!parsed.ok) return badFilter(site, parsed.problem);
  const problems = new ReadProblems();
  const found = await findJobs(site, c, parsed.filters, problems);
  const addresses = await site.addresses();
  const isNarrowed = Object.keys(parsed.filters).length > 0;
  const content = html`<h1>${isNarrowed ? 'Jobs that match' : 'Newest jobs'}</h1>
    <p class="facts">${reachText(found)} <a href="/?failed=1">Failed ones</a></p>
    ${filterForm('/', query)} ${await jobsHtml(browsing, c, found, problems, addresses, true)}
    <h2>Repositories</h2>
    <ul>
      ${await repositories(site, c, found.records, addresses)}
    </ul>`;
  return site.page(isNarrowed ? 'Jobs that match' : 'Newest jobs', [], content);
}

/** All repositories for who reads all; else those of the jobs shown, as a name alone may be a secret. */
async function repositories(
  site: Site,
  c: Page,
  records: readonly StoredRecord[],
  addresses: Addresses,
): Promise<Html[]> {
  const items: Html[] = [];
  const seen = new Set<string>();
  const add = (one: { host: string; owner: string; repo: string }): void => {
    if (seen.has(repositoryPlace(one))) return;
    seen.add(repositoryPlace(one));
    items.push(html`<li><a href="${addresses.repository(one)}">${one.owner}/${one.repo}</a></li>`);
  };
  if (!c.get('reader').readsAll) {
    for (const { record } of records) add(record);
    return items;
  }
  for await (const one of recordedRepositories(site.deps.store)) {
    if (items.length >= REPOSITORIES_LISTED_MAX) return [...items, html`<li>and more</li>`];
    add(one);
  }
  return items;
}

/** The box: any pasted address, id or commit leads to its page. */
export async function go(site: Site, c: Page): Promise<Response> {
  const text = (c.req.query('u') ?? '').trim();
  const isSha = /^[0-9a-f]{7,64}$/i.test(text) && !/^\d+$/.test(text);
  if (isSha) return c.redirect(`/?sha=${text.toLowerCase()}`, 303);
  const parsed = parseAddress(text);
  if (!parsed.ok) {
    return site.page('No address', [], noteHtml('This is no address', `${parsed.problem}.`), 404);
  }
  const problems = new ReadProblems();
  const target = await pathOf(site, c, parsed.address, problems);
  if (target !== null) return c.redirect(target, 303);
  // How a commit begins may be all digits, too.
  if (/^\d{7,64}$/.test(text) && (await findJobs(site, c, { shaPrefix: text }, problems)).records.length > 0)
    return c.redirect(`/?sha=${text}`, 303);
  return site.missingOrUnread(c, problems);
}

async function pathOf(
  site: Site,
  c: Page,
  address: JobReference | CodeAddress,
  problems: ReadProblems,
): Promise<string | null> {
  const addresses = await site.addresses();
  if (address.kind === 'id') {
    const filters = { anyId: address.id, ...(address.host === null ? {} : { host: address.host }) };
    const { records } = await findJobs(site, c, filters, problems);
    const record = (records.find((one) => one.record.job_id === address.id) ?? records[0])?.record;
    if (record === undefined) return null;
    return record.job_id === address.id ? addresses.job(record) : addresses.run(record);
  }
  const host = address.host ?? (await site.mainHost());
  const place = addresses.repository({ host, owner: address.owner, repo: address.repo });
  if (address.kind !== 'place') {
    if (address.sha !== null) return `${place}/commit/${address.sha}`;
    return address.number === null ? place : `${place}/pull/${address.number}`;
  }
  const { runId, jobId, attempt, step, line } = address;
  if (runId === null) {
    if (jobId === null) return place;
    if (!(await site.maySee(c, { host, owner: address.owner, repo: address.repo }))) return null;
    const filters = { host, repo: { owner: address.owner, repo: address.repo }, jobId };
    const [first] = (await findJobs(site, c, filters, problems)).records;
    return first === undefined ? null : addresses.job(first.record);
  }
  const run = `${place}/actions/runs/${runId}`;
  if (jobId === null) return attempt === null ? run : `${run}/attempts/${attempt}`;
  const fragment = step === null ? '' : `?step=${step}#step:${step}:${line ?? 1}`;
  return `${run}/job/${jobId}${fragment}`;
}

/** A run's attempts and jobs. */
export async function run(site: Site, browsing: Browsing, c: Page): Promise<Response> {
  const reference = await site.reference(c);
  if (reference === null) return site.missing();
  const problems = new ReadProblems();
  const found = await site.found(reference, problems);
  if (found.length === 0) return site.missingOrUnread(c, problems);
  // Names of a repository lead to all that bore them: each record is its own repository's.
  const may = await Promise.all(found.map(({ record }) => site.may(c, record)));
  const records = found.filter((_stored, at) => may[at]);
  const [first] = records;
  if (first === undefined) return site.missing();
  const addresses = await site.addresses();
  const attempts = await runAttempts(site, records, reference.kind === 'place' ? reference.attempt : null);
  const title = `${first.record.workflow_name ?? 'Run'} · run ${first.record.run_id}`;
  const marks = await browsing.coverage.of(records);
  const content = html`${problems.told(c.get('reader'), placesOf(records))}
  ${runPage(title, first.record, attempts, addresses, marks)}`;
  return site.page(title, crumbsOf(first.record, addresses, null), content);
}

async function runAttempts(
  site: Site,
  records: readonly StoredRecord[],
  only: number | null,
): Promise<RunAttempt[]> {
  const places = new Map<string, RunAddress>();
  for (const { address } of records) places.set(repositoryPlace(address), address);
  const [first] = records;
  const entries =
    first === undefined
      ? new Map()
      : await findRunEntries(site.deps.store, first.address.host, [...places.values()], first.address.runId);
  const numbers = new Set([
    ...records.map(({ address }) => address.runAttempt),
    ...(only === null ? entries.keys() : []),
  ]);
  const attempts = [...numbers].sort((a, b) => b - a);
  return Promise.all(
    attempts.map(async (attempt) => {
      const entry = entries.get(attempt);
      return {
        attempt,
        records: records.filter(({ address }) => address.runAttempt === attempt),
        run: entry === undefined ? null : await readRun(site.deps.store, entry.key),
      };
    }),
  );
}

/** Jobs of a repository, commit, pull request or branch. */
export async function code(site: Site, browsing: Browsing, c: Page): Promise<Response> {
  const [owner, repo] = [c.req.param('owner') ?? '', c.req.param('repo') ?? ''];
  const host = c.req.param('host') ?? (await site.mainHost());
  const path = c.req.path.replace(/^\/-\/h\/[^/]+/, '');
  const parsed = parseAddress(`https://${host}${path}`);
  if (!parsed.ok || parsed.address.kind === 'id') return site.missing();
  if (!(await site.hasRecords(host, parsed.address.owner, parsed.address.repo))) return site.missing();
  if (parsed.address.kind === 'place') {
    // GitHub has more than one path to a job; here each job has one.
    const target = await pathOf(site, c, parsed.address, new ReadProblems());
    return target === null || target === c.req.path ? site.missing() : c.redirect(target, 302);
  }
  const { sha, number } = parsed.address;
  const query = (name: string): string | undefined => c.req.query(name);
  const asked = filtersIn(query);
  if (!asked.ok) return badFilter(site, asked.problem);
  const place: Pick<RecordFilters, 'host' | 'repo'> = { host, repo: { owner, repo } };
  const filters: RecordFilters = {
    ...asked.filters,
    ...place,
    ...(sha === null ? {} : { shaPrefix: sha }),
    ...(number === null ? {} : { pullRequest: number }),
  };
  const problems = new ReadProblems();
  const found = await findJobs(site, c, filters, problems);
  const isNarrowed = Object.keys(asked.filters).length > 0;
  // Who sees nothing of it without filters either is not told that there is something.
  const isAny = found.records.length > 0 || (isNarrowed && (await hasAny(site, c, place, problems)));
  if (!isAny) return site.missingOrUnread(c, problems);
  const what =
    sha !== null ? `Commit ${sha.slice(0, 12)}` : number !== null ? `Pull request ${number}` : null;
  const title = what === null ? `${owner}/${repo}` : `${what} · ${owner}/${repo}`;
  const addresses = await site.addresses();
  const isWhole = sha === null && number === null && !isNarrowed;
  const mayChart = isWhole && (await site.mayCount(c, host, owner, repo));
  const content = html`<h1>${title}</h1>
    <p class="facts">${reachText(found)} <a href="?failed=1">Failed ones</a></p>
    ${mayChart ? await browsing.sums.charts(c.get('reader'), place) : ''} ${filterForm(c.req.path, query)}
    ${await jobsHtml(browsing, c, found, problems, addresses, false)}`;
  const home = what === null ? null : addresses.repository({ host, owner, repo });
  const crumbs = [
    { name: owner, href: `/?owner=${encodeURIComponent(owner)}` },
    { name: repo, href: home },
    ...(what === null ? [] : [{ name: what, href: null }]),
  ];
  return site.page(title, crumbs, content);
}

async function hasAny(site: Site, c: Page, place: RecordFilters, problems: ReadProblems): Promise<boolean> {
  return (await findJobs(site, c, place, problems)).records.length > 0;
}

function badFilter(site: Site, problem: string): Response {
  return site.page('No such filter', [], noteHtml('This filter cannot be read', `${problem}.`), 400);
}

function reachText({ records, reach, coverage }: FoundJobs): Html {
  const count = {
    all: `${records.length} shown.`,
    newest: `The newest ${LISTED_MAX} shown.`,
    some: `${records.length} shown: what you may see of the newest ${countText(LOOKED_AT_MAX)} that match, in ${REPOSITORIES_ASKED_MAX} repositories at most.`,
  }[reach];
  const until = coverage?.completeUntil ?? null;
  if (coverage === null) return html`${count}`;
  const indexed =
    until === null
      ? 'nothing is indexed as complete yet'
      : `complete until ${until.toISOString().slice(0, 16).replace('T', ' ')} UTC; of what was recorded since, what workers have told of`;
  return html`${count} <span title="${indexed}">Through the index: ${indexed}.</span>`;
}

async function jobsHtml(
  browsing: Browsing,
  c: Page,
  { records }: FoundJobs,
  problems: ReadProblems,
  addresses: Addresses,
  withRepository: boolean,
): Promise<Html> {
  const told = problems.told(c.get('reader'), placesOf(records));
  if (records.length === 0)
    return html`${told}
      <p>No job that matches is recorded, or you may see none.</p>`;
  const marks = await browsing.coverage.of(records);
  return html`${told} ${ledgerNote(marks)} ${jobTable(records, addresses, marks.marks, withRepository)}`;
}

function placesOf(records: readonly StoredRecord[]): ReadonlySet<string> {
  return new Set(records.map(({ record }) => repositoryPlace(record)));
}
