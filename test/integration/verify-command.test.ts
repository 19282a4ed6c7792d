import { PutObjectCommand } from '@aws-sdk/client-s3';
import { cpSync, mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DATA_FOLDER } from '../../src/queue/embedded/queue-folder.ts';
import { folderPut, makeLedger, type LedgerMaker } from '../support/oracles/ledger-maker.ts';
import { s3Settings, until } from '../support/harness/everlog-under-test.ts';
import { spawnEverlog, temporaryFolder } from '../support/processes/processes.ts';
import { s3Client } from '../support/servers/s3-connection.ts';
import { startS3Fake } from '../support/servers/s3-fake/s3-fake.ts';
import { fileAt, withFlippedBit } from '../support/harness/verify-under-test.ts';

/** `everlog verify` as its users run it. */

const LINE_TIMEOUT_MS = 30_000;
const HOUR_MS = 3_600_000;
const folder = temporaryFolder();
const fake = await startS3Fake();
let maker: LedgerMaker;

beforeAll(async () => {
  const archive = `file:${folder}`;
  maker = await makeLedger(folderPut(folder), { archive, digests: 3, jobs: 3, endMs: Date.now() });
});
afterAll(() => fake.stop());

interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  const child = spawnEverlog(['verify', ...args], env);
  const { code } = await child.exited;
  return { code, stdout: child.stdout(), stderr: child.stderr() };
}

function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line): Record<string, unknown> => Object(JSON.parse(line)));
}

test('a sound archive: what it will cost is said first, then what is to be known, exit 0', async () => {
  const pinned = await run(['--archive', folder, '--key', maker.key.id.toUpperCase()]);
  expect(pinned.code).toBe(0);
  expect(pinned.stderr).toMatch(/^everlog verify: 3 digests, about 18 objects of 9 entries: /);
  expect(pinned.stdout).toContain('UNANCHORED ');
  expect(pinned.stdout).toMatch(
    /^VALID: 9 entries of 3 digests, 18 objects looked at, sealed \S+ \S+ to \S+ \S+; ERASED 0, EXPIRED 0$/m,
  );
  expect(pinned.stdout).toContain(`${maker.key.id} pinned`);
  expect(pinned.stdout).toContain('1 to 3, ');

  const believed = await run([], { EVERLOG_ARCHIVE_URL: folder });
  expect(believed.stdout).toContain(`${maker.key.id} unpinned`);
});

test('findings: a line each and a summary as NDJSON, exit 4', async () => {
  const { recordKey } = maker.jobs[4] ?? { recordKey: '' };
  const file = fileAt(folder, recordKey);
  file.write(withFlippedBit(file.bytes, Math.random));
  const { code, stdout } = await run(['--archive', `file:${folder}`, '--json']);
  file.restore();
  expect(code).toBe(4);
  const lines = jsonLines(stdout);
  // Results come as they are found, objects being read side by side; the summary is last.
  expect(new Set(lines.slice(0, -1))).toEqual(
    new Set([
      { result: 'UNANCHORED', key: 'ledger/digests/0000000003/digest.json', detail: expect.any(String) },
      { result: 'MODIFIED', key: recordKey, detail: expect.stringContaining('SHA-256') },
    ]),
  );
  expect(lines.at(-1)).toEqual({
    summary: expect.objectContaining({
      result: 'FINDINGS',
      findings: 1,
      last_sequence: 3,
      key_pinned: false,
    }),
  });
});

test('an anchor is a file, a folder, or what is configured', async () => {
  const copies = temporaryFolder();
  const put = folderPut(copies);
  const beyond = await makeLedger(put, { archive: 's3://a/b', digests: 4, jobs: 0, endMs: Date.now() });
  const note = join(copies, beyond.digests[3]?.noteKey ?? '');
  const given = await run(['--archive', folder, '--anchor', note, '--json']);
  expect(given.code).toBe(4);
  expect(jsonLines(given.stdout)).toContainEqual(
    expect.objectContaining({ result: 'TRUNCATED', key: 'ledger/digests/0000000004/digest.json' }),
  );
  const configured = await run(['--archive', folder, '--json'], { EVERLOG_ANCHOR_URL: copies });
  expect(configured.code).toBe(4);
  expect(configured.stdout).toContain('"anchored_sequence":4');
});

test('names that somebody else chose do nothing on a terminal', async () => {
  const key = `v1/\u001b]0;owned\u0007${'x'.repeat(20)}.json`;
  folderPut(folder)(key, Buffer.from('{}'));
  const { stdout } = await run(['--archive', folder, '--to', new Date(Date.now() + HOUR_MS).toISOString()]);
  rmSync(join(folder, key));
  expect(stdout).not.toContain('\u001b');
});

describe('what cannot be', () => {
  test.each([
    [['--level', 'all'], '--level takes ledger, heads, bytes'],
    [['--anchor', './nowhere'], '--anchor: there is nothing at ./nowhere'],
    [['--anchor', './package.json'], 'neither a checkpoint note nor a digest'],
    [['--archive', 'https://example.com'], '--archive is not s3://BUCKET/PREFIX'],
    [['--anchor', folder], '--anchor is in what it is to vouch for'],
    [['--anchor', join(folder, 'ledger', '..', 'ledger')], '--anchor is in what it is to vouch for'],
    [['--anchor', join(folder, 'ledger/checkpoints/0000000003.note')], '--anchor is in what it is to'],
    [['--bundle', folder], 'is an archive, no bundle: give it with --archive'],
    [['--archive', './elsewhere', '--record'], '--record needs the archive of EVERLOG_ARCHIVE_URL'],
  ])('%j is refused with its cure, exit 2', async (args, problem) => {
    const { code, stdout, stderr } = await run(args, { EVERLOG_ARCHIVE_URL: folder });
    expect(stderr).toContain(problem);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });

  test('an anchor in the archive, under any name: exit 2', async () => {
    const link = join(temporaryFolder(), 'elsewhere');
    symlinkSync(folder, link);
    const env = { EVERLOG_ARCHIVE_URL: folder, EVERLOG_ANCHOR_URL: join(link, 'ledger') };
    expect(await run([], env)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('EVERLOG_ANCHOR_URL is in'),
    });
    const s3 = { EVERLOG_ARCHIVE_URL: 's3://b/archive' };
    for (const anchor of ['s3://b/archive', 's3://b/archive/', 's3://b/archive/ledger'])
      expect(await run(['--anchor', anchor], s3)).toMatchObject({ code: 2 });
  });

  test('a bundle as archive: exit 2, and the option that is right', async () => {
    const bundle = temporaryFolder();
    cpSync(join(folder, 'ledger'), join(bundle, 'ledger'), {
      recursive: true,
      filter: (name) => !name.endsWith('.entries.ndjson.gz'),
    });
    folderPut(bundle)('entries/0000000001.paths.ndjson', Buffer.from('{}\n'));
    const { code, stderr } = await run(['--archive', bundle]);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringContaining('give its folder with --bundle'),
    });
  });

  test('a window in which nothing was sealed: exit 3, naming what the ledger spans', async () => {
    const [first] = maker.digests;
    const span = String(Object(JSON.parse(first?.bytes.toString() ?? ''))['window_start']);
    for (const window of [
      ['--from', '2062-11-20'],
      ['--to', '2016-11-20'],
      ['--from', '2025-11-20', '--to', '2025-11-21'],
    ]) {
      const { code, stdout, stderr } = await run(['--archive', folder, ...window]);
      expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
      expect(stderr).toContain(`spans ${span} to `);
    }
  });

  test('a window of intervals without entries: exit 3 as well, unless something was planted in it', async () => {
    const idle = temporaryFolder();
    const idling = await makeLedger(folderPut(idle), {
      archive: `file:${idle}`,
      digests: 3,
      jobs: 0,
      endMs: Date.now(),
    });
    const { code, stderr } = await run(['--archive', idle, '--from', '90m']);
    expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringContaining('digests without entries') });
    expect(await run(['--archive', idle])).toMatchObject({ code: 0 });
    folderPut(idle)(maker.jobs[0]?.recordKey ?? '', Buffer.from('{}'));
    expect(await run(['--archive', idle, '--from', '90m'])).toMatchObject({ code: 4 });
    expect(idling.digests).toHaveLength(3);
  });

  test('the whole ledger removed: truncated for whoever knows the key, else nothing to verify', async () => {
    const bare = temporaryFolder();
    cpSync(join(folder, 'v1'), join(bare, 'v1'), { recursive: true });
    const pinned = await run(['--archive', bare, '--key', maker.key.id]);
    expect(pinned.code).toBe(4);
    expect(pinned.stdout).toContain('TRUNCATED        ledger/digests/0000000001/digest.json: ');
    const unpinned = await run(['--archive', bare]);
    expect(unpinned).toMatchObject({ code: 3, stderr: expect.stringContaining('Give --key') });
    rmSync(join(bare, 'v1'), { recursive: true });
    expect(await run(['--archive', bare, '--key', maker.key.id])).toMatchObject({ code: 3 });
  });

  test('an archive without a ledger, or none at all: exit 3', async () => {
    for (const archive of [temporaryFolder(), '/nonexistent/archive']) {
      const { code, stderr } = await run(['--archive', archive]);
      expect({ code, stderr }).toEqual({
        code: 3,
        stderr: expect.stringContaining('there is no Everlog archive'),
      });
    }
    const { code, stderr } = await run(['--bundle', temporaryFolder()]);
    expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringContaining('is no bundle') });
  });

  test('temporary files that cannot be written are told with the cure', async () => {
    const { code, stderr } = await run(['--archive', folder], { TMPDIR: '/nonexistent/tmp' });
    expect(code).toBe(1);
    expect(stderr).toContain('set TMPDIR to a folder with more room');
  });
});

test('interrupted, commands end with 130 and leave nothing behind', async () => {
  const bucket = 'interrupted';
  await fake.createBucket(bucket);
  const client = s3Client(fake);
  const put = async (key: string, Body: Buffer): Promise<null> => {
    await client.send(new PutObjectCommand({ Bucket: bucket, Key: `archive/${key}`, Body }));
    return null;
  };
  const archive = `s3://${bucket}/archive`;
  await makeLedger(put, { archive, digests: 1, jobs: 20, endMs: Date.now() });
  client.destroy();
  fake.faults.add({ method: 'GET', keyIncludes: 'v1/records/', effect: { kind: 'hang' } });
  const temporary = temporaryFolder();
  const child = spawnEverlog(['verify'], { ...s3Settings(fake, bucket, 'archive'), TMPDIR: temporary });
  await child.waitForLine(({ text }) => text.includes('everlog verify: 1 digest,'), LINE_TIMEOUT_MS);
  expect(await child.kill('SIGINT')).toEqual({ code: 130, signal: null });
  expect(readdirSync(temporary)).toEqual([]);

  const asked = (): number => fake.requests['GET'] ?? 0;
  const before = asked();
  fake.faults.add({ method: 'GET', effect: { kind: 'hang' } });
  const ls = spawnEverlog(['ls', '--json'], s3Settings(fake, bucket, 'archive'));
  await until('it has asked for what does not come', () => asked() > before, LINE_TIMEOUT_MS);
  expect(await ls.kill('SIGINT')).toEqual({ code: 130, signal: null });
  fake.faults.clear();
});

test('recorded, it leaves a custody object that says what came of it', async () => {
  const queue = temporaryFolder();
  // As a service that once ran on it leaves it.
  mkdirSync(join(queue, DATA_FOLDER));
  const env = { EVERLOG_ARCHIVE_URL: folder, EVERLOG_QUEUE_URL: `embedded:${queue}` };
  const { code, stderr } = await run(['--record', '--level', 'heads'], env);
  expect({ code, stderr }).toEqual({
    code: 0,
    stderr: expect.stringContaining('recorded as v1/custody/dt='),
  });
  const [, key = ''] = /recorded as (\S+)/.exec(stderr) ?? [];
  expect(JSON.parse(fileAt(folder, key).bytes.toString())).toMatchObject({
    action: 'verify',
    who: { known_by: 'os_user', authenticated: false },
    scope: { level: 'heads', record: 'true' },
    result: { result: 'VALID', findings: 0, last_sequence: 3, level: 'heads', key_pinned: false },
  });
  rmSync(join(folder, key));
});
