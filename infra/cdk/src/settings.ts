import type { App } from 'aws-cdk-lib';

/** What a deployment is made of, from the context of `cdk.json` or `-c NAME=VALUE`. */
export interface Settings {
  readonly account: string;
  readonly region: string;
  /** Of the stack and what carries a name of its own; several deployments in an account differ by it. */
  readonly name: string;
  /** Below which the archive stands in its bucket; ends with `/` unless empty. */
  readonly prefix: string;
  readonly image: string;
  readonly certificateArn: string;
  readonly githubAppId: string;
  readonly githubApiUrl: string;
  /** Secrets that exist already: the CDK app makes none of these. */
  readonly secretNames: {
    readonly privateKey: string;
    readonly webhookSecret: string;
    /** For the web page: `EVERLOG_WEB_SECRET` and the App's client secret. */
    readonly webSecret: string | null;
    readonly clientSecret: string | null;
  };
  /** The page is served where there is an address for it. */
  readonly web: { readonly url: string; readonly clientId: string; readonly auditors: string } | null;
  /** How long what is written is locked, in GOVERNANCE mode. */
  readonly retentionDays: number;
  /** When logs move to Glacier Instant Retrieval; null: never. */
  readonly coldAfterDays: number | null;
  /** Who may remove what is locked, with a second factor. */
  readonly breakGlassPrincipals: readonly string[];
  /** Who may read all of it. */
  readonly auditorPrincipals: readonly string[];
  /** A bucket of another account for digests: `s3://BUCKET/PREFIX`. */
  readonly anchorUrl: string | null;
  /** A bucket, with versions and in another region or account, to which the archive is copied. */
  readonly replicaBucketArn: string | null;
  /** Where alarms go; null: they are only shown. */
  readonly alarmTopicArn: string | null;
}

const ARN = /^arn:aws[a-z-]*:[a-z0-9-]+:/;

/**
 * Reads and checks the context.
 * @throws Error that names every problem at once
 */
export function readSettings(app: App): Settings {
  const problems: string[] = [];
  const read = new Context(app, problems);
  const secrets = read.map('secretNames');
  const secret = (name: string): string =>
    read.text(secrets[name], `secretNames.${name}`, /^[\w/+=.@-]{1,512}$/);
  const webUrl = read.optional('webUrl', /^https:\/\/[^/]+$/);
  const coldAfterDays = read.whole('coldAfterDays', 0, 0);
  const settings: Settings = {
    account: read.required('account', /^\d{12}$/),
    region: read.required('region', /^[a-z]{2}(-[a-z]+)+-\d$/),
    name: read.required('name', /^[a-z][a-z0-9-]{0,20}$/),
    prefix: withSlash(read.optional('prefix', /^[\w.-]+(\/[\w.-]+)*$/) ?? ''),
    image: read.required('image', /^[^\s]+(:[\w.-]+|@sha256:[0-9a-f]{64})$/),
    certificateArn: read.required('certificateArn', ARN),
    githubAppId: read.required('githubAppId', /^\d+$/),
    githubApiUrl: read.optional('githubApiUrl', /^https:\/\//) ?? 'https://api.github.com',
    secretNames: {
      privateKey: secret('privateKey'),
      webhookSecret: secret('webhookSecret'),
      webSecret: webUrl === null ? null : secret('webSecret'),
      clientSecret: webUrl === null ? null : secret('clientSecret'),
    },
    web:
      webUrl === null
        ? null
        : {
            url: webUrl,
            clientId: read.required('githubClientId', /^[\w.]+$/),
            auditors: read.optional('webAuditors', /^\d+(,\d+)*$/) ?? '',
          },
    retentionDays: read.whole('retentionDays', 400, 1),
    coldAfterDays: coldAfterDays === 0 ? null : coldAfterDays,
    breakGlassPrincipals: read.arns('breakGlassPrincipals'),
    auditorPrincipals: read.arns('auditorPrincipals'),
    anchorUrl: read.optional('anchorUrl', /^s3:\/\/[a-z0-9.-]+(\/[\w./-]*)?$/),
    replicaBucketArn: read.optional('replicaBucketArn', /^arn:aws[a-z-]*:s3:::[a-z0-9.-]+$/),
    alarmTopicArn: read.optional('alarmTopicArn', ARN),
  };
  if (problems.length > 0)
    throw new Error(`the context of cdk.json is not complete:\n  - ${problems.join('\n  - ')}`);
  return settings;
}

function withSlash(prefix: string): string {
  return prefix === '' ? '' : `${prefix}/`;
}

class Context {
  readonly #app: App;
  readonly #problems: string[];

  constructor(app: App, problems: string[]) {
    this.#app = app;
    this.#problems = problems;
  }

  value(name: string): unknown {
    const value: unknown = this.#app.node.tryGetContext(name);
    return value === '' ? undefined : value;
  }

  /** A value of `-c NAME=VALUE` is always a text. */
  text(value: unknown, name: string, form: RegExp): string {
    const text = typeof value === 'number' ? String(value) : value;
    if (typeof text === 'string' && form.test(text)) return text;
    this.#problems.push(
      text === undefined ? `${name} is missing` : `${name} is not of the form ${String(form)}`,
    );
    return '';
  }

  required(name: string, form: RegExp): string {
    return this.text(this.value(name), name, form);
  }

  optional(name: string, form: RegExp): string | null {
    const value = this.value(name);
    return value === undefined ? null : this.text(value, name, form);
  }

  whole(name: string, fallback: number, min: number): number {
    const text = this.optional(name, /^\d{1,5}$/);
    const value = text === null ? fallback : Number(text);
    if (value < min) this.#problems.push(`${name} is less than ${min}`);
    return value;
  }

  arns(name: string): readonly string[] {
    const value = this.value(name);
    const list: readonly unknown[] = Array.isArray(value) ? value : [];
    if (list.length === 0) this.#problems.push(`${name} is missing: name at least one ARN`);
    return list.map((each) => this.text(each, name, ARN));
  }

  map(name: string): Readonly<Record<string, unknown>> {
    const value = this.value(name);
    return typeof value === 'object' && value !== null ? { ...value } : {};
  }
}
