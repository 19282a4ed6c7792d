import type { SourceFile } from './source-tree.ts';

/** A rule of the tree: what it demands, why, and where it is broken. */
export interface TreeRule {
  readonly name: string;
  readonly reason: string;
  /** One line for each breach, beginning with where it is. */
  readonly breaches: (files: readonly SourceFile[]) => readonly string[];
}

const PURE = [
  'errors',
  'logger',
  'units',
  'json-text',
  'proxies',
  'in-flight',
  'folders',
  'gather-bytes',
  'spans',
];
const STORES = ['store', 'archive', 'github', 'queue', 'ledger', 'index'];
/** What compares GitHub with the archive, and what that may cost of a rate limit. */
const COMPARING = ['reconcile', 'redelivery', 'budget'];

/**
 * Which room may import which, besides itself. A room is a folder of `src` (or the file of that name), or a top folder.
 * `archive/keys` allows that one file. Rooms of the plan that have not been built yet stand here already.
 */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  cli: [
    'service',
    'doctor',
    'setup',
    'config',
    'control',
    'receiver',
    'log',
    'metrics',
    'simulator',
    ...COMPARING,
    ...STORES,
    ...PURE,
  ],
  service: [
    'config',
    'control',
    'receiver',
    'web',
    'workers',
    'metrics',
    'spool',
    'log',
    ...COMPARING,
    ...STORES,
    ...PURE,
  ],
  doctor: ['service', 'config', 'control', ...STORES, ...PURE],
  setup: ['config', 'github', 'doctor', ...PURE],
  config: ['github', 'queue', ...PURE],
  control: ['queue', ...PURE],
  receiver: ['metrics', ...STORES, ...PURE],
  web: ['log', 'metrics', ...STORES, ...PURE],
  workers: ['spool', 'log', 'metrics', ...COMPARING, ...STORES, ...PURE],
  reconcile: [
    'budget',
    'store',
    'archive',
    'github',
    'queue',
    'ledger/formats/formats',
    'ledger/ports',
    'index',
    ...PURE,
  ],
  redelivery: ['budget', 'github', 'queue', ...PURE],
  budget: ['github', 'queue', ...PURE],
  metrics: ['queue', 'reconcile', ...PURE],
  index: ['store', 'archive', 'ledger/formats/formats', 'ledger/formats/lines', ...PURE],
  log: ['store', 'archive', ...PURE],
  ledger: ['store', 'archive', ...PURE],
  queue: ['archive/keys', 'archive/record', 'ledger/formats/formats', 'ledger/ports', ...PURE],
  archive: ['store', ...PURE],
  spool: ['store', ...PURE],
  store: PURE,
  github: PURE,
  logger: ['json-text'],
  errors: [],
  units: [],
  'json-text': [],
  proxies: [],
  'in-flight': [],
  folders: ['errors'],
  'gather-bytes': [],
  spans: [],
  simulator: [],
  infra: [],
};

/** Which files may name a library. One that stands here is free to use nowhere else; others are free everywhere. */
const LIBRARIES: readonly { readonly library: RegExp; readonly files: RegExp }[] = [
  { library: /^@aws-sdk\//, files: /^(src\/store\/s3\/|src\/ledger\/keys\/kms-signer\.ts$|infra\/)/ },
  { library: /^bullmq$/, files: /^(src\/queue\/|workers\/run-workers\.ts$)/ },
  { library: /^(ioredis|@electric-sql\/pglite)/, files: /^src\/queue\// },
  { library: /^@octokit\//, files: /^(src\/github\/|src\/receiver\/signature\.ts$)/ },
  { library: /^(hono|@hono\/node-server)(\/|$)/, files: /^src\/(receiver|web|setup|control|simulator)\// },
  { library: /^undici$/, files: /^src\/(github|control|simulator|setup|web)\// },
  { library: /^(commander|cli-table3)$/, files: /^src\/cli\// },
  { library: /^pino$/, files: /^src\/(logger\.ts$|cli\/)/ },
  { library: /^prom-client$/, files: /^src\/metrics(\.ts$|\/)/ },
  { library: /^(@opentelemetry\/|bullmq-otel$)/, files: /^src\/service\/tracing\// },
  { library: /^hyparquet/, files: /^src\/index\// },
  { library: /^yaml$/, files: /^src\/config\// },
];

const VERIFY = 'src/ledger/verify/';
/** Formats without code, and what names and reads objects. */
const READERS =
  /^src\/(ledger\/formats\/formats|archive\/keys|store\/(object-key|object-store)|errors|units)\.ts$/;

const FILE_LINES_MAX = 300;
const TEST_FILE_LINES_MAX = 600;
const FUNCTION_LINES_MAX = 70;
/** Folders of tests hold one file for each thing tested, found by its name. */
const FOLDER_FILES_MAX = 16;
const FLAT_FOLDERS = /^test\/(unit|contract|integration)(\/|$)/;
/**
 * Names that two or more files may give to functions, types or classes of their own, and those of them that two or more
 * files export. Verification has its own copies on purpose, and adapters of one port may call their parts alike.
 */
export const SHARED_NAMES_MAX = 22;
export const SHARED_EXPORTS_MAX = 4;
const DRAWER = /(^|[/-])(utils?|helpers?|managers?|common|shared|misc)(\.|\/|$)/;
// Written so that this line does not break its own rule.
const PUT_OFF = /\b(TOD[O]|FIXM[E]|XX[X]|HAC[K])\b/;

export const RULES: readonly TreeRule[] = [
  {
    name: 'imports run one way between rooms',
    reason:
      'what a room may know is decided in one table (ROOMS in test/support/harness/tree-rules.ts), not by habit',
    breaches: (files) =>
      product(files).flatMap((file) =>
        file.imports
          .filter(({ target }) => isOurs(target) && !mayImport(file.path, target))
          .map(({ target, line }) => `${file.path}:${line} imports ${target}`),
      ),
  },
  {
    name: 'nothing imports a test, and only the demo and composition import the simulator',
    reason:
      'what serves the tests must not run in production, and an oracle that the product leans on proves nothing',
    breaches: (files) =>
      product(files).flatMap((file) =>
        file.imports
          .filter(({ target }) => target.startsWith('test/') || simulatorLeak(file.path, target))
          .map(({ target, line }) => `${file.path}:${line} imports ${target}`),
      ),
  },
  {
    name: 'only adapters name a library that can be replaced',
    reason: 'a library that is named in one room can be changed in one room',
    breaches: (files) =>
      product(files).flatMap((file) =>
        file.imports
          .filter(({ target }) =>
            LIBRARIES.some(({ library, files: allowed }) => library.test(target) && !allowed.test(file.path)),
          )
          .map(({ target, line }) => `${file.path}:${line} imports ${target}`),
      ),
  },
  {
    name: 'verification shares no code with what writes',
    reason: 'a mistake that writer and verifier have in common, no verification finds',
    breaches: (files) =>
      files
        .filter(({ path }) => path.startsWith(VERIFY))
        .flatMap((file) =>
          file.imports
            .filter(({ target }) => isOurs(target) && !target.startsWith(VERIFY) && !READERS.test(target))
            .map(({ target, line }) => `${file.path}:${line} imports ${target}`),
        ),
  },
  {
    name: 'no import is computed',
    reason: 'an import that no reader can follow, no rule can judge',
    breaches: (files) =>
      product(files).flatMap((file) =>
        file.imports
          .filter(({ target }) => target === 'computed import')
          .map(({ line }) => `${file.path}:${line}`),
      ),
  },
  {
    name: 'no cycle of imports',
    reason: 'files that need each other cannot be understood, tested or started one at a time',
    breaches: cycles,
  },
  {
    name: `files under ${FILE_LINES_MAX} lines, tests under ${TEST_FILE_LINES_MAX}`,
    reason: 'a longer file holds more than one thing; divide it by meaning',
    breaches: (files) =>
      files
        .filter(({ path, lines }) => lines > (isTest(path) ? TEST_FILE_LINES_MAX : FILE_LINES_MAX))
        .map(({ path, lines }) => `${path} has ${lines} lines`),
  },
  {
    name: `folders of at most ${FOLDER_FILES_MAX} files`,
    reason: 'a newcomer takes in a room at a glance or not at all; divide it by meaning',
    breaches: (files) => {
      const counts = new Map<string, number>();
      for (const { path } of files) {
        const folder = path.slice(0, path.lastIndexOf('/'));
        if (!FLAT_FOLDERS.test(folder)) counts.set(folder, (counts.get(folder) ?? 0) + 1);
      }
      return [...counts]
        .filter(([, count]) => count > FOLDER_FILES_MAX)
        .map(([folder, count]) => `${folder} has ${count} files`);
    },
  },
  {
    name: `functions under ${FUNCTION_LINES_MAX} lines`,
    reason: 'a function is read in one look or not at all',
    breaches: (files) =>
      product(files).flatMap((file) =>
        file.functions
          .filter(({ lines }) => lines > FUNCTION_LINES_MAX)
          .map(({ name, line, lines }) => `${file.path}:${line} ${name} has ${lines} lines`),
      ),
  },
  {
    name: `at most ${SHARED_NAMES_MAX} names stand for something in several files, ${SHARED_EXPORTS_MAX} of them exported`,
    reason:
      'what is called alike is taken for the same: give what does the same one place, and name what differs by what it gives',
    breaches: (files) => {
      const counted = files.filter(({ path }) => /^(src|workers)\//.test(path));
      const shared = sharedNames(counted, () => true);
      const exported = sharedNames(counted, ({ isExported }) => isExported);
      return [
        ...(shared.length > SHARED_NAMES_MAX ? shared : []),
        ...(exported.length > SHARED_EXPORTS_MAX ? exported.map((line) => `exported: ${line}`) : []),
      ];
    },
  },
  {
    name: 'no drawers, and names in kebab-case',
    reason: 'a file called after what it is about can be found; "helpers" takes in anything',
    breaches: (files) =>
      files.filter(({ path }) => DRAWER.test(path) || !/^[a-z0-9/.-]+$/.test(path)).map(({ path }) => path),
  },
  {
    name: 'nothing is put off in a comment',
    reason: 'work that is left belongs in an issue, where somebody looks',
    breaches: (files) =>
      files.flatMap((file) =>
        file.text
          .split('\n')
          .flatMap((line, index) => (PUT_OFF.test(line) ? [`${file.path}:${index + 1}`] : [])),
      ),
  },
  {
    name: 'no focused, skipped or planned tests',
    reason: 'a test that does not run keeps nobody from breaking what it names',
    breaches: (files) =>
      files.flatMap((file) => file.switchedTests.map(({ call, line }) => `${file.path}:${line} ${call}`)),
  },
  {
    name: 'only src/config.ts reads the environment',
    reason: 'every setting is parsed, checked and documented in one place',
    breaches: (files) =>
      product(files)
        .filter(({ path }) => path !== 'src/config.ts')
        .flatMap((file) => file.environmentReads.map((line) => `${file.path}:${line}`)),
  },
  {
    name: 'text comes to a terminal through src/cli/terminal',
    reason:
      'names, keys and paths of others stand in every line; there they are made harmless, whoever composed it',
    breaches: linesWith(/process\.(stdout|stderr)\.write\(/, /^src\/cli\/terminal\//),
  },
  {
    name: 'no recursive mkdir',
    reason:
      'below /proc it never ends and keeps its thread: makeFolders of src/folders.ts says what is wrong',
    breaches: linesWith(/mkdir(Sync)?\(.*recursive/, /^src\/folders\.ts$/),
  },
  {
    name: 'no loosened types',
    reason: 'the compiler proves only what it has not been told to overlook',
    breaches: (files) =>
      files.flatMap((file) => file.looseTypes.map(({ what, line }) => `${file.path}:${line} ${what}`)),
  },
];

function product(files: readonly SourceFile[]): readonly SourceFile[] {
  return files.filter(({ path }) => !isTest(path));
}

/** For each name that more than one file declares, the name and where; only declarations that `counts` are looked at. */
function sharedNames(
  files: readonly SourceFile[],
  counts: (declared: SourceFile['declared'][number]) => boolean,
): readonly string[] {
  const places = new Map<string, Map<string, number>>();
  for (const { path, declared } of files) {
    for (const one of declared) {
      if (counts(one)) places.set(one.name, new Map(places.get(one.name)).set(path, one.line));
    }
  }
  return [...places]
    .filter(([, found]) => found.size > 1)
    .map(([name, found]) => `${name}: ${[...found].map(([path, line]) => `${path}:${line}`).join(', ')}`);
}

function linesWith(what: RegExp, allowed: RegExp): TreeRule['breaches'] {
  return (files) =>
    product(files)
      .filter(({ path }) => !allowed.test(path))
      .flatMap(({ path, text }) =>
        text.split('\n').flatMap((line, index) => (what.test(line) ? [`${path}:${index + 1}`] : [])),
      );
}

function isTest(path: string): boolean {
  return path.startsWith('test/');
}

function isOurs(target: string): boolean {
  return /^(src|workers|infra)\//.test(target);
}

/** `src/archive/keys.ts` stands in `archive`, `src/config.ts` in `config`, `workers/main.ts` in `workers`. */
function roomOf(path: string): string {
  const [top = '', second = ''] = path.split('/');
  return top === 'src' ? second.replace(/\.ts$/, '') : top;
}

function mayImport(from: string, target: string): boolean {
  const room = roomOf(from);
  if (room === roomOf(target)) return true;
  const file = target.replace(/^src\//, '').replace(/\.ts$/, '');
  return (ROOMS[room] ?? []).some((allowed) => allowed === roomOf(target) || allowed === file);
}

function simulatorLeak(from: string, target: string): boolean {
  const mayServeIt = /^src\/(simulator|service|cli\/demo)\//.test(from);
  return target.startsWith('src/simulator/') && !mayServeIt;
}

/** Each cycle once, from the first of its files by name. Types count too: they tie files together as well. */
function cycles(files: readonly SourceFile[]): readonly string[] {
  const targets = new Map(files.map((file) => [file.path, file.imports.map(({ target }) => target)]));
  const found = new Set<string>();
  const done = new Set<string>();
  const trail: string[] = [];
  function walk(path: string): void {
    const start = trail.indexOf(path);
    if (start >= 0) {
      found.add(fromFirst(trail.slice(start)).join(' → '));
      return;
    }
    if (done.has(path)) return;
    trail.push(path);
    for (const target of targets.get(path) ?? []) walk(target);
    trail.pop();
    done.add(path);
  }
  for (const path of targets.keys()) walk(path);
  return [...found];
}

function fromFirst(cycle: readonly string[]): readonly string[] {
  const first = cycle.indexOf([...cycle].sort()[0] ?? '');
  const turned = [...cycle.slice(first), ...cycle.slice(0, first)];
  return [...turned, ...turned.slice(0, 1)];
}
