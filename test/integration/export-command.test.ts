import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { openFolderStore } from '../../src/store/folder/folder-object-store.ts';
import { makeRecord, storeJob } from '../support/oracles/archived-jobs.ts';
import { filesOf } from '../support/oracles/bundle-damage.ts';
import { makeToolFolder, runVerifyScript } from '../support/harness/bundle-under-test.ts';
import { openStage, type Environment } from '../support/harness/everlog-under-test.ts';
import { spawnEverlog } from '../support/processes/processes.ts';
import { startRedis } from '../support/servers/redis-server.ts';
import { newKeyPem } from '../support/harness/sealing-under-test.ts';

/** `everlog export` as a user runs it, on a ledger that `everlog seal` wrote. */

const stage = openStage();
const signingKey = newKeyPem();
let queue: Environment;
let folder: string;
let archive: Environment;

beforeAll(async () => {
  const redis = await startRedis();
  stage.defer(() => redis.stop());
  queue = { EVERLOG_QUEUE_URL: redis.url, EVERLOG_SIGNING_KEY: signingKey };
  folder = stage.folder();
  archive = { EVERLOG_ARCHIVE_URL: join(folder, 'archive') };
  const store = await openFolderStore({ folder: join(folder, 'archive') });
  for (const [index, repo] of ['app', 'app', 'site'].entries()) {
    const changes = { job_id: index + 1, run_id: 7, repo, head_sha: `${index + 1}`.repeat(40) };
    await storeJob(store, makeRecord(changes), `log of ${repo}\n`.repeat(1_000));
  }
  await store.close();
  await everlog({ ...archive, ...queue }, 'seal');
}, 60_000);

afterAll(() => stage.close());

async function everlog(env: Environment, ...args: string[]) {
  // Away from any folder that an embedded queue could stand in.
  const child = spawnEverlog(args, env, { cwd: folder });
  stage.defer(() => child.kill('SIGKILL'));
  const { code } = await child.exited;
  return { code, stdout: child.stdout(), stderr: child.stderr() };
}

function documentOf(stdout: string): Record<string, unknown> {
  return z.record(z.string(), z.unknown()).parse(JSON.parse(stdout));
}

test('a bundle of what the sealer wrote passes both checks, and who exported is sealed in turn', async () => {
  const bundle = join(folder, 'bundle');
  const exported = await everlog(
    { ...archive, ...queue },
    'export',
    '--out',
    bundle,
    '--repo',
    'octo-org/app',
    '--json',
  );
  expect(exported).toMatchObject({ code: 0, stderr: '' });
  const answer = documentOf(exported.stdout);
  expect(answer).toMatchObject({
    out: bundle,
    jobs: 2,
    records: 2,
    logs: 2,
    findings: [],
    custody_problem: null,
  });
  const [pin = ''] = z.array(z.string()).parse(answer['keys']);

  const script = await runVerifyScript(bundle, await makeToolFolder(join(folder, 'tools')), pin);
  expect(script).toMatchObject({ code: 0, output: expect.stringMatching(/^sound: 3 entries, 5 objects/) });
  expect((await everlog({}, 'verify', '--bundle', bundle, '--key', pin)).code).toBe(0);

  const custody = readFileSync(join(folder, 'archive', z.string().parse(answer['custody'])), 'utf8');
  expect(JSON.parse(custody)).toMatchObject({
    action: 'export',
    who: { known_by: 'os_user', authenticated: false },
    scope: { repo: 'octo-org/app' },
    result: { jobs: 2, index_sha256: answer['index_sha256'] },
  });
  expect((await everlog({ ...archive, ...queue }, 'seal')).code).toBe(0);
  expect((await everlog(archive, 'verify', '--key', pin)).code).toBe(0);
});

describe('without a queue', () => {
  test('it exports all the same, says that no custody record was left, and makes no queue', async () => {
    const bundle = join(folder, 'quiet');
    const { code, stdout } = await everlog(archive, 'export', '--out', bundle);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^3 jobs matched\. Exported to .*: 3 records and 3 logs \(.*\), covered by 1 digest\.\n/,
    );
    expect(stdout).toContain('No custody record was left: there is no queue to tell its sealer\n');
    expect(existsSync(join(folder, 'data'))).toBe(false);
  });

  test('a list of commits that is not all there is exported with findings', async () => {
    const list = join(folder, 'commits.txt');
    writeFileSync(list, `# audited\n${'1'.repeat(40)}\n3333333\ndeadbeef\n`);
    const bundle = join(folder, 'commits');
    const { code, stdout } = await everlog(archive, 'export', '--out', bundle, '--sha-file', list, '--json');
    expect(code).toBe(4);
    expect(documentOf(stdout)).toMatchObject({
      jobs: 2,
      statuses: { sealed: 2, no_job: 1 },
      findings: [{ status: 'no_job', asked_for: 'deadbeef' }],
    });
    expect(readFileSync(join(bundle, 'index.csv'), 'utf8')).toContain('"no_job","deadbeef"');
  });
});

describe('what cannot be done', () => {
  test.each<readonly [string, readonly string[], RegExp]>([
    [
      'a folder that is not empty',
      ['--out', 'full'],
      /--out .*\/full is not empty; name a folder that does not exist/,
    ],
    ['a folder within the archive', ['--out', 'archive/x'], /is within the archive; name a folder outside/],
    [
      'a list that is none',
      ['--out', 'x', '--sha-file', 'full/bad.txt'],
      /--sha-file .*: line 1 is no commit hash/,
    ],
    ['a list that is not there', ['--out', 'x', '--sha-file', 'none.txt'], /--sha-file none\.txt: ENOENT/],
    ['a filter that is none', ['--out', 'x', '--sha', 'xyz'], /--sha takes a commit hash/],
    ['no folder', [], /--out <dir>/],
  ])('is refused with the cure: %s', async (_, args, message) => {
    mkdirSync(join(folder, 'full'), { recursive: true });
    writeFileSync(join(folder, 'full/bad.txt'), 'no hash\n');
    const { code, stdout, stderr } = await everlog(archive, 'export', ...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(readdirSync(folder).filter((name) => name.includes('unfinished'))).toEqual([]);
  });

  test('what nothing matches is not found, and leaves nothing', async () => {
    const { code, stderr } = await everlog(archive, 'export', '--out', 'nothing', '--branch', 'none');
    expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringContaining('no recorded job matches') });
    expect(readdirSync(folder).filter((name) => /nothing/.test(name))).toEqual([]);
  });

  test('a place that cannot be written to is named', async () => {
    const closed = join(folder, 'file');
    writeFileSync(closed, '');
    chmodSync(closed, 0o400);
    const { code, stderr } = await everlog(archive, 'export', '--out', join(closed, 'bundle'));
    expect(code).toBe(2);
    expect(stderr).toContain('--out');
  });
});

test('files of a bundle are for their owner alone', async () => {
  const bundle = join(folder, 'private');
  await everlog(archive, 'export', '--out', bundle);
  const modes = filesOf(bundle).map((file) => statSync(join(bundle, file)).mode & 0o777);
  expect(new Set(modes)).toEqual(new Set([0o600, 0o700]));
});
