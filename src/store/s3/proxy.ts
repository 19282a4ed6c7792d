import { Agent as HttpAgent, type ClientRequest } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { Agent, type AgentConnectOpts } from 'agent-base';
import { HttpProxyAgent } from 'http-proxy-agent';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { proxyFor, type ProxySettings } from '../../proxies.ts';

/** Connections to the store by way of a proxy, where the environment names one and does not except the store's host. */

/** Above any concurrency set, as the store's own agents have it. */
const CONNECTIONS_MAX = 512;
const HTTPS_PORT = 443;
const HTTP_PORT = 80;

/** Agents for the store's client; undefined where no proxy is set, so that the client keeps its own. */
export function proxyAgents(proxies: ProxySettings): { http: HttpAgent; https: HttpsAgent } | undefined {
  if (proxies.httpProxy === null && proxies.httpsProxy === null) return undefined;
  const agent = new ProxyingAgent(proxies);
  return { http: agent, https: agent };
}

class ProxyingAgent extends Agent {
  private readonly proxies: ProxySettings;
  private readonly straight = {
    http: new HttpAgent({ keepAlive: true, maxSockets: CONNECTIONS_MAX }),
    https: new HttpsAgent({ keepAlive: true, maxSockets: CONNECTIONS_MAX }),
  };
  private readonly byProxy = new Map<string, HttpProxyAgent<string> | HttpsProxyAgent<string>>();

  constructor(proxies: ProxySettings) {
    super({ keepAlive: true, maxSockets: CONNECTIONS_MAX });
    this.proxies = proxies;
  }

  /** Called by agent-base for every new connection. */
  connect(_request: ClientRequest, options: AgentConnectOpts): HttpAgent {
    const host = options.host ?? 'localhost';
    const port = options.port ?? (options.secureEndpoint ? HTTPS_PORT : HTTP_PORT);
    const proxy = proxyFor(options.secureEndpoint, host, port, this.proxies);
    if (proxy === null) return options.secureEndpoint ? this.straight.https : this.straight.http;
    const key = `${options.secureEndpoint} ${proxy}`;
    const known = this.byProxy.get(key);
    if (known !== undefined) return known;
    const made = options.secureEndpoint ? new HttpsProxyAgent(proxy) : new HttpProxyAgent(proxy);
    this.byProxy.set(key, made);
    return made;
  }

  override destroy(): void {
    super.destroy();
    this.straight.http.destroy();
    this.straight.https.destroy();
    for (const agent of this.byProxy.values()) agent.destroy();
  }
}
