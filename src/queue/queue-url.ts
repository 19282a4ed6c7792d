import { isIP } from 'node:net';
import type { RedisOptions } from 'ioredis';

/** Where EVERLOG_QUEUE_URL points. */
export type QueueUrl =
  | { readonly kind: 'embedded'; readonly folder: string }
  | { readonly kind: 'redis'; readonly options: RedisOptions; readonly location: string };

export type ParsedQueueUrl =
  { readonly ok: true; readonly url: QueueUrl } | { readonly ok: false; readonly problem: string };

/** Every key of a deployment begins so unless EVERLOG_QUEUE_PREFIX says otherwise. */
export const DEFAULT_PREFIX = 'everlog';
const PREFIX = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** What a prefix of keys is, for people. */
export const PREFIX_FORM = 'letters, digits, dot, dash and underscore, at most 64';

/** A prefix of keys; null for what would collide with the keys' own separators or with patterns. */
export function parseQueuePrefix(text: string): string | null {
  return PREFIX.test(text) ? text : null;
}

const FORMS =
  'embedded:FOLDER, redis://HOST:PORT, rediss://HOST:PORT or redis+sentinel://HOST:PORT,HOST:PORT/NAME';
const UNENCODED =
  'has characters that need percent encoding: write % as %25, # as %23, ? as %3F, / as %2F and @ as %40 in user and password';
const REDIS_PORT = 6379;
const SENTINEL_PORT = 26_379;

/** Parses EVERLOG_QUEUE_URL; problems never repeat the URL, as it may hold a password. */
export function parseQueueUrl(text: string): ParsedQueueUrl {
  const [, scheme = '', rest = ''] = /^([a-z+]+):(.*)$/s.exec(text) ?? [];
  switch (scheme) {
    case 'embedded':
      return rest === ''
        ? { ok: false, problem: 'embedded: names no folder' }
        : { ok: true, url: { kind: 'embedded', folder: rest } };
    case 'redis':
    case 'rediss':
      return parseServer(text, scheme === 'rediss');
    case 'redis+sentinel':
      return parseSentinels(rest);
    default:
      return { ok: false, problem: `is none of ${FORMS}` };
  }
}

function parseServer(text: string, tls: boolean): ParsedQueueUrl {
  if (!URL.canParse(text)) return { ok: false, problem: `is not a URL: ${FORMS}` };
  const url = new URL(text);
  if (url.hostname === '') return { ok: false, problem: 'names no host' };
  const credentials = urlCredentials(url);
  // An unencoded # or ? ends the host early: what stands before it, perhaps half a password, must not pass for a host.
  if (credentials === null || url.hash !== '' || url.search !== '') return { ok: false, problem: UNENCODED };
  const db = databaseOf(url.pathname);
  if (db === null) return { ok: false, problem: 'names a database that is not a number' };
  const port = url.port === '' ? REDIS_PORT : Number(url.port);
  const host = withoutBrackets(url.hostname);
  return {
    ok: true,
    url: {
      kind: 'redis',
      location: `${url.protocol}//${url.hostname}:${port}/${db}`,
      options: {
        host,
        port,
        db,
        ...credentials,
        ...(tls ? { tls: isIP(host) === 0 ? { servername: host } : {} } : {}),
      },
    },
  };
}

/**
 * `redis+sentinel://[user:password@]host[:port][,host[:port]…]/name[/database][?sentinel_username=…&sentinel_password=…]`: the
 * login before the hosts is the server's, that of the Sentinels themselves stands behind.
 */
function parseSentinels(text: string): ParsedQueueUrl {
  const [, rest = '', query = ''] = /^(.*?)(?:\?([^/@]*))?$/s.exec(text) ?? [];
  const [, login = '', hosts = '', path = ''] = /^\/\/(?:(.*)@)?([^/@]+)(\/.*)?$/s.exec(rest) ?? [];
  const [, name = '', database = ''] = path.split('/');
  const db = databaseOf(`/${database}`);
  if (hosts === '' || name === '' || db === null) {
    return { ok: false, problem: 'redis+sentinel needs HOST:PORT[,HOST:PORT]/NAME[/DATABASE]' };
  }
  const sentinels: { host: string; port: number }[] = [];
  for (const part of hosts.split(',')) {
    if (!URL.canParse(`redis://${part}`))
      return { ok: false, problem: 'names a sentinel that is not HOST:PORT' };
    const url = new URL(`redis://${part}`);
    sentinels.push({
      host: withoutBrackets(url.hostname),
      port: url.port === '' ? SENTINEL_PORT : Number(url.port),
    });
  }
  const credentials = credentialsIn(login);
  if (credentials === null) return { ok: false, problem: UNENCODED };
  const sentinelLogin = sentinelLoginIn(query);
  if (sentinelLogin === null)
    return {
      ok: false,
      problem: 'has a query other than ?sentinel_username=…&sentinel_password=… with percent encoding',
    };
  const location = `redis+sentinel://${hosts}/${name}/${db}`;
  return {
    ok: true,
    url: { kind: 'redis', location, options: { sentinels, name, db, ...credentials, ...sentinelLogin } },
  };
}

/** The login of the Sentinels themselves; null for a query that says anything else. */
function sentinelLoginIn(query: string): { sentinelUsername?: string; sentinelPassword?: string } | null {
  const given = new URLSearchParams(query);
  const username = given.get('sentinel_username');
  const password = given.get('sentinel_password');
  given.delete('sentinel_username');
  given.delete('sentinel_password');
  if (given.size > 0) return null;
  return {
    ...(username === null ? {} : { sentinelUsername: username }),
    ...(password === null ? {} : { sentinelPassword: password }),
  };
}

/** IPv6 addresses stand in brackets in a URL and without them elsewhere. */
function withoutBrackets(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '');
}

interface RedisCredentials {
  readonly username?: string;
  readonly password?: string;
}

/** Reads `user:password`; null when a character in it would need percent encoding. */
function credentialsIn(login: string): RedisCredentials | null {
  if (login === '') return {};
  if (/[/?#]/.test(login) || !URL.canParse(`redis://${login}@host`)) return null;
  return urlCredentials(new URL(`redis://${login}@host`));
}

/** Null when a percent sign is not the beginning of an encoded character. */
function urlCredentials(url: URL): RedisCredentials | null {
  try {
    return {
      ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
      ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
    };
  } catch {
    return null;
  }
}

function databaseOf(pathname: string): number | null {
  const text = pathname.replace(/^\//, '');
  if (text === '') return 0;
  return /^\d{1,4}$/.test(text) ? Number(text) : null;
}
