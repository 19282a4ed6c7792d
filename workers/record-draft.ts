import type { RecordDraft } from '../src/archive/commit.ts';
import type { Outcome, RecordedAbsence } from '../src/archive/record.ts';
import type { LogAnswer } from '../src/github/log/job-log.ts';
import { momentMs } from '../src/units.ts';
import type { ArchiveJob } from '../src/queue/catalog.ts';
import type { JobDetails } from './job-details.ts';

/** What a record says beyond the job itself. */
export interface JobEnding {
  readonly outcome: Outcome;
  readonly absence: RecordedAbsence | null;
  /** The log host's answer; null when there was none. */
  readonly answer: LogAnswer | null;
  /** How often a worker began this job. */
  readonly attempts: number;
  readonly finishedAt: Date | null;
  readonly recordedAt: Date;
  readonly version: string;
}

/** A job's record as far as the job and its fetch decide it. Pure; what GitHub did not send is null. */
export function draftRecord(data: ArchiveJob, details: JobDetails, finding: JobEnding): RecordDraft {
  const { job } = details;
  const { answer } = finding;
  return {
    schema: 'everlog.job/v1',
    outcome: finding.outcome,
    host: data.host,
    owner: data.owner,
    repo: data.repo,
    repository_id: data.repository_id,
    installation_id: data.installation_id,
    run_id: job.run_id,
    run_attempt: job.run_attempt ?? data.run_attempt,
    job_id: data.job_id,
    job_name: job.name ?? null,
    workflow_name: job.workflow_name ?? null,
    head_branch: job.head_branch ?? null,
    head_sha: job.head_sha ?? null,
    conclusion: job.conclusion ?? null,
    runner_name: job.runner_name ?? null,
    labels: job.labels ?? null,
    sender: data.sender,
    deployment: details.deployment,
    created_at: job.created_at ?? null,
    started_at: job.started_at ?? null,
    completed_at: job.completed_at ?? null,
    job: details.raw,
    details_source: details.source,
    job_sha256: details.sha256,
    fetch: {
      source: data.source,
      delivery_ids: data.delivery_ids,
      attempts: finding.attempts,
      log_host: answer?.logHost ?? null,
      http_status: answer?.httpStatus ?? finding.absence?.log_status ?? null,
      etag: answer?.etag ?? null,
      content_md5: answer?.contentMd5 ?? null,
      request_id: answer?.requestId ?? null,
      possibly_truncated: answer?.possiblyTruncated ?? false,
      requested_at: answer?.requestedAt.toISOString() ?? finding.absence?.last_tried_at ?? null,
      finished_at: finding.finishedAt?.toISOString() ?? null,
    },
    absence: finding.absence,
    recorded_at: finding.recordedAt.toISOString(),
    archiver: { name: 'everlog', version: finding.version },
  };
}

/** When the job ended, as well as it is known: the first time that GitHub gave, else the first delivery's. */
export function jobEnd(details: JobDetails, data: ArchiveJob): Date {
  const { completed_at, started_at, created_at } = details.job;
  for (const text of [completed_at, started_at, created_at, data.received_at]) {
    const ms = momentMs(text);
    if (ms !== null) return new Date(ms);
  }
  throw new Error(`job ${data.job_id} was queued without a time`);
}
