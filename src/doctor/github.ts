import type { Config } from '../config.ts';
import type { HostConfig } from '../config/github-hosts.ts';
import { EverlogError } from '../errors.ts';
import { openApi } from '../github/api.ts';
import { openAppRequests, openRawAppRequests } from '../github/app-requests.ts';
import { openConnections, type Connections } from '../github/network/connections.ts';
import { openTokens, type Credentials } from '../github/credentials.ts';
import { examineApp, examineToken, type AppExamination } from '../github/examination.ts';
import { listInstallations, type Installation } from '../github/repositories.ts';
import { check, judgeSkew, type Checked, type CheckResult } from './check.ts';
import { examineWebhook } from './webhook.ts';

/** What Everlog does with GitHub. `write` would include it. */
const PERMISSIONS = ['actions', 'metadata'] as const;
const EVENTS = ['workflow_job', 'workflow_run'] as const;
/** Installations whose tokens are tried; a mistake in the App itself shows in the first. */
const TOKENS_TRIED_MAX = 20;
const NAMES_SHOWN_MAX = 5;

/** Names of settings, in the environment or in the file of EVERLOG_CONFIG. */
interface Names {
  readonly key: string;
  readonly token: string;
  readonly secret: string;
  readonly credentials: string;
  readonly apiUrl: string;
}

function credentialNames({ hostsFromFile }: Config, { github }: HostConfig): Names {
  if (!hostsFromFile)
    return {
      key: 'EVERLOG_GITHUB_APP_ID and EVERLOG_GITHUB_PRIVATE_KEY',
      token: 'EVERLOG_GITHUB_TOKEN',
      secret: 'EVERLOG_GITHUB_WEBHOOK_SECRET',
      credentials: 'EVERLOG_GITHUB_APP_ID and EVERLOG_GITHUB_PRIVATE_KEY, or EVERLOG_GITHUB_TOKEN',
      apiUrl: 'EVERLOG_GITHUB_API_URL',
    };
  const there = `of host ${github.name} in the file of EVERLOG_CONFIG`;
  return {
    key: `app_id and private_key ${there}`,
    token: `token ${there}`,
    secret: `webhook_secret ${there}`,
    credentials: `app_id and private_key, or token, ${there}`,
    apiUrl: `api_url ${there}`,
  };
}

/** A host that does not answer says nothing about the credentials. */
function fixOf(names: Names, github: HostConfig['github'], otherwise: string): (error: unknown) => string {
  return (error) =>
    error instanceof EverlogError && ['github_unavailable', 'address_refused'].includes(error.code)
      ? `see that ${github.apiUrl} is right (${names.apiUrl}) and can be reached from here`
      : otherwise;
}

const now = (): Date => new Date();

/** Whether every configured host takes the credentials, and has granted what is needed. */
export async function examineGitHub(config: Config): Promise<readonly Checked[]> {
  const results: Checked[] = [];
  for (const host of config.hosts) {
    const named = config.hosts.length > 1 ? ` (${host.github.name})` : '';
    const names = credentialNames(config, host);
    results.push(await examineSecret(host, named, names));
    if (host.credentials === null) results.push(await withoutCredentials(named, names));
    else {
      const connections = openConnections(host.github, config.proxies);
      try {
        const { credentials } = host;
        results.push(
          ...(credentials.kind === 'app'
            ? await examineAsApp(host, credentials, connections, named, names)
            : [await examineAsToken(host, credentials, connections, named, names)]),
        );
      } finally {
        await connections.close();
      }
    }
  }
  return results;
}

function examineSecret({ webhookSecrets }: HostConfig, named: string, names: Names): Promise<Checked> {
  return check('github', `webhook secret${named}`, '', async () => {
    if (webhookSecrets.length === 1) return { status: 'ok', detail: 'set' };
    if (webhookSecrets.length > 1)
      return { status: 'ok', detail: `${webhookSecrets.length} are accepted, as during a rotation` };
    return {
      status: 'failed',
      detail: 'none: deliveries cannot be received here',
      fix: `set ${names.secret} to the secret of the App or webhook; where only \`everlog work\` runs, leave this check out with --skip github`,
    };
  });
}

function withoutCredentials(named: string, names: Names): Promise<Checked> {
  return check('github', `credentials${named}`, '', async () => ({
    status: 'failed',
    detail: 'none: logs cannot be fetched from here',
    fix: `set ${names.credentials}`,
  }));
}

async function examineAsApp(
  { github }: HostConfig,
  credentials: Extract<Credentials, { kind: 'app' }>,
  connections: Connections,
  named: string,
  names: Names,
): Promise<readonly Checked[]> {
  const { dispatcher } = connections;
  const requests = openRawAppRequests(github, credentials, dispatcher, now);
  let app: AppExamination | null = null;
  let askedAt = now();
  const keyFix = fixOf(names, github, `correct ${names.key}`);
  const identity = await check('github', `credentials${named}`, keyFix, async () => {
    app = await examineApp(requests);
    askedAt = now();
    return { status: 'ok', detail: `${app.name} (App ${app.id}) on ${github.host}` };
  });
  if (app === null) return [identity];
  const known: AppExamination = app;
  const installations = openAppRequests(github, credentials, dispatcher, now);
  const tokens = openTokens(github, credentials, dispatcher, now);
  const mint = async (installationId: number): Promise<void> => {
    await tokens.tokenFor({ owner: '', repo: '', installationId });
  };
  return [
    identity,
    await check('github', `permissions${named}`, '', async () => judgePermissions(known)),
    await check('github', `events${named}`, '', async () => judgeEvents(known)),
    await check('github', `installations${named}`, 'grant what the message names', () =>
      judgeInstallations(listInstallations(installations), mint),
    ),
    ...(await examineWebhook(github, requests, named)),
    await check('github', `clock${named}`, '', async () =>
      known.date === null
        ? { status: 'skipped', detail: 'GitHub did not tell its time' }
        : judgeSkew(known.date, askedAt, "GitHub's clock"),
    ),
  ];
}

function judgePermissions({ permissions }: AppExamination): CheckResult {
  const missing = PERMISSIONS.filter((name) => !['read', 'write'].includes(permissions[name] ?? ''));
  if (missing.length === 0)
    return { status: 'ok', detail: PERMISSIONS.map((name) => `${name}: read`).join(', ') };
  const names = missing.map((name) => `${name}: read`).join(', ');
  const fix = `give the App the repository permission ${names} in its settings, and accept it in each installation`;
  return { status: 'failed', detail: `the App lacks ${names}`, fix };
}

function judgeEvents({ events }: AppExamination): CheckResult {
  const missing = EVENTS.filter((name) => !events.includes(name));
  if (missing.length === 0) return { status: 'ok', detail: EVENTS.join(', ') };
  const names = missing.join(', ');
  return {
    status: 'failed',
    detail: `the App is not subscribed to ${names}`,
    fix: `subscribe the App to ${names} in its settings; until then jobs are found by reconcile alone`,
  };
}

async function judgeInstallations(
  listed: AsyncIterable<Installation>,
  mint: (installationId: number) => Promise<void>,
): Promise<CheckResult> {
  const suspended: string[] = [];
  let active = 0;
  for await (const { id, account, suspended: isSuspended } of listed) {
    if (isSuspended) suspended.push(account);
    else if ((active += 1) <= TOKENS_TRIED_MAX) await mint(id);
  }
  if (active === 0) {
    const detail = suspended.length > 0 ? 'every installation is suspended' : 'the App is installed nowhere';
    return {
      status: 'failed',
      detail,
      fix: 'install the App on the organisations whose logs are to be kept',
    };
  }
  const tried = `${active} active, of which ${Math.min(active, TOKENS_TRIED_MAX)} gave a token`;
  if (suspended.length === 0) return { status: 'ok', detail: tried };
  const names = suspended.slice(0, NAMES_SHOWN_MAX).join(', ');
  const more = suspended.length > NAMES_SHOWN_MAX ? ' …' : '';
  return {
    status: 'warning',
    detail: `${tried}; suspended: ${names}${more}`,
    fix: 'unsuspend them, or ignore this where it is meant',
  };
}

function examineAsToken(
  { github }: HostConfig,
  credentials: Extract<Credentials, { kind: 'token' }>,
  connections: Connections,
  named: string,
  names: Names,
): Promise<Checked> {
  const fix = `correct ${names.token}; it needs to read Actions of its repositories`;
  return check('github', `credentials${named}`, fixOf(names, github, fix), async () => {
    const tokens = openTokens(github, credentials, connections.dispatcher, now);
    const { status, scopes, date } = await examineToken(openApi(github, connections, tokens, now));
    const skew = date === null ? null : judgeSkew(date, now(), "GitHub's clock");
    // Appliances with rate limits turned off answer 404.
    if (status !== 200 && status !== 404)
      return { status: 'failed', detail: `${github.host} answers ${status} to the token`, fix };
    if (skew !== null && skew.status !== 'ok') return skew;
    return { status: 'ok', detail: `${github.host} takes the token${scopes ? ` (scopes ${scopes})` : ''}` };
  });
}
