import { describe, expect, test } from 'vitest';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import type { JobRecord } from '../../../src/archive/record.ts';
import { scanRecords } from '../../../src/archive/find/scan-records.ts';
import type { RecordFilters } from '../../../src/archive/find/record-filters.ts';
import {
  makeAbsence,
  collect,
  makeArchive,
  makeRecord,
  put,
  storeName,
  storeRecord,
} from '../../support/oracles/archived-jobs.ts';

const NO_PROBLEM = (key: string, problem: string): never => {
  throw new Error(`${key}: ${problem}`);
};

async function scan(store: ObjectStore, filters: RecordFilters = {}, limit = 50): Promise<number[]> {
  const found = await collect(scanRecords(store, filters, { limit, onProblem: NO_PROBLEM }));
  return found.map(({ record }) => record.job_id);
}

test('newest first, by the best time a record has', async () => {
  const store = await makeArchive();
  const times: Partial<JobRecord>[] = [
    { completed_at: '2020-01-01T00:00:00Z' },
    { completed_at: '2020-01-03T01:00:00+02:00' },
    { completed_at: null, started_at: '2020-01-04T00:00:00Z' },
    { completed_at: null, started_at: null, created_at: null, recorded_at: '2020-01-05T00:00:00Z' },
    { completed_at: '2020-01-02T23:30:00Z' },
  ];
  for (const [index, time] of times.entries())
    await storeRecord(store, makeRecord({ ...time, job_id: index + 1 }));
  expect(await scan(store)).toEqual([4, 3, 5, 2, 1]);
});

test('no more than asked for, the newest of them, whatever order they are listed in', async () => {
  const store = await makeArchive();
  const minuteOf = (index: number): number => (index * 37) % 60;
  for (let index = 0; index < 60; index += 1) {
    const completed_at = new Date(Date.UTC(2020, 0, 1, 0, minuteOf(index))).toISOString();
    await storeRecord(store, makeRecord({ job_id: index + 1, completed_at }));
  }
  const byMinute = Array.from({ length: 60 }, (_, index) => index).sort((a, b) => minuteOf(b) - minuteOf(a));
  for (const limit of [1, 7, 20, 60, 100]) {
    expect(await scan(store, {}, limit)).toEqual(byMinute.slice(0, limit).map((index) => index + 1));
  }
});

describe('filters', () => {
  async function makeFour(): Promise<ObjectStore> {
    const store = await makeArchive();
    await storeRecord(store, makeRecord({ job_id: 1, completed_at: '2020-01-04T00:00:00Z' }));
    const second = {
      repo: 'other',
      head_branch: 'dev',
      conclusion: 'failure',
      completed_at: '2020-01-03T00:00:00Z',
    };
    await storeRecord(store, makeRecord({ job_id: 2, ...second }));
    const third = {
      owner: 'else',
      workflow_name: 'Deploy',
      head_sha: 'abcd12',
      completed_at: '2020-01-02T00:00:00Z',
    };
    await storeRecord(store, makeAbsence('expired', { job_id: 3, ...third }));
    const fourth = { host: 'ghes.example', head_sha: null, head_branch: null, workflow_name: null };
    await storeRecord(store, makeRecord({ job_id: 4, ...fourth, completed_at: '2020-01-01T00:00:00Z' }));
    return store;
  }

  test.each<[string, RecordFilters, number[]]>([
    ['none', {}, [1, 2, 3, 4]],
    ['owner, on every host', { owner: 'Octo-Org' }, [1, 2, 4]],
    ['repository', { repo: { owner: 'OCTO-org', repo: 'octo-REPO' } }, [1, 4]],
    ['repository and another owner', { owner: 'else', repo: { owner: 'octo-org', repo: 'octo-repo' } }, []],
    ['branch', { branch: 'dev' }, [2]],
    ['commit', { shaPrefix: 'abcd' }, [3]],
    ['workflow', { workflow: 'Deploy' }, [3]],
    ['conclusion', { conclusion: 'failure' }, [2]],
    ['outcome', { outcome: 'expired' }, [3]],
    ['since', { since: new Date('2020-01-03T00:00:00Z') }, [1, 2]],
    ['until', { until: new Date('2020-01-02T00:00:00Z') }, [3, 4]],
    ['several', { owner: 'octo-org', since: new Date('2020-01-02T00:00:00Z'), conclusion: 'success' }, [1]],
    ['an owner never seen', { owner: 'nobody' }, []],
  ])('%s', async (_name, filters, expected) => {
    expect(await scan(await makeFour(), filters)).toEqual(expected);
  });
});

test('a repository brings what was filed under its other names, but not what is another repository by now', async () => {
  const store = await makeArchive();
  await storeName(store, 7, 'o', 'old');
  await storeName(store, 7, 'o', 'new');
  await storeName(store, 8, 'o', 'old');
  await storeRecord(store, makeRecord({ owner: 'o', repo: 'old', repository_id: 7, job_id: 1 }));
  await storeRecord(store, makeRecord({ owner: 'o', repo: 'new', repository_id: 7, job_id: 2 }));
  await storeRecord(store, makeRecord({ owner: 'o', repo: 'old', repository_id: 8, job_id: 3 }));
  expect(new Set(await scan(store, { repo: { owner: 'o', repo: 'new' } }))).toEqual(new Set([1, 2]));
});

test('an unreadable record is told and the others are answered', async () => {
  const store = await makeArchive();
  await storeRecord(store, makeRecord());
  await put(store, 'v1/records/host=github.com/owner=octo-org/repo=octo-repo/1/1/2.json', Buffer.from('no'));
  const problems: string[] = [];
  const found = await collect(scanRecords(store, {}, { limit: 50, onProblem: (key) => problems.push(key) }));
  expect(found).toHaveLength(1);
  expect(problems).toEqual(['v1/records/host=github.com/owner=octo-org/repo=octo-repo/1/1/2.json']);
});

test('records are read several at once, but never more than sixteen', async () => {
  const store = await makeArchive();
  for (let job_id = 1; job_id <= 40; job_id += 1) await storeRecord(store, makeRecord({ job_id }));
  let inFlight = 0;
  let most = 0;
  const watched: ObjectStore = {
    ...store,
    async read(key) {
      inFlight += 1;
      most = Math.max(most, inFlight);
      try {
        return await store.read(key);
      } finally {
        inFlight -= 1;
      }
    },
  };
  expect(await scan(watched)).toHaveLength(40);
  expect(most).toBe(16);
});

test('a store that fails is not taken for an empty one', async () => {
  const store = await makeArchive();
  for (let job_id = 1; job_id <= 40; job_id += 1) await storeRecord(store, makeRecord({ job_id }));
  let reads = 0;
  const failing: ObjectStore = {
    ...store,
    read(key) {
      reads += 1;
      return reads === 20 ? Promise.reject(new Error('broken')) : store.read(key);
    },
  };
  await expect(scan(failing)).rejects.toThrow('broken');
  expect(reads).toBeLessThan(40);
});
