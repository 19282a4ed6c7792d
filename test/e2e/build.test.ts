import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Script } from 'node:vm';
import { afterAll, describe, expect, test } from 'vitest';
import {
  removeTemporaryFolder,
  spawnManaged,
  temporaryFolder,
  type ManagedProcess,
} from '../support/processes/processes.ts';

const REPOSITORY = join(import.meta.dirname, '../..');
const DIST = join(REPOSITORY, 'dist');
const COMMAND = join(DIST, 'src/cli/main.js');
/** Characters that name a build, as scripts/launch.mjs compares them. */
const NAMED_BY = 100;
const LEFT_OVER = join(DIST, `src/cli/${randomUUID()}.js`);
const npmCache = temporaryFolder('everlog-npm-cache-');
const started: ManagedProcess[] = [];

afterAll(async () => {
  for (const one of started) await one.stop();
  removeTemporaryFolder(npmCache);
});

/** With a cache of its own, npx meets this repository for the first time, as it does after every `git clone`. */
function run(program: string, args: readonly string[]): SpawnSyncReturns<string> {
  const env = { ...process.env, npm_config_cache: npmCache };
  return spawnSync(program, args, { cwd: REPOSITORY, encoding: 'utf8', env });
}

function expectToRun(): void {
  expect(statSync(COMMAND).mode & 0o111).toBe(0o111);
  const help = run('npx', ['everlog', '--help']);
  expect(help).toMatchObject({ status: 0, stdout: expect.stringContaining('Usage: everlog') });
}

describe('npm run build', () => {
  test('leaves a command that npx can run, and nothing that no source makes any more', () => {
    writeFileSync(LEFT_OVER, '');
    const built = run('npm', ['run', 'build']);
    expect(built.status, `${built.stdout}${built.stderr}`).toBe(0);
    expect(existsSync(LEFT_OVER)).toBe(false);
    expect(readdirSync(DIST).sort()).toEqual(['src']);
    expectToRun();
  });

  test('again: whoever calls the command meanwhile meets no missing or half-written file, and npx can run it after', async () => {
    const build = spawnManaged('npm', ['run', 'build'], { cwd: REPOSITORY });
    started.push(build);
    let calls = 0;
    for (; build.running; calls += 1) {
      const called = spawnManaged(process.execPath, [COMMAND, '--version'], { cwd: REPOSITORY });
      started.push(called);
      const exit = await called.exited;
      expect({ ...exit, stderr: called.stderr() }).toMatchObject({ code: 0, stderr: '' });
    }
    expect((await build.exited).code).toBe(0);
    expect(calls).toBeGreaterThan(1);
    expectToRun();
  });

  test('leaves a code cache that the engine takes; one that is broken, or of another build, changes nothing', () => {
    const program = join(DIST, 'src/cli/everlog.cjs');
    const source = readFileSync(program, 'utf8');
    const cache = readFileSync(`${program}.cache`);
    expect(cache.toString('latin1', 0, NAMED_BY)).toBe(source.slice(0, NAMED_BY));
    const script = new Script(source, { filename: program, cachedData: cache.subarray(NAMED_BY) });
    expect(script.cachedDataRejected).toBe(false);

    const elsewhere = temporaryFolder('everlog-cache-');
    mkdirSync(join(elsewhere, 'dist/src/cli'), { recursive: true });
    for (const file of ['package.json', 'dist/src/cli/main.js', 'dist/src/cli/everlog.cjs']) {
      copyFileSync(join(REPOSITORY, file), join(elsewhere, file));
    }
    const copy = join(elsewhere, 'dist/src/cli/everlog.cjs.cache');
    // As long as the program, which is all that V8 compares: it would take the compiled words of this one for the program's.
    const other = join(elsewhere, 'other.cjs');
    writeFileSync(other, source.replace('"Usage:"', '"Ysage:"').replace(/[0-9a-f]{64}/, '0'.repeat(64)));
    expect(run(process.execPath, [join(REPOSITORY, 'scripts/build.mjs'), '--cache', other])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^Ysage: /u),
    });
    const caches = {
      none: null,
      broken: Buffer.concat([cache.subarray(0, NAMED_BY), Buffer.from('no cache')]),
      short: cache.subarray(0, NAMED_BY / 2),
      foreign: readFileSync(`${other}.cache`),
    };
    for (const [name, bytes] of Object.entries(caches)) {
      if (bytes !== null) writeFileSync(copy, bytes);
      const help = run(process.execPath, [join(elsewhere, 'dist/src/cli/main.js'), 'verify', '--help']);
      expect({ name, ...help }).toMatchObject({
        status: 0,
        stderr: '',
        stdout: expect.stringMatching(/^Usage: /u),
      });
    }
    removeTemporaryFolder(elsewhere);
  });

  test('an installation without the bundler is left as it is, where nobody asked for a build', () => {
    const root = temporaryFolder('everlog-build-');
    mkdirSync(join(root, 'scripts'));
    const script = join(root, 'scripts/build.mjs');
    copyFileSync(join(REPOSITORY, 'scripts/build.mjs'), script);
    const onInstall = run('node', [script, '--prepare']);
    const onDemand = run('node', [script]);
    removeTemporaryFolder(root);
    expect(onInstall.stderr).toContain('esbuild is not installed');
    expect([onInstall.status, onDemand.status]).toEqual([0, 1]);
  });
});
