import { createHmac } from 'node:crypto';

/** Signed `workflow_job` deliveries as GitHub sends them, ready to be written to a socket. */

export const SECRET = 'a-webhook-secret-for-the-benchmark';
export const APP_ID = 1234;
export const OWNER = 'octo-org';
export const REPOSITORY = 'octo-repo';
export const REPOSITORY_ID = 1_296_269;
const INSTALLATION_ID = 77;
const STEPS = 30;

/** A job as GitHub describes it, with thirty steps. */
export function jobObject(id: number): Record<string, unknown> {
  const at = (second: number): string => new Date(Date.UTC(2026, 10, 20, 10, 0, second)).toISOString();
  const api = `https://api.github.com/repos/${OWNER}/${REPOSITORY}/actions`;
  return {
    id,
    run_id: runOf(id),
    workflow_name: 'CI',
    head_branch: 'main',
    run_url: `${api}/runs/${runOf(id)}`,
    run_attempt: 1,
    node_id: `CR_kwDOAA${id.toString(36)}`,
    head_sha: 'f83a356604ae3c5d03e1b46ef4d1ca77d64a90b0',
    url: `${api}/jobs/${id}`,
    html_url: `https://github.com/${OWNER}/${REPOSITORY}/actions/runs/${runOf(id)}/job/${id}`,
    status: 'completed',
    conclusion: 'success',
    created_at: at(0),
    started_at: at(1),
    completed_at: at(STEPS * 2),
    name: 'build',
    steps: Array.from({ length: STEPS }, (_, index) => ({
      name: `Run step number ${index + 1} of the build`,
      status: 'completed',
      conclusion: 'success',
      number: index + 1,
      started_at: at(index * 2),
      completed_at: at(index * 2 + 2),
    })),
    check_run_url: `https://api.github.com/repos/${OWNER}/${REPOSITORY}/check-runs/${id}`,
    labels: ['ubuntu-latest'],
    runner_id: 1,
    runner_name: 'GitHub Actions 1',
    runner_group_id: 2,
    runner_group_name: 'GitHub Actions',
  };
}

/** Four jobs to a run. */
export function runOf(jobId: number): number {
  return 29_000_000 + Math.floor(jobId / 4);
}

/** Fields of an account or repository that nobody reads, as many as GitHub sends. */
function links(base: string, count: number): Record<string, string> {
  return Object.fromEntries(
    Array.from({ length: count }, (_, index) => [
      `link_number_${index}_url`,
      `${base}/resource/${index}{/id}`,
    ]),
  );
}

const ACCOUNT = {
  id: 21_031_067,
  type: 'Organization',
  ...links('https://api.github.com/users/octo-org', 12),
};
const REPOSITORY_OBJECT = {
  id: REPOSITORY_ID,
  name: REPOSITORY,
  full_name: `${OWNER}/${REPOSITORY}`,
  owner: { login: OWNER, ...ACCOUNT },
  ...links(`https://api.github.com/repos/${OWNER}/${REPOSITORY}`, 44),
};

/** The body of a delivery, about 10 KB. */
function deliveryBody(action: string, jobId: number): Buffer {
  return Buffer.from(
    JSON.stringify({
      action,
      workflow_job: jobObject(jobId),
      repository: REPOSITORY_OBJECT,
      organization: { login: OWNER, ...ACCOUNT },
      sender: { login: 'octocat', ...ACCOUNT },
      installation: { id: INSTALLATION_ID, node_id: 'MDIzOkludGVncmF0aW9u' },
    }),
  );
}

/** A whole HTTP request, head and body. */
export function deliveryRequest(path: string, action: string, jobId: number): Buffer {
  const body = deliveryBody(action, jobId);
  const signature = createHmac('sha256', SECRET).update(body).digest('hex');
  const head = [
    `POST ${path} HTTP/1.1`,
    'Host: everlog.test',
    'User-Agent: GitHub-Hookshot/044aadd',
    'Accept: */*',
    'Content-Type: application/json',
    `Content-Length: ${body.length}`,
    `X-GitHub-Delivery: ${jobId.toString(16).padStart(8, '0')}-1c2d-11ef-8d3b-5a2f6e0c9b11`,
    'X-GitHub-Event: workflow_job',
    `X-GitHub-Hook-Installation-Target-ID: ${APP_ID}`,
    'X-GitHub-Hook-Installation-Target-Type: integration',
    `X-Hub-Signature-256: sha256=${signature}`,
  ];
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]);
}
