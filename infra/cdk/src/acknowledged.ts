import { CfnElement, Validations, type Stack } from 'aws-cdk-lib';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import { GRANTS, ROLES, type Role } from './access.ts';
import { anchorOf, type RoleSet } from './roles.ts';
import type { Settings } from './settings.ts';

/** Findings of cdk-nag that stand, each where it is, with why. */
const ACKNOWLEDGED: readonly { readonly at: string; readonly rule: string; readonly reason: string }[] = [
  {
    at: 'BalancerGroup',
    rule: 'EC23',
    reason:
      'GitHub delivers from addresses that change; every delivery is checked by its signature before it is read',
  },
  ...['QueueToken', 'QueueUrl'].map((at) => ({
    at,
    rule: 'SMG4',
    reason:
      'a new password takes a restart of every service, which docs/operating.md describes; rotation by the clock would drop deliveries',
  })),
  {
    at: 'QueryResults',
    rule: 'S1',
    reason:
      'answers of queries are gone after 30 days; who asked what is in CloudTrail and in the history of Athena',
  },
  ...['Receiver', 'Archive', 'Upkeep', 'Seal', 'Web'].map((id) => ({
    at: `${id}Task`,
    rule: 'ECS2',
    reason: 'addresses, names and limits are no secrets; secrets come from Secrets Manager',
  })),
];

/** Says of each finding why it stands. One that is new fails the synthesis. */
export function acknowledge(
  stack: Stack,
  settings: Settings,
  made: { readonly roles: RoleSet; readonly archive: Bucket },
): void {
  const { roles, archive } = made;
  for (const { at, rule, reason } of ACKNOWLEDGED) {
    const place = stack.node.tryFindChild(at);
    if (place !== undefined)
      Validations.of(place).acknowledge({ id: `AwsSolutions::AwsSolutions-${rule}`, reason });
  }
  for (const role of ROLES) {
    for (const [key, reasons] of wildcards(role)) {
      const id = `AwsSolutions::AwsSolutions-IAM5[Resource::<${logicalId(stack, archive)}.Arn>/${settings.prefix}${key}*]`;
      Validations.of(roles[role]).acknowledge({ id, reason: `${role}: ${reasons.join('; ')}` });
    }
  }
  acknowledgeOptions(stack, settings, made);
}

/** Findings that come with what may be asked for: a replica, an anchor, a cold class. */
function acknowledgeOptions(
  stack: Stack,
  { replicaBucketArn, anchorUrl }: Settings,
  { roles, archive }: { readonly roles: RoleSet; readonly archive: Bucket },
): void {
  const all = (bucket: string): string => `AwsSolutions::AwsSolutions-IAM5[Resource::${bucket}/*]`;
  if (replicaBucketArn !== null)
    for (const bucket of [`<${logicalId(stack, archive)}.Arn>`, replicaBucketArn])
      Validations.of(archive).acknowledge({
        id: all(bucket),
        reason: 'the replica is of everything in the bucket',
      });
  if (anchorUrl !== null)
    for (const root of ['ledger', 'probe'])
      Validations.of(roles.seal).acknowledge({
        id: all(`${anchorOf(anchorUrl).root}${root}`),
        reason: 'each digest of the ledger is copied there, under a name that follows from its sequence',
      });
  Validations.of(archive).acknowledge({
    id: 'CloudFormation-Validate::W9003',
    reason:
      'the construct library gives the size of cold logs as a number, which CloudFormation takes as well',
  });
}

/** Why a role has a right to all below a prefix, for each. */
function wildcards(role: Role): ReadonlyMap<string, readonly string[]> {
  const reasons = new Map<string, string[]>();
  for (const { keys, why } of GRANTS[role])
    for (const key of keys ?? []) reasons.set(key, [...(reasons.get(key) ?? []), why]);
  return reasons;
}

function logicalId(stack: Stack, bucket: Bucket): string {
  const { defaultChild } = bucket.node;
  if (!CfnElement.isCfnElement(defaultChild)) throw new Error('a bucket is a resource');
  return stack.resolve(stack.getLogicalId(defaultChild));
}
