import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { readHolds } from '../../../../src/archive/custody/holds.ts';
import type { ObjectStore } from '../../../../src/store/object-store.ts';
import { planPurge, purge } from '../../../../src/archive/custody/purge.ts';
import type { JobRecord } from '../../../../src/archive/record.ts';
import { BundleFolder } from '../../../../src/ledger/export/bundle/bundle-folder.ts';
import { CommitList, parseCommitList } from '../../../../src/ledger/export/commit-list.ts';
import {
  makeAbsence,
  makeArchive,
  makeRecord,
  put,
  storeJob,
  storeRecord,
} from '../../../support/oracles/archived-jobs.ts';
import { filesOf } from '../../../support/oracles/bundle-damage.ts';
import { exportTo, runVerify } from '../../../support/harness/bundle-under-test.ts';
import { removeTemporaryFolder, temporaryFolder } from '../../../support/processes/processes.ts';
import { beginLedger, recordKeyOf, type SmallLedger } from '../../../support/oracles/small-ledger.ts';

let store: ObjectStore;
let ledger: SmallLedger;
let folder: string;
let bundle: string;

beforeEach(async () => {
  store = await makeArchive();
  ledger = await beginLedger(store, '2020-01-20T17:00:00.000Z');
  folder = temporaryFolder('everlog-bundle-');
  bundle = join(folder, 'bundle');
  onTestFinished(() => removeTemporaryFolder(folder));
});

/** An archived job and its record's key. */
async function archived(changes: Partial<JobRecord>, log = 'log\n'): Promise<string> {
  return recordKeyOf(await storeJob(store, makeRecord(changes), log));
}

function fileText(path: string): string {
  return readFileSync(join(bundle, path), 'utf8');
}

async function verdict() {
  const spool = join(folder, 'spool');
  mkdirSync(spool, { recursive: true });
  return runVerify(bundle, spool, ledger.key().id);
}

test('a bundle is laid out as an archive, with the chosen jobs and what vouches for them', async () => {
  const keys = [await archived({ job_id: 1 }), await archived({ job_id: 2 }, 'another log\n')];
  await ledger.seal('2020-01-20T18:00:00.000Z', keys);
  await ledger.seal('2020-01-20T19:00:00.000Z', []);
  const { report, problems } = await exportTo(store, bundle);
  const [digest, next] = [1, 2].map((sequence) =>
    readFileSync(join(bundle, `ledger/digests/000000000${sequence}/digest.json`)),
  );
  const place = 'host=github.com/owner=octo-org/repo=octo-repo';
  expect(filesOf(bundle)).toEqual(
    [
      'VERIFY.md',
      'entries/0000000001.ndjson',
      'entries/0000000001.paths.ndjson',
      'index.csv',
      'index.html',
      'ledger/checkpoints/0000000001.note',
      `ledger/digests/0000000001/${sha256(digest ?? Buffer.alloc(0))}.sig`,
      'ledger/digests/0000000001/digest.json',
      // The one behind goes along, as what it follows is this one.
      'ledger/checkpoints/0000000002.note',
      `ledger/digests/0000000002/${sha256(next ?? Buffer.alloc(0))}.sig`,
      'ledger/digests/0000000002/digest.json',
      `ledger/keys/${ledger.key().id}.json`,
      `v1/logs/${place}/dt=2020-01-20/29679449-1-1.log.gz`,
      `v1/logs/${place}/dt=2020-01-20/29679449-1-2.log.gz`,
      `v1/records/${place}/29679449/1/1.json`,
      `v1/records/${place}/29679449/1/2.json`,
      'verify.sh',
    ].sort(),
  );
  expect(report).toMatchObject({ jobs: 2, records: 2, logs: 2, sequences: [1], keyIds: [ledger.key().id] });
  expect(problems).toEqual([]);
  expect((await verdict()).code).toBe(0);
});

test('entry lines are the ledger’s own, byte for byte, and say where they stand', async () => {
  const keys = await Promise.all(
    [1, 2, 3, 4, 5].map((job) => archived({ job_id: job, head_sha: `${job}`.repeat(40) })),
  );
  await ledger.seal('2020-01-20T18:00:00.000Z', keys);
  await exportTo(store, bundle, { filters: { shaPrefix: '4444' } });
  const stored = readdirSync(folderOfDigest()).find((name) => name.endsWith('.gz')) ?? '';
  const all = gunzipSync(readFileSync(join(folderOfDigest(), stored)))
    .toString()
    .split('\n');
  expect(fileText('entries/0000000001.ndjson')).toBe(`${all[3]}\n`);
  const path: unknown = JSON.parse(fileText('entries/0000000001.paths.ndjson'));
  const leaf = createHash('sha256')
    .update(Buffer.of(0))
    .update(all[3] ?? '')
    .digest('hex');
  expect(path).toMatchObject({ index: 3, leaf });
});

function folderOfDigest(): string {
  return join(store.location.slice('file:'.length), 'ledger/digests/0000000001');
}

test('nothing of another repository is in a bundle', async () => {
  const canary = {
    owner: 'canary-owner',
    repo: 'canary-repo',
    job_name: 'canary-job',
    head_branch: 'canary-branch',
  };
  const keys = [
    await archived({ job_id: 1 }),
    await archived({ ...canary, job_id: 770_077 }, 'canary log\n'),
    await storeRecord(store, makeAbsence('unavailable', { ...canary, job_id: 770_078 })),
  ];
  await put(store, 'ledger/digests/0000000001/canary.gaps.ndjson', Buffer.from('{"owner":"canary-owner"}\n'));
  await ledger.seal('2020-01-20T18:00:00.000Z', keys);
  await exportTo(store, bundle, { filters: { owner: 'octo-org' } });
  for (const file of filesOf(bundle)) {
    expect(file).not.toMatch(/canary|77007/);
    expect(readFileSync(join(bundle, file)).toString('latin1')).not.toMatch(/canary|77007/);
  }
  expect((await verdict()).code).toBe(0);
});

test('every revision of a chosen job is exported, from whichever digests', async () => {
  const first = await storeRecord(store, makeAbsence('unavailable', { job_id: 5 }));
  await ledger.seal('2020-01-20T18:00:00.000Z', [first]);
  await ledger.seal('2020-01-20T19:00:00.000Z', []);
  const second = await archived({
    job_id: 5,
    revision: 2,
    supersedes: first,
    recorded_at: '2020-01-20T19:30:00Z',
  });
  await ledger.seal('2020-01-20T20:00:00.000Z', [second]);
  const { report } = await exportTo(store, bundle, { filters: { outcome: 'archived' } });
  expect(report).toMatchObject({ jobs: 1, records: 2, logs: 1, sequences: [1, 3] });
  expect((await verdict()).code).toBe(0);
});

test('what is in no digest yet is told, and not exported as if something vouched for it', async () => {
  await ledger.seal('2020-01-20T18:00:00.000Z', [await archived({ job_id: 1 })]);
  const late = await archived({ job_id: 2, recorded_at: '2020-01-20T18:30:00Z' });
  const { report } = await exportTo(store, bundle);
  expect(report.rows.map(({ status, record }) => [status, record?.key === late])).toEqual([
    ['sealed', false],
    ['not_sealed', true],
  ]);
  expect(existsSync(join(bundle, late))).toBe(false);
  expect(fileText('index.csv')).toContain('"not_sealed"');
  expect((await verdict()).code).toBe(0);
});

describe('what is not as it was sealed', () => {
  test('a changed record is exported as it stands, and said to differ', async () => {
    const key = await archived({ job_id: 1 });
    await ledger.seal('2020-01-20T18:00:00.000Z', [key]);
    const file = join(store.location.slice('file:'.length), key);
    writeFileSync(file, readFileSync(file, 'utf8').replace('success', 'failure'));
    const { report } = await exportTo(store, bundle);
    expect(report.rows.map(({ status }) => status)).toEqual(['differs']);
    expect(readFileSync(join(bundle, key))).toEqual(readFileSync(file));
    expect(await verdict()).toMatchObject({ code: 4, output: expect.stringContaining(`MODIFIED ${key}`) });
  });

  test('a log that is gone without a word is missing', async () => {
    const record = await storeJob(store, makeRecord(), 'log\n');
    await ledger.seal('2020-01-20T18:00:00.000Z', [recordKeyOf(record)]);
    rmSync(join(store.location.slice('file:'.length), record.log?.key ?? ''));
    const { report } = await exportTo(store, bundle);
    expect(report.rows.map(({ status, custody }) => [status, custody])).toEqual([['missing', null]]);
    expect(await verdict()).toMatchObject({ code: 4, output: expect.stringContaining('MISSING v1/logs/') });
  });

  test('a signature that is gone is a problem', async () => {
    await ledger.seal('2020-01-20T18:00:00.000Z', [await archived({ job_id: 1 })]);
    const signature = readdirSync(folderOfDigest()).find((name) => name.endsWith('.sig')) ?? '';
    rmSync(join(folderOfDigest(), signature));
    const { problems } = await exportTo(store, bundle);
    expect(new Set(problems)).toEqual(
      new Set([
        `ledger/digests/0000000001/${signature}: the digest’s signature is missing`,
        `ledger/digests/0000000001/${signature}: BAD_SIGNATURE: there is no signature`,
      ]),
    );
    expect((await verdict()).code).toBe(4);
  });
});

describe('an erased job', () => {
  /** Erases the job as `everlog purge` does; answers the keys that are to be sealed then. */
  async function erase(job: number): Promise<string[]> {
    const options = { reason: 'a token in it', record: false, bypassGovernance: false };
    const hooks = { onProblem: () => undefined };
    const now = new Date('2020-01-21T00:00:00Z');
    const plan = await planPurge(
      store,
      { kind: 'id', host: null, id: job },
      null,
      await readHolds(store, hooks.onProblem),
      options,
      now,
      hooks,
    );
    if (plan === null) throw new Error(`no job ${job}`);
    const who = { name: 'operator', known_by: 'os_user', authenticated: false } as const;
    const deps = { store, who, version: '0.0.0', now: () => now, randomHex: () => 'ab'.repeat(8) };
    const { custody, erased } = await purge(deps, plan, options);
    return [...custody, ...erased];
  }

  test('goes with its records and the custody object that says who erased it', async () => {
    await ledger.seal('2020-01-20T18:00:00.000Z', [
      await archived({ job_id: 1 }),
      await archived({ job_id: 2 }),
    ]);
    const sealed = await erase(1);
    await ledger.seal('2020-01-21T01:00:00.000Z', sealed);
    const { report, problems } = await exportTo(store, bundle);
    const custody = sealed.find((key) => key.startsWith('v1/custody/'));
    expect(problems).toEqual([]);
    expect(report.rows.map(({ status, record, custody: by }) => [record?.revision, status, by])).toEqual([
      [1, 'erased', custody],
      [2, 'sealed', custody],
      [1, 'sealed', null],
    ]);
    expect(existsSync(join(bundle, custody ?? ''))).toBe(true);
    expect(await verdict()).toMatchObject({ code: 0, output: expect.stringContaining('ERASED v1/logs/') });
  });

  test('stays missing as long as nobody has sealed who erased it', async () => {
    await ledger.seal('2020-01-20T18:00:00.000Z', [await archived({ job_id: 1 })]);
    const [custody = ''] = await erase(1);
    const { report, problems } = await exportTo(store, bundle);
    expect(report.rows.map(({ status }) => status)).toEqual(['missing', 'not_sealed']);
    expect(problems).toEqual([`${custody}: says who removed something, and is in no digest yet`]);
    expect((await verdict()).code).toBe(4);
  });
});

describe('a list of commits', () => {
  test('chooses the jobs of each, and what has none is told', async () => {
    const [one, two] = ['1'.repeat(40), '2'.repeat(40)];
    const keys = [await archived({ job_id: 1, head_sha: one }), await archived({ job_id: 2, head_sha: two })];
    await ledger.seal('2020-01-20T18:00:00.000Z', keys);
    const { report } = await exportTo(store, bundle, { commits: new CommitList(['1111111', 'deadbeef']) });
    expect(report.rows.map(({ status, askedFor }) => [status, askedFor])).toEqual([
      ['sealed', '1111111'],
      ['no_job', 'deadbeef'],
    ]);
    expect(fileText('index.csv')).toContain('"no_job","deadbeef"');
    expect(fileText('index.html')).toContain('no job of commit <span class="hash">deadbeef</span>');
  });

  test('is one hash a line, with comments and any line ends', () => {
    const parsed = parseCommitList('\ufeff# release 7\r\nABCDEF1\r\n\n  1234567890  \n');
    expect(parsed.ok && parsed.commits.unmet()).toEqual(['abcdef1', '1234567890']);
  });

  test.each([
    ['', 'there is no commit in it; write one hash on each line'],
    ['abcdef1\nnot a hash\n', 'line 2 is no commit hash, nor seven or more characters of one'],
    ['abcdef\n', 'line 1 is no commit hash, nor seven or more characters of one'],
  ])('names what is wrong with %j', (text, problem) => {
    expect(parseCommitList(text)).toEqual({ ok: false, problems: [problem] });
  });
});

describe('the folder', () => {
  test('is refused where something stands', async () => {
    mkdirSync(bundle);
    writeFileSync(join(bundle, 'mine.txt'), '');
    await expect(BundleFolder.begin(bundle, 'n')).rejects.toThrow(
      /--out .*\/bundle is not empty; name a folder that does not exist/,
    );
    await expect(BundleFolder.begin(join(bundle, 'mine.txt'), 'n')).rejects.toThrow('is no folder');
    expect(readdirSync(folder)).toEqual(['bundle']);
  });

  test('may be there, empty, and has nothing of a bundle that was not finished', async () => {
    mkdirSync(bundle);
    const begun = await BundleFolder.begin(bundle, 'n');
    await begun.write('v1/file', 'text');
    expect(readdirSync(bundle)).toEqual([]);
    await begun.discard();
    expect(readdirSync(folder)).toEqual(['bundle']);
    const again = await BundleFolder.begin(bundle, 'n');
    await again.write('v1/file', 'text');
    await again.finish();
    expect(filesOf(bundle)).toEqual(['v1/file']);
  });
});

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
