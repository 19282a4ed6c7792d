import { z } from 'zod';

/**
 * The few fields of GitHub's job object that Everlog acts on or lifts into the record. The REST job and the webhook's
 * `workflow_job` share them; older GHES sends fewer (github-facts §2), so everything but the ids may be missing.
 */
const text = z.string().nullish();
const count = z.int().nullish();

const jobSchema = z.looseObject({
  id: z.int().positive(),
  run_id: z.int().positive(),
  run_attempt: z.int().positive().nullish(),
  status: text,
  conclusion: text,
  name: text,
  workflow_name: text,
  head_branch: text,
  head_sha: text,
  created_at: text,
  started_at: text,
  completed_at: text,
  steps: z.array(z.unknown()).nullish(),
  labels: z.array(z.string()).nullish(),
  runner_id: count,
  runner_name: text,
});

export type GitHubJob = z.infer<typeof jobSchema>;

export type ParsedJob =
  | { readonly ok: true; readonly job: GitHubJob; readonly raw: Record<string, unknown> }
  | { readonly ok: false; readonly problem: string };

const objectSchema = z.record(z.string(), z.unknown());

/** Reads a job object as GitHub gave it; `raw` keeps every field in GitHub's order. */
export function parseJob(value: unknown): ParsedJob {
  const parsed = jobSchema.safeParse(value);
  const raw = objectSchema.safeParse(value);
  if (parsed.success && raw.success) return { ok: true, job: parsed.data, raw: raw.data };
  const issue = parsed.error?.issues[0];
  return { ok: false, problem: `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not an object'}` };
}

/** Whether the job never ran: no step and no runner. GitHub gives null, 0 or "" for "no runner" (github-facts §2). */
export function neverRan(job: GitHubJob): boolean {
  const noRunner = (job.runner_id ?? 0) === 0 && (job.runner_name ?? '') === '';
  return noRunner && (job.steps ?? []).length === 0;
}

/** Whether an event for this job has the shape of one fired by a check run rather than by a job (github-facts §2). */
export function looksLikeCheckRun(job: GitHubJob): boolean {
  const settled = job.conclusion === 'skipped' || job.conclusion === 'cancelled';
  return neverRan(job) && (job.labels ?? []).length === 0 && !settled;
}
