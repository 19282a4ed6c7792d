import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { RecordFilters } from '../../src/archive/find/record-filters.ts';
import { scanRecords } from '../../src/archive/find/scan-records.ts';
import { JobFinding } from '../../src/index/find-jobs.ts';
import { openJobIndex } from '../../src/index/job-index.ts';
import { indexLedger } from '../../src/index/write/indexer.ts';
import { RecentRows } from '../../src/index/write/recent-rows.ts';
import { tmpdir } from 'node:os';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { collect, makeArchive } from '../support/oracles/archived-jobs.ts';
import { RandomArchive } from '../support/oracles/random-archive.ts';
import { beginLedger } from '../support/oracles/small-ledger.ts';
import { indexerDeps, noProblem } from '../support/harness/index-under-test.ts';

const LONG_TEST_MS = 120_000;
const ALL = 10_000;

/** What may happen to a file. */
const DAMAGES: readonly (readonly [string, (bytes: Buffer) => Buffer])[] = [
  ['empty', () => Buffer.alloc(0)],
  ['cut in the middle', (bytes) => bytes.subarray(0, bytes.length / 2)],
  ['cut by its last bytes', (bytes) => bytes.subarray(0, -2)],
  ['without its beginning', (bytes) => bytes.subarray(100)],
  ['zeros in the middle', (bytes) => zeroed(bytes, bytes.length / 3, (2 * bytes.length) / 3)],
  ['zeros at the end', (bytes) => zeroed(bytes, bytes.length - 600, bytes.length)],
  ['zeros at the beginning', (bytes) => zeroed(bytes, 0, 1_500)],
  ['another kind of file', () => Buffer.from('<html><body>403 Forbidden</body></html>')],
];

function zeroed(bytes: Buffer, from: number, to: number): Buffer {
  return Buffer.from(bytes).fill(0, Math.max(0, Math.floor(from)), Math.min(bytes.length, Math.floor(to)));
}

/** An archive whose last digests are not indexed, with rows that workers told of. */
async function makeIndexed() {
  const archive = await makeArchive();
  const world = new RandomArchive(archive, 5);
  const ledger = await beginLedger(archive, '2026-10-28T00:00:00Z');
  const deps = await indexerDeps(archive);
  const seal = async (hour: number): Promise<void> => {
    const keys: string[] = [];
    for (let run = 0; run < 5; run += 1) keys.push(...(await world.addRun()));
    await ledger.seal(`2026-11-06T0${hour}:00:00Z`, keys.sort());
  };
  await seal(1);
  await seal(2);
  await indexLedger(deps);
  const rows = new RecentRows('worker');
  const told = new RandomArchive(rows.watch(archive), 77, 500);
  const keys = await told.addRun();
  await rows.flush({ index: deps.index, spoolDir: tmpdir(), now: new Date('2026-11-06T02:30:00Z') });
  await ledger.seal('2026-11-06T03:00:00Z', keys.sort());
  return { archive, index: deps.index, sha: world.shas[0] ?? '' };
}

async function answers(archive: ObjectStore, index: ObjectStore, filters: RecordFilters, limit: number) {
  const problems: string[] = [];
  const finding = await JobFinding.open({
    archive,
    openIndex: () => openJobIndex({ archive, index, onProblem: noProblem }),
    onUnusable: (problem) => void problems.push(problem),
  });
  const found = await collect(finding.find(filters, { limit, onProblem: noProblem }));
  const all = await collect(finding.all(filters, { onProblem: noProblem }));
  return { found: found.map(({ key }) => key), all: all.map(({ key }) => key).sort(), problems };
}

test(
  'an index that is damaged, cut short or of a later format hides no job and ends no answer',
  async () => {
    const { archive, index, sha } = await makeIndexed();
    const folder = index.location.slice('file:'.length);
    const queries: readonly (readonly [RecordFilters, number])[] = [
      [{}, 7],
      [{ shaPrefix: sha }, ALL],
    ];
    const expected = await Promise.all(
      queries.map(async ([filters, limit]) => {
        const options = { onProblem: noProblem };
        const found = await collect(scanRecords(archive, filters, { ...options, limit }));
        const all = await collect(scanRecords(archive, filters, { ...options, limit: ALL }));
        return { found: found.map(({ key }) => key), all: all.map(({ key }) => key).sort() };
      }),
    );
    const check = async (state: string): Promise<string[]> => {
      const problems: string[] = [];
      for (const [at, [filters, limit]] of queries.entries()) {
        const { problems: told, ...answer } = await answers(archive, index, filters, limit);
        expect([state, filters, answer]).toEqual([state, filters, expected[at]]);
        // Once in a command, not for every answer.
        expect(told.length).toBeLessThan(2);
        problems.push(...told);
      }
      return problems;
    };
    expect(await check('whole')).toEqual([]);

    const files = (await readdir(folder, { recursive: true })).filter((name) =>
      /\.(parquet|json)$/.test(name),
    );
    const some = ['through/', 'commits/', 'recent/', 'jobs/'].map(
      (root) =>
        files
          .filter((name) => name.startsWith(root))
          .sort()
          .at(-1) ?? root,
    );
    for (const name of some) {
      const path = join(folder, name);
      const bytes = await readFile(path);
      for (const [damage, of] of DAMAGES) {
        await writeFile(path, of(bytes));
        const problems = await check(`${name}: ${damage}`);
        expect([name, damage, problems[0]]).toEqual([name, damage, expect.stringContaining('index rebuild')]);
      }
      await writeFile(path, bytes);
    }
    const [mark = ''] = some;
    const later = (await readFile(join(folder, mark), 'utf8')).replace(
      'everlog.index/v1',
      'everlog.index/v2',
    );
    await writeFile(join(folder, mark), later);
    expect(await check('a later format')).toHaveLength(queries.length);
    await rm(join(folder, 'through'), { recursive: true });
    expect(await check('no mark')).toHaveLength(queries.length);
  },
  LONG_TEST_MS,
);
