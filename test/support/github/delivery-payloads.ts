/** Payloads in GitHub's shape, small enough to read in a test. */
export function jobPayload(changed: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    action: 'completed',
    workflow_job: {
      id: 399444496,
      run_id: 29679449,
      run_attempt: 2,
      name: 'build',
      status: 'completed',
      conclusion: 'success',
      steps: [{ number: 1, name: 'Set up job' }],
    },
    repository: { id: 1296269, name: 'Octo-Repo', owner: { login: 'octo-org', type: 'Organization' } },
    installation: { id: 77, node_id: 'abc' },
    sender: { login: 'octocat' },
    ...changed,
  };
}

export function runPayload(changed: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    action: 'completed',
    workflow_run: { id: 29679449, run_attempt: 3, status: 'completed' },
    repository: { id: 1296269, name: 'Octo-Repo', owner: { login: 'octo-org' } },
    installation: { id: 77 },
    ...changed,
  };
}
