import { ArnPrincipal, CompositePrincipal, Effect, type IPrincipal } from 'aws-cdk-lib/aws-iam';
import { Policy, PolicyStatement, Role as IamRole, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import { GRANTS, KEY_USE, ROLES, type Role } from './access.ts';
import type { Settings } from './settings.ts';

/** Where the archive and its keys are. */
export interface Places {
  readonly bucketArn: string;
  readonly dataKeyArn: string;
  readonly signingKeyArn: string;
}

export type RoleSet = Readonly<Record<Role, IamRole>>;

/** Roles that people take on, and not a service. */
const PEOPLE = ['auditor', 'break-glass'] as const satisfies readonly Role[];

/** An empty role for each; what it may do comes once there are bucket and keys, whose policies name the roles. */
export function makeRoles(scope: Construct, settings: Settings): RoleSet {
  const make = (role: Role): IamRole =>
    new IamRole(scope, `${constructId(role)}Role`, {
      roleName: roleName(settings, role),
      description: `Everlog: ${role}`,
      assumedBy: principalOf(role, settings),
    });
  return {
    receiver: make('receiver'),
    archive: make('archive'),
    upkeep: make('upkeep'),
    seal: make('seal'),
    web: make('web'),
    auditor: make('auditor'),
    'break-glass': make('break-glass'),
  };
}

/** Named rather than generated, so that policies can name a role before it is there. */
function roleName({ name, region }: Settings, role: Role): string {
  return `${name}-${role}-${region}`;
}

export function roleArn(settings: Settings, role: Role): string {
  const { account, region } = settings;
  const partition = region.startsWith('cn-') ? 'aws-cn' : region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws';
  return `arn:${partition}:iam::${account}:role/${roleName(settings, role)}`;
}

function principalOf(role: Role, settings: Settings): IPrincipal {
  const isPerson = PEOPLE.some((each) => each === role);
  if (!isPerson) return new ServicePrincipal('ecs-tasks.amazonaws.com');
  const arns = role === 'auditor' ? settings.auditorPrincipals : settings.breakGlassPrincipals;
  const people = new CompositePrincipal(...arns.map((arn) => new ArnPrincipal(arn)));
  return people.withConditions({ Bool: { 'aws:MultiFactorAuthPresent': 'true' } });
}

/** Gives each role what its table says, as one policy of its own. */
export function grantAccess(roles: RoleSet, settings: Settings, places: Places): void {
  for (const role of ROLES) {
    const statements = [
      ...archiveStatements(role, settings, places),
      ...keyStatements(role, settings, places),
    ];
    if (statements.length > 0) attach(roles[role], 'Archive', statements);
  }
  if (settings.anchorUrl !== null) attach(roles.seal, 'Anchor', anchorStatements(settings.anchorUrl));
}

function attach(role: IamRole, id: string, statements: PolicyStatement[]): void {
  new Policy(role, id, { statements, roles: [role] });
}

function archiveStatements(role: Role, { prefix }: Settings, { bucketArn }: Places): PolicyStatement[] {
  return GRANTS[role].map(
    ({ sid, actions, keys }) =>
      new PolicyStatement({
        sid,
        effect: Effect.ALLOW,
        actions: [...actions],
        resources: keys === null ? [bucketArn] : keys.map((key) => `${bucketArn}/${prefix}${key}*`),
      }),
  );
}

function keyStatements(role: Role, { region }: Settings, places: Places): PolicyStatement[] {
  const { data, signing } = KEY_USE[role];
  const statements: PolicyStatement[] = [];
  if (data.length > 0) {
    statements.push(
      new PolicyStatement({
        sid: 'DataKey',
        actions: [...data],
        resources: [places.dataKeyArn],
        // By way of the bucket alone.
        conditions: { StringEquals: { 'kms:ViaService': `s3.${region}.amazonaws.com` } },
      }),
    );
  }
  if (signing.length > 0)
    statements.push(
      new PolicyStatement({ sid: 'SigningKey', actions: [...signing], resources: [places.signingKeyArn] }),
    );
  return statements;
}

/** What the sealer does in a bucket of somebody else, whose policy has to allow it too. */
function anchorStatements(anchorUrl: string): PolicyStatement[] {
  const { arn, root } = anchorOf(anchorUrl);
  return [
    new PolicyStatement({
      sid: 'ListAnchor',
      actions: ['s3:ListBucket', 's3:GetBucketVersioning'],
      resources: [arn],
    }),
    new PolicyStatement({
      sid: 'WriteAnchor',
      actions: ['s3:GetObject', 's3:GetObjectVersion', 's3:PutObject'],
      resources: [`${root}ledger/*`, `${root}probe/*`],
    }),
  ];
}

/** The bucket of an anchor, and the beginning of all objects in it. */
export function anchorOf(anchorUrl: string): { readonly arn: string; readonly root: string } {
  const [, bucket = '', prefix = ''] = /^s3:\/\/([^/]+)\/?(.*?)\/?$/.exec(anchorUrl) ?? [];
  const arn = `arn:aws:s3:::${bucket}`;
  return { arn, root: prefix === '' ? `${arn}/` : `${arn}/${prefix}/` };
}

/** A role's name as a construct's id. */
function constructId(role: Role): string {
  return role
    .split('-')
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('');
}
