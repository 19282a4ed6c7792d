import { tmpdir } from 'node:os';
import { pagerOf, silenceSdkNotice, type Pager } from './config/other-programs.ts';
import { ARCHIVE_URL_FORM, parseArchiveUrl, type ArchiveUrl } from './config/archive-url.ts';
import {
  hostFromVariables,
  hostsFromFile,
  hostVariablesBeside,
  type HostConfig,
} from './config/github-hosts.ts';
import { barePortsOf, readListen, type ListenAddress } from './config/listen-address.ts';
import { readS3, type S3Variables } from './config/s3-settings.ts';
import { proxiesFromVariables } from './config/proxy-variables.ts';
import { readSealing, SIGNING_KEY_CURE, type SealingSettings } from './config/sealing-variables.ts';
import { readTracing, type TracingSettings } from './config/tracing-variables.ts';
import { Variables } from './config/variables.ts';
import { readWeb, WEB_LISTEN, type WebSettings } from './config/web-variables.ts';
import { giveUp } from './errors.ts';
import { LOG_LEVELS, type LogLevel } from './logger.ts';
import type { ProxySettings } from './proxies.ts';
import {
  DEFAULT_PREFIX,
  parseQueuePrefix,
  parseQueueUrl,
  PREFIX_FORM,
  type QueueUrl,
} from './queue/queue-url.ts';

/** The configuration (CONTRACT §2). This is the only place that reads the environment; everybody else is given values. */
export interface Config {
  readonly hosts: readonly HostConfig[];
  readonly queue: QueueUrl;
  /** Every key on a queue server begins so. */
  readonly queuePrefix: string;
  readonly allowUnsafeQueue: boolean;
  readonly archive: ArchiveUrl;
  /** Where the query index is; null: `index/` below the archive. */
  readonly indexUrl: ArchiveUrl | null;
  /** Whether EVERLOG_ARCHIVE_URL names it: a receiver needs no archive, and knows of one only then. */
  readonly archiveNamed: boolean;
  readonly s3: S3Variables;
  readonly sealing: SealingSettings;
  readonly missingLogRetriesMs: readonly number[];
  readonly jobDetails: 'auto' | 'always';
  readonly jobLogBytesMax: number;
  readonly spoolFolder: string;
  readonly spoolBytesMax: number;
  readonly logRetentionMs: number;
  readonly reconcileIntervalMs: number;
  readonly reconcileLookbackMs: number;
  /** Shares of an installation's rate limit, in (0, 1]. */
  readonly reconcileBudgetShare: number;
  readonly backfillBudgetShare: number;
  readonly concurrency: number;
  readonly listen: ListenAddress | null;
  readonly adminListen: ListenAddress | null;
  readonly web: WebSettings;
  readonly logLevel: LogLevel;
  readonly proxies: ProxySettings;
  readonly tracing: TracingSettings;
  /** Variables that begin with EVERLOG_ and mean nothing: likely misspelt. */
  readonly unknownVariables: readonly string[];
  /** Variables of the one host that EVERLOG_CONFIG, which is set as well, leaves without effect. */
  readonly ignoredVariables: readonly string[];
  /** Listening addresses given as a bare port, which only this machine reaches. */
  readonly barePorts: readonly string[];
  /** Whether EVERLOG_CONFIG describes the hosts. */
  readonly hostsFromFile: boolean;
}

export { parseArchiveUrl, type ArchiveUrl } from './config/archive-url.ts';
export type { S3Variables } from './config/s3-settings.ts';
export type { SealingSettings } from './config/sealing-variables.ts';

/** What a command cannot do without. */
export interface Needs {
  /** It receives webhooks. */
  readonly receive?: boolean;
  /** It calls GitHub. */
  readonly github?: boolean;
  /** It needs a queue server, as several processes share the queue. */
  readonly queueServer?: boolean;
  /** It serves the web page. */
  readonly web?: boolean;
  /** It seals. */
  readonly signingKey?: boolean;
}

const GIB = 1024 ** 3;
const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** Every variable that means something, without `EVERLOG_`; a secret's `…_FILE` besides. */
export const VARIABLE_NAMES: ReadonlySet<string> = new Set(
  `GITHUB_APP_ID GITHUB_PRIVATE_KEY GITHUB_TOKEN GITHUB_WEBHOOK_SECRET GITHUB_API_URL GITHUB_LOG_HOSTS GITHUB_PRIVATE_CIDRS CONFIG
  QUEUE_URL QUEUE_PREFIX ARCHIVE_URL S3_FORCE_PATH_STYLE LOCK_MODE RETENTION_DAYS KMS_KEY_ID LOG_STORAGE_CLASS SIGNING_KEY ANCHOR_URL TSA_URL
  INDEX_URL SEAL_INTERVAL RECONCILE_INTERVAL RECONCILE_LOOKBACK RECONCILE_BUDGET_SHARE BACKFILL_BUDGET_SHARE MISSING_LOG_RETRIES
  JOB_DETAILS JOB_LOG_MAX_BYTES SPOOL_DIR SPOOL_MAX_BYTES CONCURRENCY LISTEN ADMIN_LISTEN GITHUB_LOG_RETENTION ALLOW_UNSAFE_QUEUE
  WEB_LISTEN WEB_URL WEB_AUTH WEB_SECRET WEB_AUDITORS WEB_PROXY_CIDRS WEB_PROXY_HEADER WEB_PROXY_SECRET
  GITHUB_CLIENT_ID GITHUB_CLIENT_SECRET LOG_LEVEL`.split(/\s+/),
);

/**
 * Reads the configuration.
 * @throws EverlogError `config_invalid` that lists every problem, each with its variable and the cure.
 */
export function loadConfig(
  needs: Needs,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Config {
  const variables = new Variables(env);
  const config = readConfig(variables, env);
  checkNeeds(config, needs, variables);
  if (variables.problems.length === 0) return Object.freeze(config);
  const problems = variables.problems.map((problem) => `  - ${problem}`).join('\n');
  throw giveUp('config_invalid', `the configuration has ${count(variables.problems.length)}:\n${problems}`);
}

function readConfig(variables: Variables, env: Readonly<Record<string, string | undefined>>): Config {
  const file = variables.text('EVERLOG_CONFIG');
  const queue = readQueueUrl(variables);
  return {
    hosts: file === null ? [hostFromVariables(variables)] : hostsFromFile(file, variables),
    queue,
    queuePrefix: variables.parsed('EVERLOG_QUEUE_PREFIX', DEFAULT_PREFIX, parseQueuePrefix, PREFIX_FORM),
    allowUnsafeQueue: variables.flag('EVERLOG_ALLOW_UNSAFE_QUEUE'),
    archive: readArchiveUrl(variables),
    indexUrl: variables.parsed<ArchiveUrl | null>(
      'EVERLOG_INDEX_URL',
      null,
      parseArchiveUrl,
      ARCHIVE_URL_FORM,
    ),
    archiveNamed: variables.text('EVERLOG_ARCHIVE_URL') !== null,
    s3: readS3(variables),
    sealing: readSealing(variables, queue),
    missingLogRetriesMs: variables.durations('EVERLOG_MISSING_LOG_RETRIES', [
      10 * SECOND_MS,
      MINUTE_MS,
      5 * MINUTE_MS,
      30 * MINUTE_MS,
      6 * HOUR_MS,
    ]),
    jobDetails: variables.choice('EVERLOG_JOB_DETAILS', ['auto', 'always'], 'auto'),
    jobLogBytesMax: variables.size('EVERLOG_JOB_LOG_MAX_BYTES', 10 * GIB),
    spoolFolder: variables.text('EVERLOG_SPOOL_DIR') ?? tmpdir(),
    spoolBytesMax: variables.size('EVERLOG_SPOOL_MAX_BYTES', 4 * GIB),
    logRetentionMs: variables.duration('EVERLOG_GITHUB_LOG_RETENTION', 90 * DAY_MS),
    reconcileIntervalMs: readReconcileInterval(variables),
    reconcileLookbackMs: variables.duration('EVERLOG_RECONCILE_LOOKBACK', 72 * HOUR_MS),
    reconcileBudgetShare: variables.share('EVERLOG_RECONCILE_BUDGET_SHARE', 0.1),
    backfillBudgetShare: variables.share('EVERLOG_BACKFILL_BUDGET_SHARE', 0.3),
    concurrency: variables.whole('EVERLOG_CONCURRENCY', 50, { min: 1, max: 1_000 }),
    listen: readListen(variables, 'EVERLOG_LISTEN', { host: '127.0.0.1', port: 3000 }),
    adminListen: readListen(variables, 'EVERLOG_ADMIN_LISTEN', { host: '127.0.0.1', port: 9464 }),
    web: readWeb(variables, queue, readWebListen(variables)),
    logLevel: variables.choice('EVERLOG_LOG_LEVEL', LOG_LEVELS, 'info'),
    proxies: proxiesFromVariables(variables),
    tracing: readTracing(variables),
    unknownVariables: Object.keys(env).filter(isUnknown),
    ignoredVariables: hostVariablesBeside(file, variables),
    barePorts: barePortsOf(variables),
    hostsFromFile: file !== null,
  };
}

function readQueueUrl(variables: Variables): QueueUrl {
  const text = variables.secret('EVERLOG_QUEUE_URL') ?? 'embedded:./data/queue';
  const parsed = parseQueueUrl(text.trim());
  if (parsed.ok) return parsed.url;
  variables.problem('EVERLOG_QUEUE_URL', parsed.problem);
  return { kind: 'embedded', folder: './data/queue' };
}

function readArchiveUrl(variables: Variables): ArchiveUrl {
  const fallback: ArchiveUrl = { kind: 'folder', folder: './data/archive' };
  return variables.parsed('EVERLOG_ARCHIVE_URL', fallback, parseArchiveUrl, ARCHIVE_URL_FORM);
}

function readReconcileInterval(variables: Variables): number {
  const ms = variables.duration('EVERLOG_RECONCILE_INTERVAL', HOUR_MS);
  if (ms < SECOND_MS) variables.problem('EVERLOG_RECONCILE_INTERVAL', 'is too short: give at least 1s');
  return ms;
}

function readWebListen(variables: Variables): ListenAddress | null {
  return variables.text('EVERLOG_WEB_LISTEN') === null
    ? null
    : readListen(variables, 'EVERLOG_WEB_LISTEN', WEB_LISTEN);
}

function checkNeeds(config: Config, needs: Needs, variables: Variables): void {
  if (needs.queueServer === true && config.queue.kind === 'embedded') {
    variables.problem(
      'EVERLOG_QUEUE_URL',
      'is an embedded queue, which one process owns: set a redis:// URL, or run `everlog up` for everything in one process',
    );
  }
  if (
    needs.web === true &&
    config.web.auth === null &&
    variables.problems.every((it) => !it.startsWith('EVERLOG_WEB_'))
  )
    variables.problem(
      'EVERLOG_WEB_AUTH',
      'is missing: the web page needs github or proxy to know who may look',
    );
  const keyProblem = variables.problems.some((problem) => problem.startsWith('EVERLOG_SIGNING_KEY'));
  if (needs.signingKey === true && config.sealing.signingKey === null && !keyProblem)
    variables.problem('EVERLOG_SIGNING_KEY', `is missing: ${SIGNING_KEY_CURE}`);
  const writes = needs.github === true || needs.signingKey === true;
  if (writes && config.archive.kind === 'folder' && config.s3.lockMode !== 'none') {
    variables.problem(
      'EVERLOG_LOCK_MODE',
      'asks for locks, and EVERLOG_ARCHIVE_URL names a folder, which has none: use a bucket, or set it to none',
    );
  }
  const inFile = variables.text('EVERLOG_CONFIG') !== null;
  for (const host of config.hosts) {
    const missing = (variable: string, field: string, cure: string): void =>
      inFile
        ? variables.problem('EVERLOG_CONFIG', `host ${host.github.name}, ${field} is missing: ${cure}`)
        : variables.problem(variable, `is missing: ${cure}`);
    if (needs.receive === true && host.webhookSecrets.length === 0) {
      missing('EVERLOG_GITHUB_WEBHOOK_SECRET', 'webhook_secret', 'it is the secret set in the App’s webhook');
    }
    if (needs.github !== true || host.credentials !== null || hasCredentialProblem(variables)) continue;
    const names = inFile
      ? { id: 'app_id', key: 'private_key', token: 'token' }
      : { id: 'EVERLOG_GITHUB_APP_ID', key: 'EVERLOG_GITHUB_PRIVATE_KEY', token: 'EVERLOG_GITHUB_TOKEN' };
    if (host.appId === null) {
      const cure = `set it with ${names.key}, or set ${names.token} instead`;
      missing('EVERLOG_GITHUB_APP_ID', 'app_id', cure);
    } else {
      missing('EVERLOG_GITHUB_PRIVATE_KEY', 'private_key', `it goes with ${names.id}`);
    }
  }
}

function hasCredentialProblem(variables: Variables): boolean {
  return variables.problems.some((problem) => /_(APP_ID|PRIVATE_KEY|TOKEN)(_FILE)? /.test(problem));
}

function isUnknown(name: string): boolean {
  if (!name.startsWith('EVERLOG_')) return false;
  const bare = name.slice('EVERLOG_'.length);
  return !VARIABLE_NAMES.has(bare) && !VARIABLE_NAMES.has(bare.replace(/_FILE$/, ''));
}

function count(problems: number): string {
  return problems === 1 ? 'a problem' : `${problems} problems`;
}

/**
 * The GitHub host at an API address, as `EVERLOG_GITHUB_API_URL` would describe it, with the proxies on the way; null takes the
 * variable itself.
 * @throws EverlogError `config_invalid`
 */
export function hostAt(
  apiUrl: string | null,
  env: Readonly<Record<string, string | undefined>> = process.env,
): { readonly host: HostConfig['github']; readonly proxies: ProxySettings } {
  const { hosts, proxies } = loadConfig(
    {},
    apiUrl === null ? env : { ...env, EVERLOG_GITHUB_API_URL: apiUrl },
  );
  const [first] = hosts;
  if (first === undefined) throw new Error('a configuration has a host');
  return { host: first.github, proxies };
}

/** Whether colours are welcome where there is a terminal (https://no-color.org). */
export function wantsColor(env: Readonly<Record<string, string | undefined>> = process.env): boolean {
  return (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
}

/** The pager for long text on a terminal; null where none is wanted. */
export function wantedPager(): Pager | null {
  return pagerOf(process.env);
}

/** Keeps the AWS SDK from telling users which Node it will want. */
export function silenceSdk(): void {
  silenceSdkNotice(process.env);
}

/** The address by which people reach the web page. */
export function webAddress({ web }: Config): string {
  const { host, port } = web.listen ?? WEB_LISTEN;
  return web.url ?? `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
