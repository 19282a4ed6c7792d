import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import { openJobIndex } from '../../../src/index/job-index.ts';
import { indexLedger } from '../../../src/index/write/indexer.ts';
import { RecentRows } from '../../../src/index/write/recent-rows.ts';
import { collect, makeArchive, makeRecord, storeRecord } from '../../support/oracles/archived-jobs.ts';
import { indexerDeps, noProblem } from '../../support/harness/index-under-test.ts';
import { beginLedger } from '../../support/oracles/small-ledger.ts';

test('what workers told of is found before it is sealed, once, and cleared away afterwards', async () => {
  const archive = await makeArchive();
  const deps = await indexerDeps(archive);
  const ledger = await beginLedger(archive, '2026-11-20T00:00:00Z');
  const place = { index: deps.index, spoolDir: tmpdir() };
  const rows = new RecentRows('worker1');
  const told = rows.watch(archive);
  const found = async (): Promise<number[]> => {
    const index = await openJobIndex({ archive, index: deps.index, onProblem: noProblem });
    return index === null ? [] : (await collect(index.search({}))).map(({ job_id }) => job_id);
  };
  const first = await storeRecord(told, makeRecord({ job_id: 1 }));
  await rows.flush({ ...place, now: new Date('2026-11-20T00:30:00Z') });
  expect(await collect(deps.index.list('recent/'))).toEqual([]);

  await ledger.seal('2026-11-20T01:00:00Z', [first]);
  await indexLedger(deps);
  const second = await storeRecord(told, makeRecord({ job_id: 2 }));
  expect(await found()).toEqual([1]);
  expect(rows.count).toBe(1);
  await rows.flush({ ...place, now: new Date('2026-11-20T01:10:00Z') });
  expect(rows.count).toBe(0);
  expect(await found()).toEqual([2, 1]);

  const third = await storeRecord(told, makeRecord({ job_id: 3 }));
  await rows.flush({ ...place, now: new Date('2026-11-20T01:10:30Z') });
  expect((await collect(deps.index.list('recent/'))).map(({ key }) => key)).toEqual([
    'recent/dt=2026-11-20/0110-worker1x1.parquet',
    'recent/dt=2026-11-20/0110-worker1x2.parquet',
  ]);
  await ledger.seal('2026-11-20T04:00:00Z', [second, third]);
  expect(await found()).toEqual([3, 2, 1]);
  await indexLedger(deps);
  expect(await found()).toEqual([3, 2, 1]);
  expect(await collect(deps.index.list('recent/'))).toEqual([]);
});

test('rows that could not be stored wait for the next time', async () => {
  const archive = await makeArchive();
  const deps = await indexerDeps(archive);
  const ledger = await beginLedger(archive, '2026-11-20T00:00:00Z');
  const rows = new RecentRows('worker1');
  await ledger.seal('2026-11-20T01:00:00Z', [await storeRecord(archive, makeRecord({ job_id: 1 }))]);
  await indexLedger(deps);
  await storeRecord(rows.watch(archive), makeRecord({ job_id: 2 }));
  const now = new Date('2026-11-20T01:10:00Z');
  const down = { ...deps.index, putIfAbsent: () => Promise.reject(new Error('the store is down')) };
  await expect(rows.flush({ index: down, spoolDir: tmpdir(), now })).rejects.toThrow('the store is down');
  expect(rows.count).toBe(1);
  await rows.flush({ index: deps.index, spoolDir: tmpdir(), now });
  expect(rows.count).toBe(0);
});
