import {
  accountObject,
  installationObject,
  jobObject,
  repositoryObject,
  runObject,
} from './api/rest-objects.ts';
import type { Links } from './api/rest-objects.ts';
import type { InstallationFacts, Repository } from './facts.ts';
import type { World } from './world.ts';

interface PayloadSource {
  world: World;
  links: Links;
  appId: number;
}

type JsonPayload = Record<string, unknown>;

const SENDER = { login: 'octocat', id: 583_231, type: 'User' };

function owner(world: World, repository: Repository): InstallationFacts {
  const installation = world.installations.get(repository.installationId);
  if (installation === undefined) throw new Error(`Repository ${repository.id} has no installation`);
  return installation;
}

/** The members that every delivery about a repository ends with. */
function surroundings({ world, links }: PayloadSource, repository: Repository): JsonPayload {
  const installation = owner(world, repository);
  const { account } = installation;
  const organization = {
    login: account.login,
    id: account.id,
    url: `${links.apiUrl}/orgs/${account.login}`,
    repos_url: `${links.apiUrl}/orgs/${account.login}/repos`,
    description: '',
  };
  return {
    repository: repositoryObject(repository, installation, links),
    ...(account.type === 'Organization' ? { organization } : {}),
    sender: accountObject(SENDER, links),
    installation: { id: installation.id, node_id: `MDIzOkludGVncmF0aW9uSW5zdGFsbGF0aW9u${installation.id}` },
  };
}

/** A `workflow_job` delivery about a job as it is now. */
export function workflowJobPayload(source: PayloadSource, jobId: number, action: string): JsonPayload {
  const job = source.world.job(jobId);
  const repository = source.world.repository(job.repositoryId);
  return {
    action,
    workflow_job: jobObject(job, repository, source.links),
    ...surroundings(source, repository),
  };
}

/** A `workflow_run` delivery about a run's current attempt. */
export function workflowRunPayload(source: PayloadSource, runId: number, action: string): JsonPayload {
  const { world, links } = source;
  const run = world.runs.get(runId);
  if (run === undefined) throw new Error(`The simulated world has no run ${runId}`);
  const repository = world.repository(run.repositoryId);
  const workflow_run = runObject(run, world.run(run), repository, owner(world, repository), links);
  const { name, path } = world.run(run);
  const workflow = { id: run.repositoryId + 1, name, path, state: 'active' };
  return { action, workflow_run, workflow, ...surroundings(source, repository) };
}

/** An `installation` delivery. */
export function installationPayload(
  { world, links, appId }: PayloadSource,
  id: number,
  action: string,
): JsonPayload {
  const installation = world.installations.get(id);
  if (installation === undefined) throw new Error(`The simulated world has no installation ${id}`);
  const repositories = [...world.repositories.values()]
    .filter((each) => each.installationId === id)
    .map((each) => ({
      id: each.id,
      name: each.name,
      full_name: `${each.owner}/${each.name}`,
      private: each.private,
    }));
  return {
    action,
    installation: installationObject(installation, appId, links),
    repositories,
    sender: accountObject(SENDER, links),
  };
}
