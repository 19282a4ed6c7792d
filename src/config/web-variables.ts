import { isCidr } from '../github/network/addresses.ts';
import type { QueueUrl } from '../queue/queue-url.ts';
import type { Variables } from './variables.ts';

/** The web page: where it listens, how people reach it, and who may look. */
export interface WebSettings {
  /** Null where it is off, or where nothing was said: see `isListenSet`. */
  readonly listen: { readonly host: string; readonly port: number } | null;
  /** Whether `EVERLOG_WEB_LISTEN` says anything; where it does not, embedded `up` and `web` listen on 127.0.0.1:3001. */
  readonly isListenSet: boolean;
  /** The address by which people reach it, without a slash at its end; null where it is the one it listens on. */
  readonly url: string | null;
  readonly auth: WebAuth | null;
}

export type WebAuth =
  | { readonly kind: 'loopback' }
  | {
      readonly kind: 'proxy';
      readonly cidrs: readonly string[];
      readonly header: string;
      readonly secret: string;
    }
  | {
      readonly kind: 'github';
      readonly clientId: string;
      readonly clientSecret: string;
      /** Signs cookies and encrypts tokens. */
      readonly secret: string;
      /** Ids of users who may read what GitHub no longer has. */
      readonly auditors: readonly number[];
    };

/** Where the page listens when nothing is said. */
export const WEB_LISTEN = { host: '127.0.0.1', port: 3001 } as const;
/** A shorter secret can be guessed. */
const SECRET_CHARACTERS_MIN = 32;
const HEADER = 'X-Forwarded-User';
const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]{1,100}$/;
/** What a trusted proxy proves itself with. */
const SECRET_HEADER = 'x-everlog-proxy-secret';

/** Reads `EVERLOG_WEB_…`. */
export function readWeb(variables: Variables, queue: QueueUrl, listen: WebSettings['listen']): WebSettings {
  const isListenSet = variables.text('EVERLOG_WEB_LISTEN') !== null;
  const kind = variables.choice('EVERLOG_WEB_AUTH', ['none', 'loopback', 'proxy', 'github'], 'none');
  const url = variables.parsed<string | null>(
    'EVERLOG_WEB_URL',
    null,
    originOf,
    'an address such as https://logs.example.com',
  );
  const settings = { listen, isListenSet, url };
  if (kind === 'none') {
    if (listen !== null && isListenSet && queue.kind !== 'embedded')
      variables.problem(
        'EVERLOG_WEB_AUTH',
        'is missing: the web page needs github or proxy to know who may look',
      );
    return { ...settings, auth: queue.kind === 'embedded' ? loopback(variables, listen) : null };
  }
  if (kind === 'loopback') {
    if (queue.kind !== 'embedded')
      variables.problem(
        'EVERLOG_WEB_AUTH',
        'is loopback, which is for an embedded queue: use github or proxy',
      );
    return { ...settings, auth: loopback(variables, listen) };
  }
  return { ...settings, auth: kind === 'proxy' ? proxyAuth(variables) : githubAuth(variables) };
}

function loopback(variables: Variables, listen: WebSettings['listen']): WebAuth {
  const host = listen?.host ?? '127.0.0.1';
  if (!['127.0.0.1', '::1', 'localhost'].includes(host)) {
    variables.problem(
      'EVERLOG_WEB_LISTEN',
      'is not on this machine alone: the page has no login then; set EVERLOG_WEB_AUTH to github or proxy',
    );
  }
  return { kind: 'loopback' };
}

function proxyAuth(variables: Variables): WebAuth {
  const cidrs = variables.list(
    'EVERLOG_WEB_PROXY_CIDRS',
    isCidr,
    'address ranges separated by commas, such as 10.0.0.0/8',
  );
  const secret = secretOf(
    variables,
    'EVERLOG_WEB_PROXY_SECRET',
    'the proxy sends it in X-Everlog-Proxy-Secret',
  );
  if (cidrs.length === 0)
    variables.problem(
      'EVERLOG_WEB_PROXY_CIDRS',
      'is missing: it says from where the proxy connects, such as 10.0.0.7/32',
    );
  const header = variables.text('EVERLOG_WEB_PROXY_HEADER') ?? HEADER;
  // The secret would be everybody's name, and stand in custody.
  if (!HEADER_NAME.test(header) || header.toLowerCase() === SECRET_HEADER)
    variables.problem(
      'EVERLOG_WEB_PROXY_HEADER',
      'is no header that can name a person: give its name alone, such as X-Forwarded-User',
    );
  return { kind: 'proxy', cidrs, header, secret };
}

function githubAuth(variables: Variables): WebAuth {
  const clientId = variables.text('EVERLOG_GITHUB_CLIENT_ID') ?? '';
  const clientSecret = variables.secret('EVERLOG_GITHUB_CLIENT_SECRET') ?? '';
  if (clientId === '') variables.problem('EVERLOG_GITHUB_CLIENT_ID', 'is missing: it is on the App’s page');
  if (clientSecret === '')
    variables.problem('EVERLOG_GITHUB_CLIENT_SECRET', 'is missing: make one on the App’s page');
  if (variables.text('EVERLOG_WEB_URL') === null)
    variables.problem('EVERLOG_WEB_URL', 'is missing: GitHub sends people back there, to …/-/login/done');
  const isId = (word: string): boolean => /^[1-9]\d{0,14}$/.test(word);
  return {
    kind: 'github',
    clientId,
    clientSecret,
    secret: secretOf(variables, 'EVERLOG_WEB_SECRET', 'it signs cookies and encrypts tokens'),
    auditors: variables
      .list('EVERLOG_WEB_AUDITORS', isId, 'ids of GitHub users separated by commas')
      .map(Number),
  };
}

function secretOf(variables: Variables, name: string, why: string): string {
  const secret = variables.secret(name) ?? '';
  if (secret === '') variables.problem(name, `is missing: ${why}`);
  else if (secret.length < SECRET_CHARACTERS_MIN)
    variables.problem(
      name,
      `is too short: give at least ${SECRET_CHARACTERS_MIN} characters, such as openssl rand -hex 32`,
    );
  return secret;
}

function originOf(text: string): string | null {
  const url = URL.canParse(text) ? new URL(text) : null;
  const isHttp = url?.protocol === 'http:' || url?.protocol === 'https:';
  return isHttp && url.pathname === '/' && url.search === '' ? url.origin : null;
}
