import { CfnOutput, Duration, Fn, RemovalPolicy, Stack, type App } from 'aws-cdk-lib';
import type { Key } from 'aws-cdk-lib/aws-kms';
import { BlockPublicAccess, Bucket, BucketEncryption, ObjectOwnership } from 'aws-cdk-lib/aws-s3';
import { ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { acknowledge } from './acknowledged.ts';
import { makeAlarms } from './alarms.ts';
import { makeArchiveBucket, protectEvidence } from './archive-bucket.ts';
import { exposeReceiver, exposeWeb, makeFront } from './front.ts';
import { makeDataKey, makeSigningKey } from './keys.ts';
import { makeNetwork } from './network.ts';
import { makeQueries } from './query.ts';
import { makeQueueServer } from './queue.ts';
import { grantAccess, makeRoles, roleArn } from './roles.ts';
import { servicePlans } from './plans.ts';
import { makeCluster, makeService, scaleOnQueue, type Ground } from './services.ts';
import type { Settings } from './settings.ts';

/** How far the workers of logs may grow: a hundred logs a second each is more than GitHub's rate limits allow one App. */
const ARCHIVE_TASKS_MAX = 6;

/** A whole deployment in one account and region. */
export class EverlogStack extends Stack {
  constructor(app: App, settings: Settings) {
    const { account, region, name } = settings;
    super(app, name, { env: { account, region }, description: 'Everlog', terminationProtection: true });
    const dataKey = makeDataKey(this);
    dataKey.grantEncryptDecrypt(new ServicePrincipal(`logs.${region}.amazonaws.com`));
    const accessLogs = plainBucket(this, 'AccessLogs', null);
    const archive = makeArchiveBucket(this, settings, dataKey, accessLogs);
    const roles = makeRoles(this, settings);
    const [sealerArn, breakGlassArn] = [roleArn(settings, 'seal'), roleArn(settings, 'break-glass')];
    const signingKey = makeSigningKey(this, roles.seal);
    protectEvidence(archive, settings, { sealerArn, breakGlassArn });
    const places = {
      bucketArn: archive.bucketArn,
      dataKeyArn: dataKey.keyArn,
      signingKeyArn: signingKey.attrArn,
    };
    grantAccess(roles, settings, places);
    const network = makeNetwork(this, dataKey);
    const queue = makeQueueServer(this, network, dataKey);
    const front = makeFront(this, network, settings, accessLogs);
    const ground: Ground = { ...makeCluster(this, network, dataKey), network, roles, settings };
    const archiveUrl = `s3://${archive.bucketName}${settings.prefix === '' ? '' : `/${settings.prefix.slice(0, -1)}`}`;
    const plans = servicePlans(this, settings, {
      archiveUrl,
      dataKeyArn: dataKey.keyArn,
      signingKeyArn: signingKey.attrArn,
      queueUrl: queue.url,
    });
    const receivers = exposeReceiver(front.listener, network, makeService(this, ground, plans.receiver));
    scaleOnQueue(makeService(this, ground, plans.archive), name, 'archive', ARCHIVE_TASKS_MAX);
    makeService(this, ground, plans.upkeep);
    makeService(this, ground, plans.seal);
    if (settings.web !== null && plans.web !== null)
      exposeWeb(front.listener, network, makeService(this, ground, plans.web), settings.web.url);
    makeAlarms(this, settings, receivers);
    makeQueries(this, settings, {
      archive,
      results: plainBucket(this, 'QueryResults', dataKey),
      key: dataKey,
    });
    acknowledge(this, settings, { roles, archive });
    new CfnOutput(this, 'ArchiveUrl', { value: archiveUrl });
    new CfnOutput(this, 'SigningKeyArn', { value: signingKey.attrArn });
    new CfnOutput(this, 'BalancerName', { value: front.balancer.loadBalancerDnsName });
  }

  /** Without asking AWS, so that the app synthesises offline: the first two zones of the region. */
  override get availabilityZones(): string[] {
    return [0, 1].map((index) => Fn.select(index, Fn.getAzs(this.region)));
  }
}

/** A bucket for what is no evidence: answers of queries, and who asked for what. Load balancers write to no bucket with a key of ours. */
function plainBucket(scope: Stack, id: string, key: Key | null): Bucket {
  return new Bucket(scope, id, {
    encryption: key === null ? BucketEncryption.S3_MANAGED : BucketEncryption.KMS,
    ...(key === null ? {} : { encryptionKey: key, bucketKeyEnabled: true }),
    blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
    objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
    enforceSSL: true,
    removalPolicy: RemovalPolicy.RETAIN,
    lifecycleRules: [{ id: 'Old', expiration: Duration.days(key === null ? 400 : 30) }],
  });
}
