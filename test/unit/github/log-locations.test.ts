import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { EverlogError } from '../../../src/errors.ts';
import type { GitHubApi } from '../../../src/github/api.ts';
import { openConnections, type Resolve } from '../../../src/github/network/connections.ts';
import { identifyHost, type GitHubHost } from '../../../src/github/host.ts';
import { lookUpLog, type LogLookup } from '../../../src/github/log/job-log.ts';
import { openStage } from '../../support/harness/everlog-under-test.ts';
import {
  answerOf,
  startScriptedLogHost,
  type ScriptedLogHost,
} from '../../support/servers/scripted-log-host.ts';

/** Where a log link may lead: hostile ones are refused before a single byte is sent, or a name asked for that need not be. */
let stage = openStage();
/** Listens where hostile links lead, and on no account is to be reached. */
let trap: ScriptedLogHost;
let trapPort: string;

beforeEach(async () => {
  stage = openStage();
  trap = await startScriptedLogHost(stage, () => answerOf('200 OK', {}, Buffer.from('not a log')));
  trapPort = new URL(trap.origin).port;
});

afterEach(() => stage.close());

const PROXIES = { httpProxy: null, httpsProxy: null, noProxy: null };
const SECRET = 'sig=c2VjcmV0';

function hostOf(apiUrl: string, settings: Partial<GitHubHost> = {}): GitHubHost {
  const identity = identifyHost(new URL(apiUrl));
  return {
    name: identity.host,
    ...identity,
    apiUrl,
    logHosts: [],
    privateCidrs: [],
    maxConcurrency: 10,
    ...settings,
  };
}

interface Look {
  readonly outcome: LogLookup | EverlogError;
  /** Names that were resolved. */
  readonly asked: readonly string[];
}

/** Follows a link that the API gives; every name resolves to `addresses`, one after another, the last for ever. */
async function look(
  host: GitHubHost,
  location: string,
  addresses: readonly string[][] = [['127.0.0.1']],
): Promise<Look> {
  const asked: string[] = [];
  const resolve: Resolve = (name, _options, callback) => {
    const found = addresses[Math.min(asked.length, addresses.length - 1)] ?? [];
    asked.push(name);
    callback(
      null,
      found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
  };
  const connections = openConnections(host, PROXIES, resolve);
  stage.defer(() => connections.close());
  const api: GitHubApi = {
    host,
    get: (path) => Promise.resolve({ status: 302, headers: { location }, bytes: Buffer.alloc(0), path }),
    rateState: () => Promise.resolve(null),
  };
  const ref = { owner: 'o', repo: 'r', installationId: 1, jobId: 1 };
  try {
    return { outcome: await lookUpLog(api, connections, ref, () => new Date()), asked };
  } catch (error) {
    if (error instanceof EverlogError) return { outcome: error, asked };
    throw error;
  }
}

async function textOf(outcome: LogLookup | EverlogError): Promise<string> {
  if (outcome instanceof EverlogError) throw outcome;
  const parts: Buffer[] = [];
  if (outcome.kind === 'found') for await (const chunk of outcome.answer.body) parts.push(chunk);
  return Buffer.concat(parts).toString();
}

const BLOBS = 'productionresultssa1.blob.core.windows.net';

/** PORT stands for the trap's. The second is the code; names that are allowed are caught when they resolve to the trap. */
const HOSTILE: readonly (readonly [string, 'log_host_refused' | 'address_refused'])[] = [
  ['http://127.0.0.1:PORT/log', 'log_host_refused'],
  ['https://127.0.0.1:PORT/log', 'log_host_refused'],
  ['https://2130706433:PORT/decimal', 'log_host_refused'],
  ['https://017700000001:PORT/octal', 'log_host_refused'],
  ['https://0177.0.0.1:PORT/octal', 'log_host_refused'],
  ['https://0x7f000001:PORT/hex', 'log_host_refused'],
  ['https://0x7f.1:PORT/hex', 'log_host_refused'],
  ['https://127.1:PORT/short', 'log_host_refused'],
  ['https://127.0.0.1.:PORT/dot', 'log_host_refused'],
  ['https://0:PORT/zero', 'log_host_refused'],
  ['https://[::1]:PORT/loopback', 'log_host_refused'],
  ['https://[::ffff:127.0.0.1]:PORT/mapped', 'log_host_refused'],
  ['https://[::ffff:7f00:1]:PORT/mapped', 'log_host_refused'],
  ['https://[::127.0.0.1]:PORT/compatible', 'log_host_refused'],
  ['https://[64:ff9b::7f00:1]:PORT/nat64', 'log_host_refused'],
  ['https://[fe80::1%25lo]:PORT/zone', 'log_host_refused'],
  ['https://169.254.169.254/latest/meta-data/', 'log_host_refused'],
  ['http://169.254.169.254/latest/meta-data/', 'log_host_refused'],
  ['https://2852039166/latest/meta-data/', 'log_host_refused'],
  ['https://[::ffff:169.254.169.254]/', 'log_host_refused'],
  ['https://[fd00:ec2::254]/', 'log_host_refused'],
  ['https://metadata.google.internal/', 'log_host_refused'],
  ['https://10.0.0.1/', 'log_host_refused'],
  ['https://192.168.1.1/', 'log_host_refused'],
  ['https://localhost:PORT/', 'log_host_refused'],
  [`https://user:password@${BLOBS}/`, 'log_host_refused'],
  [`https://token@${BLOBS}/`, 'log_host_refused'],
  [`https://${BLOBS}@127.0.0.1:PORT/`, 'log_host_refused'],
  [`https://${BLOBS}%40127.0.0.1:PORT/`, 'log_host_refused'],
  [`https://${BLOBS}:443@127.0.0.1:PORT/`, 'log_host_refused'],
  [`https://127.0.0.1:PORT#@${BLOBS}/`, 'log_host_refused'],
  [`https://127.0.0.1:PORT?@${BLOBS}/`, 'log_host_refused'],
  [`https:127.0.0.1:PORT/${BLOBS}`, 'log_host_refused'],
  [`https://${BLOBS}.evil.example/`, 'log_host_refused'],
  [`https://evil${BLOBS}/`, 'log_host_refused'],
  [`https://evil.${BLOBS}/`, 'log_host_refused'],
  ['https://productionresultssa.blob.core.windows.net/', 'log_host_refused'],
  ['https://productionresultssa1x.blob.core.windows.net/', 'log_host_refused'],
  ['https://productionresultssa1-blob.core.windows.net/', 'log_host_refused'],
  [`https://${BLOBS}./trailing-dot`, 'log_host_refused'],
  [`https://${BLOBS}:8443/`, 'log_host_refused'],
  [`https://${BLOBS}:80/`, 'log_host_refused'],
  [`http://${BLOBS}/`, 'log_host_refused'],
  [`http://${BLOBS}:443/`, 'log_host_refused'],
  ['https://actions.githubusercontent.com/', 'log_host_refused'],
  ['https://evil-actions.githubusercontent.com/', 'log_host_refused'],
  ['https://x.actions.githubusercontent.com.evil.example/', 'log_host_refused'],
  ['https://x.actions.githubusercоntent.com/cyrillic', 'log_host_refused'],
  ['https://xn--nxasmq6b.example/', 'log_host_refused'],
  ['https://api.github.com/repos/o/r', 'log_host_refused'],
  ['https://github.com/login', 'log_host_refused'],
  ['ftp://127.0.0.1:PORT/', 'log_host_refused'],
  ['gopher://127.0.0.1:PORT/', 'log_host_refused'],
  ['ws://127.0.0.1:PORT/', 'log_host_refused'],
  ['file:///etc/passwd', 'log_host_refused'],
  ['data:text/plain,a%20log', 'log_host_refused'],
  ['javascript:fetch("http://127.0.0.1:PORT")', 'log_host_refused'],
  [`blob:https://${BLOBS}/x`, 'log_host_refused'],
  ['unix:/var/run/docker.sock', 'log_host_refused'],
  ['//127.0.0.1:PORT/relative', 'log_host_refused'],
  ['\\\\127.0.0.1:PORT\\share', 'log_host_refused'],
  ['/relative', 'log_host_refused'],
  ['', 'log_host_refused'],
  ['https://', 'log_host_refused'],
  ['https://[::1', 'log_host_refused'],
  // Other spellings of an allowed name: only the address can tell.
  [`https://${BLOBS}\\@127.0.0.1:PORT/`, 'address_refused'],
  [`HTTPS://${BLOBS.toUpperCase()}/`, 'address_refused'],
  [`https://ｐroductionresultssa1.blob.core.windows.net/`, 'address_refused'],
  [`https://productionresultssa1。blob.core.windows.net/`, 'address_refused'],
  ['https://rebinding.actions.githubusercontent.com/', 'address_refused'],
];

describe('github.com', () => {
  test(`refuses each of ${HOSTILE.length} hostile links, and none is followed`, async () => {
    const host = hostOf('https://api.github.com');
    const wrong: unknown[] = [];
    for (const [template, code] of HOSTILE) {
      const location =
        template === ''
          ? ''
          : `${template.replaceAll('PORT', trapPort)}${template.includes('?') ? '&' : '?'}${SECRET}`;
      const { outcome, asked } = await look(host, location);
      const refused =
        outcome instanceof EverlogError && outcome.code === code && outcome.remedy.kind === 'give_up';
      const names = code === 'address_refused' ? 1 : 0;
      const silent = outcome instanceof EverlogError && !outcome.message.includes('c2VjcmV0');
      if (!refused || !silent || asked.length !== names) wrong.push({ location, outcome, asked });
    }
    expect(wrong).toEqual([]);
    expect(trap.connections).toBe(0);
  });

  test('names the refused host and the variable that would allow it', async () => {
    const { outcome } = await look(
      hostOf('https://api.github.com'),
      `https://logs.example.com:8443/x?${SECRET}`,
    );
    expect(outcome).toMatchObject({
      message: expect.stringMatching(/logs\.example\.com:8443.*EVERLOG_GITHUB_LOG_HOSTS/),
    });
  });

  test.each([
    ['a private address among public ones', [['20.150.1.1', '127.0.0.1']]],
    ['the metadata service', [['169.254.169.254']]],
    ['a mapped loopback address', [['::ffff:127.0.0.1']]],
    ['the loopback address of IPv6', [['::1']]],
    ['a private range', [['10.1.2.3']]],
  ])('refuses an allowed name that resolves to %s', async (_name, addresses) => {
    const { outcome } = await look(hostOf('https://api.github.com'), `https://${BLOBS}/x`, addresses);
    expect(outcome).toMatchObject({ code: 'address_refused', remedy: { kind: 'give_up' } });
    expect(trap.connections).toBe(0);
  });
});

describe('GHE.com', () => {
  test.each([
    'https://acme.ghe.com.evil.example/',
    'https://xacme.ghe.com/',
    'https://acme.ghe.com/',
    'https://other.ghe.com/',
    'https://logs.other.ghe.com/',
    'https://blob.core.windows.net/',
    'http://logs.acme.ghe.com/',
    'https://logs.acme.ghe.com:8443/',
  ])('refuses %s', async (location) => {
    const { outcome, asked } = await look(hostOf('https://api.acme.ghe.com'), location);
    expect(outcome).toMatchObject({ code: 'log_host_refused' });
    expect({ asked, connections: trap.connections }).toEqual({ asked: [], connections: 0 });
  });

  test.each(['https://logs.acme.ghe.com/', 'https://prodx.blob.core.windows.net/'])(
    'would follow %s, but not to this machine',
    async (location) => {
      const { outcome } = await look(hostOf('https://api.acme.ghe.com'), location);
      expect(outcome).toMatchObject({ code: 'address_refused' });
      expect(trap.connections).toBe(0);
    },
  );
});

describe('GHES on private addresses', () => {
  test('is reached where its range is allowed, on its own origin', async () => {
    const host = hostOf(`${trap.origin}/api/v3`, { privateCidrs: ['127.0.0.0/8'] });
    const { outcome } = await look(host, '/_services/pipelines/x?urlSigningMethod=HMACV1');
    expect(await textOf(outcome)).toBe('not a log');
    expect(trap.received.join('')).not.toMatch(/authorization/i);
  });

  test('is not reached where its range is not allowed, and the message names the variable', async () => {
    const { outcome } = await look(hostOf(`${trap.origin}/api/v3`), '/_services/pipelines/x');
    expect(outcome).toMatchObject({
      code: 'address_refused',
      message: expect.stringContaining('EVERLOG_GITHUB_PRIVATE_CIDRS'),
    });
    expect(trap.connections).toBe(0);
  });

  test('does not lead to another port, scheme or address of the same range', async () => {
    const api = await startScriptedLogHost(stage, () => null, '127.0.0.2');
    const host = hostOf(`${api.origin}/api/v3`, { privateCidrs: ['127.0.0.0/8'] });
    const { port } = new URL(api.origin);
    for (const location of [
      `http://127.0.0.2:${trapPort}/`,
      `https://127.0.0.2:${port}/`,
      `${trap.origin}/`,
    ]) {
      expect((await look(host, location)).outcome).toMatchObject({ code: 'log_host_refused' });
    }
    expect(trap.connections + api.connections).toBe(0);
  });

  test('a listed log host still needs its range', async () => {
    const host = hostOf('http://ghes.example.com/api/v3', { logHosts: [trap.authority] });
    expect((await look(host, trap.origin)).outcome).toMatchObject({ code: 'address_refused' });
    expect(trap.connections).toBe(0);
  });

  test('the address that was judged is the one connected to: a name is resolved once', async () => {
    const host = hostOf('http://ghes.example.com/api/v3', {
      logHosts: [`logs.example.com:${trapPort}`],
      privateCidrs: ['127.0.0.1/32'],
    });
    const { outcome, asked } = await look(host, `http://logs.example.com:${trapPort}/x`, [
      ['127.0.0.1'],
      ['127.0.0.2'],
    ]);
    expect(await textOf(outcome)).toBe('not a log');
    expect(asked).toEqual(['logs.example.com']);
    expect(trap.connections).toBe(1);
  });
});

describe('redirects of a log host', () => {
  test.each([
    'http://127.0.0.2:PORT/',
    'http://2130706434:PORT/',
    'http://[::ffff:127.0.0.2]:PORT/',
    'http://169.254.169.254/latest/meta-data/',
    'http://user:secret@127.0.0.1:PORT/',
    'file:///etc/passwd',
    '//127.0.0.2:PORT/',
    'https://localhost:PORT/',
  ])('to %s are judged like the first link', async (template) => {
    const far = await startScriptedLogHost(stage, () => answerOf('200 OK', {}), '127.0.0.2');
    const location = template.replaceAll('PORT', new URL(far.origin).port);
    const near = await startScriptedLogHost(stage, () => answerOf('302 Found', { location }));
    const host = hostOf('http://ghes.example.com/api/v3', {
      logHosts: [near.authority],
      privateCidrs: ['127.0.0.0/8'],
    });
    const { outcome } = await look(host, `${near.origin}/x?${SECRET}`);
    expect(outcome).toMatchObject({ code: 'log_host_refused' });
    expect({ near: near.connections, far: far.connections }).toEqual({ near: 1, far: 0 });
  });

  test('end after three hops', async () => {
    const chain = await startScriptedLogHost(stage, (target) =>
      answerOf('302 Found', { location: `${target}x` }),
    );
    const host = hostOf('http://ghes.example.com/api/v3', {
      logHosts: [chain.authority],
      privateCidrs: ['127.0.0.0/8'],
    });
    const { outcome } = await look(host, `${chain.origin}/x`);
    expect(outcome).toMatchObject({ code: 'github_unexpected', remedy: { kind: 'retry' } });
    expect(chain.targets).toEqual(['/x', '/xx', '/xxx', '/xxxx']);
  });
});
