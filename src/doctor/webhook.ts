import { EverlogError } from '../errors.ts';
import type { RawAppRequest } from '../github/app-requests.ts';
import { openDeliveryLog, type HookDelivery } from '../github/deliveries.ts';
import { examineHook, type HookConfig } from '../github/examination.ts';
import type { GitHubHost } from '../github/host.ts';
import { check, type Checked, type CheckResult } from './check.ts';

/** What GitHub says of the App's webhook: where it sends, and how it was answered. */

/** Older failures may have been mended since; GitHub lists deliveries for days. */
const RECENT_MS = 24 * 60 * 60 * 1000;
/** Answers of a receiver that cannot take a delivery mean different things; each has its own cure. */
const CURES: readonly { readonly status: number; readonly cure: string }[] = [
  { status: 401, cure: 'set the same webhook secret in the App as in EVERLOG_GITHUB_WEBHOOK_SECRET' },
  {
    status: 403,
    cure: 'use the credentials of the App whose webhook this is (an answer 403 says wrong_target)',
  },
  { status: 404, cure: "let the App's webhook URL end with /webhooks, as the receiver has it" },
  { status: 405, cure: "let the App's webhook URL end with /webhooks, as the receiver has it" },
  { status: 415, cure: 'set the content type of the webhook to application/json' },
  { status: 503, cure: 'see /readyz of the receiver: its queue did not confirm in time' },
];
const UNREACHED =
  "see that the App's webhook URL can be reached from GitHub (address, firewall, certificate), and that `everlog serve` or `up` runs";
const OTHERWISE = 'see what stands between GitHub and the receiver, and the log of `everlog serve`';

/**
 * Checks an App's webhook and its last deliveries. `named` is put behind the names of the checks, for several hosts.
 */
export async function examineWebhook(
  host: GitHubHost,
  request: RawAppRequest,
  named: string,
): Promise<readonly Checked[]> {
  return [
    await check('github', `webhook${named}`, '', () =>
      unlessUntold(async () => judgeHook(await examineHook(request), host.name)),
    ),
    await check('github', `deliveries${named}`, '', () =>
      unlessUntold(async () => {
        const { deliveries } = await openDeliveryLog(host, request).page(null);
        return judgeDeliveries(deliveries, new Date());
      }),
    ),
  ];
}

/** What GitHub does not tell is no fault of the installation: its credentials were taken, and reconcile needs no webhook. */
async function unlessUntold(look: () => Promise<CheckResult>): Promise<CheckResult> {
  try {
    return await look();
  } catch (error) {
    if (!(error instanceof EverlogError)) throw error;
    return {
      status: 'warning',
      // A 404 comes in the words that fit most App calls.
      detail: error.code === 'installation_gone' ? 'GitHub tells of no webhook of the App' : error.message,
      fix: "see that the webhook is active in the App's settings; without it jobs are found by reconcile alone",
    };
  }
}

/** Whether deliveries come to a receiver of Everlog as it can read them. `name` is the host's, as in its webhook's path. */
export function judgeHook({ url, contentType, insecureTls }: HookConfig, name: string): CheckResult {
  const where = "in the App's settings";
  if (!URL.canParse(url))
    return {
      status: 'failed',
      detail: 'the App has no webhook URL',
      fix: `set it ${where} to the address of the receiver, which ends with /webhooks`,
    };
  if (contentType !== 'json')
    return {
      status: 'failed',
      detail: `deliveries come as "${contentType}", which the receiver refuses`,
      fix: `set the webhook's content type to application/json ${where}`,
    };
  const { pathname, protocol, origin } = new URL(url);
  const path = pathname.replace(/\/+$/, '');
  if (!path.endsWith('/webhooks') && !path.endsWith(`/webhooks/${name}`))
    return {
      status: 'warning',
      detail: `deliveries go to ${origin}${pathname}, and receivers answer at /webhooks and /webhooks/${name}`,
      fix: `correct the URL ${where}, unless a proxy maps it`,
    };
  if (insecureTls)
    return {
      status: 'warning',
      detail: `${origin}${pathname}, whose certificate GitHub does not check`,
      fix: `enable SSL verification ${where}`,
    };
  const isClear =
    protocol === 'http:' && !/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(new URL(url).hostname);
  if (isClear)
    return {
      status: 'warning',
      detail: `deliveries come in clear to ${origin}${pathname}`,
      fix: `use https ${where}`,
    };
  return { status: 'ok', detail: `${origin}${pathname}, as JSON` };
}

/** Judges the newest attempts at deliveries, newest first, by how the last attempt at each was answered. */
export function judgeDeliveries(attempts: readonly HookDelivery[], now: Date): CheckResult {
  const seen = new Set<string>();
  const last = attempts.filter(({ guid, delivered_at }) => {
    if (seen.has(guid) || now.getTime() - Date.parse(delivered_at) > RECENT_MS) return false;
    seen.add(guid);
    return true;
  });
  const [newest] = last;
  if (newest === undefined) return { status: 'ok', detail: 'GitHub lists none of the last 24 hours' };
  const failed = last.filter((delivery) => !isAccepted(delivery));
  const of = `of the last ${last.length} listed`;
  if (failed.length === 0)
    return { status: 'ok', detail: `all ${of} were accepted, the newest at ${newest.delivered_at}` };
  const [recent = newest] = failed;
  const answered = recent.status_code === 0 ? 'nobody answered' : `answered ${recent.status_code}`;
  const detail = `${failed.length} ${of} failed, the newest of them at ${recent.delivered_at}: ${answered}`;
  if (isAccepted(newest))
    return {
      status: 'warning',
      detail: `${detail}; accepted since`,
      fix: 'ask for them again: everlog redeliver',
    };
  return { status: 'failed', detail, fix: deliveryCure(recent.status_code) };
}

function isAccepted({ status_code: status }: HookDelivery): boolean {
  return status >= 200 && status < 300;
}

function deliveryCure(status: number): string {
  if (status === 0) return UNREACHED;
  return CURES.find((one) => one.status === status)?.cure ?? OTHERWISE;
}
