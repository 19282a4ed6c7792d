import { z } from 'zod';
import type { JsonText } from '../json-text.ts';
import { momentMs } from '../units.ts';

/**
 * The few fields of GitHub's job object that Everlog acts on or lifts into the record. The REST job and the webhook's
 * `workflow_job` share them; older GHES sends fewer (github-facts §2). Only the ids must be understood: anything else may be
 * missing, and what is not of its type says nothing (null), as one odd value must not cost a job its log.
 */
const text = z.string().nullish().catch(null);
const moment = text.transform((given) => (momentMs(given) === null ? null : given));

const jobSchema = z.object({
  id: z.int().positive(),
  run_id: z.int().positive(),
  run_attempt: z.int().positive().nullish().catch(null),
  status: text,
  conclusion: text,
  name: text,
  workflow_name: text,
  head_branch: text,
  head_sha: text,
  created_at: moment,
  started_at: moment,
  completed_at: moment,
  steps: z.array(z.unknown()).nullish().catch(null),
  labels: z.array(z.string()).nullish().catch(null),
  runner_id: z.int().nullish().catch(null),
  runner_name: text,
});

export interface GitHubJob extends Partial<z.infer<typeof jobSchema>> {
  readonly id: number;
  readonly run_id: number;
  /** Its steps or runner are there in a form that cannot be read: nobody may say that it had none. */
  readonly hasOddRun?: boolean;
  /** So are its labels. */
  readonly hasOddLabels?: boolean;
}

export type ParsedJob =
  | { readonly ok: true; readonly job: GitHubJob; readonly raw: JsonText }
  | { readonly ok: false; readonly problem: string };

/** Reads a job object as GitHub gave it, which `raw` keeps. */
export function parseJob(raw: JsonText): ParsedJob {
  const value = raw.value();
  const { success, data, error } = jobSchema.safeParse(value);
  if (success) {
    const hasOddRun = !readableRun.safeParse(value).success;
    const hasOddLabels = !readableLabels.safeParse(value).success;
    return { ok: true, job: { ...data, hasOddRun, hasOddLabels }, raw };
  }
  const [issue] = error.issues;
  return { ok: false, problem: `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not an object'}` };
}

/** How GitHub says that there is none: by leaving it out, null, 0, "" or an empty list (github-facts §2). */
const none = z.union([z.null(), z.literal(0), z.literal('')]).optional();
const readableRun = z.object({
  steps: z.array(z.unknown()).or(none),
  runner_id: z.int().or(none),
  runner_name: z.string().or(none),
});
const readableLabels = z.object({ labels: z.array(z.string()).or(none) });

/** Whether the job never ran: no step and no runner. GitHub gives null, 0 or "" for "no runner" (github-facts §2). */
export function neverRan(job: GitHubJob): boolean {
  if (job.hasOddRun === true) return false;
  const noRunner = (job.runner_id ?? 0) === 0 && (job.runner_name ?? '') === '';
  return noRunner && (job.steps ?? []).length === 0;
}

/** Whether an event for this job has the shape of one fired by a check run rather than by a job (github-facts §2). */
export function looksLikeCheckRun(job: GitHubJob): boolean {
  const settled = job.conclusion === 'skipped' || job.conclusion === 'cancelled';
  const noLabels = (job.labels ?? []).length === 0 && job.hasOddLabels !== true;
  return neverRan(job) && noLabels && !settled;
}
