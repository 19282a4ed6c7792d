import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { serveApi } from './api/api-server.ts';
import { IssuedCredentials } from './api/credentials.ts';
import { Deliveries } from './deliveries.ts';
import { Faults } from './faults.ts';
import type { Hub } from './hub.ts';
import { isSameOriginLogPath, LinkSigner, logPath, serveLog } from './logs/log-host.ts';
import { People } from './people.ts';
import { seededRandom } from './random.ts';
import { RateLimits } from './api/rate-limits.ts';
import type { RateLimit } from './api/rate-limits.ts';
import { RequestLog } from './request-log.ts';
import { World } from './world.ts';

export interface SimulatorOptions {
  /** Address to bind; default 127.0.0.1. */
  host?: string;
  /** Ports; default 0, any free one. */
  apiPort?: number;
  logPort?: number;
  appId?: number;
  /** Default: a random one. */
  webhookSecret?: string;
  webhookUrl?: string;
  /** Milliseconds since the epoch. */
  now?: () => number;
  /** The same seed gives the same logs and the same chances. */
  seed?: number;
  /** `''`, or `/api/v3` as on GitHub Enterprise Server. */
  apiPrefix?: string;
  /** How long a log link works; default one minute. */
  linkLifetimeMs?: number;
  /** Per installation; null: no limit and no headers, as on GitHub Enterprise Server. Default 15,000 an hour. */
  rateLimit?: RateLimit | null;
  /** Serve logs on the API's origin, as GitHub Enterprise Server does. */
  sameOriginLogs?: boolean;
  /** The App's private key; default: a new RSA key of 2048 bits. */
  privateKeyPem?: string;
  /** A personal access token that is accepted besides the App's tokens and sees every repository. */
  acceptToken?: string;
}

/** A running simulated GitHub. */
export interface Simulator {
  apiUrl: string;
  /** Origin of the log links. */
  logOrigin: string;
  appId: number;
  privateKeyPem: string;
  webhookSecret: string;
  world: World;
  faults: Faults;
  deliveries: Deliveries;
  requests: RequestLog;
  rateLimits: RateLimits;
  credentials: IssuedCredentials;
  people: People;
  /** Ends every connection, hanging ones too. */
  close(): Promise<void>;
}

const LINK_LIFETIME_MS = 60_000;
const RATE_LIMIT: RateLimit = { limit: 15_000, windowMs: 3_600_000 };

function newPrivateKey(): string {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
}

async function listen(server: Server, host: string, port: number): Promise<string> {
  server.listen(port, host);
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The simulator listens on no port');
  return `http://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`;
}

async function stop(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
}

type Serve = (incoming: IncomingMessage, response: ServerResponse) => Promise<void>;

/** A mistake in the simulated world is shown to whoever asked, not mistaken for one of GitHub's failures. */
function showFailure(response: ServerResponse, error: unknown): void {
  if (response.headersSent) response.destroy();
  else
    response.writeHead(500, { 'content-type': 'text/plain' }).end(`The simulator failed: ${String(error)}`);
}

/** A server whose handler is known only once its own address is. */
function lateServer(): { server: Server; serveWith(serve: Serve): void } {
  let serve: Serve | null = null;
  const server = createServer((incoming, response) => {
    serve?.(incoming, response).catch((error: unknown) => showFailure(response, error));
  });
  return {
    server,
    serveWith(given) {
      serve = given;
    },
  };
}

/**
 * Starts a GitHub on this machine: its API, its log host on another port, its webhook. Rejects if a port is taken.
 * Everything in it is made up; its signatures, tokens, limits and failures work like the real ones.
 */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const { host = '127.0.0.1', appId = 1, now = Date.now, seed = 1, apiPrefix = '', acceptToken } = options;
  const privateKeyPem = options.privateKeyPem ?? newPrivateKey();
  const webhookSecret = options.webhookSecret ?? randomBytes(24).toString('base64url');
  const [api, logs] = [lateServer(), lateServer()];
  const webUrl = await listen(api.server, host, options.apiPort ?? 0);
  const remoteLogs = await listen(logs.server, host, options.logPort ?? 0).catch(async (error: unknown) => {
    await stop(api.server);
    throw error;
  });
  const sameOrigin = options.sameOriginLogs === true;
  const logOrigin = sameOrigin ? webUrl : remoteLogs;
  const links = { apiUrl: webUrl + apiPrefix, webUrl };
  const random = seededRandom(seed);
  const world = new World(now, seed);
  const signer = new LinkSigner();
  const url = options.webhookUrl ?? null;
  const hub: Hub = {
    appId,
    privateKeyPem,
    apiPrefix,
    world,
    credentials: new IssuedCredentials({
      appId,
      privateKeyPem,
      now,
      ...(acceptToken === undefined ? {} : { acceptToken }),
    }),
    people: new People(),
    rateLimits: new RateLimits(options.rateLimit === undefined ? RATE_LIMIT : options.rateLimit, now),
    faults: new Faults(random),
    requests: new RequestLog(),
    deliveries: new Deliveries({ world, links, appId, secret: webhookSecret, url, now, random }),
    links,
    now,
    signedLink(job) {
      const path = logPath(job, sameOrigin);
      return `${logOrigin}${path}?${signer.query(path, now(), options.linkLifetimeMs ?? LINK_LIFETIME_MS)}`;
    },
  };
  api.serveWith((incoming, response) => {
    const isLog = sameOrigin && isSameOriginLogPath(incoming.url ?? '');
    return isLog ? serveLog(hub, signer, incoming, response) : serveApi(hub, incoming, response);
  });
  logs.serveWith((incoming, response) => serveLog(hub, signer, incoming, response));
  const { faults, deliveries, requests, rateLimits, credentials, people } = hub;
  const settings = { apiUrl: links.apiUrl, logOrigin, appId, privateKeyPem, webhookSecret };
  const parts = { world, faults, deliveries, requests, rateLimits, credentials, people };
  return {
    ...settings,
    ...parts,
    async close() {
      await Promise.all([stop(api.server), stop(logs.server)]);
      await deliveries.settle();
    },
  };
}
