import { CfnParameterGroup, CfnReplicationGroup, CfnSubnetGroup } from 'aws-cdk-lib/aws-elasticache';
import { Port } from 'aws-cdk-lib/aws-ec2';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Fn, RemovalPolicy, SecretValue } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { QUEUE_PORT, type Network } from './network.ts';

/** A waiting job takes some 2.5 KB: a node of 1.5 GB holds half a million. */
const NODE_TYPE = 'cache.t4g.small';
const TOKEN_CHARACTERS = 64;

/** The queue server, and the secret with its URL. */
export interface QueueServer {
  readonly group: CfnReplicationGroup;
  readonly url: Secret;
}

/**
 * A queue server fit for BullMQ: not in cluster mode, nothing is evicted, a replica in another zone takes over by itself.
 *
 * ElastiCache keeps no append-only file. A failover may forget what the replica had not been sent yet, under a second's worth of
 * acknowledged deliveries; the loss of both nodes forgets all that waited. Neither loses a log for good: reconcile compares GitHub
 * with the archive every hour, and all repositories once a day, and queues what is missing.
 */
export function makeQueueServer(scope: Construct, network: Network, key: IKey): QueueServer {
  const subnets = new CfnSubnetGroup(scope, 'QueueSubnets', {
    description: 'Everlog: queue',
    subnetIds: network.vpc.isolatedSubnets.map(({ subnetId }) => subnetId),
  });
  const parameters = new CfnParameterGroup(scope, 'QueueParameters', {
    cacheParameterGroupFamily: 'valkey8',
    description: 'Everlog: nothing is evicted',
    properties: { 'maxmemory-policy': 'noeviction' },
  });
  const token = new Secret(scope, 'QueueToken', {
    description: 'Everlog: password of the queue server',
    encryptionKey: key,
    generateSecretString: { excludePunctuation: true, passwordLength: TOKEN_CHARACTERS },
  });
  const group = new CfnReplicationGroup(scope, 'Queue', {
    replicationGroupDescription: 'Everlog: queue',
    engine: 'valkey',
    engineVersion: '8.0',
    cacheNodeType: NODE_TYPE,
    port: QUEUE_PORT,
    numNodeGroups: 1,
    replicasPerNodeGroup: 1,
    automaticFailoverEnabled: true,
    multiAzEnabled: true,
    cacheParameterGroupName: parameters.ref,
    cacheSubnetGroupName: subnets.ref,
    securityGroupIds: [network.queue.securityGroupId],
    transitEncryptionEnabled: true,
    transitEncryptionMode: 'required',
    atRestEncryptionEnabled: true,
    kmsKeyId: key.keyId,
    authToken: token.secretValue.unsafeUnwrap(),
    snapshotRetentionLimit: 7,
    autoMinorVersionUpgrade: true,
  });
  group.applyRemovalPolicy(RemovalPolicy.SNAPSHOT);
  network.queue.addIngressRule(network.services, Port.tcp(QUEUE_PORT), 'Everlog services');
  const address = Fn.join('', [
    'rediss://:',
    token.secretValue.unsafeUnwrap(),
    '@',
    group.attrPrimaryEndPointAddress,
    `:${QUEUE_PORT}`,
  ]);
  const url = new Secret(scope, 'QueueUrl', {
    description: 'Everlog: EVERLOG_QUEUE_URL',
    encryptionKey: key,
    secretStringValue: SecretValue.unsafePlainText(address),
  });
  return { group, url };
}
