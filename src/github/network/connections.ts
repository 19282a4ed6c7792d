import { lookup, type LookupAddress, type LookupAllOptions } from 'node:dns';
import { isIP } from 'node:net';
import { Agent, buildConnector, type Dispatcher } from 'undici';
import { EverlogError } from '../../errors.ts';
import { addressRule, type AddressRule } from './addresses.ts';
import type { ProxySettings } from '../../proxies.ts';
import type { GitHubHost } from '../host.ts';
import { addressRefused } from '../log/log-hosts.ts';
import { openPermits, type Permits } from '../permits.ts';
import { ProxyDispatcher } from './proxy-dispatcher.ts';

/**
 * Connections to one GitHub host and its log hosts. Direct connections go only to addresses that were judged when the
 * name was resolved. Behind a proxy the proxy resolves, so names are all that can be judged there.
 */

/** A TCP and TLS handshake takes a second at most; ten leave room for a bad network. */
const CONNECT_TIMEOUT_MS = 10_000;
/** An answer's headers; GitHub itself gives up after ten seconds. */
const HEADERS_TIMEOUT_MS = 30_000;
/** Silence within a body, after which the connection is taken for dead. */
const BODY_IDLE_TIMEOUT_MS = 30_000;
/** Idle connections are kept this long: new TLS connections cost 26 times a kept one (measured). */
const KEEP_ALIVE_MS = 30_000;

/** Finds all addresses of a name, as `dns.lookup` does. */
export type Resolve = (
  name: string,
  options: LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, found: LookupAddress[]) => void,
) => void;

export interface Connections {
  readonly dispatcher: Dispatcher;
  readonly addresses: AddressRule;
  /** To be held while a request is under way. */
  readonly permits: Permits;
  close(): Promise<void>;
}

/** Opens a pool of judged connections for one host. */
export function openConnections(
  host: GitHubHost,
  proxies: ProxySettings,
  resolve: Resolve = lookup,
): Connections {
  const addresses = addressRule(host.privateCidrs);
  const options = {
    connect: judgedConnector(host, addresses, resolve),
    headersTimeout: HEADERS_TIMEOUT_MS,
    bodyTimeout: BODY_IDLE_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connections: host.maxConcurrency,
    pipelining: 1,
  };
  const dispatcher =
    proxies.httpProxy === null && proxies.httpsProxy === null
      ? new Agent(options)
      : new ProxyDispatcher(options, proxies);
  const permits = openPermits(host.maxConcurrency);
  return { dispatcher, addresses, permits, close: () => dispatcher.destroy() };
}

function judgedConnector(
  host: GitHubHost,
  addresses: AddressRule,
  resolve: Resolve,
): buildConnector.connector {
  const connect = buildConnector({
    timeout: CONNECT_TIMEOUT_MS,
    lookup: (hostname, options, callback) => {
      resolve(hostname, { ...options, all: true }, (error, found) => {
        const refused = error ?? firstRefused(hostname, found, host, addresses);
        if (refused !== null) {
          callback(refused, []);
          return;
        }
        const [first] = found;
        // Node asks for one address where its user has turned the choice between families off.
        if (options.all !== true && first !== undefined) callback(null, first.address, first.family);
        else callback(null, found);
      });
    },
  });
  return (options, callback) => {
    const literal = options.hostname.replace(/^\[|\]$/g, '');
    const refused =
      isIP(literal) === 0 ? null : firstRefused(literal, [{ address: literal, family: 4 }], host, addresses);
    if (refused !== null) callback(refused, null);
    else connect(options, callback);
  };
}

/** One address that is not allowed is enough: a name that resolves to both is the shape of a rebinding attack. */
function firstRefused(
  name: string,
  found: readonly LookupAddress[],
  host: GitHubHost,
  addresses: AddressRule,
): Error | null {
  for (const { address } of found) {
    const verdict = addresses.judge(address);
    if (verdict !== 'allowed') return addressRefused(name, address, verdict, host);
  }
  return null;
}

/** The coded error inside what a connection failed with, where there is one. */
export function codedCause(error: unknown): EverlogError | null {
  let current: unknown = error;
  // A cause chain is a few links; the bound only guards against a cycle.
  for (let depth = 0; depth < 8 && current instanceof Error; depth += 1) {
    if (current instanceof EverlogError) return current;
    current = current.cause;
  }
  return null;
}
