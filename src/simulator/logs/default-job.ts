import type { JobFacts, AttemptFacts, StepFacts } from '../facts.ts';

/** Shares of a job's duration, in the order in which a small Node.js job runs its steps. */
const DEFAULT_STEPS: readonly { name: string; share: number }[] = [
  { name: 'Set up job', share: 0.02 },
  { name: 'Run actions/checkout@v5', share: 0.02 },
  { name: 'Run actions/setup-node@v5', share: 0.04 },
  { name: 'Run npm ci', share: 0.2 },
  { name: 'Run npm test', share: 0.68 },
  { name: 'Post Run actions/checkout@v5', share: 0.02 },
  { name: 'Complete job', share: 0.02 },
];
const TESTING_STEP = 'Run npm test';
const DEFAULT_DURATION_MS = 150_000;
/** Between the moment a job is created and the moment a runner takes it. */
const QUEUED_MS = 4_000;

/** What a caller may say about a job; everything else is made up to fit. */
export interface JobInput {
  runId: number;
  id?: number;
  name?: string;
  runAttempt?: number;
  workflowName?: string;
  status?: 'queued' | 'in_progress' | 'completed' | 'waiting';
  conclusion?: string | null;
  /** When the job ended, or would end; default: a minute ago. */
  completedAtMs?: number;
  durationMs?: number;
  steps?: StepFacts[];
  labels?: string[];
  /** Null: no runner ever took the job. */
  runner?: { id: number | null; name: string | null } | null;
}

/** GitHub's time format, to the second. */
export function instant(atMs: number): string {
  return new Date(atMs).toISOString().replace(/\.\d{3}Z$/, 'Z');
}

function isSkipped(conclusion: string | null): boolean {
  return conclusion === 'skipped';
}

/** Steps of a small Node.js job, filling the given time without holes; a failing job fails in its tests. */
export function defaultSteps(startMs: number, endMs: number, conclusion: string | null): StepFacts[] {
  let atMs = startMs;
  let failed = false;
  return DEFAULT_STEPS.map(({ name, share }, index) => {
    const startedMs = atMs;
    const untilMs = index === DEFAULT_STEPS.length - 1 ? endMs : atMs + (endMs - startMs) * share;
    atMs = Math.floor(untilMs / 1000) * 1000;
    const breaks = name === TESTING_STEP && conclusion !== null && conclusion !== 'success';
    failed ||= breaks;
    return {
      name,
      status: 'completed',
      conclusion: breaks ? conclusion : 'success',
      number: index + 1,
      started_at: instant(startedMs),
      completed_at: instant(atMs),
    };
  });
}

/** A complete job object from the little a caller said, consistent in itself. */
export function jobFacts(input: JobInput, id: number, run: AttemptFacts, nowMs: number): JobFacts {
  const status = input.status ?? 'completed';
  const ended = status === 'completed';
  const conclusion = ended ? (input.conclusion === undefined ? 'success' : input.conclusion) : null;
  const idle = isSkipped(conclusion) || status === 'queued' || status === 'waiting' || input.runner === null;
  const endMs = Math.floor((input.completedAtMs ?? nowMs - 60_000) / 1000) * 1000;
  const startMs = idle ? endMs : endMs - (input.durationMs ?? DEFAULT_DURATION_MS);
  const runner = idle
    ? null
    : (input.runner ?? { id: 1000 + (id % 97), name: `GitHub Actions ${1000 + (id % 97)}` });
  return {
    id,
    run_id: run.id,
    run_attempt: input.runAttempt ?? run.run_attempt,
    head_sha: run.head_sha,
    head_branch: run.head_branch,
    workflow_name: input.workflowName ?? run.name,
    status,
    conclusion,
    created_at: instant(startMs - QUEUED_MS),
    started_at: instant(startMs),
    completed_at: ended ? instant(endMs) : null,
    name: input.name ?? 'build',
    steps: input.steps ?? (idle ? [] : defaultSteps(startMs, endMs, conclusion)),
    labels: input.labels ?? ['ubuntu-latest'],
    runner_id: runner?.id ?? null,
    runner_name: runner?.name ?? null,
    runner_group_id: runner === null ? null : 2,
    runner_group_name: runner === null ? null : 'GitHub Actions',
  };
}

/** Ends a job that was queued or running, as at `nowMs`. A job that has ended already is left alone. */
export function endJob(facts: JobFacts, conclusion: string, nowMs: number): void {
  if (facts.status === 'completed') return;
  const startMs = facts.started_at === null ? nowMs : Math.min(Date.parse(facts.started_at), nowMs);
  const ran = !isSkipped(conclusion) && facts.runner_id !== null;
  facts.status = 'completed';
  facts.conclusion = conclusion;
  facts.started_at = instant(startMs);
  facts.completed_at = instant(nowMs);
  facts.steps = ran ? defaultSteps(startMs, nowMs, conclusion) : [];
}
