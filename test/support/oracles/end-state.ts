import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { expect } from 'vitest';
import { PREFIX } from '../harness/crash-site.ts';
import type { S3Fake } from '../servers/s3-fake/s3-fake.ts';

/**
 * Everything that stands in a bucket about one repository, every version of it, in a form in which two repositories that
 * went through the same can be compared: what must differ between them (ids, names, times, tries) is replaced by a word.
 */

/** What is one repository's own: number or name, and the word that stands for it. */
export type OwnWords = ReadonlyMap<string, string>;

/** Members that say when, how often or under which random id something was done. */
const VOLATILE: Readonly<Record<string, string>> = {
  recorded_at: 'a time',
  requested_at: 'a time',
  finished_at: 'a time',
  first_tried_at: 'a time',
  last_tried_at: 'a time',
  first_seen_at: 'a time',
  attempts: 'a count',
  request_id: 'an id',
  etag: 'an id',
  delivery_ids: 'ids',
  version_id: 'an id',
  job_sha256: 'a hash of ids',
  node_id: 'an id',
  updated_at: 'a time',
  pushed_at: 'a time',
};

/** The state of the repository that `own` describes; `isOwn` picks its keys. */
export async function endState(
  fake: S3Fake,
  bucket: string,
  isOwn: (key: string) => boolean,
  own: OwnWords,
): Promise<readonly unknown[]> {
  const versions = fake.objects(bucket).filter(({ key }) => isOwn(key));
  const state = versions.map(async ({ key, versionId, isDeleteMarker, contentType, metadata }) => {
    const bytes = await fake.read(bucket, key, versionId);
    const name = worded(key, own);
    if (key.endsWith('.json')) return { name, contentType, isDeleteMarker, document: document(bytes, own) };
    const sha256 = createHash('sha256').update(gunzipSync(bytes)).digest('hex');
    expect({ key, ...metadata }).toMatchObject({ key, sha256 });
    return { name, contentType, isDeleteMarker, sha256, metadata };
  });
  return Promise.all(state);
}

/** Records in a state point at the one version that their log has, and there is no record of an archived job without it. */
export async function expectLogsBehindRecords(fake: S3Fake, bucket: string): Promise<number> {
  const versions = fake.objects(bucket);
  let records = 0;
  for (const { key, versionId } of versions) {
    if (!key.startsWith(`${PREFIX}/v1/records/`)) continue;
    const record: unknown = JSON.parse((await fake.read(bucket, key, versionId)).toString('utf8'));
    const log = member(record, 'log');
    records += 1;
    if (log === null) {
      expect({ key, outcome: member(record, 'outcome') }).not.toEqual({ key, outcome: 'archived' });
      continue;
    }
    const stored = versions.filter((version) => version.key === `${PREFIX}/${String(member(log, 'key'))}`);
    expect({ key, versions: stored.map((version) => version.versionId) }).toEqual({
      key,
      versions: [member(log, 'version_id')],
    });
    const bytes = await fake.read(bucket, stored[0]?.key ?? '');
    expect({ key, sha256: member(log, 'stored_sha256'), bytes: member(log, 'stored_bytes') }).toEqual({
      key,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      bytes: bytes.length,
    });
  }
  return records;
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

function document(bytes: Buffer, own: OwnWords): unknown {
  const text = worded(bytes.toString('utf8'), own);
  return JSON.parse(text, (name, value: unknown) => {
    // A delivery that was refused at first may be the one that Everlog asked for again.
    if (name === 'source' && value === 'redelivery') return 'webhook';
    const word = VOLATILE[name];
    return word === undefined || value === null ? value : word;
  });
}

/** Ids stand in JSON as numbers too: a word takes the place of the number, in quotes there. */
function worded(text: string, own: OwnWords): string {
  let told = text;
  for (const [number, word] of own) {
    told = told
      .replaceAll(new RegExp(`(?<=[:[,])${number}(?=[,}\\]])`, 'g'), `"${word}"`)
      .replaceAll(number, word);
  }
  return told;
}
