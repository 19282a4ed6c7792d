import {
  DeleteObjectCommand,
  GetObjectRetentionCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { openS3Store } from '../../src/store/s3/s3-object-store.ts';
import { seededRandom } from '../../src/simulator/random.ts';
import { scaled } from '../support/harness/everlog-under-test.ts';
import { makeLedger, sha256, type LedgerMaker } from '../support/oracles/ledger-maker.ts';
import { s3Client, type S3Server } from '../support/servers/s3-connection.ts';
import { startS3Fake } from '../support/servers/s3-fake/s3-fake.ts';
import { runS3, SERVICE_HOOK_TIMEOUT_MS } from '../support/servers/services.ts';
import { findingsOf, oneOf, verifyStore } from '../support/harness/verify-under-test.ts';

/** What only a store with versions lets somebody do: hide an object behind a delete marker or behind another version. */

const DAY_MS = 86_400_000;
const fake = await startS3Fake();
afterAll(() => fake.stop());

const stores: { name: string; start: () => Promise<S3Server>; times: number }[] = [
  { name: 'S3 as AWS does it', start: () => Promise.resolve(fake), times: 20 },
  { name: 'the S3 server of this run', start: runS3, times: scaled(4, 20) },
];

describe.each(stores)('on $name', ({ start, times }) => {
  const random = seededRandom(7);
  const bucket = `evidence-${randomUUID()}`;
  const prefix = 'team & co/archive';
  let client: S3Client;
  let store: ObjectStore;
  let maker: LedgerMaker;
  /** Everything that was stored, with its version. */
  const stored = new Map<string, { bytes: Buffer; version: string }>();

  beforeAll(async () => {
    const server = await start();
    await server.createBucket(bucket, { objectLock: true });
    client = s3Client(server);
    store = openS3Store({ ...reach(server), bucket, prefix, forcePathStyle: true });
    maker = await makeLedger(put, {
      archive: `s3://${bucket}/${prefix}`,
      digests: 2,
      jobs: 2,
      endMs: Date.now(),
      storage: { lock_mode: 'GOVERNANCE', retention_days: 30 },
    });
  }, SERVICE_HOOK_TIMEOUT_MS);

  afterAll(async () => {
    client.destroy();
    await store.close();
  });

  async function put(key: string, bytes: Buffer): Promise<string> {
    const { VersionId } = await client.send(
      new PutObjectCommand({
        Bucket: bucket,
        Key: `${prefix}/${key}`,
        Body: bytes,
        ChecksumSHA256: Buffer.from(sha256(bytes), 'hex').toString('base64'),
        ObjectLockMode: 'GOVERNANCE',
        ObjectLockRetainUntilDate: new Date(Date.now() + 30 * DAY_MS),
      }),
    );
    if (VersionId === undefined) throw new Error('the store gave no version');
    if (!stored.has(key)) stored.set(key, { bytes, version: VersionId });
    return VersionId;
  }

  async function remove(key: string, VersionId?: string): Promise<string | undefined> {
    const removed = await client.send(
      new DeleteObjectCommand({
        Bucket: bucket,
        Key: `${prefix}/${key}`,
        ...(VersionId === undefined ? {} : { VersionId, BypassGovernanceRetention: true }),
      }),
    );
    return removed.VersionId;
  }

  test('nothing is found while nothing is wrong, at any level', async () => {
    for (const level of ['ledger', 'heads', 'bytes'] as const) {
      const verified = await verifyStore(store, { level, pinnedKeyId: maker.key.id });
      expect(findingsOf(verified)).toEqual([]);
      expect(verified.summary).toMatchObject({ lock_mode: 'GOVERNANCE', retention_days: 30 });
    }
  });

  test('a delete marker hides, and what it hides is still read and sound', async () => {
    for (let count = 0; count < times; count += 1) {
      const key = oneOf([...stored.keys()], random);
      const marker = await remove(key);
      const level = oneOf(['heads', 'bytes'] as const, random);
      expect(findingsOf(await verifyStore(store, { level }))).toEqual([`HIDDEN ${key}`]);
      await remove(key, marker);
    }
  });

  test('another version shadows, whether it is the same, or something else', async () => {
    for (let count = 0; count < times; count += 1) {
      const [key, first] = oneOf([...stored], random);
      const shadow = await put(key, random() < 0.5 ? first.bytes : Buffer.from('{"all":"well"}\n'));
      expect(findingsOf(await verifyStore(store))).toEqual([`SHADOWED ${key}`]);
      await remove(key, shadow);
    }
  });

  test('a delete marker and a new version over it are both told', async () => {
    const { recordKey } = oneOf(maker.jobs, random);
    const marker = await remove(recordKey);
    const shadow = await put(recordKey, Buffer.from('{}\n'));
    const expected = [`HIDDEN ${recordKey}`, `SHADOWED ${recordKey}`];
    expect(findingsOf(await verifyStore(store))).toEqual(expected);
    for (const version of [marker, shadow]) await remove(recordKey, version);
  });

  test('a sample looks at the versions of what it reads', async () => {
    const { recordKey, logKey } = oneOf(maker.jobs, random);
    const [marker, shadow] = [await remove(recordKey), await put(logKey, Buffer.from('x'))];
    const verified = await verifyStore(store, { level: 'ledger', sample: 100 });
    expect(findingsOf(verified)).toEqual([`HIDDEN ${recordKey}`, `SHADOWED ${logKey}`]);
    await remove(recordKey, marker);
    await remove(logKey, shadow);
  });

  test('an object that is unlocked, or locked for too short, is told', async () => {
    const { logKey, recordKey } = maker.jobs[0] ?? { logKey: '', recordKey: '' };
    const original = stored.get(recordKey);
    if (original === undefined) throw new Error('there is no record');
    const soon = {
      ObjectLockMode: 'GOVERNANCE',
      ObjectLockRetainUntilDate: new Date(Date.now() + DAY_MS),
    } as const;
    const Body = original.bytes;
    const ChecksumSHA256 = Buffer.from(sha256(Body), 'hex').toString('base64');
    const object = { Bucket: bucket, Key: `${prefix}/short`, Body, ChecksumSHA256, ...soon };
    await client.send(new PutObjectCommand(object));
    const lock = await client.send(new GetObjectRetentionCommand({ Bucket: bucket, Key: object.Key }));
    expect(lock.Retention?.Mode).toBe('GOVERNANCE');
    // The store is asked through the port, so a lock of another object stands for a shortened one.
    const shortened: ObjectStore = {
      ...store,
      lockOf: (key, version) =>
        key === logKey
          ? store.lockOf('short')
          : key === recordKey
            ? Promise.resolve(null)
            : store.lockOf(key, version),
    };
    for (const level of ['heads', 'bytes'] as const) {
      const verified = await verifyStore(shortened, { level });
      expect(findingsOf(verified)).toEqual([`RETENTION_SHORT ${logKey}`, `RETENTION_SHORT ${recordKey}`]);
    }
  });

  test('a version that is removed for good is missing, also where another stands', async () => {
    const job = maker.jobs.at(-1);
    const log = job === undefined ? undefined : stored.get(job.logKey);
    if (job === undefined || log === undefined) throw new Error('there is no log');
    await put(job.logKey, log.bytes);
    await remove(job.logKey, log.version);
    for (const level of ['heads', 'bytes'] as const) {
      expect(findingsOf(await verifyStore(store, { level }))).toEqual([`MISSING ${job.logKey}`]);
    }
  });
});

function reach(server: S3Server): {
  endpoint: string;
  region: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
} {
  const { endpoint, region, accessKeyId, secretAccessKey } = server;
  return { endpoint, region, credentials: { accessKeyId, secretAccessKey } };
}
