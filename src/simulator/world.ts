import { createHash } from 'node:crypto';
import { endJob, instant, jobFacts } from './logs/default-job.ts';
import type { JobInput } from './logs/default-job.ts';
import type { InstallationFacts, Job, LogState, Repository, SimulatedRun, AttemptFacts } from './facts.ts';
import { logFromBytes } from './logs/log-source.ts';
import type { LogSource } from './logs/log-source.ts';
import { generatedLog } from './logs/log-text.ts';

/** A log given as bytes, as a source, as a size to generate, or `null` for a log that never existed. */
export type LogInput = Uint8Array | string | LogSource | { sizeBytes: number } | null;

export interface AddJob extends JobInput {
  /** Default: a generated log of natural size when the job has steps, else none. */
  log?: LogInput;
  logState?: LogState;
  sealed?: boolean;
  omitted?: readonly string[];
  extra?: Readonly<Record<string, unknown>>;
}

export type AddRun = Partial<Omit<AttemptFacts, 'run_attempt'>> & {
  repositoryId: number;
  run_attempt?: number;
};

function uuid(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    '-',
  );
}

function found<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`The simulated world has no ${what}`);
  return value;
}

/** Everything the simulated GitHub knows. Changes show at once in its answers. */
export class World {
  readonly installations = new Map<number, InstallationFacts>();
  readonly repositories = new Map<number, Repository>();
  readonly runs = new Map<number, SimulatedRun>();
  readonly jobs = new Map<number, Job>();
  /** What the App itself is set to ask for; each installation has granted its own. */
  readonly app: { permissions: Record<string, string>; events: string[] } = {
    permissions: { actions: 'read', metadata: 'read' },
    events: ['workflow_job', 'workflow_run'],
  };
  /** Dates that `GET /versions` lists; null: the endpoint is not there, as on old GitHub Enterprise Server. */
  apiVersions: readonly string[] | null = ['2026-03-10', '2022-11-28'];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly #seed: number;
  readonly #names = new Map<string, number>();
  readonly #jobsByRun = new Map<number, number[]>();
  readonly #jobsByBlob = new Map<string, number>();
  #nextId = { installation: 1, account: 9_919, repository: 1_296_269, run: 29_679_449, job: 399_444_496 };

  constructor(now: () => number, seed: number) {
    this.now = now;
    this.#seed = seed;
  }

  addInstallation(input: { id?: number; login: string; type?: 'Organization' | 'User' }): InstallationFacts {
    const id = input.id ?? this.#nextId.installation;
    this.#nextId.installation = Math.max(this.#nextId.installation, id) + 1;
    const account = { login: input.login, id: this.#nextId.account++, type: input.type ?? 'Organization' };
    const permissions = { actions: 'read', metadata: 'read' };
    const installation: InstallationFacts = { id, account, suspendedAt: null, permissions, deleted: false };
    this.installations.set(id, installation);
    return installation;
  }

  /** Suspends, resumes or removes an installation. */
  setInstallation(id: number, state: 'active' | 'suspended' | 'deleted'): void {
    const installation = found(this.installations.get(id), `installation ${id}`);
    installation.suspendedAt = state === 'suspended' ? instant(this.now()) : null;
    installation.deleted = state === 'deleted';
  }

  addRepository(input: {
    id?: number;
    owner?: string;
    name: string;
    installationId: number;
    private?: boolean;
  }) {
    const installation = found(
      this.installations.get(input.installationId),
      `installation ${input.installationId}`,
    );
    const id = input.id ?? this.#nextId.repository;
    this.#nextId.repository = Math.max(this.#nextId.repository, id) + 1;
    const repository: Repository = {
      id,
      owner: input.owner ?? installation.account.login,
      name: input.name,
      installationId: input.installationId,
      private: input.private ?? true,
      createdAt: instant(this.now() - 86_400_000),
    };
    this.repositories.set(id, repository);
    this.#names.set(`${repository.owner}/${repository.name}`.toLowerCase(), id);
    return repository;
  }

  /** Renames or transfers; the old name keeps leading here until another repository takes it. */
  renameRepository(id: number, to: { owner?: string; name?: string }): void {
    const repository = this.repository(id);
    repository.owner = to.owner ?? repository.owner;
    repository.name = to.name ?? repository.name;
    this.#names.set(`${repository.owner}/${repository.name}`.toLowerCase(), id);
  }

  deleteRepository(id: number): void {
    for (const run of this.runs.values()) if (run.repositoryId === id) this.deleteRun(this.run(run).id);
    this.repositories.delete(id);
  }

  repository(id: number): Repository {
    return found(this.repositories.get(id), `repository ${id}`);
  }

  /** The repository that a name leads to now, and whether the name is only a former one. */
  repositoryByName(owner: string, name: string): { repository: Repository; moved: boolean } | null {
    const wanted = `${owner}/${name}`.toLowerCase();
    const repository = this.repositories.get(this.#names.get(wanted) ?? -1);
    if (repository === undefined) return null;
    return { repository, moved: `${repository.owner}/${repository.name}`.toLowerCase() !== wanted };
  }

  addRun(input: AddRun): SimulatedRun {
    const { repositoryId, ...given } = input;
    const repository = this.repository(repositoryId);
    const id = given.id ?? this.#nextId.run;
    this.#nextId.run = Math.max(this.#nextId.run, id) + 1;
    const createdAt = given.created_at ?? instant(this.now() - 300_000);
    const facts: AttemptFacts = {
      run_number: (id % 100_000) + 1,
      run_attempt: 1,
      name: 'CI',
      path: '.github/workflows/ci.yml',
      event: 'push',
      head_branch: 'main',
      head_sha: createHash('sha1').update(`${repository.id}/${id}`).digest('hex'),
      created_at: createdAt,
      run_started_at: createdAt,
      updated_at: createdAt,
      status: 'completed',
      conclusion: 'success',
      ...given,
      id,
    };
    const run: SimulatedRun = { repositoryId, overstatedBy: 0, attempts: [facts] };
    this.runs.set(id, run);
    return run;
  }

  /** The run's current attempt. */
  run(run: SimulatedRun | number): AttemptFacts {
    const stored = typeof run === 'number' ? found(this.runs.get(run), `run ${run}`) : run;
    return found(stored.attempts.at(-1), 'attempt of that run');
  }

  /** Starts the next attempt of a run; its jobs are added by the caller. */
  rerun(runId: number, changes: Partial<AttemptFacts> = {}): AttemptFacts {
    const run = found(this.runs.get(runId), `run ${runId}`);
    const current = this.run(run);
    const startedAt = instant(this.now());
    const run_attempt = current.run_attempt + 1;
    const next = { ...current, run_started_at: startedAt, updated_at: startedAt, run_attempt, ...changes };
    run.attempts.push(next);
    return next;
  }

  /** Removes a run with its jobs and logs, as the delete button does. */
  deleteRun(runId: number): void {
    for (const job of this.jobsOf(runId)) {
      this.jobs.delete(job.facts.id);
      this.#jobsByBlob.delete(job.blobPath);
    }
    this.#jobsByRun.delete(runId);
    this.runs.delete(runId);
  }

  addJob(input: AddJob): Job {
    const run = found(this.runs.get(input.runId), `run ${input.runId}`);
    const id = input.id ?? this.#nextId.job;
    this.#nextId.job = Math.max(this.#nextId.job, id) + 1;
    const attempt = run.attempts.find((each) => each.run_attempt === input.runAttempt) ?? this.run(run);
    const facts = jobFacts(input, id, attempt, this.now());
    const job: Job = {
      repositoryId: run.repositoryId,
      facts,
      log: null,
      logState: input.logState ?? 'served',
      sealed: input.sealed ?? true,
      lagging: false,
      unlisted: false,
      blobPath: `${uuid(`run ${facts.run_id}`)}/workflow-job-run-${uuid(`job ${id}`)}`,
      omitted: input.omitted ?? [],
      extra: input.extra ?? {},
    };
    this.jobs.set(id, job);
    const siblings = this.#jobsByRun.get(facts.run_id);
    if (siblings === undefined) this.#jobsByRun.set(facts.run_id, [id]);
    else siblings.push(id);
    this.#jobsByBlob.set(job.blobPath, id);
    const hasSteps = facts.steps.length > 0;
    if (input.log !== undefined || hasSteps)
      this.setLog(id, input.log === undefined ? { sizeBytes: 0 } : input.log);
    return job;
  }

  /** Replaces a job's log. */
  setLog(jobId: number, log: LogInput): void {
    const job = this.job(jobId);
    if (log === null) job.log = null;
    else if (typeof log === 'string' || log instanceof Uint8Array) job.log = logFromBytes(log);
    else if ('chunks' in log) job.log = log;
    else {
      const repository = this.repository(job.repositoryId);
      job.log = generatedLog({
        seed: this.#seed + jobId,
        jobName: job.facts.name,
        repository: `${repository.owner}/${repository.name}`,
        steps: job.facts.steps,
        bytes: log.sizeBytes,
      });
    }
  }

  /** Lets the API and the log host say that a job still runs although its `completed` delivery may be out. */
  setUnlisted(jobId: number, unlisted: boolean): void {
    this.job(jobId).unlisted = unlisted;
  }

  setLag(jobId: number, lagging: boolean): void {
    this.job(jobId).lagging = lagging;
  }

  job(id: number): Job {
    return found(this.jobs.get(id), `job ${id}`);
  }

  /** All jobs of a run, of every attempt, in the order they were added. */
  jobsOf(runId: number): Job[] {
    return (this.#jobsByRun.get(runId) ?? []).map((id) => this.job(id));
  }

  jobByBlob(blobPath: string): Job | undefined {
    return this.jobs.get(this.#jobsByBlob.get(blobPath) ?? -1);
  }

  /** Ends a running job; one without a log gets a generated one if it ran. */
  completeJob(jobId: number, conclusion = 'success'): Job {
    const job = this.job(jobId);
    if (job.facts.status === 'completed') return job;
    endJob(job.facts, conclusion, this.now());
    if (job.log === null && job.facts.steps.length > 0) this.setLog(jobId, { sizeBytes: 0 });
    return job;
  }

  completeRun(runId: number, conclusion = 'success'): AttemptFacts {
    const run = this.run(runId);
    if (run.status !== 'completed') {
      Object.assign(run, { status: 'completed', conclusion, updated_at: instant(this.now()) });
    }
    return run;
  }
}
