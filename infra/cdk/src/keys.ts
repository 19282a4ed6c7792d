import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import {
  AccountRootPrincipal,
  ArnPrincipal,
  Effect,
  PolicyDocument,
  PolicyStatement,
  type Role,
} from 'aws-cdk-lib/aws-iam';
import { CfnKey, Key } from 'aws-cdk-lib/aws-kms';
import type { Construct } from 'constructs';

/** The key that encrypts the archive, the queue and their logs. Turned over yearly by KMS; what it encrypted stays readable. */
export function makeDataKey(scope: Construct): Key {
  return new Key(scope, 'DataKey', {
    description: 'Everlog: encrypts the archive',
    enableKeyRotation: true,
    pendingWindow: Duration.days(30),
    removalPolicy: RemovalPolicy.RETAIN,
  });
}

/** All that administers a key, and nothing that signs with it. */
const ADMINISTRATION = [
  'kms:CancelKeyDeletion',
  'kms:DescribeKey',
  'kms:DisableKey',
  'kms:EnableKey',
  'kms:GetKeyPolicy',
  'kms:GetPublicKey',
  'kms:ListAliases',
  'kms:ListGrants',
  'kms:ListKeyPolicies',
  'kms:ListResourceTags',
  'kms:PutKeyPolicy',
  'kms:ScheduleKeyDeletion',
  'kms:TagResource',
  'kms:UntagResource',
  'kms:UpdateKeyDescription',
];

/**
 * The key that signs the ledger. Its private half never leaves KMS, and its policy lets the sealer alone sign: an administrator of
 * the account would have to change the policy, which CloudTrail tells. The construct library has no name for Ed25519 yet.
 */
export function makeSigningKey(scope: Construct, sealer: Role): CfnKey {
  const sealerArn = sealer.roleArn;
  const keyPolicy = new PolicyDocument({
    statements: [
      new PolicyStatement({
        sid: 'Administer',
        effect: Effect.ALLOW,
        principals: [new AccountRootPrincipal()],
        actions: ADMINISTRATION,
        resources: ['*'],
      }),
      new PolicyStatement({
        sid: 'Sign',
        effect: Effect.ALLOW,
        principals: [new ArnPrincipal(sealerArn)],
        actions: ['kms:GetPublicKey', 'kms:Sign'],
        resources: ['*'],
      }),
      new PolicyStatement({
        sid: 'NobodyElseSigns',
        effect: Effect.DENY,
        principals: [new ArnPrincipal('*')],
        actions: ['kms:Sign'],
        resources: ['*'],
        conditions: { ArnNotEquals: { 'aws:PrincipalArn': sealerArn } },
      }),
    ],
  });
  const key = new CfnKey(scope, 'SigningKey', {
    description: 'Everlog: signs the ledger',
    keySpec: 'ECC_NIST_EDWARDS25519',
    keyUsage: 'SIGN_VERIFY',
    keyPolicy,
    pendingWindowInDays: 30,
  });
  key.applyRemovalPolicy(RemovalPolicy.RETAIN);
  return key;
}
