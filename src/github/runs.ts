import { z } from 'zod';
import { giveUp, retryable } from '../errors.ts';
import type { ApiAnswer, GitHubApi } from './api.ts';
import type { RepositoryRef } from './credentials.ts';
import { linkedPath, readAnswer } from './lists.ts';
import type { JsonText } from '../json-text.ts';
import { momentMs } from '../units.ts';

/**
 * The runs of a repository by the time of their creation. GitHub gives no more than 1,000 runs of a filtered list, whatever
 * the page, so a window that holds more is divided until each part can be read whole.
 */

/** Both ends belong to the window; whole seconds, as GitHub compares no finer. */
export interface CreatedWindow {
  readonly from: Date;
  readonly to: Date;
}

/** The few fields of a run that Everlog acts on; `raw` is the run as GitHub gave it. */
export interface ListedRun {
  readonly id: number;
  readonly runNumber: number | null;
  /** The newest attempt; 1 where the host sends none. */
  readonly runAttempt: number;
  readonly status: string;
  /** A re-run keeps it. */
  readonly createdAt: Date;
  /** When its newest attempt began. */
  readonly startedAt: Date;
  /** When GitHub last changed it: of a run that is over not before its end; null where the host sends none. */
  readonly updatedAt: Date | null;
  /** What its number counts within: the workflow. */
  readonly workflow: string | null;
  readonly raw: JsonText;
}

/** One page of a window. Windows come oldest first, and so do the pages of each. */
export interface RunPage {
  readonly window: CreatedWindow;
  readonly runs: readonly ListedRun[];
  /** Listed runs that have no id to know them by: nobody can account for their jobs. */
  readonly unreadable: number;
  /** Whether these are the last runs of their window. */
  readonly endsWindow: boolean;
}

/** GitHub's cap on a filtered list. A list that says so many may hold more. */
const RUNS_PER_WINDOW_MAX = 1_000;
/** The most that GitHub gives at once. */
const PAGE_RUNS = 100;
/** A window is divided into parts that would hold this many if its runs were spread evenly: few are divided again. */
const RUNS_PER_PART = 700;
/** A reading of a total that cannot be true must not make thousands of windows at once. */
const PARTS_MAX = 64;
const SECOND_MS = 1_000;

/** GitHub gives 100 at most. */
const PAGE_ELEMENTS_MAX = 1_000;
const text = z.string().nullish().catch(null);
/** Only the id must be understood: one odd value must not keep a repository from being compared. */
const runSchema = z.object({
  id: z.int().positive(),
  run_number: z.int().nullish().catch(null),
  run_attempt: z.int().positive().nullish().catch(null),
  status: text,
  created_at: text,
  run_started_at: text,
  updated_at: text,
  workflow_id: z.int().nullish().catch(null),
});
const pageSchema = z.object({
  total_count: z.int().min(0),
  workflow_runs: z.array(z.unknown()).max(PAGE_ELEMENTS_MAX),
});

/**
 * Lists the runs created in a window, oldest page first: those that expire first come first, and a page read from the end
 * loses nothing when a run is deleted meanwhile.
 * @throws EverlogError `github_refused` (give up) when the repository cannot be seen or a single second holds 1,000 runs,
 * `github_unexpected` (retry) when the pages do not add up.
 */
export async function* listRuns(
  api: GitHubApi,
  repository: RepositoryRef,
  window: CreatedWindow,
): AsyncGenerator<RunPage> {
  const windows = [window];
  for (let next = windows.pop(); next !== undefined; next = windows.pop()) {
    const first = await readPage(api, repository, runsPath(repository, next, PAGE_RUNS), next);
    if (first.total >= RUNS_PER_WINDOW_MAX) {
      const parts = divideWindow(next, first.total);
      if (parts.length === 0) throw tooDense(api, repository, next, first.total);
      windows.push(...parts.toReversed());
    } else {
      yield* pagesOf(api, repository, next, first);
    }
  }
}

/** How many runs were created in a window: one call. */
export async function countRuns(
  api: GitHubApi,
  repository: RepositoryRef,
  window: CreatedWindow,
): Promise<number> {
  return (await readPage(api, repository, runsPath(repository, window, 1), window)).total;
}

/** A window's parts, oldest first, that share its seconds; none when it is a single second. Pure. */
export function divideWindow({ from, to }: CreatedWindow, total: number): CreatedWindow[] {
  const first = Math.floor(from.getTime() / SECOND_MS);
  const seconds = Math.floor(to.getTime() / SECOND_MS) - first + 1;
  const parts = Math.min(Math.max(2, Math.ceil(total / RUNS_PER_PART)), PARTS_MAX, seconds);
  if (parts < 2) return [];
  const edge = (part: number): number => first + Math.floor((seconds * part) / parts);
  return Array.from({ length: parts }, (_, part) => ({
    from: new Date(edge(part) * SECOND_MS),
    to: new Date((edge(part + 1) - 1) * SECOND_MS),
  }));
}

interface ReadPage {
  readonly answer: ApiAnswer;
  readonly total: number;
  readonly runs: readonly ListedRun[];
  readonly unreadable: number;
}

async function* pagesOf(
  api: GitHubApi,
  repository: RepositoryRef,
  window: CreatedWindow,
  first: ReadPage,
): AsyncGenerator<RunPage> {
  const seen = new Set(first.runs.map(({ id }) => id));
  let odd = first.unreadable;
  let total = first.total;
  let path = linkedPath(first.answer, api, 'last');
  for (let pages = 1; path !== null; pages += 1) {
    if (pages * PAGE_RUNS > RUNS_PER_WINDOW_MAX) throw notAddingUp(api, repository);
    const page = await readPage(api, repository, path, window);
    odd += page.unreadable;
    for (const { id } of page.runs) seen.add(id);
    total = page.total;
    yield { window, runs: page.runs.toReversed(), unreadable: page.unreadable, endsWindow: false };
    const before = linkedPath(page.answer, api, 'prev');
    path = before === linkedPath(page.answer, api, 'first') ? null : before;
  }
  if (seen.size + odd < total) throw notAddingUp(api, repository);
  yield { window, runs: first.runs.toReversed(), unreadable: first.unreadable, endsWindow: true };
}

async function readPage(
  api: GitHubApi,
  repository: RepositoryRef,
  path: string,
  window: CreatedWindow,
): Promise<ReadPage> {
  const answer = await api.get(path, repository);
  if (answer.status !== 200) {
    throw giveUp(
      'github_refused',
      `${api.host.name}: GitHub does not list the runs of ${repository.owner}/${repository.repo} (${answer.status})`,
    );
  }
  const { json, value } = readAnswer(answer, api);
  const page = pageSchema.safeParse(value);
  if (!page.success)
    throw retryable('github_unexpected', `${api.host.name}: ${answer.path} is not a list of runs`);
  const runs = [...(json.member('workflow_runs')?.elements() ?? [])].map((raw) => parseRun(raw, window));
  const readable = runs.filter((run) => run !== null);
  return {
    answer,
    total: page.data.total_count,
    runs: readable,
    unreadable: runs.length - readable.length,
  };
}

/** Null for a run without an id. One whose times cannot be read was created in the window that it was listed for. */
function parseRun(raw: JsonText, window: CreatedWindow): ListedRun | null {
  const parsed = runSchema.safeParse(raw.value());
  if (!parsed.success) return null;
  const run = parsed.data;
  const createdMs = momentMs(run.created_at) ?? window.to.getTime();
  const updatedMs = momentMs(run.updated_at);
  return {
    id: run.id,
    runNumber: run.run_number ?? null,
    runAttempt: run.run_attempt ?? 1,
    status: run.status ?? 'completed',
    createdAt: new Date(createdMs),
    startedAt: new Date(momentMs(run.run_started_at) ?? createdMs),
    updatedAt: updatedMs === null ? null : new Date(updatedMs),
    workflow: run.workflow_id === null || run.workflow_id === undefined ? null : String(run.workflow_id),
    raw,
  };
}

function runsPath({ owner, repo }: RepositoryRef, { from, to }: CreatedWindow, perPage: number): string {
  const created = encodeURIComponent(`${toSecond(from)}..${toSecond(to)}`);
  return `/repos/${owner}/${repo}/actions/runs?created=${created}&per_page=${perPage}&exclude_pull_requests=true`;
}

/** GitHub's own form, without fractions. */
function toSecond(moment: Date): string {
  return `${moment.toISOString().slice(0, 19)}Z`;
}

function notAddingUp(api: GitHubApi, { owner, repo }: RepositoryRef): Error {
  return retryable(
    'github_unexpected',
    `${api.host.name}: the list of runs of ${owner}/${repo} is not whole`,
  );
}

function tooDense(
  api: GitHubApi,
  { owner, repo }: RepositoryRef,
  { from }: CreatedWindow,
  total: number,
): Error {
  return giveUp(
    'github_refused',
    `${api.host.name}: ${owner}/${repo} has ${total} runs created in the second ${toSecond(from)}, and GitHub lists no more than ${RUNS_PER_WINDOW_MAX} of them`,
  );
}
