import { createHash } from 'node:crypto';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import { runKey } from '../../../src/archive/keys.ts';
import { makeRecord, put, storeRecord, type RecordChanges } from './archived-jobs.ts';
import { beginLedger, type SmallLedger } from './small-ledger.ts';

/** Runs of each digest. */
const RUNS = 25;
const FIRST_DAY = Date.UTC(2026, 8, 27);
const DAY_MS = 86_400_000;
/** Around the beginning of the fourth quarter of 2026, of which the recipes ask. */
const DAYS = 20;
/** Few, so that jobs meet at one commit; the first two are those that the recipes name. */
const SHAS = ['1', '2', '3', '4', '5', '6', '7', '8', '9'].map((digit) => digit.repeat(40));

/**
 * An archive of deployments, absences, re-runs and later revisions, made the same at every run from a seed: what the SQL
 * recipes ask of. Some jobs are looked at again and then ended on another day.
 */
export class DeployArchive {
  readonly #store: ObjectStore;
  #state: number;
  #ledger: SmallLedger | null = null;
  #next = 1;
  #digests = 0;

  constructor(store: ObjectStore, seed: number) {
    this.#store = store;
    this.#state = seed;
  }

  /** Stores runs and seals them with one digest. */
  async addDigest(): Promise<void> {
    this.#ledger ??= await beginLedger(this.#store, '2026-09-01T00:00:00Z');
    const keys: string[] = [];
    for (let run = 0; run < RUNS; run += 1) keys.push(...(await this.#addRun()));
    this.#digests += 1;
    await this.#ledger.seal(`2027-01-10T0${this.#digests}:00:00Z`, keys.sort());
  }

  async #addRun(): Promise<string[]> {
    const [owner, repo] = this.#pick([
      ['octo', 'App'],
      ['octo', 'api'],
      ['acme', 'web'],
    ] as const);
    const run_id = 5000 + this.#next;
    const startMs = FIRST_DAY + Math.floor(this.#random() * DAYS) * DAY_MS + this.#below(86_000) * 1000;
    const common: RecordChanges = {
      host: this.#pick(['github.com', 'github.com', 'ghe.example.com']),
      owner,
      repo,
      run_id,
      run_attempt: this.#pick([1, 2, null]),
      workflow_name: this.#pick(['CI', 'Deploy', null]),
      head_branch: this.#pick(['main', 'feature/ü', null]),
      head_sha: this.#pick([...SHAS, null]),
      sender: this.#pick(['octocat', 'hubot']),
    };
    const keys: string[] = [];
    for (let job = 1 + this.#below(4); job > 0; job -= 1) keys.push(...(await this.#addJob(common, startMs)));
    if (this.#random() < 0.7) keys.push(await this.#addRunObject(common));
    return keys;
  }

  async #addJob(common: RecordChanges, startMs: number): Promise<string[]> {
    const job_id = this.#next;
    this.#next += 1;
    const outcome = this.#pick([
      ...Array.from({ length: 8 }, () => 'archived'),
      'unavailable',
      'not_produced',
      'carried_over',
      'not_a_job',
    ]);
    const endMs = startMs + this.#below(4_000) * 1000 - (this.#random() < 0.05 ? 5_000_000 : 0);
    const environment = this.#pick([null, null, 'production', 'staging']);
    const record = makeRecord({
      ...common,
      job_id,
      job_name: this.#pick(['build', 'deploy', 'test (20, ü)', null]),
      outcome,
      conclusion: this.#pick(['success', 'success', 'failure', 'timed_out', 'cancelled', null]),
      labels: this.#pick([['ubuntu-latest'], ['self-hosted', 'linux'], []]),
      deployment: environment === null ? null : { id: job_id, environment, creator: { login: 'octocat' } },
      created_at: this.#random() < 0.1 ? null : new Date(startMs - this.#below(900) * 1000).toISOString(),
      started_at: this.#random() < 0.05 ? null : new Date(startMs).toISOString(),
      completed_at: this.#random() < 0.05 ? null : new Date(endMs).toISOString(),
      recorded_at: new Date(endMs + 5000).toISOString(),
      log: outcome === 'archived' ? this.#logOf(job_id) : null,
      absence: outcome === 'archived' ? null : absenceOf(this.#pick(['not_found', 'no_steps'])),
      job: { steps: [{ name: this.#pick(['Test', 'Push']), conclusion: 'failure' }] },
    });
    const keys = [await storeRecord(this.#store, record)];
    for (let revision = 2; this.#random() < 0.25; revision += 1) {
      const moved = this.#random() < 0.5 ? 0 : this.#pick([-DAY_MS, DAY_MS, 20 * DAY_MS]);
      const later = {
        ...record,
        revision,
        supersedes: keys.at(-1) ?? null,
        conclusion: this.#pick(['success', 'failure']),
        completed_at: new Date(endMs + moved).toISOString(),
      };
      keys.push(await storeRecord(this.#store, later));
    }
    return keys;
  }

  #logOf(jobId: number) {
    const sha256 = createHash('sha256').update(String(jobId)).digest('hex');
    const bytes = 1000 + this.#below(1_000_000);
    return {
      key: `v1/logs/of-job-${jobId}.log.gz`,
      version_id: null,
      sha256,
      bytes,
      lines: Math.floor(bytes / 80),
      stored_sha256: sha256,
      stored_bytes: Math.floor(bytes / 8),
      encoding: 'gzip' as const,
    };
  }

  async #addRunObject({ host = '', owner = '', repo = '', run_id: runId = 0, run_attempt }: RecordChanges) {
    const runAttempt = run_attempt ?? 1;
    const key = runKey({ host, owner, repo, runId, runAttempt }, 1);
    const object = {
      schema: 'everlog.run/v1',
      outcome: 'accounted',
      revision: 1,
      supersedes: null,
      host,
      owner,
      repo,
      repository_id: null,
      run_id: runId,
      run_attempt: runAttempt,
      run: { event: 'push', pull_requests: [{ number: 7 }] },
      expected: [],
      archived: [],
      absent: [],
      complete: true,
    };
    await put(this.#store, key, Buffer.from(JSON.stringify(object)));
    return key;
  }

  #random(): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#state / 2 ** 32;
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #pick<T>(values: readonly T[]): T {
    const value = values[this.#below(values.length)];
    if (value === undefined) throw new Error('nothing to pick from');
    return value;
  }
}

function absenceOf(reason: string) {
  return {
    reason,
    api_status: 200,
    log_status: 404,
    tries: 2,
    first_tried_at: '2026-11-20T17:45:00Z',
    last_tried_at: '2026-11-20T23:45:00Z',
  };
}
