import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { partKey } from '../../../src/archive/index-keys.ts';
import { openJobIndex } from '../../../src/index/job-index.ts';
import { compareCommitRows, dayOf } from '../../../src/index/job-row.ts';
import type { CommitRow, JobRow } from '../../../src/index/parquet/columns.ts';
import { writeThrough } from '../../../src/index/through.ts';
import { compactIndex } from '../../../src/index/write/compact.ts';
import { storePart } from '../../../src/index/write/store-part.ts';
import { COMMITS, JOBS } from '../../../src/index/write/tables.ts';
import { openFolderStore } from '../../../src/store/folder/folder-object-store.ts';
import { bytesBody } from '../../../src/store/put-body.ts';
import type { ObjectStore } from '../../../src/store/object-store.ts';

/**
 * Measures the query index on synthetic jobs: size and cost of a day's file, of a compaction, and of the usual questions, with
 * 25 ms added to every request. Arguments: jobs of a day, days, and parts of a day that are merged.
 *
 *     node --import=tsx test/bench/processes/query-index-process.ts 1000000 7 24
 */

const [jobsArgument = '100000', daysArgument = '7', partsArgument = '6'] = process.argv.slice(2);
const JOBS_A_DAY = Number(jobsArgument);
const DAYS = Number(daysArgument);
const PARTS = Number(partsArgument);
const REQUEST_MS = 25;
const REPOSITORIES = 1_000;
const REPOSITORIES_OF_OWNER = 10;
const FIRST_DAY = Date.UTC(2026, 10, 1);
const DAY_MS = 86_400_000;
const MB = 1e6;

function* rowsOf(
  day: number,
  jobs: number,
  share: { readonly part: number; readonly of: number },
): Generator<JobRow> {
  let random = day + 1;
  const next = (): number => {
    random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0;
    return random / 2 ** 32;
  };
  const each = Math.max(1, Math.round(jobs / REPOSITORIES));
  for (let repository = 0; repository < REPOSITORIES; repository += 1) {
    const owner = `org-${String(Math.floor(repository / REPOSITORIES_OF_OWNER)).padStart(3, '0')}`;
    const repo = `service-${String(repository).padStart(4, '0')}`;
    let [sha, left, run] = ['', 0, 0];
    for (let index = 0; index < each; index += 1) {
      const second = Math.floor((index / each) * 86_400);
      if (left === 0) {
        left = 1 + Math.floor(next() * 9);
        sha = createHash('sha1').update(`${day} ${repository} ${index}`).digest('hex');
        run = 1e10 + day * 1e7 + second * 100 + repository;
      }
      left -= 1;
      const endMs = FIRST_DAY + day * DAY_MS + second * 1000;
      const random = [next(), next(), next(), next()];
      if (Math.floor((second / 86_400) * share.of) !== share.part) continue;
      yield syntheticRow(owner, repo, repository, run, sha, index, endMs, random);
    }
  }
}

function syntheticRow(
  owner: string,
  repo: string,
  repository: number,
  run_id: number,
  head_sha: string,
  index: number,
  endMs: number,
  [fail = 0, size = 0, time = 0, runner = 0]: readonly number[],
): JobRow {
  const job_id = run_id * 3 + index;
  const log_bytes = Math.floor(size * 200_000);
  return {
    repository: `${owner}/${repo}`,
    conclusion: fail < 0.1 ? 'failure' : 'success',
    outcome: 'archived',
    completed_at: endMs,
    started_at: endMs - Math.floor(time * 900) * 1000,
    run_id,
    job_id,
    log_bytes,
    run_attempt: 1,
    revision: 1,
    workflow_name: `CI ${index % 3}`,
    job_name: `build (${index % 8}, ubuntu-latest)`,
    head_branch: fail < 0.5 ? 'main' : `feature/${index % 200}`,
    head_sha,
    failed_step: fail < 0.1 ? 'Run tests' : null,
    host: 'github.com',
    owner,
    repo,
    repository_id: 5_000 + repository,
    sender: `user-${index % 50}`,
    event: 'push',
    pr_numbers: [],
    environment: null,
    runner_name: `GitHub Actions ${Math.floor(runner * 1_000)}`,
    labels: ['ubuntu-latest'],
    absence_reason: null,
    created_at: endMs - 1_000_000,
    recorded_at: endMs + 5_000,
    log_lines: Math.floor(log_bytes / 80),
    stored_bytes: Math.floor(log_bytes / 8),
    log_key: `v1/logs/host=github.com/owner=${owner}/repo=${repo}/dt=${dayOf(endMs)}/${run_id}-1-${job_id}.log.gz`,
    log_sha256: createHash('sha256').update(String(job_id)).digest('hex'),
  };
}

function commitsOf(day: number, jobs: number): CommitRow[] {
  const commits = new Map<string, CommitRow>();
  for (const { head_sha, host, owner, repo, run_id } of rowsOf(day, jobs, { part: 0, of: 1 })) {
    const dt = dayOf(FIRST_DAY + day * DAY_MS);
    commits.set(`${run_id}`, {
      head_sha: head_sha ?? '',
      host,
      owner,
      repo,
      run_id,
      run_attempt: 1,
      dt,
      jobs: 1,
    });
  }
  return [...commits.values()].sort(compareCommitRows);
}

function slow(store: ObjectStore): ObjectStore {
  return {
    ...store,
    readRange: async (key, range, pin) => {
      await sleep(REQUEST_MS);
      return store.readRange(key, range, pin);
    },
    read: async (key, version) => {
      await sleep(REQUEST_MS);
      return store.read(key, version);
    },
  };
}

/** Wall time, CPU time and the largest resident size seen during some work. */
async function measured<T>(work: () => Promise<T>): Promise<{ result: T; text: string }> {
  let residentBytes = 0;
  const watch = setInterval(() => {
    residentBytes = Math.max(residentBytes, process.memoryUsage.rss());
  }, 50);
  const [startMs, cpu] = [performance.now(), process.cpuUsage()];
  const result = await work();
  const { user, system } = process.cpuUsage(cpu);
  clearInterval(watch);
  const seconds = ((performance.now() - startMs) / 1000).toFixed(2);
  const resident = residentBytes === 0 ? '' : `, ${Math.round(residentBytes / MB)} MB resident`;
  return { result, text: `${((user + system) / MB).toFixed(2)} CPU-s, ${seconds} s${resident}` };
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function main(folder: string): Promise<void> {
  const archive = await openFolderStore({ folder: join(folder, 'archive') });
  const index = await openFolderStore({ folder: join(folder, 'index') });
  // Which hosts there are is asked of the archive.
  const record = bytesBody(Buffer.from('{}'));
  const options = { contentType: 'application/json', kind: 'record' } as const;
  await archive.putIfAbsent('v1/records/host=github.com/owner=o/repo=r/1/1/1.json', record, options);
  for (let day = 0; day < DAYS; day += 1) await makeDay(index, day, day === 0);
  await writeThrough(index, { sequence: DAYS * PARTS, recordedThrough: new Date(FIRST_DAY + DAYS * DAY_MS) });
  const compaction = await measured(() =>
    compactIndex({ index, spoolDir: tmpdir() }, { now: new Date(FIRST_DAY + DAYS * DAY_MS), all: true }),
  );
  say(
    `compaction of ${PARTS} parts into a day, and commits: ${compaction.text} ${JSON.stringify(compaction.result)}`,
  );
  const [commit] = commitsOf(DAYS - 1, JOBS_A_DAY);
  await ask(archive, index, 'by commit, absent', { shaPrefix: 'ab'.repeat(20) });
  await ask(archive, index, 'by commit, there', { shaPrefix: commit?.head_sha ?? '' });
  await ask(archive, index, 'by the start of a commit', { shaPrefix: (commit?.head_sha ?? '').slice(0, 10) });
  const repo = { owner: 'org-051', repo: 'service-0512' };
  const since = new Date(FIRST_DAY + (DAYS - 1) * DAY_MS);
  await ask(archive, index, 'failures of a repository, one day', { repo, conclusion: 'failure', since });
  await ask(archive, index, `failures of a repository, ${DAYS} days`, { repo, conclusion: 'failure' });
  await ask(archive, index, 'newest 50 of a repository', { repo }, 50);
  await ask(archive, index, 'newest 50 of an owner', { owner: 'org-051' }, 50);
  await ask(archive, index, 'newest 50', {}, 50);
  await ask(archive, index, 'every failure', { conclusion: 'failure' });
  await archive.close();
  await index.close();
}

async function makeDay(index: ObjectStore, day: number, isTold: boolean): Promise<void> {
  const partition = dayOf(FIRST_DAY + day * DAY_MS);
  const made = await measured(async () => {
    let rows = 0;
    for (let part = 0; part < PARTS; part += 1) {
      const sequence = day * PARTS + part + 1;
      const key = partKey({ table: 'jobs', partition, from: sequence, to: sequence });
      rows += await storePart(index, key, JOBS, rowsOf(day, JOBS_A_DAY, { part, of: PARTS }), tmpdir());
    }
    return rows;
  });
  const sequence = day * PARTS + 1;
  const key = partKey({ table: 'commits', partition: partition.slice(0, 7), from: sequence, to: sequence });
  await storePart(index, key, COMMITS, commitsOf(day, JOBS_A_DAY), tmpdir());
  if (!isTold) return;
  let bytes = 0;
  for await (const object of index.list(`jobs/dt=${partition}/`)) bytes += object.bytes;
  say(`${made.result} rows in ${PARTS} parts: ${(bytes / made.result).toFixed(1)} B a row, ${made.text}`);
}

async function ask(
  archive: ObjectStore,
  index: ObjectStore,
  what: string,
  filters: Parameters<NonNullable<Awaited<ReturnType<typeof openJobIndex>>>['search']>[0],
  limit = Infinity,
): Promise<void> {
  const onProblem = (key: string, problem: string): never => {
    throw new Error(`${key}: ${problem}`);
  };
  const opened = await openJobIndex({ archive, index: slow(index), onProblem });
  if (opened === null) throw new Error('there is no index');
  const { result, text } = await measured(async () => {
    let hits = 0;
    for await (const _hit of opened.search(filters, { expected: limit })) {
      hits += 1;
      if (hits >= limit) break;
    }
    return hits;
  });
  const { requests, bytes } = opened.meter;
  say(`${what}: ${result} jobs, ${requests} requests, ${(bytes / MB).toFixed(2)} MB, ${text}`);
}

const folder = await mkdtemp(join(tmpdir(), 'everlog-bench-index-'));
try {
  await main(folder);
} finally {
  await rm(folder, { recursive: true, force: true });
}
