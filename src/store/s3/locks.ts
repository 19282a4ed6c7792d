import {
  DeleteObjectCommand,
  GetObjectLegalHoldCommand,
  GetObjectLockConfigurationCommand,
  GetObjectRetentionCommand,
  PutObjectLegalHoldCommand,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import type { HeadObjectCommandOutput } from '@aws-sdk/client-s3';
import { giveUp } from '../../errors.ts';
import type { EverlogError } from '../../errors.ts';
import type { ObjectLock } from '../object-store.ts';
import { headObject } from './abilities.ts';
import { saysAbsent } from './absence.ts';
import { callWithin, toStoreError, withTries } from './context.ts';
import type { S3Context } from './context.ts';
import { statusOf } from './errors.ts';

/** What S3 calls the version of an object from before its bucket kept any, and of every object of a bucket that keeps none. */
const UNVERSIONED = 'null';
/** A lock that ended by our clock so recently may hold by the store's: it refuses clocks further off than this. */
const CLOCK_SKEW_MAX_MS = 15 * 60 * 1000;
/** How stores that answer 400 say that a bucket has no locks: "Bucket is missing Object Lock Configuration", or in other words. */
const LOCK_WORDS = /object ?lock/i;
/** Codes that say that an object, or its whole bucket, has no lock of the kind asked for. */
const NO_LOCK_CODES: ReadonlySet<string> = new Set([
  'NoSuchObjectLockConfiguration',
  'ObjectLockConfigurationNotFoundError',
]);

/** The lock on a version; null where there is none, or no such version. */
export async function lockOf(
  context: S3Context,
  key: string,
  versionId: string | undefined,
): Promise<ObjectLock | null> {
  const head = await headObject(context, key, versionId);
  if (head === null) return null;
  // Headers are left out for want of a right as well as for want of a lock: only the lock's own calls tell which.
  return lockInHead(head) ?? (await askForLock(context, key, versionId));
}

/** Puts a legal hold on a version, the newest for null, or takes it off. */
export async function setLegalHold(
  context: S3Context,
  key: string,
  versionId: string | null,
  held: boolean,
): Promise<'done' | 'missing' | 'unsupported'> {
  const answer = await tried(context, key, async (abortSignal) => {
    const command = new PutObjectLegalHoldCommand({
      ...versionPlace(context, key, versionId ?? undefined),
      LegalHold: { Status: held ? 'ON' : 'OFF' },
    });
    return context.client.send(command, { abortSignal });
  });
  if (answer.failed === null) return 'done';
  const { failed } = answer;
  if (NO_LOCK_CODES.has(failed.name)) return 'unsupported';
  // A method that is not allowed may be one of a delete marker, or one that the store does not have.
  if (statusOf(failed) === 405)
    return (await headObject(context, key, versionId ?? undefined)) === null ? 'missing' : 'unsupported';
  if (saysAbsent(failed, versionId)) return 'missing';
  if (await saysNoLocks(context, failed)) return 'unsupported';
  throw refusal(context, key, failed, 'allow s3:PutObjectLegalHold on its objects');
}

/** Removes one version for good; for null the object of a bucket without versions. Never leaves a delete marker. */
export async function removeVersion(
  context: S3Context,
  key: string,
  versionId: string | null,
  bypassGovernance: boolean,
): Promise<'removed' | 'missing' | 'locked'> {
  const version = versionId ?? UNVERSIONED;
  const head = await headObject(context, key, version);
  const answer = await tried(context, key, async (abortSignal) => {
    const command = new DeleteObjectCommand({
      ...versionPlace(context, key, version),
      ...(bypassGovernance ? { BypassGovernanceRetention: true } : {}),
    });
    return context.client.send(command, { abortSignal });
  });
  if (answer.failed === null) {
    // Stores answer alike whether or not there was a version; a delete marker has no head.
    return head !== null || answer.value.DeleteMarker === true ? 'removed' : 'missing';
  }
  const { failed } = answer;
  if (saysAbsent(failed, head === null ? version : null)) return 'missing';
  const lock = head === null ? null : (lockInHead(head) ?? (await askForLock(context, key, version)));
  if (lock !== null && isInForce(lock, context.now())) return 'locked';
  throw refusal(context, key, failed, 'allow s3:DeleteObjectVersion on its objects');
}

/** Whether a lock forbids removal at `now`, give or take how far two clocks may be apart. */
function isInForce(lock: ObjectLock, now: Date): boolean {
  const untilMs = lock.retainUntil?.getTime() ?? 0;
  return lock.legalHold || untilMs > now.getTime() - CLOCK_SKEW_MAX_MS;
}

function lockInHead(head: HeadObjectCommandOutput): ObjectLock | null {
  const mode = modeOf(head.ObjectLockMode);
  const legalHold = head.ObjectLockLegalHoldStatus === 'ON';
  if (mode === null && !legalHold) return null;
  return { mode, retainUntil: head.ObjectLockRetainUntilDate ?? null, legalHold };
}

async function askForLock(
  context: S3Context,
  key: string,
  versionId: string | undefined,
): Promise<ObjectLock | null> {
  const place = versionPlace(context, key, versionId);
  const cure = 'allow s3:GetObjectRetention and s3:GetObjectLegalHold on its objects';
  const asked = await tried(context, key, async (abortSignal) =>
    context.client.send(new GetObjectRetentionCommand(place), { abortSignal }),
  );
  // A bucket without locks has no legal holds either.
  if (asked.failed !== null && !saysNoLock(asked.failed, versionId)) {
    if (await saysNoLocks(context, asked.failed)) return null;
    throw refusal(context, key, asked.failed, cure);
  }
  const hold = await tried(context, key, async (abortSignal) =>
    context.client.send(new GetObjectLegalHoldCommand(place), { abortSignal }),
  );
  if (hold.failed !== null && !saysNoLock(hold.failed, versionId)) {
    if (!(await saysNoLocks(context, hold.failed))) throw refusal(context, key, hold.failed, cure);
  }
  const legalHold = hold.failed === null && hold.value.LegalHold?.Status === 'ON';
  const retention = asked.failed === null ? asked.value.Retention : undefined;
  const mode = modeOf(retention?.Mode);
  if (mode === null && !legalHold) return null;
  return { mode, retainUntil: retention?.RetainUntilDate ?? null, legalHold };
}

/**
 * Whether a bucket without locks is why the store refused: 501, or 400 with a sentence about locks; after 400 in other words the
 * bucket's own settings are asked.
 */
async function saysNoLocks(context: S3Context, error: S3ServiceException): Promise<boolean> {
  if (statusOf(error) === 501) return true;
  if (statusOf(error) !== 400) return false;
  return LOCK_WORDS.test(error.message) || !(await bucketHasLocks(context));
}

/** Whether the bucket has Object Lock turned on. */
async function bucketHasLocks(context: S3Context): Promise<boolean> {
  const asked = await tried(context, 'asking for Object Lock', async (abortSignal) =>
    context.client.send(new GetObjectLockConfigurationCommand({ Bucket: context.bucket }), { abortSignal }),
  );
  if (asked.failed !== null) {
    if (NO_LOCK_CODES.has(asked.failed.name) || statusOf(asked.failed) === 501) return false;
    throw refusal(context, 'Object Lock', asked.failed, 'allow s3:GetBucketObjectLockConfiguration');
  }
  return asked.value.ObjectLockConfiguration?.ObjectLockEnabled === 'Enabled';
}

function saysNoLock(error: Error, versionId: string | undefined): boolean {
  return NO_LOCK_CODES.has(error.name) || saysAbsent(error, versionId);
}

function modeOf(mode: string | undefined): ObjectLock['mode'] {
  return mode === 'GOVERNANCE' || mode === 'COMPLIANCE' ? mode : null;
}

function versionPlace(
  context: S3Context,
  key: string,
  versionId: string | undefined,
): { Bucket: string; Key: string; VersionId?: string } {
  return {
    Bucket: context.bucket,
    Key: context.prefix + key,
    ...(versionId === undefined ? {} : { VersionId: versionId }),
  };
}

/** A small call with tries, whose refusal (4xx, or 501 for what a store cannot do) is an answer. */
async function tried<T>(
  context: S3Context,
  what: string,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<{ failed: null; value: T } | { failed: S3ServiceException }> {
  return withTries(context, what, async () => {
    try {
      return { failed: null, value: await callWithin(context, context.requestTimeoutMs, run) };
    } catch (error) {
      const isAnswer = toStoreError(context, what, error).remedy.kind !== 'retry';
      if (isAnswer && error instanceof S3ServiceException) return { failed: error };
      throw error;
    }
  });
}

/** A refusal by the store; where it is for want of rights, with the right that lacks. */
function refusal(context: S3Context, key: string, error: S3ServiceException, cure: string): EverlogError {
  const failure = toStoreError(context, key, error);
  const isForWantOfRights = statusOf(error) === 403 || statusOf(error) === 401;
  return isForWantOfRights && failure.code === 'store_refused'
    ? giveUp('store_refused', `${context.location}: ${key}: the store answered ${error.name}; ${cure}`, error)
    : failure;
}
