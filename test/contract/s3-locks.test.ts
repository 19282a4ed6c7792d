import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  PutBucketPolicyCommand,
  PutObjectCommand,
  PutObjectLockConfigurationCommand,
  PutObjectRetentionCommand,
  S3ServiceException,
  type S3Client,
} from '@aws-sdk/client-s3';
import { randomUUID } from 'node:crypto';
import { afterAll, describe, expect, test } from 'vitest';
import { openS3Store, type S3StoreOptions } from '../../src/store/s3/s3-object-store.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { s3Client, type S3Server } from '../support/servers/s3-connection.ts';
import { startS3Fake } from '../support/servers/s3-fake/s3-fake.ts';
import { runS3 } from '../support/servers/services.ts';
import { put, RECORD, textBody, textOf } from './object-samples.ts';

const OBJECTS = 20;
const DAY_MS = 24 * 60 * 60 * 1000;
const RETENTION_DAYS = 3;
const PREFIX = 'archive';

const fake = await startS3Fake();
const real = await runS3();
const clients: { destroy(): void }[] = [];

afterAll(async () => {
  for (const client of clients) client.destroy();
  await fake.stop();
});

interface LockedBucket {
  readonly name: string;
  /** The owner of the bucket, who may do everything that the store lets anybody do. */
  readonly admin: S3Client;
  open(options?: Partial<S3StoreOptions>): ObjectStore;
}

async function lockedBucket(server: S3Server): Promise<LockedBucket> {
  const name = `locked-${randomUUID()}`;
  await server.createBucket(name, { objectLock: true });
  const admin = s3Client(server);
  clients.push(admin);
  return {
    name,
    admin,
    open: (options) =>
      openS3Store({
        bucket: name,
        prefix: PREFIX,
        forcePathStyle: true,
        endpoint: server.endpoint,
        credentials: { accessKeyId: server.accessKeyId, secretAccessKey: server.secretAccessKey },
        ...options,
      }),
  };
}

/** The HTTP status a store refuses with; 200 when it does not. */
async function statusOf(work: Promise<unknown>): Promise<number | undefined> {
  try {
    await work;
    return 200;
  } catch (error) {
    if (error instanceof S3ServiceException) return error.$metadata.httpStatusCode;
    throw error;
  }
}

async function storeLocked(store: ObjectStore, key: string): Promise<string> {
  const created = await store.putIfAbsent(key, textBody(`evidence ${key}`), RECORD);
  if (created.outcome !== 'created' || created.versionId === null) throw new Error('no version came');
  return created.versionId;
}

describe.each([
  ['the S3 fake', fake],
  [`the S3 server of this run (${real.kind})`, real],
])('Object Lock on %s', (_name, server) => {
  test.each(['GOVERNANCE', 'COMPLIANCE'] as const)(
    `${OBJECTS} objects under %s: neither writer nor admin removes, overwrites or shortens one`,
    async (lockMode) => {
      const bucket = await lockedBucket(server);
      const store = bucket.open({ lockMode, retentionDays: RETENTION_DAYS });
      clients.push({ destroy: () => void store.close() });
      for (let index = 0; index < OBJECTS; index += 1) {
        const key = `${index % 2 === 0 ? 'v1/records' : 'ledger/digests'}/${index}.json`;
        const before = Date.now();
        const versionId = await storeLocked(store, key);
        const lock = await store.lockOf(key, versionId);
        expect(lock).toMatchObject({ mode: lockMode, legalHold: false });
        expect(lock?.retainUntil?.getTime()).toBeGreaterThanOrEqual(before + RETENTION_DAYS * DAY_MS - 1000);
        // Under GOVERNANCE asking for the bypass would be granted to the owner.
        for (const bypassGovernance of lockMode === 'COMPLIANCE' ? [false, true] : [false]) {
          expect(await store.remove(key, versionId, { bypassGovernance })).toBe('locked');
        }
        const place = { Bucket: bucket.name, Key: `${PREFIX}/${key}` };
        const version = { ...place, VersionId: versionId };
        const refused = [
          new DeleteObjectCommand(version),
          new PutObjectRetentionCommand({
            ...version,
            Retention: { Mode: lockMode, RetainUntilDate: new Date(Date.now() + 60_000) },
          }),
        ] as const;
        expect(await statusOf(bucket.admin.send(refused[0]))).toBe(403);
        expect(await statusOf(bucket.admin.send(refused[1]))).toBe(403);
        const batch = await bucket.admin.send(
          new DeleteObjectsCommand({
            Bucket: bucket.name,
            Delete: { Objects: [{ Key: place.Key, VersionId: versionId }] },
          }),
        );
        expect(batch.Deleted ?? []).toEqual([]);
        expect(await put(store, key, 'forged')).toBe('exists');
        // What the store does let an admin do: lay another version or a delete marker over it.
        await bucket.admin.send(new PutObjectCommand({ ...place, Body: 'forged' }));
        await bucket.admin.send(new DeleteObjectCommand(place));
        expect(await textOf(await store.read(key, versionId))).toBe(`evidence ${key}`);
      }
    },
  );

  test('GOVERNANCE yields to whoever asks for it and may, in one version', async () => {
    const bucket = await lockedBucket(server);
    const store = bucket.open({ lockMode: 'GOVERNANCE', retentionDays: 1 });
    const versionId = await storeLocked(store, 'v1/logs/one.log.gz');
    expect(await store.remove('v1/logs/one.log.gz', versionId, { bypassGovernance: true })).toBe('removed');
    expect(await store.head('v1/logs/one.log.gz', versionId)).toBeNull();
    await store.close();
  });

  test('a legal hold outlives a bypass, and is told beside the retention', async () => {
    const bucket = await lockedBucket(server);
    const store = bucket.open({ lockMode: 'GOVERNANCE', retentionDays: 1 });
    const versionId = await storeLocked(store, 'v1/logs/one.log.gz');
    expect(await store.setLegalHold('v1/logs/one.log.gz', versionId, true)).toBe('done');
    expect(await store.lockOf('v1/logs/one.log.gz')).toMatchObject({ mode: 'GOVERNANCE', legalHold: true });
    expect(await store.remove('v1/logs/one.log.gz', versionId, { bypassGovernance: true })).toBe('locked');
    expect(await store.setLegalHold('v1/logs/one.log.gz', versionId, false)).toBe('done');
    expect(await store.remove('v1/logs/one.log.gz', versionId, { bypassGovernance: true })).toBe('removed');
    await store.close();
  });

  test('removes a delete marker, so that what it hid is seen again', async () => {
    const bucket = await lockedBucket(server);
    const store = bucket.open({ lockMode: 'COMPLIANCE', retentionDays: 1 });
    await storeLocked(store, 'v1/records/one.json');
    const Key = `${PREFIX}/v1/records/one.json`;
    const { VersionId = '' } = await bucket.admin.send(new DeleteObjectCommand({ Bucket: bucket.name, Key }));
    expect(await store.head('v1/records/one.json')).toBeNull();
    const options = { bypassGovernance: false };
    expect(await store.remove('v1/records/one.json', VersionId, options)).toBe('removed');
    expect(await textOf(await store.read('v1/records/one.json'))).toBe('evidence v1/records/one.json');
    expect(await store.remove('v1/records/one.json', VersionId, options)).toBe('missing');
    await store.close();
  });

  test("locks what is written by the bucket's default, and one object for another time", async () => {
    const bucket = await lockedBucket(server);
    const DefaultRetention = { Mode: 'GOVERNANCE', Days: RETENTION_DAYS } as const;
    await bucket.admin.send(
      new PutObjectLockConfigurationCommand({
        Bucket: bucket.name,
        ObjectLockConfiguration: { ObjectLockEnabled: 'Enabled', Rule: { DefaultRetention } },
      }),
    );
    const store = bucket.open({ lockMode: 'bucket' });
    await storeLocked(store, 'v1/records/one.json');
    const lock = await store.lockOf('v1/records/one.json');
    expect(lock?.mode).toBe('GOVERNANCE');
    expect(lock?.retainUntil?.getTime()).toBeGreaterThan(Date.now() + (RETENTION_DAYS - 0.1) * DAY_MS);
    await store.close();
    const other = bucket.open({ lockMode: 'GOVERNANCE', retentionDays: 30 });
    const retainUntil = new Date(Date.now() + 60_000);
    await other.putIfAbsent('probe/x', textBody('x'), { ...RECORD, retainUntil });
    expect((await other.lockOf('probe/x'))?.retainUntil?.getTime()).toBe(retainUntil.getTime());
    await other.close();
  });
});

test('who may not bypass governance is told that it is locked', async () => {
  const bucket = await lockedBucket(real);
  const store = bucket.open({ lockMode: 'GOVERNANCE', retentionDays: 1 });
  const versionId = await storeLocked(store, 'v1/logs/one.log.gz');
  const Policy = JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Deny',
        Principal: '*',
        Action: 's3:BypassGovernanceRetention',
        Resource: `arn:aws:s3:::${bucket.name}/*`,
      },
    ],
  });
  await bucket.admin.send(new PutBucketPolicyCommand({ Bucket: bucket.name, Policy }));
  expect(await store.remove('v1/logs/one.log.gz', versionId, { bypassGovernance: true })).toBe('locked');
  await store.close();
});

describe('an S3 store that says no', () => {
  const refused = { name: 'EverlogError', code: 'store_refused' };

  async function oneObject(): Promise<{ store: ObjectStore; versionId: string }> {
    const bucket = await lockedBucket(fake);
    const store = bucket.open();
    return { store, versionId: await storeLocked(store, 'v1/one.json') };
  }

  test('to a removal, where no lock forbids it: names the right that lacks', async () => {
    const { store, versionId } = await oneObject();
    const effect = { kind: 'status', status: 403, code: 'AccessDenied' } as const;
    fake.faults.add({ method: 'DELETE', keyIncludes: 'v1/one', times: 1, effect });
    const removal = store.remove('v1/one.json', versionId, { bypassGovernance: false });
    await expect(removal).rejects.toMatchObject(refused);
    fake.faults.add({ method: 'DELETE', keyIncludes: 'v1/one', times: 1, effect });
    await expect(store.remove('v1/one.json', versionId, { bypassGovernance: false })).rejects.toThrow(
      's3:DeleteObjectVersion',
    );
    await store.close();
  });

  test('to a legal hold: names the right that lacks, and tries again what passes', async () => {
    const { store, versionId } = await oneObject();
    const denied = { kind: 'status', status: 403, code: 'AccessDenied' } as const;
    fake.faults.add({ method: 'PUT', keyIncludes: 'v1/one', times: 1, effect: denied });
    await expect(store.setLegalHold('v1/one.json', versionId, true)).rejects.toThrow('s3:PutObjectLegalHold');
    const passing = { kind: 'status', status: 503 } as const;
    fake.faults.add({ method: 'PUT', keyIncludes: 'v1/one', times: 2, effect: passing });
    expect(await store.setLegalHold('v1/one.json', versionId, true)).toBe('done');
    await store.close();
  });

  test('to a HEAD with 400: an id that is not its own is missing, any other reason is a failure', async () => {
    const { store, versionId } = await oneObject();
    const message = 'Invalid version id specified';
    const bad = { kind: 'status', status: 400, code: 'InvalidArgument', message } as const;
    for (const method of ['HEAD', 'GET']) {
      fake.faults.add({ method, keyIncludes: 'v1/one', times: 1, effect: bad });
    }
    expect(await store.head('v1/one.json', versionId)).toBeNull();
    const expired = { kind: 'status', status: 400, code: 'InvalidToken' } as const;
    for (const method of ['HEAD', 'GET']) {
      fake.faults.add({ method, keyIncludes: 'v1/one', times: 1, effect: expired });
    }
    await expect(store.head('v1/one.json', versionId)).rejects.toMatchObject(refused);
    await store.close();
  });
});
