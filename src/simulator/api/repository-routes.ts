import { errorAnswer, jsonAnswer, notFound } from './answer.ts';
import type { Answer } from './answer.ts';
import type { Job, SimulatedRun, AttemptFacts } from '../facts.ts';
import type { RepositoryRequest, Route } from '../hub.ts';
import { paginate } from './pagination.ts';
import { jobObject, repositoryObject, runObject } from './rest-objects.ts';
import { selectRuns } from './run-selection.ts';

function findJob(request: RepositoryRequest): Job | null {
  const job = request.hub.world.jobs.get(Number(request.params['jobId']));
  return job !== undefined && job.repositoryId === request.repository.id ? job : null;
}

function findRun(request: RepositoryRequest): SimulatedRun | null {
  const run = request.hub.world.runs.get(Number(request.params['runId']));
  return run !== undefined && run.repositoryId === request.repository.id ? run : null;
}

function baseUrl(request: RepositoryRequest): string {
  return `${request.hub.links.apiUrl}${request.path}`;
}

function runJson(
  request: RepositoryRequest,
  run: SimulatedRun,
  facts: AttemptFacts,
): Record<string, unknown> {
  const { hub, repository } = request;
  const owner = hub.world.installations.get(repository.installationId);
  if (owner === undefined) throw new Error(`Repository ${repository.id} has no installation`);
  return runObject(run, facts, repository, owner, hub.links);
}

function jobJson(request: RepositoryRequest, job: Job): Record<string, unknown> {
  const object = jobObject(job, request.repository, request.hub.links);
  return job.lagging ? { ...object, status: 'in_progress', conclusion: null, completed_at: null } : object;
}

function showJob(request: RepositoryRequest): Answer {
  const job = findJob(request);
  return job === null ? notFound() : jsonAnswer(200, jobJson(request, job));
}

function showLogs(request: RepositoryRequest): Answer {
  const job = findJob(request);
  if (job === null || job.logState === 'hidden') return notFound();
  if (job.logState === 'expired') return errorAnswer(410, 'Server Error');
  return { status: 302, headers: { location: request.hub.signedLink(job) }, body: null };
}

function runsAnswer(request: RepositoryRequest): Answer {
  const { query, hub, repository } = request;
  const mine = [...hub.world.runs.values()].filter((run) => run.repositoryId === repository.id);
  const selected = selectRuns(mine, query);
  if (selected === null) return errorAnswer(422, 'Validation Failed');
  const page = paginate(selected.reachable, query, baseUrl(request));
  const workflow_runs = page.items.map((run) => runJson(request, run, hub.world.run(run)));
  return jsonAnswer(200, { total_count: selected.total, workflow_runs }, page.headers);
}

function showRun(request: RepositoryRequest): Answer {
  const run = findRun(request);
  return run === null ? notFound() : jsonAnswer(200, runJson(request, run, request.hub.world.run(run)));
}

function showAttempt(request: RepositoryRequest): Answer {
  const run = findRun(request);
  const facts = run?.attempts.find((each) => each.run_attempt === Number(request.params['attempt']));
  return run === null || facts === undefined ? notFound() : jsonAnswer(200, runJson(request, run, facts));
}

function jobsAnswer(request: RepositoryRequest, all: readonly Job[]): Answer {
  const jobs = all.filter(({ unlisted }) => !unlisted);
  const beyond = findRun(request)?.overstatedBy ?? 0;
  const page = paginate(jobs, request.query, baseUrl(request));
  const objects = page.items.map((job) => jobJson(request, job));
  return jsonAnswer(200, { total_count: jobs.length + beyond, jobs: objects }, page.headers);
}

function runJobsAnswer(request: RepositoryRequest): Answer {
  const run = findRun(request);
  if (run === null) return notFound();
  const { world } = request.hub;
  const current = world.run(run);
  const all = world.jobsOf(current.id);
  const wantsAll = request.query.get('filter') === 'all';
  return jobsAnswer(
    request,
    wantsAll ? all : all.filter((job) => job.facts.run_attempt === current.run_attempt),
  );
}

function attemptJobsAnswer(request: RepositoryRequest): Answer {
  const run = findRun(request);
  const attempt = Number(request.params['attempt']);
  if (run === null || !run.attempts.some((each) => each.run_attempt === attempt)) return notFound();
  const { world } = request.hub;
  const jobs = world.jobsOf(world.run(run).id).filter((job) => job.facts.run_attempt === attempt);
  return jobsAnswer(request, jobs);
}

function showRepository(request: RepositoryRequest): Answer {
  const { hub, repository } = request;
  const owner = hub.world.installations.get(repository.installationId);
  return jsonAnswer(200, repositoryObject(repository, owner, hub.links));
}

const SUBROUTES: readonly { name: string; path: string; handle: (request: RepositoryRequest) => Answer }[] = [
  { name: 'repo', path: '', handle: showRepository },
  { name: 'job', path: '/actions/jobs/:jobId', handle: showJob },
  { name: 'logs', path: '/actions/jobs/:jobId/logs', handle: showLogs },
  { name: 'runs', path: '/actions/runs', handle: runsAnswer },
  { name: 'run', path: '/actions/runs/:runId', handle: showRun },
  { name: 'run_attempt', path: '/actions/runs/:runId/attempts/:attempt', handle: showAttempt },
  { name: 'run_jobs', path: '/actions/runs/:runId/jobs', handle: runJobsAnswer },
  { name: 'attempt_jobs', path: '/actions/runs/:runId/attempts/:attempt/jobs', handle: attemptJobsAnswer },
];

/** Routes about one repository, by name and by id. */
export const repositoryRoutes: readonly Route[] = SUBROUTES.flatMap(({ name, path, handle }) =>
  ['/repos/:owner/:repo', '/repositories/:repositoryId'].map((base): Route => ({
    name,
    method: 'GET',
    path: base + path,
    access: 'repository',
    handle,
  })),
);
