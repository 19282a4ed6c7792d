import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { policySchema, type Policy } from './access-policy.ts';

const REPOSITORY = join(import.meta.dirname, '../../..');
const CDK = join(REPOSITORY, 'infra/cdk');
const OUTPUT_BYTES_MAX = 16 * 1024 ** 2;
const TIMEOUT_MS = 200_000;

const resourceSchema = z.looseObject({
  Type: z.string(),
  DependsOn: z.unknown().optional(),
  Properties: z.record(z.string(), z.unknown()).default({}),
});
const templateSchema = z.looseObject({ Resources: z.record(z.string(), resourceSchema) });
const reportSchema = z.object({
  pluginReports: z.array(
    z.looseObject({
      pluginName: z.string(),
      conclusion: z.string(),
      violations: z.array(z.unknown()),
      suppressedViolations: z.array(z.unknown()).default([]),
    }),
  ),
});

export type Resource = z.infer<typeof resourceSchema>;

/** The CDK app in a folder of its own, with the packages that `install-services.sh cdk` put into the cache. */
export class CdkApp {
  readonly folder = mkdtempSync(join(tmpdir(), 'everlog-cdk-'));

  constructor() {
    const lock = createHash('sha256')
      .update(readFileSync(join(CDK, 'package-lock.json')))
      .digest('hex');
    const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
    const packages = join(cache, `everlog-tests/cdk-${lock.slice(0, 16)}/node_modules`);
    if (!existsSync(packages)) throw new Error(`there is no ${packages}: run \`npm run services\``);
    const own = (path: string): boolean => !/\/(node_modules|cdk\.out)$/.test(path);
    cpSync(CDK, join(this.folder, 'infra/cdk'), { recursive: true, filter: own });
    cpSync(join(REPOSITORY, 'infra/sql'), join(this.folder, 'infra/sql'), { recursive: true });
    cpSync(join(REPOSITORY, 'tsconfig.json'), join(this.folder, 'tsconfig.json'));
    symlinkSync(packages, join(this.folder, 'infra/cdk/node_modules'));
  }

  /** Runs a script of Node's in the app's folder; whatever it ends with is an answer. */
  async node(
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<{ readonly code: number; readonly output: string }> {
    const options = {
      cwd: join(this.folder, 'infra/cdk'),
      env: { PATH: process.env['PATH'], HOME: this.folder, ...env },
      maxBuffer: OUTPUT_BYTES_MAX,
      timeout: TIMEOUT_MS,
    };
    try {
      const { stdout, stderr } = await promisify(execFile)(process.execPath, [...args], options);
      return { code: 0, output: stdout + stderr };
    } catch (error) {
      const failed = z.object({ code: z.int(), stdout: z.string(), stderr: z.string() }).safeParse(error);
      if (!failed.success) throw error;
      return { code: failed.data.code, output: failed.data.stdout + failed.data.stderr };
    }
  }

  /** Synthesises as the CDK's own command would, with the context of cdk.json and what is given on top of it. */
  async synthesize(context: object): Promise<{ readonly code: number; readonly output: string }> {
    const { context: usual } = z
      .object({ context: z.record(z.string(), z.unknown()) })
      .parse(JSON.parse(readFileSync(join(CDK, 'cdk.json'), 'utf8')));
    return this.node(['--import=tsx', 'src/main.ts'], {
      CDK_CONTEXT_JSON: JSON.stringify({ ...usual, ...context }),
      CDK_OUTDIR: join(this.folder, 'out'),
    });
  }

  template(name: string): Template {
    return new Template(templateSchema.parse(this.#json(`${name}.template.json`)).Resources);
  }

  /** What was checked beside CloudFormation's own rules. */
  report(): z.infer<typeof reportSchema>['pluginReports'] {
    return reportSchema.parse(this.#json('validation-report.json')).pluginReports;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #json(name: string): unknown {
    return JSON.parse(readFileSync(join(this.folder, 'out', name), 'utf8'));
  }
}

/** A template with its references resolved: a resource stands for itself by its id. */
export class Template {
  readonly resources: Readonly<Record<string, Resource>>;

  constructor(resources: Readonly<Record<string, Resource>>) {
    this.resources = Object.fromEntries(
      Object.entries(resources).map(([id, resource]) => [
        id,
        {
          ...resource,
          Properties: z.record(z.string(), z.unknown()).parse(resolve(resource.Properties, resources)),
        },
      ]),
    );
  }

  /** The ids and resolved properties of all resources of a type. */
  all(type: string): readonly (readonly [string, Resource['Properties']])[] {
    return Object.entries(this.resources).flatMap(([id, { Type, Properties }]) =>
      Type === type ? [[id, Properties] as const] : [],
    );
  }

  /** The only resource of a type whose id begins so. @throws Error where there are none or several */
  one(type: string, idPrefix = ''): Resource['Properties'] {
    const found = this.all(type).filter(([id]) => id.startsWith(idPrefix));
    const [first] = found;
    if (first === undefined || found.length > 1) throw new Error(`${found.length} of ${type} ${idPrefix}`);
    return first[1];
  }

  /** The policies of a role, by its name. */
  policiesOf(roleName: string): readonly Policy[] {
    const [roleId] = this.all('AWS::IAM::Role').find(([, { RoleName }]) => RoleName === roleName) ?? [];
    return this.all('AWS::IAM::Policy').flatMap(([, { Roles, PolicyDocument }]) =>
      z
        .array(z.string())
        .parse(Roles)
        .includes(roleId ?? roleName)
        ? [policySchema.parse(PolicyDocument)]
        : [],
    );
  }
}

const ACCOUNT = '123456789012';
const REGION = 'eu-central-1';
const PSEUDO: Readonly<Record<string, string>> = {
  'AWS::Partition': 'aws',
  'AWS::AccountId': ACCOUNT,
  'AWS::Region': REGION,
  'AWS::URLSuffix': 'amazonaws.com',
};

const joinSchema = z.object({ 'Fn::Join': z.tuple([z.string(), z.array(z.unknown())]) });
const refSchema = z.strictObject({ Ref: z.string() });
const attributeSchema = z.strictObject({ 'Fn::GetAtt': z.tuple([z.string(), z.string()]) });

function resolve(value: unknown, resources: Readonly<Record<string, Resource>>): unknown {
  if (Array.isArray(value)) return value.map((each) => resolve(each, resources));
  if (typeof value !== 'object' || value === null) return value;
  const join = joinSchema.safeParse(value);
  if (join.success) {
    const [separator, parts] = join.data['Fn::Join'];
    return parts.map((part) => String(resolve(part, resources))).join(separator);
  }
  const ref = refSchema.safeParse(value);
  if (ref.success) return nameOf(ref.data.Ref, resources);
  const attribute = attributeSchema.safeParse(value);
  if (attribute.success) return attributeOf(...attribute.data['Fn::GetAtt'], resources);
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, resolve(each, resources)]));
}

function nameOf(id: string, resources: Readonly<Record<string, Resource>>): string {
  // Names of buckets have no capitals.
  return PSEUDO[id] ?? (resources[id]?.Type === 'AWS::S3::Bucket' ? id.toLowerCase() : id);
}

function attributeOf(id: string, attribute: string, resources: Readonly<Record<string, Resource>>): string {
  const resource = resources[id];
  if (attribute !== 'Arn') return `${id}.${attribute}`;
  switch (resource?.Type ?? 'none') {
    case 'AWS::S3::Bucket':
      return `arn:aws:s3:::${nameOf(id, resources)}`;
    case 'AWS::IAM::Role':
      return `arn:aws:iam::${ACCOUNT}:role/${String(resource?.Properties['RoleName'])}`;
    case 'AWS::KMS::Key':
      return `arn:aws:kms:${REGION}:${ACCOUNT}:key/${id}`;
    default:
      return `arn:aws:any:${REGION}:${ACCOUNT}:${id}`;
  }
}
