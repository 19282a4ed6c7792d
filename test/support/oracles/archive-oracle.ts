import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { GetObjectCommand, ListObjectVersionsCommand, type S3Client } from '@aws-sdk/client-s3';
import { expect } from 'vitest';
import { z } from 'zod';
import type { Simulator } from '../../../src/simulator/simulator.ts';

/**
 * What the contract says must stand in an archive, worked out from the simulated GitHub alone. It shares no code with
 * the product: keys, hashes, line counts and fields are made here from the contract's words.
 */

/** An archive as a test reads it: every version of every key, and the bytes of the newest. */
export interface ArchiveUnderTest {
  /** Keys below the prefix, one entry for each version or delete marker. */
  versions(): Promise<readonly string[]>;
  read(key: string): Promise<StoredObject>;
}

export interface StoredObject {
  readonly bytes: Buffer;
  /** Null where the store has no metadata. */
  readonly headers: {
    readonly contentType: string | undefined;
    readonly contentEncoding: string | undefined;
    readonly metadata: Readonly<Record<string, string>>;
  } | null;
}

/** The archive in a bucket; with an empty prefix the whole of it. */
export function bucketArchive(client: S3Client, bucket: string, prefix: string): ArchiveUnderTest {
  const root = prefix === '' ? '' : `${prefix}/`;
  return {
    async versions() {
      const keys: string[] = [];
      let marker: { KeyMarker?: string | undefined; VersionIdMarker?: string | undefined } | null = {};
      while (marker !== null) {
        const page: z.infer<typeof versionsPage> = versionsPage.parse(
          await client.send(new ListObjectVersionsCommand({ Bucket: bucket, Prefix: root, ...marker })),
        );
        const found = [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])];
        keys.push(...found.map(({ Key }) => Key.slice(root.length)));
        marker =
          page.IsTruncated === true
            ? { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker }
            : null;
      }
      return keys;
    },
    async read(key) {
      const object = await client.send(new GetObjectCommand({ Bucket: bucket, Key: root + key }));
      const { ContentType, ContentEncoding, Metadata } = object;
      return {
        bytes: Buffer.from((await object.Body?.transformToByteArray()) ?? []),
        headers: {
          contentType: ContentType,
          contentEncoding: ContentEncoding === '' ? undefined : ContentEncoding,
          metadata: Metadata ?? {},
        },
      };
    },
  };
}

const listedKeys = z.array(z.object({ Key: z.string() })).optional();
const versionsPage = z.object({
  Versions: listedKeys,
  DeleteMarkers: listedKeys,
  IsTruncated: z.boolean().optional(),
  NextKeyMarker: z.string().optional(),
  NextVersionIdMarker: z.string().optional(),
});

/** The archive in a folder. Files whose path begins with a dot are the folder's own. */
export function folderArchive(folder: string): ArchiveUnderTest {
  return {
    async versions() {
      const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
      return entries
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
        .filter((key) => !key.startsWith('.'));
    },
    async read(key) {
      return { bytes: await readFile(join(folder, key)), headers: null };
    },
  };
}

/** Where the contract puts a job's record and log (CONTRACT §4). */
export function placesOf(
  job: { owner: string; repo: string; runId: number; attempt: number; jobId: number; day: string },
  host = '127.0.0.1',
): { record: string; log: string } {
  const place = `host=${host}/owner=${job.owner.toLowerCase()}/repo=${job.repo.toLowerCase()}`;
  return {
    record: `v1/records/${place}/${job.runId}/${job.attempt}/${job.jobId}.json`,
    log: `v1/logs/${place}/dt=${job.day}/${job.runId}-${job.attempt}-${job.jobId}.log.gz`,
  };
}

/** Where a simulated job that has ended belongs. `known` is the name by which it was first heard of. */
export function placesOfJob(
  simulator: Simulator,
  jobId: number,
  known?: { owner: string; name: string },
): { record: string; log: string } {
  const { facts, repositoryId } = simulator.world.job(jobId);
  const { owner, name } = known ?? simulator.world.repository(repositoryId);
  return placesOf({
    owner,
    repo: name,
    runId: facts.run_id,
    attempt: facts.run_attempt,
    jobId,
    day: (facts.completed_at ?? '').slice(0, 10),
  });
}

/** Hash, length and lines of bytes, counted one by one. */
export function tallyOf(bytes: Buffer): { sha256: string; bytes: number; lines: number } {
  let lines = bytes.length > 0 && bytes[bytes.length - 1] !== 10 ? 1 : 0;
  for (const byte of bytes) if (byte === 10) lines += 1;
  return { sha256: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.length, lines };
}

const TOP_FIELDS =
  'schema outcome revision supersedes host owner repo repository_id installation_id run_id run_attempt job_id job_name workflow_name head_branch head_sha conclusion runner_name labels sender deployment created_at started_at completed_at job details_source job_sha256 log fetch absence recorded_at archiver';
const LOG_FIELDS = 'key version_id sha256 bytes lines stored_sha256 stored_bytes encoding';
const FETCH_FIELDS =
  'source delivery_ids attempts log_host http_status etag content_md5 request_id possibly_truncated requested_at finished_at';
const ABSENCE_FIELDS = 'reason api_status log_status tries first_tried_at last_tried_at';

const anyObject = z.record(z.string(), z.unknown());
const recordSchema = z.looseObject({
  outcome: z.string(),
  job: anyObject,
  log: anyObject.nullable(),
  fetch: z.looseObject({ attempts: z.number(), delivery_ids: z.array(z.string()) }),
  absence: z.looseObject({ reason: z.string() }).nullable(),
});

export type RecordUnderTest = z.infer<typeof recordSchema>;

/** Reads a record and checks that no field of CONTRACT §5 is missing from it. */
export async function readRecord(archive: ArchiveUnderTest, key: string): Promise<RecordUnderTest> {
  const { bytes } = await archive.read(key);
  const record = recordSchema.parse(JSON.parse(bytes.toString('utf8')));
  const missing = [
    ...missingFrom(record, TOP_FIELDS),
    ...missingFrom(record.fetch, FETCH_FIELDS),
    ...(record.log === null ? [] : missingFrom(record.log, LOG_FIELDS)),
    ...(record.absence === null ? [] : missingFrom(record.absence, ABSENCE_FIELDS)),
  ];
  expect({ key, missing }).toEqual({ key, missing: [] });
  return record;
}

function missingFrom(value: object, fields: string): string[] {
  return fields.split(' ').filter((field) => !Object.hasOwn(value, field));
}

/** Checks one archived job against what the simulated GitHub serves: the log's bytes, the object, and the record. */
export async function expectArchived(
  archive: ArchiveUnderTest,
  simulator: Simulator,
  jobId: number,
  known?: { owner: string; name: string },
  source = 'webhook',
): Promise<RecordUnderTest> {
  const { facts, repositoryId, log } = simulator.world.job(jobId);
  const repository = simulator.world.repository(repositoryId);
  const places = placesOfJob(simulator, jobId, known);
  const record = await readRecord(archive, places.record);
  const stored = await archive.read(places.log);
  const served = Buffer.concat([...(log?.chunks() ?? [])]);
  const tally = tallyOf(served);
  const kept = gunzipSync(stored.bytes);
  if (!kept.equals(served)) {
    expect({ key: places.log, ...tallyOf(kept) }).toEqual({ key: places.log, ...tally });
    throw new Error(`${places.log} differs from what GitHub serves`);
  }
  if (stored.headers !== null) {
    const { contentType, contentEncoding, metadata } = stored.headers;
    expect({ key: places.log, contentType, contentEncoding, metadata }).toEqual({
      key: places.log,
      contentType: 'application/gzip',
      contentEncoding: undefined,
      metadata: expect.objectContaining({ sha256: tally.sha256, bytes: String(tally.bytes) }),
    });
  }
  expect(record.log).toMatchObject({
    ...tally,
    key: places.log,
    stored_sha256: createHash('sha256').update(stored.bytes).digest('hex'),
    stored_bytes: stored.bytes.length,
    encoding: 'gzip',
  });
  expect(record).toMatchObject({
    schema: 'everlog.job/v1',
    outcome: 'archived',
    revision: 1,
    supersedes: null,
    host: '127.0.0.1',
    owner: known?.owner ?? repository.owner,
    repo: known?.name ?? repository.name,
    repository_id: repositoryId,
    run_id: facts.run_id,
    job_id: jobId,
    job_name: facts.name,
    conclusion: facts.conclusion,
    runner_name: facts.runner_name,
    labels: facts.labels,
    started_at: facts.started_at,
    completed_at: facts.completed_at,
    absence: null,
    archiver: { name: 'everlog' },
    fetch: { source, log_host: new URL(simulator.logOrigin).host, http_status: 200 },
  });
  return record;
}

/** Checks that the archive holds these jobs once each, as one version, and no other job. */
export async function expectNothingElse(
  archive: ArchiveUnderTest,
  places: readonly { record: string; log: string }[],
): Promise<void> {
  // Names are of repositories and runs of attempts, which reconcile writes when its time comes; what stands outside `v1` is the store's probe and, later, the ledger and index.
  const versions = (await archive.versions()).filter(
    (key) => key.startsWith('v1/') && !key.startsWith('v1/names/') && !key.startsWith('v1/runs/'),
  );
  const expected = places.flatMap(({ record, log }) => [record, log]);
  expect(versions.toSorted()).toEqual(expected.toSorted());
}
