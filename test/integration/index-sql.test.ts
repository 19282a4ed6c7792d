import { DuckDBInstance } from '@duckdb/node-api';
import { expect, test } from 'vitest';
import { scanRecords } from '../../src/archive/find/scan-records.ts';
import { momentMsOf } from '../../src/archive/find/record-filters.ts';
import { compactIndex } from '../../src/index/write/compact.ts';
import { indexLedger } from '../../src/index/write/indexer.ts';
import { tmpdir } from 'node:os';
import { collect, makeArchive } from '../support/oracles/archived-jobs.ts';
import { RandomArchive } from '../support/oracles/random-archive.ts';
import { beginLedger } from '../support/oracles/small-ledger.ts';
import { indexerDeps, noProblem } from '../support/harness/index-under-test.ts';

const LONG_TEST_MS = 120_000;

/** As docs/query.md tells: the highest revision of each job counts, under the day of its own end. */
const JOBS = (folder: string): string => `
  select * from read_parquet('${folder}/jobs/dt=*/*.parquet', hive_partitioning = true)
  qualify row_number() over (partition by host, job_id order by revision desc, event is null) = 1`;

test(
  'DuckDB reads the files, and counts what a reading of all records counts',
  async () => {
    const archive = await makeArchive();
    const world = new RandomArchive(archive, 21);
    const ledger = await beginLedger(archive, '2026-10-28T00:00:00Z');
    const deps = await indexerDeps(archive);
    for (let digest = 1; digest <= 3; digest += 1) {
      const keys: string[] = [];
      for (let run = 0; run < 10; run += 1) keys.push(...(await world.addRun()));
      await ledger.seal(`2026-11-06T0${digest}:00:00Z`, keys.sort());
    }
    await indexLedger(deps);
    const folder = deps.index.location.slice('file:'.length);
    const database = await DuckDBInstance.create(':memory:');
    const sql = await database.connect();
    const rows = async (text: string): Promise<unknown[]> =>
      (await sql.runAndReadAll(text)).getRowObjectsJson();
    const records = await collect(scanRecords(archive, {}, { limit: 10_000, onProblem: noProblem }));

    for (const state of ['parts', 'merged']) {
      const counted =
        await rows(`select count(*) as jobs, max(coalesce(completed_at, started_at, created_at, recorded_at)) as newest,
        count(*) filter (conclusion = 'failure') as failed from (${JOBS(folder)})`);
      const newest = Math.max(...records.map(({ record }) => momentMsOf(record)));
      expect([state, counted]).toEqual([
        state,
        [
          {
            jobs: String(records.length),
            failed: String(records.filter(({ record }) => record.conclusion === 'failure').length),
            newest: expect.stringContaining(new Date(newest).toISOString().slice(0, 19).replace('T', ' ')),
          },
        ],
      ]);
      await compactIndex(
        { index: deps.index, spoolDir: tmpdir() },
        { now: new Date('2027-01-15'), all: true },
      );
    }

    const described = await rows(`describe select * from (${JOBS(folder)})`);
    const types = described.map((row) =>
      Object.values(row ?? {})
        .slice(0, 2)
        .join(' '),
    );
    expect(types).toEqual(
      expect.arrayContaining([
        'repository VARCHAR',
        'completed_at TIMESTAMP WITH TIME ZONE',
        'job_id BIGINT',
        'labels VARCHAR[]',
        'pr_numbers INTEGER[]',
        'log_sha256 VARCHAR',
        'dt DATE',
      ]),
    );
    const commits =
      await rows(`select sum(jobs) >= ${records.length} as all_there, count(distinct head_sha) as shas
      from read_parquet('${folder}/commits/month=*/*.parquet', hive_partitioning = true)`);
    expect(commits).toEqual([
      { all_there: true, shas: String(new Set(records.map(({ record }) => record.head_sha)).size) },
    ]);
    sql.closeSync();
    database.closeSync();
  },
  LONG_TEST_MS,
);
