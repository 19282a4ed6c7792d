import { jobObject, OWNER, REPOSITORY, REPOSITORY_ID } from './deliveries.ts';

/** A repository's runs, as many as wanted and none of them kept: what GitHub lists of each follows from its number. */

export const JOBS_PER_RUN = 4;
/** Runs begin at a steady pace from here on. */
const FIRST_RUN_MS = Date.parse('2026-06-01T00:00:00Z');
const PACE_MS = 10_000;
const PAGE_RUNS_MAX = 100;
const LIST_CAP = 1_000;

const base = `/repos/${OWNER}/${REPOSITORY}`;
const JOBS = new RegExp(`^${base}/actions/runs/(\\d+)/(?:attempts/1/)?jobs$`);

export interface Answer {
  readonly body: object;
  readonly link: string | null;
}

/** What a list or the repository itself is answered with, below the API's base; null for other paths. */
export function answerList(apiUrl: string, pathAndQuery: string, runs: number): Answer | null {
  const url = new URL(pathAndQuery, apiUrl);
  if (url.pathname === base) {
    const repository = { id: REPOSITORY_ID, name: REPOSITORY, owner: { login: OWNER } };
    return { body: repository, link: null };
  }
  if (url.pathname === `${base}/actions/runs`) return listedRuns(apiUrl, url, runs);
  const run = Number(JOBS.exec(url.pathname)?.[1] ?? Number.NaN);
  if (Number.isNaN(run)) return null;
  const jobs = Array.from({ length: JOBS_PER_RUN }, (_, index) => {
    const id = (run - 1) * JOBS_PER_RUN + index + 1;
    return { ...jobObject(id), run_id: run };
  });
  return { body: { total_count: jobs.length, jobs }, link: null };
}

/** Newest first, as GitHub lists them, and no more than 1,000. */
function listedRuns(apiUrl: string, url: URL, runs: number): Answer {
  const [from = '', to = ''] = (url.searchParams.get('created') ?? '').split('..');
  const first = Math.max(1, Math.ceil((Date.parse(from) - FIRST_RUN_MS) / PACE_MS) + 1);
  const last = Math.min(runs, Math.floor((Date.parse(to) - FIRST_RUN_MS) / PACE_MS) + 1);
  const total = Math.max(0, last - first + 1);
  const perPage = Math.min(Number(url.searchParams.get('per_page')), PAGE_RUNS_MAX);
  const page = Number(url.searchParams.get('page') ?? 1);
  const pages = Math.max(1, Math.ceil(Math.min(total, LIST_CAP) / perPage));
  const newest = last - (page - 1) * perPage;
  const count = Math.max(0, Math.min(perPage, newest - first + 1));
  const workflowRuns = Array.from({ length: count }, (_, index) => runObject(newest - index));
  return {
    body: { total_count: total, workflow_runs: workflowRuns },
    link: linkOf(apiUrl, url, page, pages),
  };
}

function linkOf(apiUrl: string, url: URL, page: number, pages: number): string | null {
  const to = (number: number, relation: string): string => {
    const target = new URL(apiUrl + url.pathname + url.search);
    target.searchParams.set('page', String(number));
    return `<${target.href}>; rel="${relation}"`;
  };
  const links = [
    ...(page > 1 ? [to(1, 'first'), to(page - 1, 'prev')] : []),
    ...(page < pages ? [to(page + 1, 'next'), to(pages, 'last')] : []),
  ];
  return links.length === 0 ? null : links.join(', ');
}

function runObject(id: number): Record<string, unknown> {
  const createdAt = new Date(FIRST_RUN_MS + (id - 1) * PACE_MS).toISOString();
  return {
    id,
    name: 'CI',
    run_number: id,
    run_attempt: 1,
    workflow_id: 7,
    event: 'push',
    status: 'completed',
    conclusion: 'success',
    head_branch: 'main',
    created_at: createdAt,
    updated_at: createdAt,
    run_started_at: createdAt,
  };
}
