import { expect, test } from 'vitest';
import { placesOfCommits } from '../../src/index/commit-places.ts';
import { openJobIndex } from '../../src/index/job-index.ts';
import { compactIndex } from '../../src/index/write/compact.ts';
import { indexLedger } from '../../src/index/write/indexer.ts';
import { chooseJobs } from '../../src/ledger/export/choose-jobs.ts';
import { CommitList } from '../../src/ledger/export/commit-list.ts';
import { tmpdir } from 'node:os';
import { makeArchive } from '../support/oracles/archived-jobs.ts';
import { RandomArchive } from '../support/oracles/random-archive.ts';
import { beginLedger } from '../support/oracles/small-ledger.ts';
import { indexerDeps, noProblem } from '../support/harness/index-under-test.ts';

const LONG_TEST_MS = 120_000;

test(
  'an export of commits chooses the same records through the index as without it',
  async () => {
    const archive = await makeArchive();
    const world = new RandomArchive(archive, 31);
    const ledger = await beginLedger(archive, '2026-10-28T00:00:00Z');
    const deps = await indexerDeps(archive);
    for (let digest = 1; digest <= 4; digest += 1) {
      const keys: string[] = [];
      for (let run = 0; run < 10; run += 1) keys.push(...(await world.addRun()));
      await ledger.seal(`2026-11-06T0${digest}:00:00Z`, keys.sort());
      if (digest === 3) await indexLedger(deps);
    }
    await compactIndex({ index: deps.index, spoolDir: tmpdir() }, { now: new Date('2027-01-15'), all: true });
    for (const length of [7, 40]) {
      const asked = [...new Set(world.shas.map((sha) => sha.slice(0, length)))].slice(0, 12);
      const chosen = async (byIndex: boolean) => {
        const index = byIndex
          ? await openJobIndex({ archive, index: deps.index, onProblem: noProblem })
          : null;
        const filters = { conclusion: 'success' };
        const commits = new CommitList([...asked, 'ffffffff'.repeat(5).slice(0, length)]);
        const places = index === null ? null : await placesOfCommits(index, commits.unmet(), filters);
        const records = await chooseJobs(archive, filters, commits, { onProblem: noProblem }, places);
        return {
          keys: records.map(({ key }) => key),
          asked: records.map(({ askedFor }) => askedFor),
          unmet: commits.unmet(),
        };
      };
      const without = await chosen(false);
      expect(without.keys.length).toBeGreaterThan(5);
      expect(await chosen(true)).toEqual(without);
    }
  },
  LONG_TEST_MS,
);
