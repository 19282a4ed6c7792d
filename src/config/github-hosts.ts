import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import { messageOf } from '../errors.ts';
import { isCidr } from '../github/network/addresses.ts';
import type { Credentials } from '../github/credentials.ts';
import {
  CONCURRENT_REQUESTS_MAX,
  GHES_CONCURRENT_REQUESTS_MAX,
  identifyHost,
  type GitHubHost,
} from '../github/host.ts';
import { isLogHostPattern } from '../github/log/log-hosts.ts';
import { inWords } from './in-words.ts';
import type { Variables } from './variables.ts';

/** A GitHub host with what only Everlog and that host know. */
export interface HostConfig {
  readonly github: GitHubHost;
  /** The App whose deliveries are taken; null where none is named. Known to a receiver without the App's key. */
  readonly appId: number | null;
  /** Null where none are set: enough to receive, not to fetch. */
  readonly credentials: Credentials | null;
  /** Several during a rotation; empty where none is set. */
  readonly webhookSecrets: readonly string[];
}

const LOG_HOSTS_FORM =
  'host[:port] patterns separated by commas, such as logs.example.com or *.example.com:8443';
const CIDRS_FORM = 'address ranges separated by commas, such as 10.0.0.0/8';

/** The one host that the environment describes. */
export function hostFromVariables(variables: Variables): HostConfig {
  const apiUrl = parseApiUrl(variables.text('EVERLOG_GITHUB_API_URL') ?? 'https://api.github.com');
  if (typeof apiUrl === 'string') variables.problem('EVERLOG_GITHUB_API_URL', apiUrl);
  const url = typeof apiUrl === 'string' ? new URL('https://api.github.com') : apiUrl;
  const appId = variables.text('EVERLOG_GITHUB_APP_ID');
  const privateKey = variables.secret('EVERLOG_GITHUB_PRIVATE_KEY');
  const token = variables.secret('EVERLOG_GITHUB_TOKEN');
  const secrets = variables.secret('EVERLOG_GITHUB_WEBHOOK_SECRET');
  return {
    github: githubHost(null, url, {
      logHosts: variables.list('EVERLOG_GITHUB_LOG_HOSTS', isLogHostPattern, LOG_HOSTS_FORM),
      privateCidrs: variables.list('EVERLOG_GITHUB_PRIVATE_CIDRS', isCidr, CIDRS_FORM),
      maxConcurrency: null,
    }),
    appId: appIdOf(appId),
    credentials: readCredentials({ appId, privateKey, token }, (field, what) => {
      variables.problem(
        {
          appId: 'EVERLOG_GITHUB_APP_ID',
          privateKey: 'EVERLOG_GITHUB_PRIVATE_KEY',
          token: 'EVERLOG_GITHUB_TOKEN',
        }[field],
        what,
      );
    }),
    webhookSecrets: linesOfVariable(secrets),
  };
}

/** What describes the one host, and is not read where a file describes them. */
const HOST_VARIABLES = [
  'EVERLOG_GITHUB_API_URL',
  'EVERLOG_GITHUB_APP_ID',
  'EVERLOG_GITHUB_PRIVATE_KEY',
  'EVERLOG_GITHUB_TOKEN',
  'EVERLOG_GITHUB_WEBHOOK_SECRET',
  'EVERLOG_GITHUB_LOG_HOSTS',
  'EVERLOG_GITHUB_PRIVATE_CIDRS',
].flatMap((name) => [name, `${name}_FILE`]);

/** Variables that are set beside EVERLOG_CONFIG and have no effect. */
export function hostVariablesBeside(file: string | null, variables: Variables): readonly string[] {
  return file === null ? [] : HOST_VARIABLES.filter((name) => variables.text(name) !== null);
}

const oneOrMore = z.union([z.string(), z.array(z.string())]);

const hostSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'use letters, digits, dot, dash and underscore'),
  api_url: z.string().default('https://api.github.com'),
  app_id: z.union([z.string(), z.int()]).optional(),
  private_key: z.string().optional(),
  private_key_file: z.string().optional(),
  token: z.string().optional(),
  token_file: z.string().optional(),
  webhook_secret: oneOrMore.optional(),
  webhook_secret_file: z.string().optional(),
  log_hosts: z.array(z.string().refine(isLogHostPattern, 'not a host[:port] pattern')).default([]),
  private_cidrs: z.array(z.string().refine(isCidr, 'not an address range such as 10.0.0.0/8')).default([]),
  max_concurrency: z.int().min(1).max(CONCURRENT_REQUESTS_MAX).optional(),
});

type FileHost = z.infer<typeof hostSchema>;

/** Hosts one by one, so that a mistake in one hides none in the others. */
const fileSchema = z.strictObject({ hosts: z.array(z.unknown()).min(1) });

/** The hosts that the YAML file EVERLOG_CONFIG describes. */
export function hostsFromFile(path: string, variables: Variables): readonly HostConfig[] {
  let document: unknown;
  try {
    document = parse(readFileSync(path, 'utf8'));
  } catch (error) {
    variables.problem('EVERLOG_CONFIG', `names a file that cannot be read as YAML: ${messageOf(error)}`);
    return [];
  }
  const file = fileSchema.safeParse(document, { error: inWords });
  if (!file.success) {
    tellIssues(file.error, [], variables);
    return [];
  }
  const seen = new Set<string>();
  return file.data.hosts.flatMap((described, index) => {
    const parsed = hostSchema.safeParse(described, { error: inWords });
    if (!parsed.success) {
      tellIssues(parsed.error, ['hosts', index], variables);
      return [];
    }
    const host = parsed.data;
    const problem = (field: string, what: string): void =>
      variables.problem('EVERLOG_CONFIG', `host ${host.name}, ${field} ${what}`);
    const config = fromFile(host, variables, problem);
    for (const key of [`name ${host.name}`, `host ${config.github.host}`]) {
      if (seen.has(key)) problem('name and api_url', `stand twice: ${key}`);
      seen.add(key);
    }
    return [config];
  });
}

function tellIssues({ issues }: z.ZodError, at: readonly (string | number)[], variables: Variables): void {
  for (const { path, message } of issues) {
    const place = [...at, ...path].join('.');
    variables.problem('EVERLOG_CONFIG', `at ${place === '' ? 'the top' : place}: ${message}`);
  }
}

function fromFile(
  host: FileHost,
  variables: Variables,
  problem: (field: string, what: string) => void,
): HostConfig {
  const apiUrl = parseApiUrl(host.api_url);
  if (typeof apiUrl === 'string') problem('api_url', apiUrl);
  const secretOf = (text: string | undefined, file: string | undefined, field: string): string | null => {
    if (text !== undefined && file !== undefined) problem(field, `is set together with ${field}_file`);
    if (file === undefined) return text ?? null;
    return variables.secretFile(file, `EVERLOG_CONFIG host ${host.name}, ${field}_file`);
  };
  const inline = host.webhook_secret === undefined ? undefined : [host.webhook_secret].flat().join('\n');
  const fields = { appId: 'app_id', privateKey: 'private_key', token: 'token' } as const;
  return {
    github: githubHost(host.name, typeof apiUrl === 'string' ? new URL('https://api.github.com') : apiUrl, {
      logHosts: host.log_hosts,
      privateCidrs: host.private_cidrs,
      maxConcurrency: host.max_concurrency ?? null,
    }),
    appId: host.app_id === undefined ? null : appIdOf(String(host.app_id)),
    credentials: readCredentials(
      {
        appId: host.app_id === undefined ? null : String(host.app_id),
        privateKey: secretOf(host.private_key, host.private_key_file, 'private_key'),
        token: secretOf(host.token, host.token_file, 'token'),
      },
      (field, what) => problem(fields[field], what),
    ),
    webhookSecrets: linesOfVariable(secretOf(inline, host.webhook_secret_file, 'webhook_secret')),
  };
}

function githubHost(
  name: string | null,
  apiUrl: URL,
  rest: { logHosts: readonly string[]; privateCidrs: readonly string[]; maxConcurrency: number | null },
): GitHubHost {
  const { product, host } = identifyHost(apiUrl);
  const fallback = product === 'ghes' ? GHES_CONCURRENT_REQUESTS_MAX : CONCURRENT_REQUESTS_MAX;
  return {
    name: name ?? host,
    host,
    product,
    apiUrl: apiUrl.href.replace(/\/$/, ''),
    logHosts: rest.logHosts,
    privateCidrs: rest.privateCidrs,
    maxConcurrency: rest.maxConcurrency ?? fallback,
  };
}

/** The API's URL, or what is wrong with it. */
function parseApiUrl(text: string): URL | string {
  if (!URL.canParse(text))
    return 'is not a URL: use https://api.github.com, https://HOST/api/v3 or https://api.SUB.ghe.com';
  const url = new URL(text);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'is neither https nor http';
  if (url.username !== '' || url.password !== '')
    return 'carries credentials: use EVERLOG_GITHUB_TOKEN or an App';
  if (url.search !== '' || url.hash !== '') return 'carries a query or fragment';
  const [, tenant = null] = /^([a-z0-9-]+)\.ghe\.com$/.exec(url.hostname) ?? [];
  if (tenant !== null && tenant !== 'api')
    return `is the address of the web pages: use https://api.${tenant}.ghe.com`;
  if (/^(www\.)?github\.com$/.test(url.hostname))
    return 'is the address of the web pages: use https://api.github.com';
  return url;
}

type CredentialField = 'appId' | 'privateKey' | 'token';

function readCredentials(
  given: Readonly<Record<CredentialField, string | null>>,
  problem: (field: CredentialField, what: string) => void,
): Credentials | null {
  const { appId, privateKey, token } = given;
  if (token !== null && (appId !== null || privateKey !== null)) {
    problem('token', 'is set together with App credentials: set one kind');
  }
  if (appId === null && privateKey === null)
    return token === null ? null : { kind: 'token', token: token.trim() };
  if (appId === null) problem('appId', 'is missing: it goes with the private key');
  else if (appIdOf(appId) === null) problem('appId', 'is not a number: it is on the App’s settings page');
  // The id alone is enough to receive; who calls GitHub is told that the key is missing.
  if (appId === null || privateKey === null) return null;
  const pem = privateKey.includes('\\n') ? privateKey.replaceAll('\\n', '\n') : privateKey;
  try {
    createPrivateKey(pem);
  } catch {
    problem(
      'privateKey',
      'is not a PEM private key: paste the whole file that GitHub gave, BEGIN and END lines included',
    );
  }
  return { kind: 'app', appId: Number(appId), privateKey: pem };
}

function appIdOf(text: string | null): number | null {
  return text !== null && /^\d{1,15}$/.test(text.trim()) ? Number(text) : null;
}

function linesOfVariable(text: string | null): readonly string[] {
  return (text ?? '')
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');
}
