import { describe, expect, test } from 'vitest';
import type { RecordFilters } from '../../src/archive/find/record-filters.ts';
import { scanRecords } from '../../src/archive/find/scan-records.ts';
import { indexedRecords } from '../../src/index/indexed-records.ts';
import { openJobIndex, type JobIndex } from '../../src/index/job-index.ts';
import { indexLedger, type IndexerDeps } from '../../src/index/write/indexer.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { collect, makeArchive } from '../support/oracles/archived-jobs.ts';
import { RandomArchive } from '../support/oracles/random-archive.ts';
import { beginLedger } from '../support/oracles/small-ledger.ts';
import { indexerDeps, noProblem } from '../support/harness/index-under-test.ts';

/** Every query is answered twice, once by reading every record. */
const LONG_TEST_MS = 120_000;

async function opened(archive: ObjectStore, index: ObjectStore): Promise<JobIndex> {
  const found = await openJobIndex({ archive, index, onProblem: noProblem });
  if (found === null) throw new Error('there is no index');
  return found;
}

async function bruteForce(archive: ObjectStore, filters: RecordFilters, limit: number): Promise<string[]> {
  const found = await collect(scanRecords(archive, filters, { limit, onProblem: noProblem }));
  return found.map(({ key }) => key);
}

async function byIndex(deps: IndexerDeps, filters: RecordFilters, limit: number): Promise<string[]> {
  const index = await opened(deps.archive, deps.index);
  const found = await collect(indexedRecords(index, deps.archive, filters, { limit, onProblem: noProblem }));
  return found.map(({ key }) => key);
}

describe('answers agree with a reading of all records', () => {
  test.each([1, 2, 3])(
    'on random filters, whether or not the index has come to the end (seed %i)',
    async (seed) => {
      const archive = await makeArchive();
      const deps = await indexerDeps(archive);
      const world = new RandomArchive(archive, seed);
      const ledger = await beginLedger(archive, '2026-10-28T00:00:00Z');
      const lastIndexed = 3;
      for (let digest = 1; digest <= 5; digest += 1) {
        const keys: string[] = [];
        for (let run = 0; run < 12; run += 1) keys.push(...(await world.addRun()));
        await ledger.seal(`2026-11-06T0${digest}:00:00Z`, keys.sort());
        if (digest === lastIndexed) await indexLedger(deps);
      }
      for (let query = 0; query < 50; query += 1) {
        if (query === 25) await indexLedger(deps);
        const filters = world.filters();
        const limit = world.pick([3, 20, 1000]);
        expect([filters, await byIndex(deps, filters, limit)]).toEqual([
          filters,
          await bruteForce(archive, filters, limit),
        ]);
      }
    },
    LONG_TEST_MS,
  );
});
