import { describe, expect, test } from 'vitest';
import { findRecords, newestRevisions } from '../../../src/archive/find/find-records.ts';
import type { FoundRecords } from '../../../src/archive/find/find-records.ts';
import { parseJobReference } from '../../../src/archive/find/job-reference.ts';
import type { ListedObject, ObjectStore } from '../../../src/store/object-store.ts';
import {
  makeAbsence,
  collect,
  makeArchive,
  makeRecord,
  put,
  storeName,
  storeRecord,
} from '../../support/oracles/archived-jobs.ts';

async function* listing(keys: readonly string[]): AsyncGenerator<ListedObject> {
  for (const key of keys) yield { key, bytes: 1, lastModified: new Date(0) };
}

async function find(store: ObjectStore, text: string): Promise<FoundRecords & { problems: string[] }> {
  const parsed = parseJobReference(text);
  if (!parsed.ok) throw new Error(parsed.problem);
  const problems: string[] = [];
  const found = await findRecords(store, parsed.reference, {
    onProblem: (key, problem) => problems.push(`${key}: ${problem}`),
  });
  return { ...found, problems };
}

function idsOf(found: FoundRecords): string[] {
  return found.records.map(({ record, revision }) => `${record.job_id}.r${revision}`);
}

describe('newest revisions', () => {
  const below = 'v1/records/host=github.com/owner=o/repo=r/1/1/';

  test('fold in key order, where r10 comes before r2', async () => {
    const keys = [
      '399.json',
      '399.r10.json',
      '399.r2.json',
      '399.r9.json',
      '3990.json',
      '3991.json',
      '3991.r2.json',
    ];
    const entries = await collect(newestRevisions(listing(keys.map((key) => below + key))));
    expect(entries.map(({ key }) => key.slice(below.length))).toEqual([
      '399.r10.json',
      '3990.json',
      '3991.r2.json',
    ]);
  });

  test('pass over what Everlog does not write, and keep attempts apart', async () => {
    const keys = [
      `${below}.DS_Store`,
      `${below}5.json`,
      `${below}5.json.bak`,
      `${below.replace('/1/1/', '/1/2/')}5.json`,
    ];
    const entries = await collect(newestRevisions(listing(keys)));
    expect(entries.map(({ address }) => address.runAttempt)).toEqual([1, 2]);
  });

  test('of nothing are none', async () => {
    expect(await collect(newestRevisions(listing([])))).toEqual([]);
  });
});

describe('an address', () => {
  test('of a job finds its newest revision', async () => {
    const store = await makeArchive();
    await storeRecord(store, makeAbsence('unavailable'));
    await storeRecord(store, makeRecord({ revision: 2 }));
    await storeRecord(store, makeRecord({ job_id: 399_444_497 }));
    for (const address of [
      'https://github.com/OCTO-org/octo-repo/actions/runs/29679449/job/399444496',
      'https://github.com/octo-org/octo-repo/runs/399444496?check_suite_focus=true',
      'https://api.github.com/repos/octo-org/octo-repo/actions/jobs/399444496/logs',
      'https://github.com/octo-org/octo-repo/actions/runs/29679449/attempts/7/job/399444496',
      '399444496',
    ]) {
      expect(idsOf(await find(store, address))).toEqual(['399444496.r2']);
    }
  });

  test('of a run finds all its jobs, and of an attempt those of that attempt', async () => {
    const store = await makeArchive();
    for (const [job_id, run_attempt] of [
      [12, 1],
      [3, 1],
      [4, 2],
    ] as const) {
      await storeRecord(store, makeRecord({ job_id, run_attempt }));
    }
    await storeRecord(store, makeRecord({ job_id: 5, run_id: 296_794_490 }));
    const run = 'https://github.com/octo-org/octo-repo/actions/runs/29679449';
    expect(idsOf(await find(store, run))).toEqual(['3.r1', '12.r1', '4.r1']);
    expect(idsOf(await find(store, `${run}/attempts/2`))).toEqual(['4.r1']);
  });

  test('finds what was filed under an earlier or a later name', async () => {
    const store = await makeArchive();
    await storeName(store, 7, 'old-org', 'old');
    await storeName(store, 7, 'new-org', 'new');
    await storeRecord(store, makeRecord({ owner: 'old-org', repo: 'old', job_id: 1, repository_id: 7 }));
    await storeRecord(store, makeRecord({ owner: 'new-org', repo: 'New', job_id: 2, repository_id: 7 }));
    for (const name of ['old-org/old', 'New-Org/new']) {
      const found = await find(store, `https://github.com/${name}/actions/runs/29679449`);
      expect(idsOf(found)).toEqual(['1.r1', '2.r1']);
    }
    expect(idsOf(await find(store, 'https://ghes.example/old-org/old/actions/runs/29679449'))).toEqual([]);
  });

  test('says where was looked when nothing is found', async () => {
    const store = await makeArchive();
    const found = await find(store, 'https://github.com/octo-org/octo-repo/actions/runs/1/job/2');
    expect(found).toMatchObject({
      records: [],
      lookedBelow: ['v1/records/host=github.com/owner=octo-org/repo=octo-repo/1/'],
    });
  });
});

test('a bare id that exists on two hosts finds both', async () => {
  const store = await makeArchive();
  await storeRecord(store, makeRecord());
  await storeRecord(store, makeRecord({ host: 'ghes.example' }));
  expect((await find(store, '399444496')).records).toHaveLength(2);
});

test('a job filed twice by racing writers is found once, by its log, else by the later account', async () => {
  const store = await makeArchive();
  await storeRecord(
    store,
    makeAbsence('unavailable', { run_attempt: 2, recorded_at: '2021-01-01T00:00:00Z' }),
  );
  await storeRecord(store, makeAbsence('expired', { run_attempt: 3, recorded_at: '2022-01-01T00:00:00Z' }));
  expect((await find(store, '399444496')).records.map(({ record }) => record.run_attempt)).toEqual([3]);
});

test.each([
  ['is not JSON', Buffer.from('{'), 'not UTF-8 JSON'],
  ['is of another kind', Buffer.from('{"schema":"everlog.run/v1"}'), 'schema'],
  [
    'belongs elsewhere',
    Buffer.from(JSON.stringify(makeRecord({ job_id: 8 }))),
    'says it belongs under another key',
  ],
])('a record that %s is reported and not answered', async (_what, bytes, problem) => {
  const store = await makeArchive();
  const key = 'v1/records/host=github.com/owner=octo-org/repo=octo-repo/29679449/1/9.json';
  await put(store, key, bytes);
  const found = await find(store, '9');
  expect(found.records).toEqual([]);
  expect(found.problems).toEqual([expect.stringContaining(`${key}: `)]);
  expect(found.problems[0]).toContain(problem);
});
