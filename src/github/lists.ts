import { z } from 'zod';
import { retryable } from '../errors.ts';
import type { ApiAnswer, GitHubApi } from './api.ts';
import type { RepositoryRef } from './credentials.ts';
import { JsonText } from '../json-text.ts';
import { parseJob, type GitHubJob } from './job.ts';
import { headerText } from './rate-limit.ts';

/** Lists of GitHub's API: pages of 100, followed by their `Link` header and never by a page number of our own. */

/** A run attempt has 256 jobs per matrix and a few matrices; all attempts of a run stay far below this many pages of 100. */
const PAGES_MAX = 500;

/** A job as a listing gave it. */
export interface ListedJob {
  readonly job: GitHubJob;
  readonly raw: JsonText;
}

export type JobListing =
  | {
      readonly kind: 'jobs';
      readonly jobs: readonly ListedJob[];
      /** What is wrong with each listed job that has no id to know it by. They are jobs that nobody can account for. */
      readonly unreadable: readonly string[];
      readonly calls: number;
    }
  /** The run or attempt is not there: deleted, or access was withdrawn. */
  | { readonly kind: 'missing'; readonly status: number };

/** GitHub gives 100 at most. */
const PAGE_ELEMENTS_MAX = 1_000;
const jobPageSchema = z.object({
  total_count: z.int().min(0),
  jobs: z.array(z.unknown()).max(PAGE_ELEMENTS_MAX),
});

/** The jobs of a run in all its attempts. */
export function listRunJobs(api: GitHubApi, repository: RepositoryRef, runId: number): Promise<JobListing> {
  return listJobs(api, repository, `${runPath(repository, runId)}/jobs?filter=all&per_page=100`);
}

/** The jobs of one attempt of a run. */
export function listAttemptJobs(
  api: GitHubApi,
  repository: RepositoryRef,
  runId: number,
  attempt: number,
): Promise<JobListing> {
  return listJobs(api, repository, `${runPath(repository, runId)}/attempts/${attempt}/jobs?per_page=100`);
}

/** Whether a repository can be seen with the credentials for it. */
export async function isRepositoryVisible(api: GitHubApi, repository: RepositoryRef): Promise<boolean> {
  const { status } = await api.get(`/repos/${repository.owner}/${repository.repo}`, repository);
  return status === 200;
}

/** Runs asked for as witnesses: the newest, of which a few may be deleted between the calls. */
const NEIGHBOURS = 3;
const neighboursSchema = z.object({ workflow_runs: z.array(z.object({ id: z.int() })) });

/** `gone`: GitHub answers for other runs of the repository and not for this one. `silent`: it answers for none of them. */
export type RunWitness = 'there' | 'gone' | 'silent';

/**
 * Asks whether a run is gone, with the repository's other runs as second witness: an incident answers 404 for all. Three
 * calls at most where all is well.
 */
export async function witnessRun(
  api: GitHubApi,
  repository: RepositoryRef,
  runId: number,
): Promise<RunWitness> {
  const answers = async (id: number): Promise<boolean> =>
    (await api.get(runPath(repository, id), repository)).status === 200;
  if (await answers(runId)) return 'there';
  const runs = `/repos/${repository.owner}/${repository.repo}/actions/runs`;
  const answer = await api.get(`${runs}?per_page=${NEIGHBOURS}&exclude_pull_requests=true`, repository);
  const listed = answer.status === 200 ? neighboursSchema.safeParse(answerValue(answer, api)) : null;
  if (listed?.success !== true) return 'silent';
  const ids = listed.data.workflow_runs.map(({ id }) => id);
  if (ids.includes(runId)) return 'silent';
  for (const id of ids) if (await answers(id)) return 'gone';
  // A repository without another run: the list, which does not know this one, is what answers.
  return ids.length === 0 ? 'gone' : 'silent';
}

/** All pages of a list of jobs. One that counts more jobs than it gives says so among the unreadable: jobs may be hidden. */
async function listJobs(api: GitHubApi, repository: RepositoryRef, first: string): Promise<JobListing> {
  const jobs = new Map<number, ListedJob>();
  const unreadable: string[] = [];
  let total = 0;
  let path: string | null = first;
  let calls = 0;
  while (path !== null) {
    if (calls === PAGES_MAX)
      throw retryable('github_unexpected', `${api.host.name}: a job list of over ${PAGES_MAX} pages`);
    const answer: ApiAnswer = await api.get(path, repository);
    calls += 1;
    if (answer.status !== 200) return { kind: 'missing', status: answer.status };
    const { json, value } = readAnswer(answer, api);
    const page = jobPageSchema.safeParse(value);
    if (!page.success)
      throw retryable('github_unexpected', `${api.host.name}: ${answer.path} is not a list of jobs`);
    total = page.data.total_count;
    for (const element of json.member('jobs')?.elements() ?? []) {
      const parsed = parseJob(element);
      // Its neighbours are not to wait for it.
      if (parsed.ok) jobs.set(parsed.job.id, { job: parsed.job, raw: parsed.raw });
      else unreadable.push(parsed.problem);
    }
    path = nextPath(answer, api);
  }
  const given = jobs.size + unreadable.length;
  // What is listed is compared; the difference is a gap, and no reason to stop.
  if (given < total) unreadable.push(`GitHub counts ${total} jobs and lists ${given}`);
  return { kind: 'jobs', jobs: [...jobs.values()], unreadable, calls };
}

/**
 * The path of the next page below the API's base; null on the last one.
 * @throws EverlogError `github_unexpected` when it leads to another origin.
 */
export function nextPath(answer: ApiAnswer, api: GitHubApi): string | null {
  return linkedPath(answer, api, 'next');
}

/** Likewise of another page that the answer's `Link` header names. */
export function linkedPath(
  answer: ApiAnswer,
  api: GitHubApi,
  relation: 'next' | 'prev' | 'first' | 'last',
): string | null {
  const links = (headerText(answer.headers, 'link') ?? '').matchAll(/<([^>]+)>\s*;\s*rel="([a-z]+)"/g);
  const target = [...links].find(([, , rel]) => rel === relation)?.[1];
  if (target === undefined) return null;
  const base = new URL(api.host.apiUrl);
  const url = URL.canParse(target, base.href) ? new URL(target, base.href) : null;
  const prefix = base.pathname === '/' ? '' : base.pathname;
  if (url === null || url.origin !== base.origin || !url.pathname.startsWith(`${prefix}/`)) {
    throw retryable('github_unexpected', `${api.host.name}: the next page lies outside the API`);
  }
  return url.pathname.slice(prefix.length) + url.search;
}

/** The JSON in an answer; a retryable error when it is none. */
export function answerValue(answer: ApiAnswer, api: GitHubApi): unknown {
  return readAnswer(answer, api).value;
}

/** Likewise with the text it came in. */
export function readAnswer(
  answer: ApiAnswer,
  api: GitHubApi,
): { readonly json: JsonText; readonly value: unknown } {
  const read = JsonText.read(answer.bytes.toString('utf8'));
  if (read !== null) return read;
  throw retryable('github_unexpected', `${api.host.name}: the answer for ${answer.path} is not JSON`);
}

function runPath(repository: RepositoryRef, runId: number): string {
  return `/repos/${repository.owner}/${repository.repo}/actions/runs/${runId}`;
}
