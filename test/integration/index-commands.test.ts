import { expect, test } from 'vitest';
import { runFailures } from '../../src/cli/search/failures.ts';
import { runStats } from '../../src/cli/search/stats.ts';
import type { FilterOptions } from '../../src/cli/read/filter-options.ts';
import type { ReadingDeps } from '../../src/cli/read/reading-session.ts';
import { openJobIndex } from '../../src/index/job-index.ts';
import { indexLedger } from '../../src/index/write/indexer.ts';
import { makeArchive } from '../support/oracles/archived-jobs.ts';
import { DeployArchive } from '../support/oracles/deploy-archive.ts';
import { indexerDeps, noProblem } from '../support/harness/index-under-test.ts';
import { readingDeps } from '../support/harness/terminal-under-test.ts';

const LONG_TEST_MS = 120_000;

/** Filters as they are typed; the archive's jobs are of some weeks around 1 October 2026. */
const ASKED: readonly FilterOptions[] = [
  {},
  { repo: 'octo/app' },
  { owner: 'OCTO', failed: true },
  { repo: 'acme/web', branch: 'main' },
  { conclusion: 'timed_out', since: '2026-10-01' },
  { workflow: 'Deploy', until: '2026-10-05' },
  { job: 'test' },
  { sha: '1111111' },
  { event: 'push', repo: 'octo/api' },
  { actor: 'hubot', since: '2026-10-03', until: '2026-10-04' },
  { outcome: 'unavailable' },
  { repo: 'octo/none' },
];

test(
  'stats and failures say the same through the index as without one',
  async () => {
    const archive = await makeArchive();
    const deps = await indexerDeps(archive);
    const world = new DeployArchive(archive, 21);
    await world.addDigest();
    await world.addDigest();
    await indexLedger(deps);
    await world.addDigest();
    const run = async (
      isIndexed: boolean,
      command: (deps: ReadingDeps) => Promise<number>,
    ): Promise<{ exit: number; rows: unknown[]; said: string }> => {
      const plain = { ...readingDeps(archive), now: () => new Date('2026-10-12T00:00:00Z') };
      const openIndex = (): ReturnType<typeof openJobIndex> =>
        openJobIndex({ archive, index: deps.index, onProblem: noProblem });
      const exit = await command(isIndexed ? { ...plain, openIndex } : plain);
      const rows = plain.stdout.text().trim().split('\n').filter(Boolean);
      return { exit, rows: rows.map((row): unknown => JSON.parse(row)), said: plain.stderr.text() };
    };
    for (const filters of ASKED) {
      for (const command of [
        (given: ReadingDeps) => runStats(given, { ...filters, json: true }),
        (given: ReadingDeps) =>
          runFailures(given, { since: '2026-10-02', ...filters, limit: '7', json: true }),
      ]) {
        const [scanned, indexed] = [await run(false, command), await run(true, command)];
        expect([filters, indexed.exit, indexed.rows]).toEqual([
          filters,
          scanned.exit,
          scanned.rows.map(asIndexed),
        ]);
      }
    }
    const explained = await run(true, (given) => runStats(given, { json: true, explain: true }));
    expect(explained.said).toMatch(/Through the index: \d+ requests, .*up to digest 2, read up to 3/s);
  },
  LONG_TEST_MS,
);

/** A row's attempt is that of the record's key, which is 1 where GitHub sent none, and its times end in whole seconds. */
function asIndexed(row: unknown): unknown {
  return JSON.parse(JSON.stringify(row), (key, value: unknown) => {
    if (key === 'failing_since' && typeof value === 'object' && value !== null) {
      const since = { ...value, run_attempt: Reflect.get(value, 'run_attempt') ?? 1 };
      const at: unknown = Reflect.get(value, 'at');
      return typeof at === 'string' ? { ...since, at: at.replace('.000Z', 'Z') } : since;
    }
    return value;
  });
}
