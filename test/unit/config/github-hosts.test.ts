import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadConfig, type Config } from '../../../src/config.ts';

const REPOSITORY = join(import.meta.dirname, '../../..');
const PEM = generateKeyPairSync('rsa', { modulusLength: 2048 })
  .privateKey.export({ type: 'pkcs1', format: 'pem' })
  .toString();

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'everlog-hosts-'));
  mkdirSync(join(folder, 'keys'));
  for (const name of ['github.com.pem', 'acme.pem']) writeFileSync(join(folder, 'keys', name), PEM);
  writeFileSync(join(folder, 'keys/github.com.secret'), 'new\nold\n');
  writeFileSync(join(folder, 'keys/appliance.secret'), 'appliance-secret\n');
  writeFileSync(join(folder, 'keys/appliance.token'), 'appliance-token\n');
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function load(yaml: string): Config {
  const file = join(folder, 'hosts.yaml');
  writeFileSync(file, yaml);
  return loadConfig({ receive: true, github: true }, { EVERLOG_CONFIG: file });
}

test('the documented example describes three hosts', () => {
  const text = readFileSync(join(REPOSITORY, 'docs/several-hosts.md'), 'utf8');
  const [, example = ''] = /```yaml\n([\s\S]*?)```/.exec(text) ?? [];
  // The files it names stand in this test's own folder.
  const { hosts } = load(example.replaceAll('keys/', `${folder}/keys/`));
  expect(hosts).toMatchObject([
    {
      github: {
        name: 'github.com',
        host: 'github.com',
        product: 'github.com',
        apiUrl: 'https://api.github.com',
        logHosts: [],
        maxConcurrency: 90,
      },
      appId: 123_456,
      credentials: { kind: 'app', appId: 123_456, privateKey: PEM.trimEnd() },
      webhookSecrets: ['new', 'old'],
    },
    {
      github: {
        name: 'acme',
        host: 'acme.ghe.com',
        product: 'ghe.com',
        apiUrl: 'https://api.acme.ghe.com',
        maxConcurrency: 90,
      },
      appId: 42,
      webhookSecrets: ['the-new-secret', 'the-old-secret'],
    },
    {
      github: {
        name: 'appliance',
        host: 'github.example.com',
        product: 'ghes',
        apiUrl: 'https://github.example.com/api/v3',
        logHosts: ['logs.example.com', '*.storage.example.com:9000'],
        privateCidrs: ['10.0.0.0/8', 'fd00::/8'],
        maxConcurrency: 10,
      },
      appId: null,
      credentials: { kind: 'token', token: 'appliance-token' },
      webhookSecrets: ['appliance-secret'],
    },
  ]);
});

describe('a file that is wrong', () => {
  const one = (fields: string): string =>
    `hosts:\n  - name: a\n    token: t\n    webhook_secret: s\n${fields
      .split('\n')
      .map((field) => `    ${field}\n`)
      .join('')}`;
  test.each([
    { name: 'no hosts', yaml: 'hosts: []', says: /EVERLOG_CONFIG at hosts/ },
    { name: 'no YAML', yaml: 'hosts: [', says: /EVERLOG_CONFIG names a file that cannot be read/ },
    { name: 'an unknown field', yaml: one('log_host: a.test'), says: /at hosts\.0: .*log_host/ },
    {
      name: 'a list where text belongs, and the reverse',
      yaml: one('private_key: [a]\nlog_hosts: a.test\nmax_concurrency: 0'),
      says: /private_key: has to be text, and is a list\n.*log_hosts: has to be a list, and is text\n.*max_concurrency: has to be at least 1/,
    },
    {
      name: 'no mapping',
      yaml: 'hosts:\n  - just text\n',
      says: /hosts\.0: has to be a mapping .*, and is text/,
    },
    { name: 'a name that is no path', yaml: 'hosts:\n  - name: a/b\n', says: /at hosts\.0\.name/ },
    {
      name: 'a range that is none',
      yaml: one('private_cidrs: [10.0.0.0]'),
      says: /private_cidrs\.0: not an address range/,
    },
    { name: 'too many at once', yaml: one('max_concurrency: 100'), says: /max_concurrency/ },
    { name: 'none at once', yaml: one('max_concurrency: 0'), says: /max_concurrency/ },
    {
      name: 'two kinds of credentials',
      yaml: one('app_id: 1'),
      says: /host a, token is set together with App credentials/,
    },
    {
      name: 'an API that is no URL',
      yaml: one('api_url: github.example.com'),
      says: /host a, api_url is not a URL/,
    },
    {
      name: 'a secret twice',
      yaml: one('webhook_secret_file: x'),
      says: /webhook_secret is set together with webhook_secret_file/,
    },
    {
      name: 'a host twice',
      yaml: `${one('')}  - name: b\n    token: t\n    webhook_secret: s\n`,
      says: /stand twice: host github\.com/,
    },
    {
      name: 'a name twice',
      yaml: `${one('')}  - name: a\n    api_url: https://b.test\n    token: t\n    webhook_secret: s\n`,
      says: /stand twice: name a/,
    },
    {
      name: 'no secret',
      yaml: 'hosts:\n  - name: a\n    token: t\n',
      says: /host a, webhook_secret is missing/,
    },
    {
      name: 'no credentials',
      yaml: 'hosts:\n  - name: a\n    webhook_secret: s\n',
      says: /host a, app_id is missing: .*or set token/,
    },
  ])('$name: the error says so', ({ yaml, says }) => {
    expect(() => load(yaml)).toThrow(says);
  });
});
