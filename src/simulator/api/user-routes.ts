import { z } from 'zod';
import type { ApiRequest, Route } from '../hub.ts';
import { CLIENT_SECRET } from './app-registration.ts';
import { errorAnswer, jsonAnswer, type Answer } from './answer.ts';
import { accountObject } from './rest-objects.ts';

/** A person's browser, sent by a page that wants to know them; who is signed in agrees at once. */
function authorize({ hub, query }: ApiRequest): Answer {
  const [redirect, state, challenge] = ['redirect_uri', 'state', 'code_challenge'].map(
    (name) => query.get(name) ?? '',
  );
  const isAsked = query.get('client_id') === hub.credentials.clientId && URL.canParse(redirect ?? '');
  if (!isAsked || query.get('code_challenge_method') !== 'S256') return errorAnswer(404, 'Not Found');
  const url = new URL(redirect ?? '');
  const code = hub.people.agree(challenge ?? '', redirect ?? '');
  if (code === null) url.searchParams.set('error', 'access_denied');
  else url.searchParams.set('code', code);
  url.searchParams.set('state', state ?? '');
  return { status: 302, headers: { location: url.href }, body: '' };
}

const exchangeSchema = z.looseObject({
  client_id: z.string(),
  client_secret: z.string(),
  code: z.string(),
  code_verifier: z.string(),
  redirect_uri: z.string(),
});

/** GitHub answers 200 also to what it refuses here. */
function exchangeCode({ hub, body }: ApiRequest): Answer {
  const { data } = exchangeSchema.safeParse(body);
  const isOurs = data?.client_id === hub.credentials.clientId && data.client_secret === CLIENT_SECRET;
  const token = isOurs ? hub.people.exchange(data.code, data.code_verifier, data.redirect_uri) : null;
  return jsonAnswer(
    200,
    token === null
      ? { error: 'bad_verification_code', error_description: 'The code passed is incorrect or expired.' }
      : { access_token: token, token_type: 'bearer', scope: '' },
  );
}

function showUser({ hub, caller }: ApiRequest): Answer {
  if (caller.kind !== 'user') return errorAnswer(403, 'Resource not accessible by integration');
  const { login, id } = caller.person;
  return jsonAnswer(200, accountObject({ login, id, type: 'User' }, hub.links));
}

/** How people log in at a page of the App, and what it learns of them. */
export const userRoutes: readonly Route[] = [
  { name: 'authorize', method: 'GET', path: '/login/oauth/authorize', access: 'open', handle: authorize },
  {
    name: 'user_token',
    method: 'POST',
    path: '/login/oauth/access_token',
    access: 'open',
    handle: exchangeCode,
  },
  { name: 'user', method: 'GET', path: '/user', access: 'resource', handle: showUser },
];
