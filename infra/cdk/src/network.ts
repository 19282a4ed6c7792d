import {
  FlowLogDestination,
  GatewayVpcEndpointAwsService,
  IpAddresses,
  SecurityGroup,
  SubnetType,
  Vpc,
} from 'aws-cdk-lib/aws-ec2';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { Construct } from 'constructs';

/** Where things run: the load balancer in public, all of Everlog in private subnets, the queue where nothing leaves. */
export interface Network {
  readonly vpc: Vpc;
  readonly balancer: SecurityGroup;
  readonly services: SecurityGroup;
  readonly queue: SecurityGroup;
}

export const QUEUE_PORT = 6379;

export function makeNetwork(scope: Construct, key: IKey): Network {
  const flowLogs = new LogGroup(scope, 'FlowLogs', {
    encryptionKey: key,
    retention: RetentionDays.THREE_MONTHS,
  });
  const vpc = new Vpc(scope, 'Vpc', {
    ipAddresses: IpAddresses.cidr('10.64.0.0/16'),
    maxAzs: 2,
    // GitHub and its log hosts are on the internet; one for each zone, as a zone may fail.
    natGateways: 2,
    subnetConfiguration: [
      { name: 'public', subnetType: SubnetType.PUBLIC, mapPublicIpOnLaunch: false },
      { name: 'services', subnetType: SubnetType.PRIVATE_WITH_EGRESS },
      { name: 'queue', subnetType: SubnetType.PRIVATE_ISOLATED },
    ],
    // Logs go to the bucket past the NAT gateways, which are paid by the byte.
    gatewayEndpoints: { S3: { service: GatewayVpcEndpointAwsService.S3 } },
    flowLogs: { all: { destination: FlowLogDestination.toCloudWatchLogs(flowLogs) } },
  });
  const group = (id: string, description: string, allowAllOutbound: boolean): SecurityGroup =>
    new SecurityGroup(scope, id, { vpc, description, allowAllOutbound });
  const network = {
    vpc,
    balancer: group('BalancerGroup', 'Everlog: load balancer', false),
    services: group('ServicesGroup', 'Everlog: services', true),
    queue: group('QueueGroup', 'Everlog: queue', false),
  };
  return network;
}
