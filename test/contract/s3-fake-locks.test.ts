import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectLegalHoldCommand,
  GetObjectLockConfigurationCommand,
  GetObjectRetentionCommand,
  HeadObjectCommand,
  PutObjectCommand,
  PutObjectLegalHoldCommand,
  PutObjectLockConfigurationCommand,
  PutObjectRetentionCommand,
  type PutObjectCommandInput,
  type S3Client,
} from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { failure, startWithBucket } from '../support/servers/s3-fake-fixture.ts';
import { signedPut } from '../support/servers/signed-put.ts';

const HOUR_MS = 3_600_000;

describe('Object Lock', () => {
  const denied = failure('AccessDenied', 403);

  async function putLocked(
    client: S3Client,
    Bucket: string,
    lock: Partial<PutObjectCommandInput>,
  ): Promise<{ Bucket: string; Key: string; VersionId: string | undefined }> {
    const put = await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x', ...lock }));
    return { Bucket, Key: 'k', VersionId: put.VersionId };
  }

  test('COMPLIANCE yields to no one until its time has passed', async () => {
    let nowMs = Date.now();
    const { client, Bucket } = await startWithBucket({ objectLock: true }, { nowMs: () => nowMs });
    const until = new Date(nowMs + HOUR_MS);
    const lock = { ObjectLockMode: 'COMPLIANCE', ObjectLockRetainUntilDate: until } as const;
    const version = await putLocked(client, Bucket, lock);
    for (const BypassGovernanceRetention of [false, true]) {
      const removal = new DeleteObjectCommand({ ...version, BypassGovernanceRetention });
      await expect(client.send(removal)).rejects.toMatchObject(denied);
      const shorter = { Mode: 'COMPLIANCE', RetainUntilDate: new Date(nowMs + 1000) } as const;
      const change = new PutObjectRetentionCommand({
        ...version,
        Retention: shorter,
        BypassGovernanceRetention,
      });
      await expect(client.send(change)).rejects.toMatchObject(denied);
    }
    const longer = { Mode: 'COMPLIANCE', RetainUntilDate: new Date(nowMs + 2 * HOUR_MS) } as const;
    await client.send(new PutObjectRetentionCommand({ ...version, Retention: longer }));
    expect((await client.send(new GetObjectRetentionCommand(version))).Retention).toEqual(longer);
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'k' }));
    nowMs += 2 * HOUR_MS;
    await client.send(new DeleteObjectCommand(version));
  });

  test('GOVERNANCE yields to the bypass only', async () => {
    const { client, Bucket } = await startWithBucket({ objectLock: true });
    const until = new Date(Date.now() + HOUR_MS);
    const lock = { ObjectLockMode: 'GOVERNANCE', ObjectLockRetainUntilDate: until } as const;
    const version = await putLocked(client, Bucket, lock);
    await expect(client.send(new DeleteObjectCommand(version))).rejects.toMatchObject(denied);
    const batch = {
      Bucket,
      Delete: { Objects: [{ Key: 'k', VersionId: version.VersionId }, { Key: 'other' }] },
    };
    const deleted = await client.send(new DeleteObjectsCommand(batch));
    expect(deleted.Errors).toMatchObject([{ Key: 'k', Code: 'AccessDenied' }]);
    expect(deleted.Deleted).toMatchObject([{ Key: 'other', DeleteMarker: true }]);
    await client.send(new DeleteObjectCommand({ ...version, BypassGovernanceRetention: true }));
  });

  test('a legal hold yields to nothing until it is lifted', async () => {
    const { client, Bucket } = await startWithBucket({ objectLock: true });
    const version = await putLocked(client, Bucket, { ObjectLockLegalHoldStatus: 'ON' });
    expect((await client.send(new GetObjectLegalHoldCommand(version))).LegalHold?.Status).toBe('ON');
    const removal = new DeleteObjectCommand({ ...version, BypassGovernanceRetention: true });
    await expect(client.send(removal)).rejects.toMatchObject(denied);
    await client.send(new PutObjectLegalHoldCommand({ ...version, LegalHold: { Status: 'OFF' } }));
    await client.send(removal);
  });

  test('a default retention covers objects that name none', async () => {
    const { client, Bucket } = await startWithBucket({ objectLock: true });
    const ObjectLockConfiguration = {
      ObjectLockEnabled: 'Enabled',
      Rule: { DefaultRetention: { Mode: 'GOVERNANCE', Days: 2 } },
    } as const;
    await client.send(new PutObjectLockConfigurationCommand({ Bucket, ObjectLockConfiguration }));
    const read = await client.send(new GetObjectLockConfigurationCommand({ Bucket }));
    expect(read.ObjectLockConfiguration).toEqual(ObjectLockConfiguration);
    const version = await putLocked(client, Bucket, {});
    const head = await client.send(new HeadObjectCommand(version));
    expect(head.ObjectLockMode).toBe('GOVERNANCE');
    const days = ((head.ObjectLockRetainUntilDate?.getTime() ?? 0) - Date.now()) / (24 * HOUR_MS);
    expect(days).toBeGreaterThan(1.9);
    expect(days).toBeLessThanOrEqual(2);
  });

  test('is refused without the bucket setting, without a digest, or in the past', async () => {
    const { fake, client, Bucket } = await startWithBucket({ objectLock: true });
    await fake.createBucket('unlocked');
    const lock = {
      ObjectLockMode: 'GOVERNANCE',
      ObjectLockRetainUntilDate: new Date(Date.now() + HOUR_MS),
    } as const;
    await expect(putLocked(client, 'unlocked', lock)).rejects.toMatchObject(failure('InvalidRequest', 400));
    const past = { ...lock, ObjectLockRetainUntilDate: new Date(Date.now() - HOUR_MS) };
    await expect(putLocked(client, Bucket, past)).rejects.toMatchObject(failure('InvalidArgument', 400));
    const undigested = await signedPut(fake, `/${Bucket}/k`, 'x', {
      'x-amz-content-sha256': 'UNSIGNED-PAYLOAD',
      'x-amz-object-lock-mode': 'GOVERNANCE',
      'x-amz-object-lock-retain-until-date': lock.ObjectLockRetainUntilDate.toISOString(),
    });
    expect(undigested).toContain('<Code>InvalidRequest</Code>');
    const missing = client.send(new GetObjectLockConfigurationCommand({ Bucket: 'unlocked' }));
    await expect(missing).rejects.toMatchObject({ name: 'ObjectLockConfigurationNotFoundError' });
  });
});
