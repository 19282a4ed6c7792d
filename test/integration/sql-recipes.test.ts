import { DuckDBInstance } from '@duckdb/node-api';
import { cp, readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { compactIndex } from '../../src/index/write/compact.ts';
import { indexLedger } from '../../src/index/write/indexer.ts';
import { COMMIT_COLUMNS, JOB_COLUMNS } from '../../src/index/parquet/columns.ts';
import { makeArchive } from '../support/oracles/archived-jobs.ts';
import { answersOf, QUESTIONS } from '../support/oracles/recipe-answers.ts';
import { DeployArchive } from '../support/oracles/deploy-archive.ts';
import { indexerDeps } from '../support/harness/index-under-test.ts';

const LONG_TEST_MS = 120_000;
const SQL = join(import.meta.dirname, '../../infra/sql');

const textOf = async (file: string): Promise<string> => readFile(join(SQL, file), 'utf8');

/** The statements of a file, without comments. */
function statementsOf(text: string): string[] {
  const code = text.replaceAll(/^--.*$/gm, '');
  return code.split(/;\s*$/m).flatMap((statement) => (statement.trim() === '' ? [] : [statement.trim()]));
}

/** A session of DuckDB with the views of duckdb.sql over an index in a folder. */
async function openDuckDb(folder: string) {
  const database = await DuckDBInstance.create(':memory:');
  const sql = await database.connect();
  const views = (await textOf('duckdb.sql')).replaceAll('s3://BUCKET/PREFIX/index', folder);
  for (const statement of statementsOf(views)) await sql.run(statement);
  return {
    rows: async (text: string) => (await sql.runAndReadAll(text)).getRowObjectsJson(),
    close() {
      sql.closeSync();
      database.closeSync();
    },
  };
}

/** What DuckDB takes some columns for, one of each kind. */
async function typesIn(folder: string): Promise<Record<string, unknown>> {
  const duck = await openDuckDb(folder);
  const columns = 'repository, completed_at, job_id, run_attempt, labels, pr_numbers, log_sha256';
  const described = await duck.rows(`describe select ${columns} from job_revisions`);
  duck.close();
  return Object.fromEntries(described.map(({ column_name: name, column_type: type }) => [name, type]));
}

test(
  'each recipe answers what a reading of all records answers, also where files overlap',
  async () => {
    const archive = await makeArchive();
    const deps = await indexerDeps(archive);
    const world = new DeployArchive(archive, 8);
    for (let digest = 1; digest <= 3; digest += 1) {
      await world.addDigest();
      if (digest !== 2) await indexLedger(deps);
    }
    const folder = deps.index.location.slice('file:'.length);
    const recipes = statementsOf(await textOf('recipes.sql'));
    expect(recipes).toHaveLength(QUESTIONS.length);
    const expected = await answersOf(archive.location.slice('file:'.length));

    const checkAll = async (state: string): Promise<void> => {
      const duck = await openDuckDb(folder);
      for (const [at, question] of QUESTIONS.entries()) {
        const rows = await duck.rows(recipes[at] ?? '');
        expect([state, question, rows]).toEqual([state, question, expected[at]]);
        expect([question, rows.length > 1]).toEqual([question, true]);
      }
      duck.close();
    };
    await checkAll('parts of each digest');
    const copy = await makeArchive();
    const parts = copy.location.slice('file:'.length);
    await cp(folder, parts, { recursive: true });
    await compactIndex({ index: deps.index, spoolDir: tmpdir() }, { now: new Date('2027-01-15'), all: true });
    await checkAll('merged');
    expect(await typesIn(folder)).toEqual({
      repository: 'VARCHAR',
      completed_at: 'TIMESTAMP WITH TIME ZONE',
      job_id: 'BIGINT',
      run_attempt: 'INTEGER',
      labels: 'VARCHAR[]',
      pr_numbers: 'INTEGER[]',
      log_sha256: 'VARCHAR',
    });
    // As between the PUT of a merged part and the removal of what it holds, or for ever under a bucket's lock.
    await cp(parts, folder, { recursive: true });
    await checkAll('merged, with the parts still there');
    expect((await readdir(join(folder, 'jobs/dt=2026-10-02'))).length).toBeGreaterThan(2);
  },
  LONG_TEST_MS,
);

const ATHENA = {
  string: 'string',
  int32: 'int',
  int64: 'bigint',
  time: 'timestamp',
  strings: 'array<string>',
  int32s: 'array<int>',
} as const;
const TRINO = {
  string: 'varchar',
  int32: 'integer',
  int64: 'bigint',
  time: 'timestamp(3)',
  strings: 'array(varchar)',
  int32s: 'array(integer)',
} as const;

test.each([
  ['athena.sql', ATHENA],
  ['trino.sql', TRINO],
])('%s declares the columns of the files, in their order', async (file, types) => {
  const tables = [...(await textOf(file)).matchAll(/^create (?:external )?table \S+ \(\n([^]*?)\n\)/gm)];
  const declared = tables.map(([, body = '']) =>
    body.split('\n').flatMap((line) => /^ {2}(\w+ [\w()<>]+)(?:,|$)/.exec(line)?.[1] ?? []),
  );
  const columns = [JOB_COLUMNS, COMMIT_COLUMNS].map((table) =>
    table.map(({ name, kind }) => `${name} ${types[kind]}`),
  );
  expect(declared).toEqual(columns);
});

test('docs/query.md tells of every recipe by its name', async () => {
  const titles = [...(await textOf('recipes.sql')).matchAll(/^-- \d+\. ([^:,]+)/gm)].map(
    ([, title]) => title,
  );
  const guide = await readFile(join(SQL, '../../docs/query.md'), 'utf8');
  expect(titles).toHaveLength(QUESTIONS.length);
  for (const title of titles) expect(guide).toContain(`**${title}**`);
});
