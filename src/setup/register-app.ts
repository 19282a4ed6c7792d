import { request } from 'undici';
import { giveUp, messageOf } from '../errors.ts';
import { openAppRequests } from '../github/app-requests.ts';
import type { GitHubHost } from '../github/host.ts';
import { checkLiteralAddress } from '../github/log/log-hosts.ts';
import type { Connections } from '../github/network/connections.ts';
import { newAppOf, type NewApp } from './manifest.ts';

/** A code is good for an hour and once; GitHub answers within seconds. */
const EXCHANGE_TIMEOUT_MS = 30_000;
const ANSWER_BYTES_MAX = 256 * 1024;

/**
 * Exchanges the code that GitHub sent the browser back with for the App's credentials.
 * @throws EverlogError `github_refused` where GitHub does not take the code
 */
export async function exchangeCode(
  host: GitHubHost,
  connections: Connections,
  code: string,
): Promise<NewApp> {
  const url = new URL(`${host.apiUrl}/app-manifests/${encodeURIComponent(code)}/conversions`);
  checkLiteralAddress(url, connections.addresses, host);
  let answer: unknown;
  let status: number;
  try {
    const response = await request(url, {
      method: 'POST',
      dispatcher: connections.dispatcher,
      headers: { 'user-agent': 'everlog', accept: 'application/vnd.github+json' },
      signal: AbortSignal.timeout(EXCHANGE_TIMEOUT_MS),
    });
    status = response.statusCode;
    const text = await response.body.text();
    answer = text.length > ANSWER_BYTES_MAX ? null : JSON.parse(text);
  } catch (error) {
    throw giveUp(
      'github_refused',
      `${host.name}: GitHub did not give the App's credentials: ${messageOf(error)}`,
    );
  }
  const app = status === 201 ? newAppOf(answer) : null;
  if (app !== null) return app;
  throw giveUp(
    'github_refused',
    `${host.name}: GitHub answers ${status} for the code: it is good once and for an hour; run everlog setup again`,
  );
}

/** Sets the App's webhook, as the App: its address, JSON, and a secret of Everlog's own making. */
export async function setWebhook(
  host: GitHubHost,
  connections: Connections,
  app: NewApp,
  webhook: { readonly url: string; readonly secret: string },
): Promise<void> {
  const credentials = { appId: app.id, privateKey: app.privateKey };
  const asApp = openAppRequests(host, credentials, connections.dispatcher, () => new Date());
  const config = { url: webhook.url, content_type: 'json', secret: webhook.secret, insecure_ssl: '0' };
  // As the body itself: a parameter called `url` would be taken for the address of the call.
  await asApp('PATCH /app/hook/config', { data: config }, "the App's webhook");
}
