import type { Stack } from 'aws-cdk-lib';
import { Secret as EcsSecret } from 'aws-cdk-lib/aws-ecs';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { WEB_PORT, WEBHOOK_PORT } from './front.ts';
import { ADMIN_PORT, type ServicePlan } from './services.ts';
import type { Settings } from './settings.ts';

/** What a task has unless it fetches logs; Fargate gives no smaller disk. */
const SMALL = { cpu: 512, memoryMiB: 1_024, diskGiB: 21 } as const;

/** What exists by the time that services are planned. */
export interface Given {
  readonly archiveUrl: string;
  readonly dataKeyArn: string;
  readonly signingKeyArn: string;
  readonly queueUrl: Secret;
}

/** What each service runs, is told and is given; nothing else. */
export function servicePlans(
  scope: Stack,
  settings: Settings,
  given: Given,
): Readonly<Record<'receiver' | 'archive' | 'upkeep' | 'seal', ServicePlan>> & {
  readonly web: ServicePlan | null;
} {
  const secret = (id: string, name: string): EcsSecret =>
    EcsSecret.fromSecretsManager(Secret.fromSecretNameV2(scope, id, name));
  const queueUrl = { EVERLOG_QUEUE_URL: EcsSecret.fromSecretsManager(given.queueUrl) };
  const appKey = secret('PrivateKey', settings.secretNames.privateKey);
  const admin = { EVERLOG_ADMIN_LISTEN: `0.0.0.0:${ADMIN_PORT}` };
  const github = {
    EVERLOG_GITHUB_API_URL: settings.githubApiUrl,
    EVERLOG_GITHUB_APP_ID: settings.githubAppId,
  };
  const bucket = archiveSettings(settings, given);
  return {
    receiver: {
      id: 'Receiver',
      role: 'receiver',
      command: ['serve'],
      environment: { ...admin, ...github, EVERLOG_LISTEN: `0.0.0.0:${WEBHOOK_PORT}` },
      secrets: {
        ...queueUrl,
        EVERLOG_GITHUB_WEBHOOK_SECRET: secret('WebhookSecret', settings.secretNames.webhookSecret),
      },
      port: WEBHOOK_PORT,
      hasMetrics: true,
      ...SMALL,
      count: 2,
    },
    archive: {
      id: 'Archive',
      ...worker('archive'),
      environment: { ...admin, ...github, ...bucket, EVERLOG_SPOOL_MAX_BYTES: '30GiB' },
      secrets: { ...queueUrl, EVERLOG_GITHUB_PRIVATE_KEY: appKey },
      cpu: 1_024,
      memoryMiB: 2_048,
      count: 2,
      diskGiB: 50,
    },
    upkeep: {
      id: 'Upkeep',
      ...worker('upkeep'),
      environment: { ...admin, ...github, ...bucket },
      secrets: { ...queueUrl, EVERLOG_GITHUB_PRIVATE_KEY: appKey },
      ...SMALL,
      count: 1,
    },
    seal: {
      id: 'Seal',
      ...worker('seal'),
      environment: {
        ...admin,
        ...bucket,
        EVERLOG_SIGNING_KEY: `awskms:${given.signingKeyArn}`,
        ...(settings.anchorUrl === null ? {} : { EVERLOG_ANCHOR_URL: settings.anchorUrl }),
      },
      secrets: queueUrl,
      ...SMALL,
      count: 1,
    },
    web: webPlan(settings, bucket, queueUrl, secret),
  };
}

function webPlan(
  { web, secretNames, githubApiUrl }: Settings,
  bucket: Readonly<Record<string, string>>,
  queueUrl: Readonly<Record<string, EcsSecret>>,
  secret: (id: string, name: string) => EcsSecret,
): ServicePlan | null {
  if (web === null || secretNames.webSecret === null || secretNames.clientSecret === null) return null;
  return {
    id: 'Web',
    role: 'web',
    command: ['web'],
    environment: {
      ...bucket,
      EVERLOG_GITHUB_API_URL: githubApiUrl,
      EVERLOG_WEB_LISTEN: `0.0.0.0:${WEB_PORT}`,
      EVERLOG_WEB_URL: web.url,
      EVERLOG_WEB_AUTH: 'github',
      EVERLOG_GITHUB_CLIENT_ID: web.clientId,
      ...(web.auditors === '' ? {} : { EVERLOG_WEB_AUDITORS: web.auditors }),
    },
    secrets: {
      ...queueUrl,
      EVERLOG_WEB_SECRET: secret('WebSecret', secretNames.webSecret),
      EVERLOG_GITHUB_CLIENT_SECRET: secret('ClientSecret', secretNames.clientSecret),
    },
    port: WEB_PORT,
    hasMetrics: false,
    ...SMALL,
    count: 2,
  };
}

/** What whoever writes to the archive is told of it. */
function archiveSettings(settings: Settings, given: Given): Readonly<Record<string, string>> {
  return {
    EVERLOG_ARCHIVE_URL: given.archiveUrl,
    EVERLOG_LOCK_MODE: 'GOVERNANCE',
    EVERLOG_RETENTION_DAYS: String(settings.retentionDays),
    EVERLOG_KMS_KEY_ID: given.dataKeyArn,
    AWS_REGION: settings.region,
  };
}

function worker(
  role: 'archive' | 'upkeep' | 'seal',
): Pick<ServicePlan, 'role' | 'command' | 'port' | 'hasMetrics'> {
  return { role, command: ['work', '--only', role], port: null, hasMetrics: true };
}
