import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { lintWorkflow } from '../support/infra/actionlint.ts';

/** The project's own workflows on GitHub: what they may do, and that nothing in them changes by itself. */

const REPOSITORY = join(import.meta.dirname, '../..');
const FOLDER = join(REPOSITORY, '.github/workflows');
const FILES = readdirSync(FOLDER).map((name) => ({ name, text: readFileSync(join(FOLDER, name), 'utf8') }));

const permissions = z.record(z.string(), z.enum(['read', 'write', 'none']));
const workflowSchema = z.looseObject({
  permissions: z.strictObject({}),
  concurrency: z.looseObject({ group: z.string() }),
  jobs: z.record(
    z.string(),
    z.looseObject({
      permissions,
      uses: z.string().optional(),
      'timeout-minutes': z.int().max(60).optional(),
      steps: z
        .array(
          z.looseObject({
            uses: z.string().optional(),
            run: z.string().optional(),
            with: z.record(z.string(), z.unknown()).default({}),
          }),
        )
        .default([]),
    }),
  ),
});

/** What came to GitHub after the linter was built. */
const NEWER = [/^label "ubuntu-24\.04" is unknown/, /^unknown permission scope "attestations"/];

test.each(FILES)('$name has nothing that the linter finds', async ({ name, text }) => {
  const found = await lintWorkflow(text, `.github/workflows/${name}`);
  expect(found.filter(({ message }) => NEWER.every((known) => !known.test(message)))).toEqual([]);
});

test('the linter finds a misspelt key, and text of others in a script', async () => {
  const bad = [
    'on: push',
    'jobs:',
    '  a:',
    '    runs-on: ubuntu-latest',
    '    steps:',
    '      - run: echo ${{ github.event.head_commit.message }}',
    '        usess: x',
  ];
  const kinds = (await lintWorkflow(`${bad.join('\n')}\n`, '.github/workflows/bad.yml')).map(
    ({ kind }) => kind,
  );
  expect(kinds).toEqual(expect.arrayContaining(['expression', 'syntax-check']));
});

test.each(FILES)('$name pins every action by its commit, and says which version that is', ({ text }) => {
  const uses = [...text.matchAll(/^\s*(?:- )?uses: *(.*)$/gm)].map(([, said = '']) => said);
  const good = /^(\.\/\.github\/workflows\/\w+\.yml|[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+)$/;
  expect(uses.length).toBeGreaterThan(0);
  expect(uses.filter((said) => !good.test(said))).toEqual([]);
});

test('an action has one version in all workflows', () => {
  const uses = FILES.flatMap(({ text }) => [...text.matchAll(/uses: ([\w-]+\/[\w-]+)@(.*)$/gm)]);
  const versions = new Map<string, Set<string>>();
  for (const [, action = '', version = ''] of uses)
    versions.set(action, new Set([...(versions.get(action) ?? []), version]));
  expect([...versions].filter(([, { size }]) => size > 1)).toEqual([]);
});

/** Jobs that may write, and what. All others only read. */
const MAY_WRITE: Readonly<Record<string, readonly string[]>> = {
  'release.yml image': ['attestations', 'id-token', 'packages'],
  'release.yml chart': ['packages'],
  'release.yml release': ['contents'],
};

test.each(FILES)(
  '$name gives each job only the rights it needs, and leaves no token behind',
  ({ name, text }) => {
    const { jobs } = workflowSchema.parse(parse(text));
    for (const [id, job] of Object.entries(jobs)) {
      const place = `${name} ${id}`;
      const writes = Object.keys(job.permissions).filter((scope) => job.permissions[scope] === 'write');
      expect({ place, writes: writes.toSorted() }).toEqual({ place, writes: MAY_WRITE[place] ?? [] });
      expect({ place, isBounded: job.uses !== undefined || job['timeout-minutes'] !== undefined }).toEqual({
        place,
        isBounded: true,
      });
      for (const step of job.steps) {
        // What somebody else wrote reaches a script by its environment alone, where it is no code.
        expect(step.run ?? '').not.toContain('${{');
        const isCheckout = step.uses?.startsWith('actions/checkout@') === true;
        expect({ place, kept: isCheckout ? step.with['persist-credentials'] : false }).toEqual({
          place,
          kept: false,
        });
      }
    }
  },
);

test('what a tag releases carries one version', () => {
  const read = (path: string): string => readFileSync(join(REPOSITORY, path), 'utf8');
  const { version } = z.object({ version: z.string() }).parse(JSON.parse(read('package.json')));
  const chart = z
    .object({ version: z.string(), appVersion: z.string() })
    .parse(parse(read('infra/helm/everlog/Chart.yaml')));
  expect(chart).toEqual({ version, appVersion: version });
  expect(z.object({ version: z.string() }).parse(JSON.parse(read('infra/cdk/package.json')))).toEqual({
    version,
  });
  expect(read('docker-compose.yml')).toContain(`image: everlog:${version}\n`);
});
