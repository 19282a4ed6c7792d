import type { LogSource } from './logs/log-source.ts';

/** An installation of the simulated App on one account. */
export interface InstallationFacts {
  id: number;
  account: { login: string; id: number; type: 'Organization' | 'User' };
  suspendedAt: string | null;
  permissions: Record<string, string>;
  deleted: boolean;
}

/** A repository; `id` outlives every rename. */
export interface Repository {
  id: number;
  owner: string;
  name: string;
  installationId: number;
  private: boolean;
  createdAt: string;
}

/** One attempt of a workflow run, with GitHub's own member names. */
export interface AttemptFacts {
  id: number;
  run_number: number;
  run_attempt: number;
  name: string;
  path: string;
  event: string;
  head_branch: string;
  head_sha: string;
  created_at: string;
  run_started_at: string;
  updated_at: string;
  status: string;
  conclusion: string | null;
}

/** A run with all its attempts, oldest first; the last is the current one. */
export interface SimulatedRun {
  repositoryId: number;
  /** Jobs that listings count beyond those that they give. */
  overstatedBy: number;
  attempts: AttemptFacts[];
}

export interface StepFacts {
  name: string;
  status: string;
  conclusion: string | null;
  number: number;
  started_at: string | null;
  completed_at: string | null;
}

/** A job with GitHub's own member names, without the URLs, which depend on the repository's present name. */
export interface JobFacts {
  id: number;
  run_id: number;
  run_attempt: number;
  head_sha: string;
  head_branch: string | null;
  workflow_name: string | null;
  status: string;
  conclusion: string | null;
  created_at: string | null;
  started_at: string | null;
  completed_at: string | null;
  name: string;
  steps: StepFacts[];
  labels: string[];
  runner_id: number | null;
  runner_name: string | null;
  runner_group_id: number | null;
  runner_group_name: string | null;
}

/**
 * What the log endpoint does: `served` redirects to the log host (which has no blob if `log` is null or the job
 * has not ended), `expired` answers 410, `hidden` answers 404.
 */
export type LogState = 'served' | 'expired' | 'hidden';

export interface Job {
  repositoryId: number;
  facts: JobFacts;
  log: LogSource | null;
  logState: LogState;
  /** False makes the log host present an append blob that was never sealed. */
  sealed: boolean;
  /** True: the API still calls the job running, and there is no log yet, though its deliveries say otherwise. */
  lagging: boolean;
  /** Listings of jobs leave it out: not yet there, or no job at all. */
  unlisted: boolean;
  /** The two parts of the log's path on the log host. */
  blobPath: string;
  /** Members left out of the object, as older GitHub Enterprise Server versions do. */
  omitted: readonly string[];
  /** Members added or replaced in the object. */
  extra: Readonly<Record<string, unknown>>;
}
