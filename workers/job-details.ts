import { createHash } from 'node:crypto';
import type { JsonText } from '../src/json-text.ts';
import type { DetailsSource } from '../src/archive/record.ts';
import { giveUp, retryable } from '../src/errors.ts';
import type { ApiAnswer, GitHubApi } from '../src/github/api.ts';
import type { RepositoryRef } from '../src/github/credentials.ts';
import { readAnswer } from '../src/github/lists.ts';
import { isForbidden } from '../src/github/log/job-log.ts';
import { saysIpAllowList } from '../src/github/refusals.ts';
import { neverRan, parseJob, type GitHubJob } from '../src/github/job.ts';
import { hasOverHalfLeft } from '../src/github/rate-limit.ts';
import { unpackDelivered, type ArchiveJob } from '../src/queue/catalog.ts';

/** What is known of a job before its log is asked for. */
export interface JobDetails {
  readonly job: GitHubJob;
  /** The job object as GitHub gave it. */
  readonly raw: JsonText;
  readonly source: DetailsSource;
  /** Of the API's answer; null when the delivery's or the listing's copy serves. */
  readonly sha256: string | null;
  /** The job endpoint's status; null when it was not asked. */
  readonly apiStatus: number | null;
  /** The owner's IP allow list leaves this service out. */
  readonly byIpList?: boolean;
  readonly deployment: JsonText | null;
}

/** EVERLOG_JOB_DETAILS. */
export type JobDetailsMode = 'auto' | 'always';

interface Copy {
  readonly job: GitHubJob;
  readonly raw: JsonText;
  readonly deployment: JsonText | null;
}

/**
 * Reads a job's details from the API, or from the delivery's copy while less than half of the rate budget is left
 * (DESIGN decision 5). A job that GitHub no longer has is described by the copy.
 * @throws EverlogError `job_not_finished` (retry) while GitHub says that the job is not over.
 */
export async function readJobDetails(
  api: GitHubApi,
  data: ArchiveJob,
  mode: JobDetailsMode,
  now: () => Date,
): Promise<JobDetails> {
  const repository = { owner: data.owner, repo: data.repo, installationId: data.installation_id };
  const copy = deliveredCopy(data);
  if (copy !== null && !(await mustAsk(api, repository, copy, mode, now))) {
    return fromCopy(copy, data, null);
  }
  const answer = await api.get(`/repos/${data.owner}/${data.repo}/actions/jobs/${data.job_id}`, repository);
  if (answer.status !== 200) return withoutApi(answer, copy, data, api);
  const parsed = parseJob(readAnswer(answer, api).json);
  if (!parsed.ok || parsed.job.id !== data.job_id) {
    const problem = parsed.ok ? `it is job ${parsed.job.id}` : parsed.problem;
    throw retryable(
      'github_unexpected',
      `${api.host.name}: the answer for job ${data.job_id} is no job: ${problem}`,
    );
  }
  const { job, raw } = parsed;
  if ((job.status ?? 'completed') !== 'completed') {
    throw retryable(
      'job_not_finished',
      `${api.host.name}: job ${data.job_id} is ${job.status} after its completed event`,
    );
  }
  const sha256 = createHash('sha256').update(answer.bytes).digest('hex');
  return { job, raw, source: 'api', sha256, apiStatus: 200, deployment: copy?.deployment ?? null };
}

async function mustAsk(
  api: GitHubApi,
  repository: RepositoryRef,
  copy: Copy,
  mode: JobDetailsMode,
  now: () => Date,
): Promise<boolean> {
  // Nothing final rests on a delivery's word, and one of a job that never ran would.
  if (mode === 'always' || neverRan(copy.job) || copy.job.status !== 'completed') return true;
  return hasOverHalfLeft(await api.rateState(repository), now());
}

function withoutApi(answer: ApiAnswer, copy: Copy | null, data: ArchiveJob, api: GitHubApi): JobDetails {
  const { status } = answer;
  if (status !== 404 && status !== 410 && !isForbidden(status)) {
    throw retryable(
      'github_unexpected',
      `${api.host.name}: unexpected answer ${status} for job ${data.job_id}`,
    );
  }
  if (copy === null) {
    throw giveUp(
      'not_found',
      `${api.host.name}: GitHub answers ${status} for job ${data.job_id}, and no delivery described it`,
    );
  }
  const byIpList = status === 403 && saysIpAllowList(answer.bytes.toString('utf8'));
  return { ...fromCopy(copy, data, status), byIpList };
}

/**
 * What GitHub's listing says of a job that was queued because of it, if it says that the job ran; else null. It outweighs any
 * word that the job did not run.
 */
export function listedAsRun(data: ArchiveJob): JobDetails | null {
  if (!isFromListing(data)) return null;
  const copy = deliveredCopy(data);
  return copy === null || neverRan(copy.job) ? null : fromCopy(copy, data, null);
}

/** What the delivery's or listing's copy says of a job whose installation GitHub no longer knows; null without a copy. */
export function detailsWithoutApi(data: ArchiveJob, apiStatus: number): JobDetails | null {
  const copy = deliveredCopy(data);
  return copy === null ? null : fromCopy(copy, data, apiStatus);
}

function fromCopy(copy: Copy, data: ArchiveJob, apiStatus: number | null): JobDetails {
  return { ...copy, source: isFromListing(data) ? 'list' : 'webhook', sha256: null, apiStatus };
}

function isFromListing({ source }: ArchiveJob): boolean {
  return source === 'sweep' || source === 'reconcile' || source === 'backfill';
}

function deliveredCopy(data: ArchiveJob): Copy | null {
  if (data.delivered === null) return null;
  const { workflow_job, deployment } = unpackDelivered(data.delivered);
  const parsed = parseJob(workflow_job);
  return parsed.ok ? { job: parsed.job, raw: parsed.raw, deployment } : null;
}
