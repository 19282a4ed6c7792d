import type { RedisOptions } from 'ioredis';

/** Where EVERLOG_QUEUE_URL points. */
export type QueueUrl =
  | { readonly kind: 'embedded'; readonly folder: string }
  | { readonly kind: 'redis'; readonly options: RedisOptions; readonly location: string };

export type ParsedQueueUrl =
  { readonly ok: true; readonly url: QueueUrl } | { readonly ok: false; readonly problem: string };

const FORMS =
  'embedded:FOLDER, redis://HOST:PORT, rediss://HOST:PORT or redis+sentinel://HOST:PORT,HOST:PORT/NAME';
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
  const db = databaseOf(url.pathname);
  if (db === null) return { ok: false, problem: 'names a database that is not a number' };
  const port = url.port === '' ? REDIS_PORT : Number(url.port);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return {
    ok: true,
    url: {
      kind: 'redis',
      location: `${url.protocol}//${url.hostname}:${port}/${db}`,
      options: { host, port, db, ...credentialsOf(url), ...(tls ? { tls: { servername: host } } : {}) },
    },
  };
}

/** `redis+sentinel://[user:password@]host[:port][,host[:port]…]/name[/database]`. */
function parseSentinels(rest: string): ParsedQueueUrl {
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
    sentinels.push({ host: url.hostname, port: url.port === '' ? SENTINEL_PORT : Number(url.port) });
  }
  if (!URL.canParse(`redis://${login === '' ? '' : `${login}@`}host`)) {
    return { ok: false, problem: 'has a user or password with characters that need percent encoding' };
  }
  const credentials = credentialsOf(new URL(`redis://${login === '' ? '' : `${login}@`}host`));
  const location = `redis+sentinel://${hosts}/${name}/${db}`;
  return { ok: true, url: { kind: 'redis', location, options: { sentinels, name, db, ...credentials } } };
}

function credentialsOf(url: URL): { username?: string; password?: string } {
  return {
    ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
  };
}

function databaseOf(pathname: string): number | null {
  const text = pathname.replace(/^\//, '');
  if (text === '') return 0;
  return /^\d{1,4}$/.test(text) ? Number(text) : null;
}
