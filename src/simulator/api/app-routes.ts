import { z } from 'zod';
import { errorAnswer, jsonAnswer, notFound } from './answer.ts';
import type { Answer } from './answer.ts';
import type { InstallationFacts, Repository } from '../facts.ts';
import type { ApiRequest, Hub, Route } from '../hub.ts';
import { registrationRoutes } from './app-registration.ts';
import { linkTo, pageItems, paginate } from './pagination.ts';
import { accountObject, installationObject, repositoryObject } from './rest-objects.ts';

const REPOSITORIES_PER_TOKEN = 500;

const tokenRequestSchema = z.object({
  permissions: z.record(z.string(), z.string()).optional(),
  repository_ids: z.array(z.number().int()).max(REPOSITORIES_PER_TOKEN).optional(),
  repositories: z.array(z.string()).max(REPOSITORIES_PER_TOKEN).optional(),
});

function findInstallation(request: ApiRequest): InstallationFacts | null {
  const installation = request.hub.world.installations.get(Number(request.params['installationId']));
  return installation === undefined || installation.deleted ? null : installation;
}

function installationAnswer(hub: Hub, installation: InstallationFacts | null | undefined): Answer {
  if (installation === null || installation === undefined || installation.deleted) return notFound();
  return jsonAnswer(200, installationObject(installation, hub.appId, hub.links));
}

function createToken(request: ApiRequest): Answer {
  const { hub } = request;
  const installation = findInstallation(request);
  if (installation === null) return notFound();
  if (installation.suspendedAt !== null) return errorAnswer(403, 'This installation has been suspended');
  const parsed = tokenRequestSchema.safeParse(request.body ?? {});
  if (!parsed.success) return errorAnswer(422, 'Validation Failed');
  const { permissions = installation.permissions, repositories, repository_ids } = parsed.data;
  const excess = Object.keys(permissions).some((name) => installation.permissions[name] === undefined);
  if (excess) return errorAnswer(422, 'The permissions requested are not granted to this installation.');
  const mine = [...hub.world.repositories.values()].filter((each) => each.installationId === installation.id);
  const wanted = [...(repository_ids ?? []), ...(repositories ?? [])];
  const chosen = mine.filter((each) => wanted.includes(each.id) || wanted.includes(each.name));
  if (chosen.length < wanted.length) {
    return errorAnswer(
      422,
      'There is at least one repository that does not exist or is not accessible to the parent installation.',
    );
  }
  const repositoryIds = wanted.length === 0 ? null : chosen.map((each) => each.id);
  const { token, grant } = hub.credentials.issue({
    installationId: installation.id,
    repositoryIds,
    permissions,
  });
  return jsonAnswer(201, {
    token,
    expires_at: new Date(grant.expiresAtMs).toISOString().replace(/\.\d{3}Z$/, 'Z'),
    permissions,
    repository_selection: repositoryIds === null ? 'all' : 'selected',
    ...(repositoryIds === null
      ? {}
      : { repositories: chosen.map((each) => repositoryObject(each, installation, hub.links)) }),
  });
}

function showApp({ hub }: ApiRequest): Answer {
  return jsonAnswer(200, {
    id: hub.appId,
    slug: 'everlog-simulated',
    client_id: hub.credentials.clientId,
    name: 'Everlog (simulated)',
    owner: accountObject({ login: 'octo-org', id: 9_919, type: 'Organization' }, hub.links),
    html_url: `${hub.links.webUrl}/apps/everlog-simulated`,
    permissions: hub.world.app.permissions,
    events: hub.world.app.events,
    installations_count: hub.world.installations.size,
  });
}

function installationsAnswer({ hub, query, path }: ApiRequest): Answer {
  const present = [...hub.world.installations.values()].filter((each) => !each.deleted);
  const page = paginate(present, query, `${hub.links.apiUrl}${path}`);
  return jsonAnswer(
    200,
    page.items.map((each) => installationObject(each, hub.appId, hub.links)),
    page.headers,
  );
}

function showRepositoryInstallation({ hub, params }: ApiRequest): Answer {
  const named = hub.world.repositoryByName(params['owner'] ?? '', params['repo'] ?? '');
  if (named === null) return notFound();
  if (named.moved) {
    const location = `${hub.links.apiUrl}/repositories/${named.repository.id}/installation`;
    return jsonAnswer(301, { message: 'Moved Permanently', url: location }, { location });
  }
  return installationAnswer(hub, hub.world.installations.get(named.repository.installationId));
}

function showInstallationById({ hub, params }: ApiRequest): Answer {
  const repository = hub.world.repositories.get(Number(params['repositoryId']));
  return installationAnswer(hub, hub.world.installations.get(repository?.installationId ?? -1));
}

function showAccountInstallation({ hub, params }: ApiRequest): Answer {
  const login = params['account']?.toLowerCase();
  const all = [...hub.world.installations.values()];
  return installationAnswer(
    hub,
    all.find((each) => !each.deleted && each.account.login.toLowerCase() === login),
  );
}

/** Whether a caller with a token may see a repository. */
export function mayRead(request: ApiRequest, repository: Repository): boolean {
  const { caller } = request;
  if (caller.kind === 'token') return true;
  if (caller.kind === 'user') return caller.person.sees.has(repository.id);
  if (caller.kind !== 'installation' || caller.grant.installationId !== repository.installationId)
    return false;
  return caller.grant.repositoryIds?.includes(repository.id) ?? true;
}

function repositoriesAnswer(request: ApiRequest): Answer {
  const { hub, query, path } = request;
  if (request.caller.kind !== 'installation')
    return errorAnswer(
      403,
      'You must authenticate with an installation access token in order to list repositories for an installation.',
    );
  const visible = [...hub.world.repositories.values()].filter((each) => mayRead(request, each));
  const page = paginate(visible, query, `${hub.links.apiUrl}${path}`);
  const repositories = page.items.map((each) =>
    repositoryObject(each, hub.world.installations.get(each.installationId), hub.links),
  );
  return jsonAnswer(
    200,
    { total_count: visible.length, repository_selection: 'all', repositories },
    page.headers,
  );
}

function listDeliveries({ hub, query, path }: ApiRequest): Answer {
  const cursor = /^v1_(\d+)$/.exec(query.get('cursor') ?? '')?.[1];
  const listed = hub.deliveries.list({
    status: query.get('status'),
    belowId: cursor === undefined ? null : Number(cursor),
  });
  const items = listed.slice(0, pageItems(query));
  const last = items.at(-1);
  const more = last !== undefined && listed.length > items.length;
  const link = more
    ? { link: linkTo(`${hub.links.apiUrl}${path}`, query, { cursor: `v1_${last.id}` }, 'next') }
    : {};
  return jsonAnswer(
    200,
    items.map((each) => hub.deliveries.summary(each)),
    link,
  );
}

function showDelivery({ hub, params }: ApiRequest): Answer {
  const delivery = hub.deliveries.find(Number(params['deliveryId']));
  return delivery === null ? notFound() : jsonAnswer(200, hub.deliveries.details(delivery));
}

function redeliveryAnswer({ hub, params }: ApiRequest): Answer {
  const delivery = hub.deliveries.find(Number(params['deliveryId']));
  if (delivery === null) return notFound();
  hub.deliveries.redeliverLater(delivery.id);
  return jsonAnswer(202, {});
}

function showVersions({ hub }: ApiRequest): Answer {
  return hub.world.apiVersions === null ? notFound() : jsonAnswer(200, hub.world.apiVersions);
}

/** The bucket that a caller's requests count against. */
export function rateLimitKey(request: Pick<ApiRequest, 'caller'>): string {
  return request.caller.kind === 'installation'
    ? String(request.caller.grant.installationId)
    : request.caller.kind;
}

function showRateLimit(request: ApiRequest): Answer {
  const core = request.hub.rateLimits.state(rateLimitKey(request));
  return core === null
    ? errorAnswer(404, 'Rate limiting is not enabled.')
    : jsonAnswer(200, { resources: { core }, rate: core });
}

function showMeta(): Answer {
  return jsonAnswer(200, { hooks: ['127.0.0.0/8'], domains: { actions: ['127.0.0.1'] } });
}

/** Routes that are not about one repository. */
export const appRoutes: readonly Route[] = [
  {
    name: 'token',
    method: 'POST',
    path: '/app/installations/:installationId/access_tokens',
    access: 'app',
    handle: createToken,
  },
  { name: 'app', method: 'GET', path: '/app', access: 'app', handle: showApp },
  {
    name: 'app_installations',
    method: 'GET',
    path: '/app/installations',
    access: 'app',
    handle: installationsAnswer,
  },
  {
    name: 'app_installation',
    method: 'GET',
    path: '/app/installations/:installationId',
    access: 'app',
    handle: (request) => installationAnswer(request.hub, findInstallation(request)),
  },
  {
    name: 'repo_installation',
    method: 'GET',
    path: '/repos/:owner/:repo/installation',
    access: 'app',
    handle: showRepositoryInstallation,
  },
  {
    name: 'repo_installation',
    method: 'GET',
    path: '/repositories/:repositoryId/installation',
    access: 'app',
    handle: showInstallationById,
  },
  {
    name: 'org_installation',
    method: 'GET',
    path: '/orgs/:account/installation',
    access: 'app',
    handle: showAccountInstallation,
  },
  {
    name: 'user_installation',
    method: 'GET',
    path: '/users/:account/installation',
    access: 'app',
    handle: showAccountInstallation,
  },
  {
    name: 'installation_repositories',
    method: 'GET',
    path: '/installation/repositories',
    access: 'resource',
    handle: repositoriesAnswer,
  },
  {
    name: 'hook_deliveries',
    method: 'GET',
    path: '/app/hook/deliveries',
    access: 'app',
    handle: listDeliveries,
  },
  {
    name: 'hook_delivery',
    method: 'GET',
    path: '/app/hook/deliveries/:deliveryId',
    access: 'app',
    handle: showDelivery,
  },
  {
    name: 'hook_attempt',
    method: 'POST',
    path: '/app/hook/deliveries/:deliveryId/attempts',
    access: 'app',
    handle: redeliveryAnswer,
  },
  ...registrationRoutes,
  { name: 'versions', method: 'GET', path: '/versions', access: 'open', handle: showVersions },
  { name: 'rate_limit', method: 'GET', path: '/rate_limit', access: 'open', handle: showRateLimit },
  { name: 'meta', method: 'GET', path: '/meta', access: 'open', handle: showMeta },
];
