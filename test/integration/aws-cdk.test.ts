import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { loadConfig } from '../../src/config.ts';
import { COMMIT_COLUMNS, JOB_COLUMNS, type Column } from '../../src/index/parquet/columns.ts';
import { judge, policySchema, type Policies, type Policy } from '../support/infra/access-policy.ts';
import { alarmsOf, SILENT_IS_BAD, WITHOUT_ALARM, WITHOUT_RULE } from '../support/infra/alarms.ts';
import { CdkApp, type Template } from '../support/infra/cdk.ts';
import {
  githubSettings,
  openStage,
  s3Settings,
  type Environment,
} from '../support/harness/everlog-under-test.ts';
import { guarded, type AskedAccess, type BucketUser } from '../support/infra/guarded-bucket.ts';
import { putToWork, run, WEB_SETTINGS } from '../support/infra/roles-at-work.ts';
import { startRedis } from '../support/servers/redis-server.ts';
import { startS3Fake } from '../support/servers/s3-fake/s3-fake.ts';
import { newKeyPem } from '../support/harness/sealing-under-test.ts';
import { rolesOfTable } from '../support/infra/role-table.ts';

/** The CDK app, synthesised once with everything that may be asked for, and its template looked at. */

const REPOSITORY = join(import.meta.dirname, '../..');
const ROLES = ['receiver', 'archive', 'upkeep', 'seal', 'web', 'auditor', 'break-glass'] as const;
type Role = (typeof ROLES)[number];
const SERVICES = ['receiver', 'archive', 'upkeep', 'seal', 'web'] as const;
/** Everlog ends within 30 s of SIGTERM, and Fargate gives 120 s at most. */
const DRAIN_S = { above: 30, atMost: 120 };

/** A compiler and a program of CDK's on busy cores. */
const SLOW_MS = 240_000;
const stage = openStage();
const app = new CdkApp();
let template: Template;
let output = '';
beforeAll(async () => {
  const { code, output: said } = await app.synthesize({
    prefix: 'prod',
    coldAfterDays: 90,
    webUrl: 'https://logs.example.com',
    githubClientId: 'Iv1.client',
    webAuditors: '1,2',
    anchorUrl: 's3://anchor-of-another/prod',
    replicaBucketArn: 'arn:aws:s3:::replica-of-another',
    secretNames: {
      privateKey: 'everlog/key',
      webhookSecret: 'everlog/webhook',
      webSecret: 'everlog/web',
      clientSecret: 'everlog/client',
    },
  });
  output = said;
  if (code !== 0) throw new Error(said);
  template = app.template('everlog');
}, SLOW_MS);
afterAll(async () => {
  await stage.close();
  app.remove();
});

function roleArn(role: Role): string {
  return `arn:aws:iam::123456789012:role/everlog-${role}-eu-central-1`;
}

function bucketPolicy(): Policy {
  return policySchema.parse(template.one('AWS::S3::BucketPolicy', 'Archive')['PolicyDocument']);
}

function bucketName(): string {
  const [id = ''] = template.all('AWS::S3::Bucket').find(([each]) => each.startsWith('Archive')) ?? [];
  return id.toLowerCase();
}

function policiesOf(role: Role): Policies {
  return { identity: template.policiesOf(`everlog-${role}-eu-central-1`), resource: [bucketPolicy()] };
}

/** Whether a role may do something with a key below the archive's prefix; a PUT is one that replaces nothing, unless said. */
function may(role: Role, action: string, key: string, context: Record<string, string> = {}): boolean {
  const resource = `arn:aws:s3:::${bucketName()}${key === '' ? '' : `/prod/${key}`}`;
  const usual = { 'aws:principalarn': roleArn(role), 'aws:securetransport': 'true', 's3:if-none-match': '*' };
  const request = { principal: roleArn(role), action, resource, context: { ...usual, ...context } };
  return judge(request, policiesOf(role)) === 'allowed';
}

test(
  'types hold, and every finding of cdk-nag is fixed or stands with its reason',
  async () => {
    const tsc = join(REPOSITORY, 'node_modules/typescript/bin/tsc');
    expect(await app.node([tsc, '-p', 'tsconfig.json'])).toEqual({ code: 0, output: '' });
    expect(output).toBe('');
    const reports = app.report();
    expect(reports.map(({ pluginName }) => pluginName)).toContain('AwsSolutions');
    for (const { conclusion, violations } of reports)
      expect({ conclusion, violations }).toEqual({ conclusion: 'success', violations: [] });
    const reasons = JSON.stringify(reports).match(/"reason":"[^"]*"/g) ?? [];
    expect(reasons.length).toBeGreaterThan(20);
    expect(reasons.filter((reason) => reason.split(' ').length < 6)).toEqual([]);
  },
  SLOW_MS,
);

test('a context that is not complete is refused with every problem at once', async () => {
  const { code, output: said } = await app.synthesize({
    githubAppId: '',
    certificateArn: 'none',
    retentionDays: 0,
    auditorPrincipals: [],
  });
  expect(code).toBe(1);
  for (const problem of [
    'githubAppId is missing',
    'certificateArn is not',
    'retentionDays is',
    'auditorPrincipals is',
  ])
    expect(said).toContain(problem);
});

describe('roles', () => {
  test('each has the statements of the table in docs/aws.md, and no other in the archive', () => {
    const arn = `arn:aws:s3:::${bucketName()}`;
    const said = ROLES.map((role) => {
      const statements = policiesOf(role).identity.flatMap(({ Statement }) => Statement);
      expect(statements.filter(({ Effect }) => Effect !== 'Allow')).toEqual([]);
      const ofArchive = statements.filter(({ Resource = [] }) =>
        Resource.some((each) => each.startsWith(arn)),
      );
      return {
        role,
        rights: ofArchive.map(({ Action = [], Resource = [] }) => ({
          actions: Action.map((action) => action.replace('s3:', '')),
          keys: Resource.map((resource) => resource.slice(arn.length).replace(/^\/prod\/(.*)\*$/, '$1')),
        })),
      };
    });
    expect(rolesOfTable(readFileSync(join(REPOSITORY, 'docs/aws.md'), 'utf8'))).toEqual(said);
  });

  test('the receiver has no right in S3 at all', () => {
    const statements = policiesOf('receiver').identity.flatMap(({ Statement }) => Statement);
    expect(
      statements.flatMap(({ Action = [] }) => Action).filter((action) => !action.startsWith('logs:')),
    ).toEqual([]);
  });

  const LEDGER = 'ledger/digests/0000000001/digest.json';
  const LOG = 'v1/logs/host=github.com/owner=o/repo=r/dt=2026-11-20/1-1-1.log.gz';
  const RECORD = 'v1/records/host=github.com/owner=o/repo=r/1/1/1.json';
  const RUN = 'v1/runs/host=github.com/owner=o/repo=r/1/1.json';
  const CUSTODY = 'v1/custody/dt=2026-11-20/a.json';
  const PART = 'index/jobs/dt=2026-11-20/0000000001-0000000001.parquet';
  test.each<{ action: string; key: string; roles: string }>([
    { action: 's3:PutObject', key: LEDGER, roles: 'seal' },
    { action: 's3:PutObject', key: LOG, roles: 'archive' },
    { action: 's3:PutObject', key: RECORD, roles: 'archive upkeep break-glass' },
    { action: 's3:PutObject', key: RUN, roles: 'upkeep break-glass' },
    { action: 's3:PutObject', key: CUSTODY, roles: 'web auditor break-glass' },
    { action: 's3:PutObject', key: PART, roles: 'upkeep' },
    { action: 's3:PutObject', key: 'index/recent/dt=2026-11-20/1201-a.parquet', roles: 'archive upkeep' },
    // Workers tell readers of what they recorded only where the index follows a ledger, and so read how far it is.
    {
      action: 's3:GetObject',
      key: 'index/through/0000000001.json',
      roles: 'archive upkeep web auditor break-glass',
    },
    { action: 's3:DeleteObjectVersion', key: PART, roles: 'upkeep' },
    { action: 's3:DeleteObjectVersion', key: LOG, roles: 'break-glass' },
    { action: 's3:DeleteObjectVersion', key: RECORD, roles: 'break-glass' },
    { action: 's3:DeleteObjectVersion', key: CUSTODY, roles: '' },
    { action: 's3:DeleteObjectVersion', key: LEDGER, roles: '' },
    { action: 's3:BypassGovernanceRetention', key: LOG, roles: 'break-glass' },
    { action: 's3:BypassGovernanceRetention', key: LEDGER, roles: '' },
    { action: 's3:DeleteObject', key: LOG, roles: '' },
    { action: 's3:DeleteObject', key: LEDGER, roles: '' },
    { action: 's3:PutObjectLegalHold', key: LOG, roles: 'break-glass' },
    { action: 's3:GetObject', key: LOG, roles: 'archive upkeep seal web auditor break-glass' },
    { action: 's3:GetObject', key: LEDGER, roles: 'archive upkeep seal web auditor break-glass' },
    { action: 's3:GetObjectRetention', key: LEDGER, roles: 'auditor break-glass' },
    { action: 's3:ListBucket', key: '', roles: 'archive upkeep seal web auditor break-glass' },
    { action: 's3:PutBucketPolicy', key: '', roles: '' },
    { action: 's3:PutBucketVersioning', key: '', roles: '' },
    { action: 's3:PutLifecycleConfiguration', key: '', roles: '' },
    { action: 's3:PutBucketObjectLockConfiguration', key: '', roles: '' },
  ])('$action on $key is for: $roles', ({ action, key, roles }) => {
    expect(ROLES.filter((role) => may(role, action, key)).join(' ')).toBe(roles);
  });

  test.each([
    ['without the condition that nothing is replaced', RECORD, { 's3:if-none-match': undefined }],
    ['over a connection without TLS', RECORD, { 'aws:securetransport': 'false' }],
    ['as another principal that was given the right', LEDGER, { 'aws:principalarn': roleArn('archive') }],
  ])('a write %s is refused by the bucket itself', (_, key, changes) => {
    const everything = policySchema.parse({
      Statement: [{ Effect: 'Allow', Action: 's3:*', Resource: '*' }],
    });
    const ask = (given: Readonly<Record<string, string | undefined>>): string => {
      const context = {
        'aws:principalarn': roleArn('seal'),
        'aws:securetransport': 'true',
        's3:if-none-match': '*',
        ...given,
      };
      const present = z.record(z.string(), z.string()).parse(JSON.parse(JSON.stringify(context)));
      const resource = `arn:aws:s3:::${bucketName()}/prod/${key}`;
      const request = { principal: 'anybody', action: 's3:PutObject', resource, context: present };
      return judge(request, { identity: [everything], resource: [bucketPolicy()] });
    };
    expect(ask({})).toBe('allowed');
    expect(ask(changes)).toBe('denied');
  });

  const MODE = 's3:object-lock-mode';
  const DAYS = 's3:object-lock-remaining-retention-days';
  test.each<{ what: string; lock: Record<string, string>; isAllowed: boolean }>([
    { what: 'as long as is configured', lock: { [MODE]: 'GOVERNANCE', [DAYS]: '400' }, isAllowed: true },
    { what: 'by a clock that is ahead', lock: { [MODE]: 'GOVERNANCE', [DAYS]: '401' }, isAllowed: true },
    { what: 'for longer', lock: { [MODE]: 'GOVERNANCE', [DAYS]: '402' }, isAllowed: false },
    { what: 'for a thousand years', lock: { [MODE]: 'GOVERNANCE', [DAYS]: '365000' }, isAllowed: false },
    { what: 'so that nobody can shorten it', lock: { [MODE]: 'COMPLIANCE', [DAYS]: '1' }, isAllowed: false },
    { what: 'not at all', lock: {}, isAllowed: true },
  ])('whoever may write a key may lock it $what: $isAllowed', ({ lock, isAllowed }) => {
    const written = [LEDGER, LOG, RECORD, RUN, CUSTODY, PART, 'probe/a', 'index/probe/a'];
    for (const action of ['s3:PutObject', 's3:PutObjectRetention']) {
      for (const key of written) {
        const entitled = ROLES.filter((role) => may(role, action, key));
        expect(entitled).not.toEqual([]);
        expect({ action, key, roles: ROLES.filter((role) => may(role, action, key, lock)) }).toEqual({
          action,
          key,
          roles: isAllowed ? entitled : [],
        });
      }
    }
  });

  test('a lock that is too much is refused to whoever was given every right, below any key', () => {
    const everything = policySchema.parse({
      Statement: [{ Effect: 'Allow', Action: 's3:*', Resource: '*' }],
    });
    const ask = (action: string, lock: Record<string, string>): string => {
      const resource = `arn:aws:s3:::${bucketName()}/prod/somewhere/else`;
      const usual = { 'aws:principalarn': 'arn:aws:iam::123456789012:root', 'aws:securetransport': 'true' };
      const request = { principal: 'anybody', action, resource, context: { ...usual, ...lock } };
      return judge(request, { identity: [everything], resource: [bucketPolicy()] });
    };
    for (const action of ['s3:PutObject', 's3:PutObjectRetention']) {
      expect(ask(action, { [MODE]: 'GOVERNANCE', [DAYS]: '400' })).toBe('allowed');
      expect(ask(action, { [MODE]: 'COMPLIANCE', [DAYS]: '400' })).toBe('denied');
      expect(ask(action, { [MODE]: 'GOVERNANCE', [DAYS]: '402' })).toBe('denied');
    }
  });

  test('only the sealer signs, also beside who administers the key', () => {
    const { KeyPolicy, KeySpec, KeyUsage } = template.one('AWS::KMS::Key', 'SigningKey');
    expect({ KeySpec, KeyUsage }).toEqual({ KeySpec: 'ECC_NIST_EDWARDS25519', KeyUsage: 'SIGN_VERIFY' });
    const resource = [policySchema.parse(KeyPolicy)];
    const everything = policySchema.parse({
      Statement: [{ Effect: 'Allow', Action: 'kms:*', Resource: '*' }],
    });
    const signers = [...ROLES.map(roleArn), 'arn:aws:iam::123456789012:root'].filter((principal) => {
      const context = { 'aws:principalarn': principal };
      return (
        judge(
          { principal, action: 'kms:Sign', resource: '*', context },
          { identity: [everything], resource },
        ) === 'allowed'
      );
    });
    expect(signers).toEqual([roleArn('seal')]);
    const asked = ROLES.filter((role) => JSON.stringify(policiesOf(role).identity).includes('kms:Sign"'));
    expect(asked).toEqual(['seal']);
  });

  test('people take a role on with a second factor', () => {
    for (const role of ['auditor', 'break-glass']) {
      const found = template
        .all('AWS::IAM::Role')
        .find(([, { RoleName }]) => RoleName === `everlog-${role}-eu-central-1`);
      expect(JSON.stringify(found)).toContain('"Bool":{"aws:MultiFactorAuthPresent":"true"}');
    }
  });
});

test('the bucket keeps versions, may lock, is encrypted by bucket keys, and tidies up', () => {
  expect(template.one('AWS::S3::Bucket', 'Archive')).toMatchObject({
    ObjectLockEnabled: true,
    VersioningConfiguration: { Status: 'Enabled' },
    BucketEncryption: {
      ServerSideEncryptionConfiguration: [
        { BucketKeyEnabled: true, ServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms' } },
      ],
    },
    PublicAccessBlockConfiguration: { BlockPublicAcls: true, RestrictPublicBuckets: true },
    LifecycleConfiguration: {
      Rules: [
        { AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 } },
        { Prefix: 'prod/index/', NoncurrentVersionExpiration: { NoncurrentDays: 1 } },
        {
          Prefix: 'prod/v1/logs/',
          ObjectSizeGreaterThan: 131_072,
          Transitions: [{ StorageClass: 'GLACIER_IR', TransitionInDays: 90 }],
        },
      ],
    },
    ReplicationConfiguration: {
      Rules: [{ Destination: { Bucket: 'arn:aws:s3:::replica-of-another' }, Status: 'Enabled' }],
    },
  });
  const rules = JSON.stringify(template.one('AWS::S3::Bucket', 'Archive')['LifecycleConfiguration']);
  // Nothing that expires may be evidence.
  expect(rules.match(/Expiration/g)).toHaveLength(1);
  for (const type of ['AWS::S3::Bucket', 'AWS::KMS::Key'])
    for (const [id] of template.all(type))
      expect(template.resources[id]).toMatchObject({ DeletionPolicy: 'Retain' });
});

test('the queue server evicts nothing, is encrypted, and has a replica in another zone', () => {
  expect(template.one('AWS::ElastiCache::ParameterGroup')).toMatchObject({
    Properties: { 'maxmemory-policy': 'noeviction' },
  });
  expect(template.one('AWS::ElastiCache::ReplicationGroup')).toMatchObject({
    Engine: 'valkey',
    MultiAZEnabled: true,
    AutomaticFailoverEnabled: true,
    NumNodeGroups: 1,
    TransitEncryptionMode: 'required',
    AtRestEncryptionEnabled: true,
    CacheParameterGroupName: 'QueueParameters',
  });
});

const containerSchema = z.looseObject({
  Name: z.string(),
  Command: z.array(z.string()).default([]),
  Environment: z.array(z.object({ Name: z.string(), Value: z.string() })).default([]),
  Secrets: z.array(z.looseObject({ Name: z.string() })).default([]),
});
const taskSchema = z.looseObject({ TaskRoleArn: z.string(), ContainerDefinitions: z.array(containerSchema) });

function everlogOf(role: Role): z.infer<typeof containerSchema> {
  const task = template
    .all('AWS::ECS::TaskDefinition')
    .map(([, properties]) => taskSchema.parse(properties))
    .find(({ TaskRoleArn }) => TaskRoleArn === roleArn(role));
  const container = task?.ContainerDefinitions.find(({ Name }) => Name === 'everlog');
  if (container === undefined) throw new Error(`no task has the role of ${role}`);
  return container;
}

describe('services', () => {
  test.each(SERVICES)('%s drains, writes to its spool alone, and is given what the program takes', (role) => {
    const container = everlogOf(role);
    expect(container).toMatchObject({
      ReadonlyRootFilesystem: true,
      MountPoints: [{ ContainerPath: '/spool', ReadOnly: false }],
    });
    const stop = z.int().parse(container['StopTimeout']);
    expect(stop).toBeGreaterThan(DRAIN_S.above);
    expect(stop).toBeLessThanOrEqual(DRAIN_S.atMost);
    const secrets: Readonly<Record<string, string>> = {
      EVERLOG_QUEUE_URL: 'rediss://queue:6379',
      EVERLOG_WEB_SECRET: 'w'.repeat(64),
      EVERLOG_GITHUB_CLIENT_SECRET: 'c',
      EVERLOG_GITHUB_WEBHOOK_SECRET: 's',
      EVERLOG_GITHUB_PRIVATE_KEY: PRIVATE_KEY,
    };
    const given = Object.fromEntries([
      ...container.Environment.map(({ Name, Value }) => [Name, Value.replace('SigningKey', randomUUID())]),
      ...container.Secrets.map(({ Name }) => [Name, secrets[Name] ?? '']),
    ]);
    const needs = {
      queueServer: true,
      receive: role === 'receiver',
      github: role === 'archive' || role === 'upkeep',
      signingKey: role === 'seal',
      web: role === 'web',
    };
    const config = loadConfig(needs, z.record(z.string(), z.string()).parse(given));
    expect(config.unknownVariables).toEqual([]);
    const archive = {
      archive: { kind: 's3', bucket: bucketName(), prefix: 'prod' },
      s3: { lockMode: 'GOVERNANCE', retentionDays: 400 },
    };
    expect(config).toMatchObject(role === 'receiver' ? { archiveNamed: false } : archive);
    expect(container.Environment.filter(({ Name }) => /SECRET|PRIVATE|TOKEN|PASSWORD/.test(Name))).toEqual(
      [],
    );
  });

  test('each has its own command and its own secrets', () => {
    const said = SERVICES.map((role) => {
      const { Command, Secrets } = everlogOf(role);
      return `${role}: ${Command.join(' ')} with ${Secrets.map(({ Name }) => Name.replace('EVERLOG_', '')).join(' ')}`;
    });
    expect(said).toEqual([
      'receiver: serve with QUEUE_URL GITHUB_WEBHOOK_SECRET',
      'archive: work --only archive with QUEUE_URL GITHUB_PRIVATE_KEY',
      'upkeep: work --only upkeep with QUEUE_URL GITHUB_PRIVATE_KEY',
      'seal: work --only seal with QUEUE_URL',
      'web: web with QUEUE_URL WEB_SECRET GITHUB_CLIENT_SECRET',
    ]);
  });

  test('workers of logs follow the queue, and only TLS leads in', () => {
    const policies = template
      .all('AWS::ApplicationAutoScaling::ScalingPolicy')
      .map(([, it]) => it['StepScalingPolicyConfiguration']);
    expect(policies).toHaveLength(2);
    const watched = template
      .all('AWS::CloudWatch::Alarm')
      .filter(([, it]) => it['MetricName'] === 'everlog_queue_jobs');
    expect(JSON.stringify(watched)).toContain('"Value":"waiting"');
    expect(
      template.all('AWS::ElasticLoadBalancingV2::Listener').map(([, it]) => [it['Port'], it['Protocol']]),
    ).toEqual([[443, 'HTTPS']]);
    expect(template.one('AWS::ElasticLoadBalancingV2::Listener')['SslPolicy']).toMatch(
      /^ELBSecurityPolicy-TLS13/,
    );
    const paths = template
      .all('AWS::ElasticLoadBalancingV2::ListenerRule')
      .map(([, it]) => JSON.stringify(it['Conditions']));
    expect(paths.join(' ')).toContain('/webhooks');
    expect(paths).toHaveLength(2);
  });
});

describe('alarms', () => {
  test('are on metrics that there are, and tell who is on call', () => {
    const named = JSON.stringify(template.all('AWS::CloudWatch::Alarm')).match(/everlog_[a-z_]+/g) ?? [];
    const sources = ['metrics.ts', 'metrics/gauges.ts', 'metrics/counters.ts']
      .map((path) => join(REPOSITORY, 'src', path))
      .map((path) => readFileSync(path, 'utf8'));
    const known = new Set(sources.join('\n').match(/everlog_[a-z_]+/g));
    expect([...new Set(named)].filter((name) => !known.has(name))).toEqual([]);
    for (const { AlarmActions } of alarmsOf(template).values())
      expect(AlarmActions).toEqual(['arn:aws:sns:eu-central-1:123456789012:on-call']);
  });

  test('are those of the rules, but for what one of the two cannot tell', () => {
    const rules = [
      ...readFileSync(join(REPOSITORY, 'infra/monitoring/alerts.yaml'), 'utf8').matchAll(/alert: (\w+)/g),
    ];
    const expected = rules.map(([, name = '']) => name).filter((name) => WITHOUT_ALARM[name] === undefined);
    expect([...alarmsOf(template).keys()].sort()).toEqual([...expected, ...WITHOUT_RULE].sort());
    const runbook = readFileSync(join(REPOSITORY, 'infra/runbook.md'), 'utf8');
    for (const [name, { AlarmDescription }] of alarmsOf(template)) {
      const [, section = ''] = /See the runbook, (\w+)\.$/.exec(String(AlarmDescription)) ?? [];
      expect({ name, has: runbook.includes(`\n## ${section}\n`) }).toEqual({ name, has: true });
    }
    const documented = readFileSync(join(REPOSITORY, 'docs/aws.md'), 'utf8');
    for (const name of [...Object.keys(WITHOUT_ALARM), ...WITHOUT_RULE]) expect(documented).toContain(name);
  });

  test('go off where silence is the failure', () => {
    const breaching = [...alarmsOf(template)].filter(([, { TreatMissingData: how }]) => how === 'breaching');
    expect(breaching.map(([name]) => name).sort()).toEqual(
      SILENT_IS_BAD.map((name) => `Everlog${name}`).sort(),
    );
    const metricsOf = (name: string): string =>
      JSON.stringify(alarmsOf(template).get(`Everlog${name}`)?.['Metrics']);
    for (const role of ['receiver', 'archive', 'upkeep'])
      expect(metricsOf('Down')).toContain(`"Value":"${role}"`);
    expect(metricsOf('ReceiversUnhealthy')).toContain('"MetricName":"HealthyHostCount"');
    const targets = JSON.stringify(alarmsOf(template).get('EverlogReceiversUnhealthy'));
    expect(targets).toMatch(/BalancerHttpsReceivers/);
    expect(targets).not.toMatch(/BalancerHttpsWeb/);
  });
});

test('the tables of Athena have the columns of the index, and find partitions by themselves', () => {
  const TYPES = {
    string: 'string',
    time: 'timestamp',
    int64: 'bigint',
    int32: 'int',
    int32s: 'array<int>',
    strings: 'array<string>',
  };
  const tables = template.all('AWS::Glue::Table').map(([, { TableInput }]) => TableInput);
  const table = (name: string, folder: string, partition: string, columns: readonly Column[]): object => ({
    Name: name,
    PartitionKeys: [{ Name: partition, Type: 'string' }],
    Parameters: {
      'projection.enabled': 'true',
      [`projection.${partition}.type`]: 'date',
      'storage.location.template': `s3://${bucketName()}/prod/index/${folder}/${partition}=\${${partition}}/`,
    },
    StorageDescriptor: {
      Location: `s3://${bucketName()}/prod/index/${folder}/`,
      Columns: columns.map((column) => ({ Name: column.name, Type: TYPES[column.kind] })),
    },
  });
  expect(tables).toHaveLength(2);
  expect(tables).toMatchObject([
    table('job_revisions', 'jobs', 'dt', JOB_COLUMNS),
    table('commits', 'commits', 'month', COMMIT_COLUMNS),
  ]);
  expect(template.one('AWS::Athena::WorkGroup')).toMatchObject({
    WorkGroupConfiguration: { EnforceWorkGroupConfiguration: true },
  });
});

test(
  'a deployment works with exactly the rights of its roles, and so do auditor and break-glass',
  async () => {
    const asked: AskedAccess[] = [];
    const user = (role: Role): BucketUser => ({
      accessKeyId: `AKIA${role.toUpperCase().replace('-', '')}`,
      secretAccessKey: randomUUID(),
      principal: roleArn(role),
      policies: policiesOf(role),
    });
    const users = { archive: user('archive'), upkeep: user('upkeep'), seal: user('seal'), web: user('web') };
    const people = { auditor: user('auditor'), breakGlass: user('break-glass') };
    const fake = await startS3Fake(guarded([...Object.values(users), ...Object.values(people)], asked));
    stage.defer(() => fake.stop());
    const [redis, simulator] = await Promise.all([startRedis(), stage.simulator()]);
    stage.defer(() => redis.stop());
    await fake.createBucket(bucketName(), { objectLock: true });
    const common: Environment = {
      ...githubSettings(simulator),
      EVERLOG_QUEUE_URL: redis.url,
      EVERLOG_SPOOL_DIR: stage.folder(),
      EVERLOG_SEAL_INTERVAL: '1s',
      EVERLOG_LOCK_MODE: 'GOVERNANCE',
      EVERLOG_RETENTION_DAYS: '400',
    };
    const as = ({ accessKeyId, secretAccessKey }: BucketUser): Environment => ({
      ...common,
      ...s3Settings({ ...fake, accessKeyId, secretAccessKey }, bucketName(), 'prod'),
    });
    const jobId = await putToWork(
      stage,
      simulator,
      { fake, name: bucketName(), prefix: 'prod/' },
      {
        receiver: { args: ['serve'], env: common },
        workers: [
          { args: ['work', '--only', 'archive'], env: as(users.archive) },
          { args: ['work', '--only', 'upkeep'], env: as(users.upkeep) },
          {
            args: ['work', '--only', 'seal'],
            env: { ...as(users.seal), EVERLOG_SIGNING_KEY: newKeyPem() },
          },
        ],
        indexer: { args: [], env: as(users.upkeep) },
        web: { args: ['web'], env: { ...as(users.web), ...WEB_SETTINGS, EVERLOG_WEB_LISTEN: '127.0.0.1:0' } },
      },
    );
    expect(await run(['ls', '--json'], as(people.auditor))).toContain(String(jobId));
    // With digests a second apart, a sealer that waits for its turn on a busy machine is a finding.
    const findings = [0, 4];
    expect(await run(['verify', '--json'], as(people.auditor), findings)).toContain('"summary"');
    const out = join(stage.folder(), 'bundle');
    expect(await run(['export', '--out', out, '--json'], as(people.auditor))).toMatch(
      /"custody":"v1\/custody\//,
    );
    const purge = [
      'purge',
      '--job',
      `127.0.0.1/${jobId}`,
      '--reason',
      'a secret',
      '--bypass-governance',
      '--yes',
      '--json',
    ];
    expect(await run(purge, as(people.breakGlass))).toContain('"removed"');
    expect(asked.filter(({ isAllowed }) => !isAllowed)).toEqual([]);
    for (const { principal } of [...Object.values(users), ...Object.values(people)])
      expect(asked.map((each) => each.principal)).toContain(principal);
  },
  SLOW_MS,
);

test('its packages come from the public registry, whoever installs them', () => {
  const lock = readFileSync(join(REPOSITORY, 'infra/cdk/package-lock.json'), 'utf8');
  expect(lock).toContain('"integrity"');
  expect(
    [...lock.matchAll(/"resolved": "(.*)"/g)].filter(
      ([, url = '']) => !url.startsWith('https://registry.npmjs.org/'),
    ),
  ).toEqual([]);
});

const PRIVATE_KEY = newKeyPem();
