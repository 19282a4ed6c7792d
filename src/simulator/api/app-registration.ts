import { z } from 'zod';
import type { ApiRequest, Hub, Route } from '../hub.ts';
import { errorAnswer, jsonAnswer, type Answer } from './answer.ts';
import { accountObject } from './rest-objects.ts';

/** What the App proves itself with where people log in. */
export const CLIENT_SECRET = 'a client secret of the simulated GitHub';

/** Codes that were exchanged: each is good once. */
const EXCHANGED = new WeakMap<Hub, Set<string>>();

function convertManifest({ hub, params }: ApiRequest): Answer {
  const code = params['code'] ?? '';
  const exchanged = EXCHANGED.get(hub) ?? new Set<string>();
  EXCHANGED.set(hub, exchanged);
  if (!code.startsWith('code-') || exchanged.has(code)) return errorAnswer(404, 'Not Found');
  exchanged.add(code);
  return jsonAnswer(201, {
    id: hub.appId,
    slug: 'everlog-simulated',
    name: 'Everlog (simulated)',
    client_id: hub.credentials.clientId,
    client_secret: CLIENT_SECRET,
    webhook_secret: null,
    pem: hub.privateKeyPem,
    html_url: `${hub.links.webUrl}/apps/everlog-simulated`,
    owner: accountObject({ login: 'octo-org', id: 9_919, type: 'Organization' }, hub.links),
  });
}

const hookConfigSchema = z.looseObject({
  url: z.url().optional(),
  content_type: z.enum(['json', 'form']).optional(),
  secret: z.string().optional(),
  insecure_ssl: z.union([z.string(), z.number()]).optional(),
});

type HookConfigBody = z.infer<typeof hookConfigSchema>;

/** What was set of each webhook, beside where it sends and how it signs. */
const HOOKS = new WeakMap<Hub, HookConfigBody>();

function showHookConfig({ hub }: ApiRequest): Answer {
  return jsonAnswer(200, {
    content_type: 'json',
    insecure_ssl: '0',
    ...HOOKS.get(hub),
    secret: '********',
    ...(hub.deliveries.url === null ? {} : { url: hub.deliveries.url }),
  });
}

function updateHookConfig(request: ApiRequest): Answer {
  const { hub, body } = request;
  const parsed = hookConfigSchema.safeParse(body);
  if (!parsed.success) return errorAnswer(422, 'Validation Failed');
  hub.deliveries.configureHook(parsed.data);
  HOOKS.set(hub, { ...HOOKS.get(hub), ...parsed.data });
  return showHookConfig(request);
}

/** How an App comes to be by its manifest, and how it sets its webhook. */
export const registrationRoutes: readonly Route[] = [
  {
    name: 'manifest_conversion',
    method: 'POST',
    path: '/app-manifests/:code/conversions',
    access: 'open',
    handle: convertManifest,
  },
  { name: 'hook_config', method: 'GET', path: '/app/hook/config', access: 'app', handle: showHookConfig },
  { name: 'hook_config', method: 'PATCH', path: '/app/hook/config', access: 'app', handle: updateHookConfig },
];
