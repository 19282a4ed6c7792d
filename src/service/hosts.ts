import type { HostAccess } from '../../workers/archive-run.ts';
import type { ReconcileHost } from '../reconcile/targets.ts';
import type { Config } from '../config.ts';
import { openApi } from '../github/api.ts';
import { openAppRequests, openRawAppRequests, type AppRequest } from '../github/app-requests.ts';
import { openConnections } from '../github/network/connections.ts';
import { openTokens, type Tokens } from '../github/credentials.ts';
import { openDeliveryLog, type DeliveryLog } from '../github/deliveries.ts';
import { lookUpLog, type LogRef } from '../github/log/job-log.ts';
import { openLeastRates } from '../github/least-rates.ts';
import type { RateState } from '../github/rate-limit.ts';
import { untraced, type InSpan } from '../spans.ts';
import { tracedHost } from './tracing/traced-access.ts';
import { isInstalled, listInstallations, type Installation } from '../github/repositories.ts';

/** Every host that there are credentials for, by the name in keys. */
export interface OpenHosts {
  readonly hosts: ReadonlyMap<string, HostAccess>;
  readonly tokens: ReadonlyMap<string, Tokens>;
  readonly reconcilable: ReadonlyMap<string, ReconcileHost>;
  /** Those that are reached as an App. */
  readonly deliveryLogs: ReadonlyMap<string, DeliveryLog>;
  readonly installations: ReadonlyMap<string, () => AsyncIterable<Installation>>;
  /** Whether the App has an installation on a host; false too where Everlog is no App. */
  readonly isInstalled: (host: string, installationId: number) => Promise<boolean>;
  /** What is left of the rate limit of the installation that has the least, by host. */
  readonly rateLimits: (now: Date) => ReadonlyMap<string, RateState>;
  readonly close: () => Promise<void>;
}

/** Opens the hosts of the configuration; nothing is asked of them yet. */
export function openHosts(config: Config, now: () => Date, inSpan: InSpan = untraced): OpenHosts {
  const hosts = new Map<string, HostAccess>();
  const reconcilable = new Map<string, ReconcileHost>();
  const tokens = new Map<string, Tokens>();
  const deliveryLogs = new Map<string, DeliveryLog>();
  const rates = openLeastRates();
  const allInstallations = new Map<string, () => AsyncIterable<Installation>>();
  const apps = new Map<string, AppRequest>();
  const closers: (() => Promise<void>)[] = [];
  for (const { github, credentials } of config.hosts) {
    if (credentials === null) continue;
    const connections = openConnections(github, config.proxies);
    const hostTokens = openTokens(github, credentials, connections.dispatcher, now);
    const api = openApi(github, connections, hostTokens, now, (budget, state) =>
      rates.note(github.host, budget, state),
    );
    const access = { api, lookUpLog: (ref: LogRef) => lookUpLog(api, connections, ref, now) };
    hosts.set(github.host, tracedHost(access, inSpan));
    tokens.set(github.host, hostTokens);
    const appRequests =
      credentials.kind === 'app' ? openAppRequests(github, credentials, connections.dispatcher, now) : null;
    const installations = appRequests === null ? null : () => listInstallations(appRequests);
    reconcilable.set(github.host, { api, installations });
    if (appRequests !== null) apps.set(github.host, appRequests);
    if (installations !== null) allInstallations.set(github.host, installations);
    if (credentials.kind === 'app') {
      const requests = openRawAppRequests(github, credentials, connections.dispatcher, now);
      deliveryLogs.set(github.host, openDeliveryLog(github, requests));
    }
    closers.push(() => connections.close());
  }
  return {
    hosts,
    tokens,
    reconcilable,
    deliveryLogs,
    installations: allInstallations,
    async isInstalled(host, installationId) {
      const request = apps.get(host);
      return request !== undefined && (await isInstalled(request, installationId));
    },
    rateLimits: (at) => rates.least(at),
    async close() {
      await Promise.all(closers.map((close) => close()));
    },
  };
}
