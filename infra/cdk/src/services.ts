import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import { AdjustmentType } from 'aws-cdk-lib/aws-applicationautoscaling';
import { Metric, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import {
  Cluster,
  ContainerDependencyCondition,
  ContainerImage,
  ContainerInsights,
  CpuArchitecture,
  FargateService,
  FargateTaskDefinition,
  LogDrivers,
  OperatingSystemFamily,
  type Secret as EcsSecret,
} from 'aws-cdk-lib/aws-ecs';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import { COLLECTOR_IMAGE, collectorConfig, NAMESPACE } from './collector.ts';
import type { Network } from './network.ts';
import type { RoleSet } from './roles.ts';
import type { Settings } from './settings.ts';

/** What the services have in common. */
export interface Ground {
  readonly cluster: Cluster;
  readonly network: Network;
  readonly roles: RoleSet;
  readonly logs: LogGroup;
  readonly metrics: LogGroup;
  readonly settings: Settings;
}

/** One service: what it runs, with what, and on how much. */
export interface ServicePlan {
  readonly id: string;
  readonly role: 'receiver' | 'archive' | 'upkeep' | 'seal' | 'web';
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly secrets: Readonly<Record<string, EcsSecret>>;
  readonly port: number | null;
  readonly hasMetrics: boolean;
  readonly cpu: number;
  readonly memoryMiB: number;
  readonly count: number;
  /** Of the disk that a task has; logs on their way stand there. */
  readonly diskGiB: number;
}

export const ADMIN_PORT = 9464;
/** Everlog ends within 30 s of SIGTERM; Fargate waits 120 s at most. */
const STOP_TIMEOUT = Duration.seconds(60);
const SPOOL = '/spool';

export function makeCluster(
  scope: Construct,
  network: Network,
  key: IKey,
): Pick<Ground, 'cluster' | 'logs' | 'metrics'> {
  const group = (id: string): LogGroup =>
    new LogGroup(scope, id, {
      encryptionKey: key,
      retention: RetentionDays.ONE_YEAR,
      removalPolicy: RemovalPolicy.RETAIN,
    });
  const cluster = new Cluster(scope, 'Cluster', {
    vpc: network.vpc,
    containerInsightsV2: ContainerInsights.ENABLED,
  });
  return { cluster, logs: group('Logs'), metrics: group('MetricLogs') };
}

/** A Fargate service that drains before it ends, on a read-only root. */
export function makeService(scope: Construct, ground: Ground, plan: ServicePlan): FargateService {
  const task = new FargateTaskDefinition(scope, `${plan.id}Task`, {
    cpu: plan.cpu,
    memoryLimitMiB: plan.memoryMiB,
    ephemeralStorageGiB: plan.diskGiB,
    taskRole: ground.roles[plan.role],
    runtimePlatform: {
      cpuArchitecture: CpuArchitecture.X86_64,
      operatingSystemFamily: OperatingSystemFamily.LINUX,
    },
    volumes: [{ name: 'spool' }],
  });
  const container = task.addContainer('everlog', {
    image: ContainerImage.fromRegistry(ground.settings.image),
    command: [...plan.command],
    environment: { ...plan.environment, EVERLOG_SPOOL_DIR: SPOOL, TMPDIR: SPOOL },
    secrets: { ...plan.secrets },
    readonlyRootFilesystem: true,
    stopTimeout: STOP_TIMEOUT,
    logging: LogDrivers.awsLogs({ logGroup: ground.logs, streamPrefix: plan.role }),
    ...(plan.port === null ? {} : { portMappings: [{ containerPort: plan.port }] }),
  });
  container.addMountPoints({ containerPath: SPOOL, sourceVolume: 'spool', readOnly: false });
  if (plan.hasMetrics) addCollector(task, ground, plan);
  return new FargateService(scope, `${plan.id}Service`, {
    cluster: ground.cluster,
    taskDefinition: task,
    desiredCount: plan.count,
    // A new task is up before an old one is told to end.
    minHealthyPercent: 100,
    maxHealthyPercent: 200,
    circuitBreaker: { enable: true, rollback: true },
    securityGroups: [ground.network.services],
    vpcSubnets: { subnets: ground.network.vpc.privateSubnets },
    assignPublicIp: false,
  });
}

function addCollector(task: FargateTaskDefinition, ground: Ground, plan: ServicePlan): void {
  const collector = task.addContainer('collector', {
    image: ContainerImage.fromRegistry(COLLECTOR_IMAGE),
    essential: false,
    environment: {
      AOT_CONFIG_CONTENT: collectorConfig(ground.settings, ADMIN_PORT, ground.metrics.logGroupName),
    },
    readonlyRootFilesystem: true,
    logging: LogDrivers.awsLogs({ logGroup: ground.logs, streamPrefix: `${plan.role}-collector` }),
  });
  collector.addContainerDependencies({
    container: task.defaultContainer ?? collector,
    condition: ContainerDependencyCondition.START,
  });
  ground.metrics.grantWrite(ground.roles[plan.role]);
}

/** Waiting jobs, as many more tasks as they ask for. A task archives some hundred logs a second. */
const STEPS = [
  { upper: 100, change: -1 },
  { lower: 1_000, change: 1 },
  { lower: 10_000, change: 3 },
];

/** Has a service follow the jobs that wait in its queue. */
export function scaleOnQueue(service: FargateService, deployment: string, queue: string, most: number): void {
  const waiting = new Metric({
    namespace: NAMESPACE,
    metricName: 'everlog_queue_jobs',
    dimensionsMap: { deployment, queue, state: 'waiting' },
    statistic: Stats.MAXIMUM,
    period: Duration.minutes(1),
  });
  const scaling = service.autoScaleTaskCount({ minCapacity: 2, maxCapacity: most });
  scaling.scaleOnMetric('WaitingJobs', {
    metric: waiting,
    scalingSteps: STEPS,
    adjustmentType: AdjustmentType.CHANGE_IN_CAPACITY,
    cooldown: Duration.minutes(3),
  });
}
