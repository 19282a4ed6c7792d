import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import { jobRow } from '../../../src/index/job-row.ts';
import { JOB_COLUMNS } from '../../../src/index/parquet/columns.ts';
import { ParquetFile } from '../../../src/index/parquet/read-file.ts';
import { readJobRows } from '../../../src/index/parquet/read-rows.ts';
import { storePart } from '../../../src/index/write/store-part.ts';
import { JOBS } from '../../../src/index/write/tables.ts';
import { collect, makeArchive, makeRecord } from '../../support/oracles/archived-jobs.ts';

const record = makeRecord({ deployment: { environment: 'production' } });
const { host, owner, repo, run_id: runId, job_id: jobId } = record;
const row = jobRow({ record, address: { host, owner, repo, runId, runAttempt: 1, jobId } }, null);

/** The row as it is read from a file that lacks a column. */
async function readWithout(lacking: string): Promise<unknown[]> {
  const store = await makeArchive();
  const columns = JOB_COLUMNS.filter(({ name }) => name !== lacking);
  const key = 'a.parquet';
  await storePart(store, key, { ...JOBS, columns }, [row], tmpdir());
  const bytes = (await store.head(key))?.bytes ?? 0;
  return collect(readJobRows(await ParquetFile.open(store, { key, bytes }, { requests: 0, bytes: 0 })));
}

test('a file of an earlier version, which lacks a later column, is read with nulls there', async () => {
  expect(row.environment).toBe('production');
  expect(await readWithout('none')).toEqual([row]);
  expect(await readWithout('environment')).toEqual([{ ...row, environment: null }]);
});

test('a file that lacks a column of all versions is damaged, not read as if nothing stood there', async () => {
  await expect(readWithout('head_branch')).rejects.toMatchObject({ code: 'object_corrupt' });
});
