import type { InstallationFacts, Job, Repository, SimulatedRun, AttemptFacts } from '../facts.ts';

type Json = Record<string, unknown>;

/** Where the objects' links point: the API's base URL and the web origin. */
export interface Links {
  apiUrl: string;
  webUrl: string;
}

function nodeId(kind: string, id: number): string {
  return Buffer.from(`0${kind.length}:${kind}${id}`).toString('base64').replaceAll('=', '');
}

/** The account object as it stands in repositories, installations and deliveries. */
export function accountObject(account: { login: string; id: number; type: string }, links: Links): Json {
  return {
    login: account.login,
    id: account.id,
    node_id: nodeId(account.type, account.id),
    avatar_url: `${links.webUrl}/avatars/u/${account.id}?v=4`,
    url: `${links.apiUrl}/users/${account.login}`,
    html_url: `${links.webUrl}/${account.login}`,
    repos_url: `${links.apiUrl}/users/${account.login}/repos`,
    type: account.type,
    site_admin: false,
  };
}

export function installationObject(installation: InstallationFacts, appId: number, links: Links): Json {
  const { id, account } = installation;
  return {
    id,
    account: accountObject(account, links),
    repository_selection: 'all',
    access_tokens_url: `${links.apiUrl}/app/installations/${id}/access_tokens`,
    repositories_url: `${links.apiUrl}/installation/repositories`,
    html_url: `${links.webUrl}/organizations/${account.login}/settings/installations/${id}`,
    app_id: appId,
    app_slug: 'everlog-simulated',
    target_id: account.id,
    target_type: account.type,
    permissions: installation.permissions,
    events: ['workflow_job', 'workflow_run'],
    created_at: '2026-01-02T03:04:05Z',
    updated_at: '2026-01-02T03:04:05Z',
    single_file_name: null,
    suspended_by: null,
    suspended_at: installation.suspendedAt,
  };
}

export function repositoryObject(
  repository: Repository,
  owner: InstallationFacts | undefined,
  links: Links,
): Json {
  const account = owner?.account ?? { login: repository.owner, id: repository.id, type: 'Organization' };
  const fullName = `${repository.owner}/${repository.name}`;
  const url = `${links.apiUrl}/repos/${fullName}`;
  return {
    id: repository.id,
    node_id: nodeId('Repository', repository.id),
    name: repository.name,
    full_name: fullName,
    private: repository.private,
    owner: accountObject({ ...account, login: repository.owner }, links),
    html_url: `${links.webUrl}/${fullName}`,
    description: null,
    fork: false,
    url,
    events_url: `${url}/events`,
    commits_url: `${url}/commits{/sha}`,
    created_at: repository.createdAt,
    updated_at: repository.createdAt,
    pushed_at: repository.createdAt,
    clone_url: `${links.webUrl}/${fullName}.git`,
    size: 108,
    language: 'TypeScript',
    archived: false,
    disabled: false,
    topics: [],
    visibility: repository.private ? 'private' : 'public',
    default_branch: 'main',
    custom_properties: {},
  };
}

export function runObject(
  run: SimulatedRun,
  facts: AttemptFacts,
  repository: Repository,
  owner: InstallationFacts,
  links: Links,
): Json {
  const repoUrl = `${links.apiUrl}/repos/${repository.owner}/${repository.name}`;
  const url = `${repoUrl}/actions/runs/${facts.id}`;
  const previous = facts.run_attempt > 1 ? `${url}/attempts/${facts.run_attempt - 1}` : null;
  const repositoryJson = repositoryObject(repository, owner, links);
  return {
    ...facts,
    node_id: nodeId('WorkflowRun', facts.id),
    check_suite_id: facts.id + 7_000_000,
    display_title: `${facts.name} on ${facts.head_branch}`,
    workflow_id: run.repositoryId + 1,
    url,
    html_url: `${links.webUrl}/${repository.owner}/${repository.name}/actions/runs/${facts.id}`,
    pull_requests: [],
    referenced_workflows: [],
    jobs_url: `${url}/jobs`,
    logs_url: `${url}/logs`,
    check_suite_url: `${repoUrl}/check-suites/${facts.id + 7_000_000}`,
    artifacts_url: `${url}/artifacts`,
    cancel_url: `${url}/cancel`,
    rerun_url: `${url}/rerun`,
    previous_attempt_url: previous,
    workflow_url: `${repoUrl}/actions/workflows/${run.repositoryId + 1}`,
    head_commit: { id: facts.head_sha, message: 'Round half up', timestamp: facts.created_at },
    repository: repositoryJson,
    head_repository: repositoryJson,
  };
}

/** The full job object of the REST API, which deliveries carry too, in GitHub's member order. */
export function jobObject(job: Job, repository: Repository, links: Links): Json {
  const { facts } = job;
  const fullName = `${repository.owner}/${repository.name}`;
  const repoUrl = `${links.apiUrl}/repos/${fullName}`;
  const whole: Json = {
    id: facts.id,
    run_id: facts.run_id,
    workflow_name: facts.workflow_name,
    head_branch: facts.head_branch,
    run_url: `${repoUrl}/actions/runs/${facts.run_id}`,
    run_attempt: facts.run_attempt,
    node_id: nodeId('CheckRun', facts.id),
    head_sha: facts.head_sha,
    url: `${repoUrl}/actions/jobs/${facts.id}`,
    html_url: `${links.webUrl}/${fullName}/actions/runs/${facts.run_id}/job/${facts.id}`,
    status: facts.status,
    conclusion: facts.conclusion,
    created_at: facts.created_at,
    started_at: facts.started_at,
    completed_at: facts.completed_at,
    name: facts.name,
    steps: facts.steps,
    check_run_url: `${repoUrl}/check-runs/${facts.id}`,
    labels: facts.labels,
    runner_id: facts.runner_id,
    runner_name: facts.runner_name,
    runner_group_id: facts.runner_group_id,
    runner_group_name: facts.runner_group_name,
    ...job.extra,
  };
  return Object.fromEntries(Object.entries(whole).filter(([member]) => !job.omitted.includes(member)));
}
