import { Agent, Dispatcher, Pool, ProxyAgent, type buildConnector } from 'undici';
import { proxyFor, type ProxySettings } from '../../proxies.ts';

const HTTPS_PORT = 443;
const HTTP_PORT = 80;

/** How connections are kept, whether direct or by way of a proxy. */
type PoolOptions = Pick<
  Agent.Options,
  'headersTimeout' | 'bodyTimeout' | 'keepAliveTimeout' | 'connections' | 'pipelining'
>;

/**
 * Sends each request straight or by way of a proxy, as `proxyFor` decides. Undici's own agent for this reads NO_PROXY
 * differently (no `*` beside other entries, no IPv6), and would send https requests to the proxy for http.
 */
export class ProxyDispatcher extends Dispatcher {
  private readonly straight: Agent;
  private readonly options: PoolOptions;
  private readonly proxies: ProxySettings;
  private readonly byProxy = new Map<string, ProxyAgent>();

  /** `connect` opens direct connections; a proxy resolves and connects by itself. */
  constructor(options: PoolOptions & { readonly connect: buildConnector.connector }, proxies: ProxySettings) {
    super();
    const { connect: _, ...pool } = options;
    this.straight = new Agent(options);
    this.options = pool;
    this.proxies = proxies;
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    return this.agentFor(options.origin).dispatch(options, handler);
  }

  override async close(): Promise<void> {
    await Promise.all([this.straight, ...this.byProxy.values()].map((agent) => agent.close()));
  }

  override async destroy(): Promise<void> {
    await Promise.all([this.straight, ...this.byProxy.values()].map((agent) => agent.destroy()));
  }

  private agentFor(origin: string | URL | undefined): Agent | ProxyAgent {
    if (origin === undefined) return this.straight;
    const { protocol, hostname, port } = new URL(origin);
    const secure = protocol === 'https:';
    const number = port === '' ? (secure ? HTTPS_PORT : HTTP_PORT) : Number(port);
    const proxy = proxyFor(secure, hostname, number, this.proxies);
    if (proxy === null) return this.straight;
    const known = this.byProxy.get(proxy);
    if (known !== undefined) return known;
    const made = proxyAgent(proxy, this.options);
    this.byProxy.set(proxy, made);
    return made;
  }
}

function proxyAgent(proxy: string, options: PoolOptions): ProxyAgent {
  const url = new URL(proxy);
  const token = basicToken(url);
  url.username = '';
  url.password = '';
  return new ProxyAgent({
    ...options,
    uri: url.href,
    ...(token === null ? {} : { token }),
    // Proxies allow tunnels to 443 and few other ports: what is not encrypted is forwarded, as every client does it.
    proxyTunnel: false,
    factory: (origin, further: object) => new Pool(origin, { ...options, ...further }),
  });
}

/** Undici sends a user only together with a password. */
function basicToken({ username, password }: URL): string | null {
  if (username === '') return null;
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return `Basic ${Buffer.from(pair).toString('base64')}`;
}
