import { BlockList, isIP } from 'node:net';

/** Proxies as the environment names them (HTTPS_PROXY, HTTP_PROXY, NO_PROXY in either case). */
export interface ProxySettings {
  readonly httpProxy: string | null;
  readonly httpsProxy: string | null;
  readonly noProxy: string | null;
}

/**
 * The proxy for a request, or null when it goes straight to its host. NO_PROXY is read as curl does: `*`, or names separated by
 * commas or blanks, each with an optional port; a name stands for itself and everything below it, and a range such as
 * `10.0.0.0/8` for the addresses in it.
 */
export function proxyFor(secure: boolean, host: string, port: number, proxies: ProxySettings): string | null {
  const proxy = secure ? proxies.httpsProxy : proxies.httpProxy;
  if (proxy === null) return null;
  const name = host.toLowerCase().replace(/^\[|\]$/g, '');
  const excepted = (proxies.noProxy ?? '')
    .toLowerCase()
    .split(/[\s,]+/)
    .some((entry) => covers(entry, name, port));
  return excepted ? null : proxy;
}

function covers(entry: string, name: string, port: number): boolean {
  if (entry === '') return false;
  if (entry === '*') return true;
  if (entry.includes('/')) return inRange(entry, name);
  const [, wanted = '', wantedPort] =
    /^\[?([^\]]*?)\]?(?::(\d+))?$/.exec(
      /:.*:/.test(entry) && !entry.startsWith('[') ? `[${entry}]` : entry,
    ) ?? [];
  if (wantedPort !== undefined && Number(wantedPort) !== port) return false;
  const bare = wanted.replace(/^\*?\./, '');
  return name === bare || name.endsWith(`.${bare}`);
}

/** Ranges cover addresses only: a name is not resolved to be compared with them. */
function inRange(range: string, name: string): boolean {
  const [address = '', digits = ''] = range.split('/');
  const version = isIP(address);
  const prefix = /^\d{1,3}$/.test(digits) ? Number(digits) : Number.NaN;
  if (version === 0 || isIP(name) !== version || !(prefix <= (version === 6 ? 128 : 32))) return false;
  const list = new BlockList();
  const family = version === 6 ? 'ipv6' : 'ipv4';
  list.addSubnet(address, prefix, family);
  return list.check(name, family);
}
