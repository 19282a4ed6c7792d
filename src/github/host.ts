/**
 * What a GitHub deployment is to Everlog: its name, its API, and where its logs may come from. A host is taken from
 * configuration only, never from a request's header or a payload's URL.
 */

export type Product = 'github.com' | 'ghe.com' | 'ghes';

/** One configured GitHub deployment. */
export interface GitHubHost {
  /** Path segment of its own webhook address, and its name in messages. */
  readonly name: string;
  /** The web host in lower case without port: `github.com`, `sub.ghe.com`, or the API URL's hostname. */
  readonly host: string;
  readonly product: Product;
  /** Without a slash at the end. */
  readonly apiUrl: string;
  /** Further `host[:port]` patterns that a log redirect may name. */
  readonly logHosts: readonly string[];
  /** Private ranges that the API and log hosts may resolve to. */
  readonly privateCidrs: readonly string[];
  /** Requests to this host at once, in one process. */
  readonly maxConcurrency: number;
}

/** GitHub's secondary limit is 100 concurrent requests; staying below leaves room for a second process. */
export const CONCURRENT_REQUESTS_MAX = 90;
/** A GHES appliance has no rate limits of its own to protect it. */
export const GHES_CONCURRENT_REQUESTS_MAX = 10;

const GHE_COM_API = /^api\.([a-z0-9-]+)\.ghe\.com$/;

/** Product and host name of an API URL (CONTRACT, "Words"). */
export function identifyHost(apiUrl: URL): { product: Product; host: string } {
  const name = apiUrl.hostname.toLowerCase();
  if (name === 'api.github.com') return { product: 'github.com', host: 'github.com' };
  const [, subdomain] = GHE_COM_API.exec(name) ?? [];
  if (subdomain !== undefined) return { product: 'ghe.com', host: `${subdomain}.ghe.com` };
  return { product: 'ghes', host: name };
}
