import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { VARIABLE_NAMES } from '../../../src/config.ts';

/** Whatever names a setting outside the code says the same as the code. */

const REPOSITORY = join(import.meta.dirname, '../../..');
const CHART = 'infra/helm/everlog/templates';
const KNOWN = [...VARIABLE_NAMES].toSorted();

function textOf(path: string): string {
  return readFileSync(join(REPOSITORY, path), 'utf8');
}

/** Names of settings in a text, without `EVERLOG_`; of a secret's file the secret's. */
function namesIn(text: string): readonly string[] {
  const found = [...text.matchAll(/\bEVERLOG_([A-Z0-9_]*[A-Z0-9])\b(?!_)/g)].map(([, name = '']) =>
    VARIABLE_NAMES.has(name) ? name : name.replace(/_FILE$/, ''),
  );
  return [...new Set(found)].toSorted();
}

test('the README has a line for every setting, and for nothing else', () => {
  const [, table = ''] = /\n\| `EVERLOG_…`.*\n\|[ |-]+\n((?:\|.*\n)+)/.exec(textOf('README.md')) ?? [];
  const named = table.split('\n').flatMap((row) => {
    const [, first = ''] = row.split('|');
    return [...first.matchAll(/`([A-Z0-9_]+)`/g)].map(([, name = '']) => name);
  });
  expect(named.toSorted()).toEqual(KNOWN);
});

/** What the containers say themselves, as no other value would do. */
const FIXED = ['ADMIN_LISTEN', 'LISTEN', 'QUEUE_URL', 'SPOOL_DIR', 'WEB_LISTEN'];
/** Ways of reaching GitHub that the compose file does not offer: several hosts, and a token instead of an App. */
const NOT_IN_COMPOSE = ['CONFIG', 'GITHUB_TOKEN'];

test('docker-compose.yml and .env.example know every setting, and no other', () => {
  expect([...namesIn(textOf('docker-compose.yml')), ...NOT_IN_COMPOSE].toSorted()).toEqual(KNOWN);
  expect([...namesIn(textOf('.env.example')), ...NOT_IN_COMPOSE, ...FIXED].toSorted()).toEqual(KNOWN);
});

test('the Helm chart gives every setting', () => {
  const templates = readdirSync(join(REPOSITORY, CHART)).map((name) => textOf(`${CHART}/${name}`));
  // A role that sends its traces elsewhere, say, is given it by `extraEnv`.
  expect(namesIn(templates.join('\n'))).toEqual(KNOWN);
});

test('pages name no setting that does not exist', () => {
  const pages = readdirSync(join(REPOSITORY, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`);
  for (const page of ['README.md', 'SECURITY.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...pages])
    expect({ page, unknown: namesIn(textOf(page)).filter((name) => !VARIABLE_NAMES.has(name)) }).toEqual({
      page,
      unknown: [],
    });
});
