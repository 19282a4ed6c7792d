import { createHash } from 'node:crypto';
import type { RecordFilters } from '../../../src/archive/find/record-filters.ts';
import { runKey } from '../../../src/archive/keys.ts';
import type { JobRecord } from '../../../src/archive/record.ts';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import { makeRecord, put, storeRecord } from './archived-jobs.ts';

/** A source of numbers from 0 up to 1 that is the same at every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

const CONCLUSIONS = ['success', 'success', 'success', 'failure', 'cancelled', 'timed_out', null];
const OUTCOMES = ['archived', 'archived', 'archived', 'unavailable', 'not_produced'];
const BRANCHES = ['main', 'dev', 'feature/ü', null];
const WORKFLOWS = ['CI', 'Deploy', 'ci.yml', null];
const NAMES = ['build', 'build (20, linux)', 'build-docs', 'deploy', null];
const REPOSITORIES = ['octo/app', 'octo/api', 'octo/api-docs', 'octopus/app', 'Zed/Last', 'a/b'];
const HOSTS = ['github.com', 'github.com', 'github.com', 'ghe.example.com'];
const FIRST_DAY = Date.UTC(2026, 9, 28);
const DAY_MS = 86_400_000;
const JOBS_OF_RUN_MAX = 4;

/** Jobs of many days, hosts, repositories, runs and commits, some with missing times, some looked at again. */
export class RandomArchive {
  readonly random: () => number;
  readonly store: ObjectStore;
  readonly shas: string[] = [];
  readonly ids: number[] = [];
  #next = 1;

  /** `firstId` keeps the jobs of a second world apart. */
  constructor(store: ObjectStore, seed: number, firstId = 1) {
    this.store = store;
    this.random = seeded(seed);
    this.#next = firstId;
  }

  pick<T>(values: readonly T[]): T {
    const value = values[Math.floor(this.random() * values.length)];
    if (value === undefined) throw new Error('nothing to pick from');
    return value;
  }

  /** Stores a run of a few jobs, and its object more often than not; answers the keys in the order they were written. */
  async addRun(): Promise<string[]> {
    const [owner = '', repo = ''] = this.pick(REPOSITORIES).split('/');
    const run_id = 1000 + this.#next;
    const head_sha = createHash('sha1')
      .update(String(Math.floor(this.random() * 40)))
      .digest('hex');
    this.shas.push(head_sha);
    const startMs = FIRST_DAY + Math.floor((this.random() * 9 * DAY_MS) / 60_000) * 60_000;
    const common = {
      host: this.pick(HOSTS),
      owner,
      repo,
      repository_id: REPOSITORIES.indexOf(`${owner}/${repo}`) + 1,
      run_id,
      run_attempt: this.pick([1, 1, 2, null]),
      workflow_name: this.pick(WORKFLOWS),
      head_branch: this.pick(BRANCHES),
      head_sha,
    };
    const keys: string[] = [];
    for (let job = Math.ceil(this.random() * JOBS_OF_RUN_MAX); job > 0; job -= 1) {
      keys.push(...(await this.#addJob(common, startMs)));
    }
    if (this.random() < 0.8) keys.push(await this.#addRunObject(common));
    return keys;
  }

  async #addJob(common: Partial<JobRecord>, startMs: number): Promise<string[]> {
    const job_id = this.#next;
    this.#next += 1;
    this.ids.push(job_id);
    const timeAt = (ms: number): string | null => (this.random() < 0.1 ? null : new Date(ms).toISOString());
    const endMs = startMs + Math.floor(this.random() * 3) * 3_600_000;
    const record = makeRecord({
      ...common,
      job_id,
      job_name: this.pick(NAMES),
      conclusion: this.pick(CONCLUSIONS),
      outcome: this.pick(OUTCOMES),
      sender: this.pick(['octocat', 'hubot']),
      created_at: timeAt(startMs - 1000),
      started_at: timeAt(startMs),
      completed_at: timeAt(endMs),
      recorded_at: new Date(endMs + 5000).toISOString(),
      job: {
        steps: [
          { name: 'Set up job', conclusion: 'success' },
          { name: 'Test', conclusion: 'failure' },
        ],
      },
    });
    const keys = [await storeRecord(this.store, record)];
    for (let revision = 2; this.random() < 0.15; revision += 1) {
      const later = {
        ...record,
        revision,
        supersedes: keys.at(-1) ?? null,
        outcome: this.pick(OUTCOMES),
        conclusion: this.pick(CONCLUSIONS),
        completed_at: this.random() < 0.5 ? record.completed_at : new Date(endMs + DAY_MS).toISOString(),
      };
      keys.push(await storeRecord(this.store, later));
    }
    return keys;
  }

  async #addRunObject(common: Partial<JobRecord>): Promise<string> {
    const { host = '', owner = '', repo = '', run_id: runId = 0, run_attempt } = common;
    const runAttempt = run_attempt ?? 1;
    const key = runKey({ host, owner, repo, runId, runAttempt }, 1);
    const run = {
      event: this.pick(['push', 'pull_request', 'schedule']),
      pull_requests: this.random() < 0.3 ? [{ number: this.pick([1, 2, 3]) }] : [],
      actor: { login: this.pick(['octocat', 'monalisa']) },
      path: '.github/workflows/ci.yml@refs/heads/main',
    };
    const object = {
      schema: 'everlog.run/v1',
      outcome: 'accounted',
      revision: 1,
      supersedes: null,
      host,
      owner,
      repo,
      repository_id: common.repository_id ?? null,
      run_id: runId,
      run_attempt: runAttempt,
      run,
      expected: [],
      archived: [],
      absent: [],
      complete: true,
    };
    await put(this.store, key, Buffer.from(JSON.stringify(object)));
    return key;
  }

  /** Some filters, one to three at once. */
  filters(): RecordFilters {
    const some: (() => RecordFilters)[] = [
      () => ({ host: this.pick(HOSTS) }),
      () => ({ owner: this.pick(['octo', 'OCTO', 'octopus', 'zed', 'nobody']) }),
      () => {
        const [owner = '', repo = ''] = this.pick(REPOSITORIES).split('/');
        return { repo: { owner, repo } };
      },
      () => ({ branch: this.pick(['main', 'dev', 'feature/ü', 'none']) }),
      () => ({ shaPrefix: this.pick(this.shas).slice(0, this.pick([4, 7, 40])) }),
      () => ({ runId: 1000 + this.pick(this.ids) }),
      () => ({ jobId: this.pick(this.ids) }),
      () => ({ anyId: this.pick(this.ids) + this.pick([0, 1000]) }),
      () => ({ job: this.pick(['build', 'deploy']) }),
      () => ({ attempt: this.pick([1, 2]) }),
      () => ({ workflow: this.pick(['CI', 'Deploy', 'ci.yml']) }),
      () => ({ event: this.pick(['push', 'schedule']) }),
      () => ({ pullRequest: this.pick([1, 2]) }),
      () => ({ actor: this.pick(['octocat', 'Monalisa', 'hubot']) }),
      () => ({ conclusion: this.pick(['success', 'failure', 'timed_out']) }),
      () => ({ failed: true }),
      () => ({ outcome: this.pick(OUTCOMES) }),
      () => ({ since: new Date(FIRST_DAY + this.random() * 10 * DAY_MS) }),
      () => ({ until: new Date(FIRST_DAY + this.random() * 10 * DAY_MS) }),
    ];
    const filters: RecordFilters = {};
    for (let count = Math.floor(this.random() * 4); count > 0; count -= 1) {
      Object.assign(filters, this.pick(some)());
    }
    return filters;
  }
}
