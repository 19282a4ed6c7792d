import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { onTestFinished } from 'vitest';
import { openFolderStore } from '../../../src/store/folder/folder-object-store.ts';
import { idToNameKey, logKey, nameToIdKey, recordKey, type JobAddress } from '../../../src/archive/keys.ts';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import { bytesBody } from '../../../src/store/put-body.ts';
import { JsonText } from '../../../src/json-text.ts';
import { serializeRecord } from '../../../src/archive/record.ts';
import type { JobRecord, RecordedLog } from '../../../src/archive/record.ts';

/** An archive in a folder of its own, removed when the test has finished. */
export async function makeArchive(): Promise<ObjectStore> {
  const folder = await mkdtemp(join(tmpdir(), 'everlog-archive-'));
  const store = await openFolderStore({ folder });
  onTestFinished(async () => {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });
  return store;
}

/** Changes to a record; what GitHub said may be given as an object. */
export type RecordChanges = Partial<Omit<JobRecord, 'job' | 'deployment'>> & {
  readonly job?: object;
  readonly deployment?: object | null;
};

function textOf(said: object): JsonText {
  return said instanceof JsonText ? said : JsonText.of(said);
}

/** A record with every field, archived by default; `changes` are laid over it. */
export function makeRecord({ job, deployment, ...changes }: RecordChanges = {}): JobRecord {
  return {
    schema: 'everlog.job/v1',
    outcome: 'archived',
    revision: 1,
    supersedes: null,
    host: 'github.com',
    owner: 'octo-org',
    repo: 'Octo-Repo',
    repository_id: 1_296_269,
    installation_id: 1,
    run_id: 29_679_449,
    run_attempt: 1,
    job_id: 399_444_496,
    job_name: 'build',
    workflow_name: 'CI',
    head_branch: 'main',
    head_sha: 'f83a356604ae3c5d03e1b46ef4d1ca77d64a90b0',
    conclusion: 'success',
    runner_name: 'my runner',
    labels: ['self-hosted'],
    sender: 'octocat',
    deployment: deployment === undefined || deployment === null ? null : textOf(deployment),
    created_at: null,
    started_at: '2020-01-20T17:42:40Z',
    completed_at: '2020-01-20T17:44:39Z',
    job: textOf(job ?? { steps: [] }),
    details_source: 'api',
    job_sha256: null,
    log: null,
    fetch: {
      source: 'webhook',
      delivery_ids: [],
      attempts: 1,
      log_host: null,
      http_status: 200,
      etag: null,
      content_md5: null,
      request_id: null,
      possibly_truncated: false,
      requested_at: null,
      finished_at: null,
    },
    absence: null,
    recorded_at: '2020-01-20T17:45:00Z',
    archiver: { name: 'everlog', version: '0.0.0' },
    ...changes,
  };
}

/** A record without a log, and why. */
export function makeAbsence(outcome: string, changes: RecordChanges = {}): JobRecord {
  const absence = {
    reason: 'not_found',
    api_status: 200,
    log_status: 404,
    tries: 2,
    first_tried_at: '2020-01-20T17:45:00Z',
    last_tried_at: '2020-01-20T23:45:00Z',
  };
  return makeRecord({ outcome, absence, ...changes });
}

/** Stores a record as it is, under the key its fields give. */
export async function storeRecord(store: ObjectStore, record: JobRecord): Promise<string> {
  const key = recordKey(addressOf(record), record.revision);
  await put(store, key, serializeRecord(record));
  return key;
}

/** Stores a log and then its record, which is given what the log is. */
export async function storeJob(
  store: ObjectStore,
  record: JobRecord,
  log: string | Uint8Array,
): Promise<JobRecord> {
  const bytes = Buffer.from(log);
  const stored = gzipSync(bytes);
  const key = logKey(addressOf(record), (record.completed_at ?? record.recorded_at).slice(0, 10), 1);
  await put(store, key, stored);
  const whole = { ...record, log: describeLog(key, bytes, stored) };
  await storeRecord(store, whole);
  return whole;
}

/** What a record says of a log. */
export function describeLog(key: string, bytes: Buffer, stored: Buffer): RecordedLog {
  const lineFeeds = bytes.toString('latin1').split('\n').length - 1;
  return {
    key,
    version_id: null,
    sha256: sha256Of(bytes),
    bytes: bytes.length,
    lines: lineFeeds + (bytes.length > 0 && bytes.at(-1) !== 0x0a ? 1 : 0),
    stored_sha256: sha256Of(stored),
    stored_bytes: stored.length,
    encoding: 'gzip',
  };
}

/** Writes down that a repository bore a name, both ways. */
export async function storeName(
  store: ObjectStore,
  repositoryId: number,
  owner: string,
  repo: string,
  host = 'github.com',
): Promise<void> {
  await put(store, nameToIdKey(host, owner, repo, repositoryId), Buffer.from('{}\n'));
  await put(store, idToNameKey(host, repositoryId, owner, repo), Buffer.from('{}\n'));
}

/** All that a generator gives. */
export async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of source) all.push(one);
  return all;
}

/** Stores any bytes. */
export async function put(store: ObjectStore, key: string, bytes: Uint8Array): Promise<void> {
  await store.putIfAbsent(key, bytesBody(bytes), { contentType: 'application/octet-stream', kind: 'other' });
}

/** Which job in which attempt a record is of, with names in lower case as keys have them. */
export function addressOf(record: JobRecord): JobAddress {
  const { host, owner, repo, run_id, run_attempt, job_id } = record;
  return {
    host,
    owner: owner.toLowerCase(),
    repo: repo.toLowerCase(),
    runId: run_id,
    runAttempt: run_attempt ?? 1,
    jobId: job_id,
  };
}

function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
