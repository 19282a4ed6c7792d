/** Proxies as the environment names them (HTTPS_PROXY, HTTP_PROXY, NO_PROXY in either case). */
export interface ProxySettings {
  readonly httpProxy: string | null;
  readonly httpsProxy: string | null;
  readonly noProxy: string | null;
}

/**
 * The proxy for a request, or null when it goes straight to its host. NO_PROXY is read as curl does: `*`, or names separated by
 * commas or blanks, each with an optional port; a name stands for itself and everything below it.
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
  const [, wanted = '', wantedPort] =
    /^\[?([^\]]*?)\]?(?::(\d+))?$/.exec(
      /:.*:/.test(entry) && !entry.startsWith('[') ? `[${entry}]` : entry,
    ) ?? [];
  if (wantedPort !== undefined && Number(wantedPort) !== port) return false;
  const bare = wanted.replace(/^\*?\./, '');
  return name === bare || name.endsWith(`.${bare}`);
}
