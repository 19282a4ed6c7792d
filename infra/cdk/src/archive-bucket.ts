import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import { ArnPrincipal, Effect, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import {
  BlockPublicAccess,
  Bucket,
  BucketEncryption,
  ObjectOwnership,
  StorageClass,
  type LifecycleRule,
} from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';
import type { Settings } from './settings.ts';

/** Smaller objects cost more in a cold class than in the usual one. */
const COLD_BYTES_MIN = 128 * 1024;
const ABANDONED_AFTER = Duration.days(1);
/** A clock that is ahead of the store's asks for more than it means; one that is a day ahead writes no digest anyway. */
const CLOCK_DAYS = 1;
/** What is evidence: nothing below these is ever overwritten, and nothing but break-glass removes. */
const EVIDENCE = ['v1/', 'ledger/'];

/** The bucket of the archive. Locks are set by Everlog on each object that is evidence, so that the index stays without. */
export function makeArchiveBucket(
  scope: Construct,
  settings: Settings,
  key: IKey,
  accessLogs: Bucket,
): Bucket {
  return new Bucket(scope, 'Archive', {
    versioned: true,
    objectLockEnabled: true,
    encryption: BucketEncryption.KMS,
    encryptionKey: key,
    // One call to KMS for many objects instead of one for each.
    bucketKeyEnabled: true,
    blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
    objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
    enforceSSL: true,
    minimumTLSVersion: 1.2,
    removalPolicy: RemovalPolicy.RETAIN,
    lifecycleRules: lifecycle(settings),
    serverAccessLogsBucket: accessLogs,
    serverAccessLogsPrefix: 'archive/',
    ...(settings.replicaBucketArn === null
      ? {}
      : {
          replicationRules: [
            {
              destination: Bucket.fromBucketArn(scope, 'Replica', settings.replicaBucketArn),
              id: 'Everything',
              priority: 1,
            },
          ],
        }),
  });
}

function lifecycle({ prefix, coldAfterDays }: Settings): LifecycleRule[] {
  return [
    // Everlog writes each object by one PUT: what was begun in parts is nobody's.
    { id: 'AbandonedUploads', abortIncompleteMultipartUploadAfter: ABANDONED_AFTER },
    {
      id: 'MergedIndex',
      prefix: `${prefix}index/`,
      noncurrentVersionExpiration: Duration.days(1),
      expiredObjectDeleteMarker: true,
    },
    ...(coldAfterDays === null
      ? []
      : [
          {
            id: 'ColdLogs',
            prefix: `${prefix}v1/logs/`,
            objectSizeGreaterThan: COLD_BYTES_MIN,
            transitions: [
              {
                storageClass: StorageClass.GLACIER_INSTANT_RETRIEVAL,
                transitionAfter: Duration.days(coldAfterDays),
              },
            ],
          },
        ]),
  ];
}

/** What the bucket itself refuses, whatever else somebody may be allowed: the last word where a role was given too much. */
export function protectEvidence(
  bucket: Bucket,
  { prefix, retentionDays }: Settings,
  roles: { readonly sealerArn: string; readonly breakGlassArn: string },
): void {
  const below = (...keys: readonly string[]): string[] =>
    keys.map((key) => bucket.arnForObjects(`${prefix}${key}*`));
  const unless = (arn: string): object => ({ ArnNotEquals: { 'aws:PrincipalArn': arn } });
  const deny = (sid: string, actions: string[], resources: string[], conditions: object): void => {
    bucket.addToResourcePolicy(
      new PolicyStatement({
        sid,
        effect: Effect.DENY,
        principals: [new ArnPrincipal('*')],
        actions,
        resources,
        conditions: { ...conditions },
      }),
    );
  };
  // Without the condition a PUT would make a newer version, which hides the first from whoever asks for the key. It also refuses
  // uploads in parts, whose parts carry no condition; Everlog makes none.
  deny('NothingIsOverwritten', ['s3:PutObject'], below(...EVIDENCE), {
    Null: { 's3:if-none-match': 'true' },
  });
  deny('NothingIsHidden', ['s3:DeleteObject'], below(...EVIDENCE), {});
  deny('BreakGlassRemoves', ['s3:DeleteObjectVersion'], below(...EVIDENCE), unless(roles.breakGlassArn));
  deny('TheLedgerIsNeverRemoved', ['s3:DeleteObjectVersion'], below('ledger/'), {});
  deny('BreakGlassBypasses', ['s3:BypassGovernanceRetention'], below(''), unless(roles.breakGlassArn));
  deny('TheSealerWritesTheLedger', ['s3:PutObject'], below('ledger/'), unless(roles.sealerArn));
  // Who may lock what he writes could lock all of it beyond what anybody wants, or for good, where nothing but the end of the account
  // erases what has to go. Everlog locks in GOVERNANCE mode and no longer than it is told; both hold for break-glass as well.
  const locking = ['s3:PutObject', 's3:PutObjectRetention'];
  deny('NothingIsLockedForGood', locking, below(''), {
    StringEquals: { 's3:object-lock-mode': 'COMPLIANCE' },
  });
  deny('NothingIsLockedForLonger', locking, below(''), {
    NumericGreaterThan: { 's3:object-lock-remaining-retention-days': retentionDays + CLOCK_DAYS },
  });
}
