import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { errorAnswer, faultAnswer, jsonAnswer, sendAnswer, waitFor } from './answer.ts';
import type { Answer } from './answer.ts';
import { appRoutes, rateLimitKey, mayRead } from './app-routes.ts';
import type { Caller } from './credentials.ts';
import type { FaultEffect, FaultSubject } from '../faults.ts';
import type { ApiRequest, Hub, Route } from '../hub.ts';
import { repositoryRoutes } from './repository-routes.ts';
import { userRoutes } from './user-routes.ts';

/** Far above any body that the simulated endpoints take. */
const BODY_LIMIT_BYTES = 1_048_576;

const MATCHERS = [...appRoutes, ...userRoutes, ...repositoryRoutes].map((route) => ({
  route,
  pattern: new RegExp(`^${route.path.replaceAll(/:(\w+)/g, '(?<$1>[^/]+)')}/?$`),
}));

function matchRoute(method: string, path: string): { route: Route; params: Record<string, string> } | null {
  for (const { route, pattern } of MATCHERS) {
    const groups = route.method === method ? pattern.exec(path)?.groups : undefined;
    if (groups !== undefined || (route.method === method && pattern.test(path))) {
      const decoded = Object.entries(groups ?? {}).map(
        ([name, value]) => [name, decodeURIComponent(value)] as const,
      );
      return { route, params: Object.fromEntries(decoded) };
    }
  }
  return null;
}

async function requestBody(incoming: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming) {
    const piece = Buffer.from(chunk);
    bytes += piece.length;
    if (bytes > BODY_LIMIT_BYTES) throw new Error('The body is too large for the simulator');
    chunks.push(piece);
  }
  if (bytes === 0) return null;
  if (incoming.headers['content-type'] === 'application/x-www-form-urlencoded')
    return Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString('utf8')));
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    return null;
  }
}

/** What is wrong with a request before anyone looks at what it asks for. */
function refusalOf(request: ApiRequest, incoming: IncomingMessage, route: Route): Answer | null {
  if (incoming.headers['user-agent'] === undefined) {
    return errorAnswer(
      403,
      'Request forbidden by administrative rules. Please make sure your request has a User-Agent header.',
    );
  }
  const version = incoming.headers['x-github-api-version'];
  const versions = request.hub.world.apiVersions;
  if (versions !== null && version !== undefined && !versions.includes(String(version))) {
    return errorAnswer(400, `"${String(version)}" is not a supported version of the GitHub REST API.`);
  }
  const { caller } = request;
  if (caller.kind === 'refused') return errorAnswer(caller.status, caller.message);
  if (route.access === 'open') return null;
  if (route.access === 'app') {
    return caller.kind === 'app' ? null : errorAnswer(401, 'A JSON web token could not be decoded');
  }
  if (caller.kind === 'app') return errorAnswer(403, 'Resource not accessible by integration');
  if (caller.kind === 'none') return errorAnswer(401, 'Requires authentication');
  if (caller.kind !== 'installation') return null;
  const installation = request.hub.world.installations.get(caller.grant.installationId);
  if (installation === undefined || installation.deleted) return errorAnswer(401, 'Bad credentials');
  return installation.suspendedAt === null ? null : errorAnswer(403, 'This installation has been suspended');
}

function answerRepository(request: ApiRequest, route: Extract<Route, { access: 'repository' }>): Answer {
  const { hub, params } = request;
  const id = params['repositoryId'];
  const byId = hub.world.repositories.get(Number(id ?? -1));
  const named =
    id === undefined
      ? hub.world.repositoryByName(params['owner'] ?? '', params['repo'] ?? '')
      : byId && { repository: byId, moved: false };
  if (!named || !mayRead(request, named.repository)) return errorAnswer(404, 'Not Found');
  if (named.moved) {
    const rest = request.path
      .split('/')
      .slice(4)
      .map((part) => `/${part}`)
      .join('');
    const query = request.query.size === 0 ? '' : `?${request.query.toString()}`;
    const location = `${hub.links.apiUrl}/repositories/${named.repository.id}${rest}${query}`;
    const documentation_url =
      'https://docs.github.com/rest/guides/best-practices-for-using-the-rest-api#follow-redirects';
    return jsonAnswer(301, { message: 'Moved Permanently', url: location, documentation_url }, { location });
  }
  const { caller } = request;
  if (
    route.name !== 'repo' &&
    caller.kind === 'installation' &&
    caller.grant.permissions['actions'] === undefined
  ) {
    return errorAnswer(403, 'Resource not accessible by integration');
  }
  return route.handle({ ...request, repository: named.repository });
}

async function answerRoute(request: ApiRequest, incoming: IncomingMessage, route: Route): Promise<Answer> {
  const refusal = refusalOf(request, incoming, route);
  if (refusal !== null) return refusal;
  const charge = request.hub.rateLimits.charge(rateLimitKey(request), route.name === 'rate_limit' ? 0 : 1);
  if (charge.exceeded && route.name !== 'rate_limit') {
    const whose =
      request.caller.kind === 'installation' ? `installation ID ${rateLimitKey(request)}` : 'this caller';
    return errorAnswer(403, `API rate limit exceeded for ${whose}.`, charge.headers);
  }
  const answer =
    route.access === 'repository' ? answerRepository(request, route) : await route.handle(request);
  return { ...answer, headers: { ...charge.headers, ...answer.headers } };
}

/** What faults may match: the job, run and installation that the request is about. */
function faultSubject(request: ApiRequest, route: Route): FaultSubject {
  const { params, caller, hub } = request;
  const given = (name: string) => (params[name] === undefined ? null : Number(params[name]));
  const jobId = given('jobId');
  const installationId =
    given('installationId') ?? (caller.kind === 'installation' ? caller.grant.installationId : null);
  const runId = given('runId') ?? hub.world.jobs.get(jobId ?? -1)?.facts.run_id ?? null;
  return { route: route.name, jobId, runId, installationId };
}

/** Notes the request, then answers it or breaks off as a fault says. */
async function finishExchange(
  exchange: { hub: Hub; incoming: IncomingMessage; response: ServerResponse; path: string; caller: Caller },
  outcome: {
    route: string;
    jobId: number | null;
    answer: Answer | 'reset' | 'hang';
    effect: FaultEffect | null;
  },
): Promise<void> {
  const { hub, incoming, response, path, caller } = exchange;
  const { route, jobId, answer, effect } = outcome;
  const status = typeof answer === 'string' ? 0 : answer.status;
  const method = incoming.method ?? 'GET';
  const entry = { origin: 'api', route, method, path, status, jobId, atMs: hub.now() } as const;
  hub.requests.add({ ...entry, authorization: caller.kind }, incoming.headers);
  if (answer === 'reset') incoming.socket.resetAndDestroy();
  if (typeof answer === 'string') return;
  const requestId = randomBytes(10)
    .toString('hex')
    .toUpperCase()
    .replaceAll(/(.{4})(?=.)/g, '$1:');
  // A caller whose clock is wrong learns GitHub's time from here.
  const date = new Date(hub.now()).toUTCString();
  const own = effect?.kind === 'page' ? {} : { server: 'github.com', 'x-github-request-id': requestId };
  const headers = { ...own, date, ...answer.headers };
  await sendAnswer(response, { ...answer, headers }, effect);
}

/** Serves one API request from beginning to end. */
export async function serveApi(hub: Hub, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  response.once('close', hub.requests.begin());
  const url = new URL(incoming.url ?? '/', hub.links.webUrl);
  const method = incoming.method ?? 'GET';
  const isLogin = url.pathname.startsWith('/login/oauth/');
  const inside = isLogin || url.pathname.startsWith(`${hub.apiPrefix}/`);
  const path = isLogin ? url.pathname : url.pathname.slice(hub.apiPrefix.length);
  const matched = inside ? matchRoute(method, path) : null;
  const { authorization } = incoming.headers;
  const person = hub.people.holderOf(authorization);
  const caller: Caller = person === null ? hub.credentials.identify(authorization) : { kind: 'user', person };
  const exchange = { hub, incoming, response, path: url.pathname, caller };
  if (matched === null) {
    incoming.resume();
    await finishExchange(exchange, {
      route: 'unknown',
      jobId: null,
      answer: errorAnswer(404, 'Not Found'),
      effect: null,
    });
    return;
  }
  const { route, params } = matched;
  const body = method === 'POST' || method === 'PATCH' ? await requestBody(incoming) : null;
  const request: ApiRequest = { method, path, query: url.searchParams, params, body, caller, hub };
  const subject = faultSubject(request, route);
  const { delayMs, effect } = hub.faults.take(subject);
  await waitFor(delayMs);
  const answer = faultAnswer(effect) ?? (await answerRoute(request, incoming, route));
  await finishExchange(exchange, { route: route.name, jobId: subject.jobId, answer, effect });
}
