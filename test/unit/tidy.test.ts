import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseSource, readTree } from '../support/harness/source-tree.ts';
import { RULES, SHARED_EXPORTS_MAX, SHARED_NAMES_MAX } from '../support/harness/tree-rules.ts';

const REPOSITORY = join(import.meta.dirname, '../..');
const tree = readTree(REPOSITORY, ['src', 'workers', 'infra', 'test']);

describe('the tree', () => {
  test('is the whole tree', () => {
    const paths = tree.map(({ path }) => path);
    expect(paths).toContain('src/config.ts');
    expect(paths).toContain('workers/run-workers.ts');
    expect(paths).toContain('test/unit/tidy.test.ts');
    expect(tree.flatMap(({ imports }) => imports).length).toBeGreaterThan(paths.length);
  });

  test.each(RULES)('$name', ({ name, reason, breaches }) => {
    const found = breaches(tree);
    expect(found, `${name}: ${reason}\n${found.join('\n')}`).toEqual([]);
  });
});

// Put together here, as this file is judged too.
const PUT_OFF = ['TO', 'DO'].join('');
const OVERLOOKED = ['@ts', 'expect', 'error'].join('-');

function declarations(count: number, before: string): string {
  return Array.from({ length: count }, (_, at) => `${before}function f${at}() {}\n`).join('');
}

/** For each rule files that break it, as path and text, and how many breaches they have. */
const BREACHES: readonly {
  readonly rule: string;
  readonly files: Readonly<Record<string, string>>;
  readonly found: readonly string[];
}[] = [
  {
    rule: 'imports run one way',
    files: {
      'src/archive/a.ts':
        "import type { B } from '../github/b.ts';\nexport { c } from '../service/compose.ts';\n",
      'src/receiver/a.ts': "const b = await import('../../workers/b.ts');\n",
      'src/github/a.ts': "import { c } from '../config.ts';\nimport { e } from '../errors.ts';\n",
      'src/queue/a.ts':
        "import { k } from '../archive/keys.ts';\nimport { f } from '../archive/commit.ts';\n",
      'src/novel/a.ts': "import { e } from '../errors.ts';\n",
      'src/simulator/a.ts': "let e: import('../errors.ts').EverlogError;\n",
    },
    found: [
      'src/archive/a.ts:1 imports src/github/b.ts',
      'src/archive/a.ts:2 imports src/service/compose.ts',
      'src/receiver/a.ts:1 imports workers/b.ts',
      'src/github/a.ts:1 imports src/config.ts',
      'src/queue/a.ts:2 imports src/archive/commit.ts',
      'src/novel/a.ts:1 imports src/errors.ts',
      'src/simulator/a.ts:1 imports src/errors.ts',
    ],
  },
  {
    rule: 'nothing imports a test',
    files: {
      'src/cli/ls.ts': "import { s } from '../simulator/simulator.ts';\n",
      'src/cli/demo/demo.ts': "import { s } from '../../simulator/simulator.ts';\n",
      'workers/a.ts': "import { r } from '../test/support/redis-server.ts';\n",
    },
    found: [
      'src/cli/ls.ts:1 imports src/simulator/simulator.ts',
      'workers/a.ts:1 imports test/support/redis-server.ts',
    ],
  },
  {
    rule: 'only adapters',
    files: {
      'src/store/s3/a.ts': "import { S3Client } from '@aws-sdk/client-s3';\n",
      'src/archive/a.ts': "import { S3Client } from '@aws-sdk/client-s3';\n",
      'workers/handlers/a.ts': "import { Job } from 'bullmq';\n",
      'src/receiver/app.ts': "import { verify } from '@octokit/webhooks';\nimport { Hono } from 'hono';\n",
      'src/cli/a.ts': "import { Hono } from 'hono/tiny';\n",
    },
    found: [
      'src/archive/a.ts:1 imports @aws-sdk/client-s3',
      'workers/handlers/a.ts:1 imports bullmq',
      'src/receiver/app.ts:1 imports @octokit/webhooks',
      'src/cli/a.ts:1 imports hono/tiny',
    ],
  },
  {
    rule: 'verification shares no code',
    files: {
      'src/ledger/verify/a.ts':
        "import type { Digest } from '../formats/formats.ts';\nimport { digestKey } from '../../archive/keys.ts';\nimport { b } from './b.ts';\n",
      'src/ledger/verify/b.ts':
        "import { leafHash } from '../formats/merkle.ts';\nimport { commitLog } from '../../archive/commit.ts';\n",
      'src/ledger/formats/merkle.ts': "import { e } from './entry-line.ts';\n",
    },
    found: [
      'src/ledger/verify/b.ts:1 imports src/ledger/formats/merkle.ts',
      'src/ledger/verify/b.ts:2 imports src/archive/commit.ts',
    ],
  },
  { rule: 'no import is computed', files: { 'src/a.ts': 'await import(name);\n' }, found: ['src/a.ts:1'] },
  {
    rule: 'no cycle',
    files: {
      'src/c.ts': "import './a.ts';\n",
      'src/a.ts': "import './b.ts';\n",
      'src/b.ts': "import type { C } from './c.ts';\nimport './d.ts';\n",
      'src/d.ts': '',
    },
    found: ['src/a.ts → src/b.ts → src/c.ts → src/a.ts'],
  },
  {
    rule: 'files under',
    files: {
      'src/a.ts': '\n'.repeat(301),
      'src/b.ts': '\n'.repeat(300),
      'test/unit/a.test.ts': '\n'.repeat(601),
      'test/unit/b.test.ts': '\n'.repeat(600),
    },
    found: ['src/a.ts has 301 lines', 'test/unit/a.test.ts has 601 lines'],
  },
  {
    rule: 'folders of at most',
    files: Object.fromEntries(
      ['src/a', 'src/b', 'test/unit/a'].flatMap((folder, index) =>
        Array.from({ length: 17 - (index % 2) }, (_, file) => [`${folder}/f${file}.ts`, '']),
      ),
    ),
    found: ['src/a has 17 files'],
  },
  {
    rule: 'functions under',
    files: {
      'src/a.ts': `function long() {${'\n'.repeat(70)}}\nconst arrow = () => {${'\n'.repeat(69)}};\n`,
      'src/b.ts': `class A { constructor() {${'\n'.repeat(70)}} }\nconst other = async () => {${'\n'.repeat(80)}};\n`,
    },
    found: [
      'src/a.ts:1 long has 71 lines',
      'src/b.ts:1 a function has 71 lines',
      'src/b.ts:72 other has 81 lines',
    ],
  },
  {
    rule: 'at most',
    files: {
      'src/a.ts': declarations(SHARED_NAMES_MAX + 1, ''),
      'src/b.ts': `${declarations(SHARED_NAMES_MAX, '')}const f${SHARED_NAMES_MAX} = () => {};\n`,
      'src/c.ts': declarations(SHARED_EXPORTS_MAX, 'export '),
      'src/d.ts': declarations(SHARED_EXPORTS_MAX, 'export '),
      'test/a.ts': declarations(2 * SHARED_NAMES_MAX, 'export '),
    },
    found: Array.from({ length: SHARED_NAMES_MAX + 1 }, (_, at) =>
      [
        `f${at}: src/a.ts:${at + 1}, src/b.ts:${at + 1}`,
        ...(at < SHARED_EXPORTS_MAX ? [`src/c.ts:${at + 1}, src/d.ts:${at + 1}`] : []),
      ].join(', '),
    ),
  },
  {
    rule: 'at most',
    files: {
      'src/a.ts': declarations(SHARED_EXPORTS_MAX + 1, 'export '),
      'src/b.ts': declarations(SHARED_EXPORTS_MAX + 1, 'export '),
      'src/c.ts': 'interface f0 {}\nexport type f9 = number;\nclass f9 {}\n',
    },
    found: Array.from(
      { length: SHARED_EXPORTS_MAX + 1 },
      (_, at) => `exported: f${at}: src/a.ts:${at + 1}, src/b.ts:${at + 1}`,
    ),
  },
  {
    rule: 'no drawers',
    files: {
      'src/utils.ts': '',
      'src/archive/s3-helpers.ts': '',
      'src/shared/a.ts': '',
      'src/keyBuilder.ts': '',
      'src/shared-state.ts': '',
    },
    found: ['src/utils.ts', 'src/archive/s3-helpers.ts', 'src/shared/a.ts', 'src/keyBuilder.ts'],
  },
  {
    rule: 'nothing is put off',
    files: { 'src/a.ts': `// ${PUT_OFF} later\n`, 'src/b.ts': 'const todo = 1;\n' },
    found: ['src/a.ts:1'],
  },
  {
    rule: 'no focused',
    files: {
      'test/a.test.ts': "test.only('a');\ndescribe.concurrent.skip('b');\nit.todo('c');\nlist.skip(1);\n",
    },
    found: [
      'test/a.test.ts:1 test.only',
      'test/a.test.ts:2 describe.concurrent.skip',
      'test/a.test.ts:3 it.todo',
    ],
  },
  {
    rule: 'only src/config.ts reads',
    files: {
      'src/config.ts': 'load(process.env);\n',
      'src/logger.ts': "level(process.env['LEVEL']);\nall(process['env']);\n",
      'test/a.ts': 'process.env;\n',
    },
    found: ['src/logger.ts:1', 'src/logger.ts:2'],
  },
  {
    rule: 'text comes to a terminal',
    files: {
      'src/cli/terminal/print.ts': 'process.stdout.write(inertOutput(text));\n',
      'src/cli/a.ts': "print('x');\nprocess.stderr.write(name);\n",
      'test/a.ts': 'process.stdout.write(x);\n',
    },
    found: ['src/cli/a.ts:2'],
  },
  {
    rule: 'no recursive mkdir',
    files: {
      'src/folders.ts': 'await mkdir(path, { mode });\n',
      'src/a.ts':
        'await mkdir(path, { recursive: true });\nmkdirSync(path);\nawait rm(path, { recursive: true });\n',
    },
    found: ['src/a.ts:1'],
  },
  {
    rule: 'no loosened types',
    files: {
      'src/a.ts': `let a: any;\nlet b = c as unknown as D;\n// ${OVERLOOKED} no\nlet e = f as G;\n`,
    },
    found: ['src/a.ts:1 any', 'src/a.ts:2 as unknown as', 'src/a.ts:3 @ts comment'],
  },
];

describe('a rule of the tree finds what breaks it, and nothing else', () => {
  test.each(BREACHES)('$rule', ({ rule, files, found }) => {
    const judged = RULES.find(({ name }) => name.startsWith(rule));
    expect(judged?.breaches(Object.entries(files).map(([path, text]) => parseSource(path, text)))).toEqual(
      found,
    );
  });

  test('every rule is tried', () => {
    const tried = BREACHES.map(({ rule }) => RULES.findIndex(({ name }) => name.startsWith(rule)));
    expect([...new Set(tried)]).toEqual([...RULES.keys()]);
  });
});
