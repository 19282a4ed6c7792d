import { isIP } from 'node:net';
import { giveUp } from '../../errors.ts';
import type { AddressRule } from '../network/addresses.ts';
import type { GitHubHost } from '../host.ts';

/**
 * Where a log redirect may lead. The `Location` header is judged before anything is sent: scheme, credentials, host and
 * port against the allow-list of its GitHub host, and literal addresses by the address rule. Messages name the host
 * only, as the rest of the link is a signature.
 */

/** Patterns of `host[:port]` with `*` for one or more labels, `#` for digits, by product (github-facts §3). */
const PUBLIC_LOG_HOSTS: Readonly<Record<GitHubHost['product'], readonly string[]>> = {
  'github.com': ['productionresultssa#.blob.core.windows.net', '*.actions.githubusercontent.com'],
  'ghe.com': ['*.blob.core.windows.net', '*.actions.githubusercontent.com'],
  ghes: [],
};

/**
 * Judges a redirect's target.
 * @throws EverlogError `log_host_refused` (give up) that names the host and the variable that would allow it.
 */
export function checkLogLocation(location: string, base: URL, host: GitHubHost, addresses: AddressRule): URL {
  const api = new URL(host.apiUrl);
  if (!URL.canParse(location, base.href)) throw refused('the redirect is not a URL', host);
  const target = new URL(location, base.href);
  if (target.protocol !== 'https:' && !(target.protocol === 'http:' && api.protocol === 'http:')) {
    throw refused(`scheme ${target.protocol} is not https`, host);
  }
  if (target.username !== '' || target.password !== '') throw refused('the link carries credentials', host);
  if (!isListed(target, api, host)) {
    const name = printableHost(target);
    throw refused(`log host ${name} is not known: if it is yours, add it to EVERLOG_GITHUB_LOG_HOSTS`, host);
  }
  checkLiteralAddress(target, addresses, host);
  return target;
}

/**
 * Judges a URL whose host is an address rather than a name; names are judged when they are resolved.
 * @throws EverlogError `address_refused` (give up).
 */
export function checkLiteralAddress(target: URL, addresses: AddressRule, host: GitHubHost): void {
  const literal = target.hostname.replace(/^\[|\]$/g, '');
  if (isIP(literal) === 0) return;
  const verdict = addresses.judge(literal);
  if (verdict !== 'allowed') throw addressRefused(literal, literal, verdict, host);
}

/** The error for an address that Everlog must not connect to. */
export function addressRefused(
  name: string,
  address: string,
  verdict: 'private' | 'metadata',
  host: GitHubHost,
): Error {
  const cure =
    verdict === 'metadata'
      ? 'metadata services are never allowed'
      : 'if it is yours, add its range to EVERLOG_GITHUB_PRIVATE_CIDRS';
  return giveUp(
    'address_refused',
    `${host.name}: ${name} resolves to ${address}, a ${verdict} address: ${cure}`,
  );
}

/** Whether `text` is a `host[:port]` pattern as EVERLOG_GITHUB_LOG_HOSTS takes it. */
export function isLogHostPattern(text: string): boolean {
  return /^(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i.test(text);
}

function isListed(target: URL, api: URL, host: GitHubHost): boolean {
  if (host.product === 'ghes' && target.host === api.host && target.protocol === api.protocol) return true;
  const own = host.product === 'ghe.com' ? [`*.${host.host}`] : [];
  const patterns = [...PUBLIC_LOG_HOSTS[host.product], ...own, ...host.logHosts];
  const port = target.port === '' ? defaultPort(target.protocol) : target.port;
  return patterns.some((pattern) =>
    matchesPattern(pattern.toLowerCase(), target.hostname, port, defaultPort(api.protocol)),
  );
}

/** Without a port a pattern means 443, or 80 where the API URL is http. */
function matchesPattern(pattern: string, hostname: string, port: string, portMeant: string): boolean {
  const [, name = '', portGiven] = /^(.*?)(?::(\d+))?$/.exec(pattern.startsWith('[') ? '' : pattern) ?? [];
  if (pattern.startsWith('['))
    return pattern === `${hostname}:${port}` || (pattern === hostname && port === portMeant);
  if (port !== (portGiven ?? portMeant)) return false;
  const source = name
    .split('')
    .map((char) =>
      char === '*' ? '(?:[a-z0-9_-]+\\.)*[a-z0-9_-]+' : char === '#' ? '[0-9]+' : escapedCharacter(char),
    )
    .join('');
  return new RegExp(`^${source}$`).test(hostname);
}

function escapedCharacter(char: string): string {
  return /[a-z0-9_]/.test(char) ? char : `\\${char}`;
}

function defaultPort(protocol: string): string {
  return protocol === 'http:' ? '80' : '443';
}

/** A host from outside, fit for a message. */
function printableHost(target: URL): string {
  return target.host.replace(/[^A-Za-z0-9.:[\]_-]/g, '?').slice(0, 255);
}

function refused(why: string, host: GitHubHost): Error {
  return giveUp('log_host_refused', `${host.name}: log redirect refused: ${why}`);
}
