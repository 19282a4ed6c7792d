import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** What the SQL recipes are to answer, computed from the records of an archive in a folder, without any of the product's code. */

type Value = string | number | boolean | null;
type Row = Readonly<Record<string, unknown>>;
type Answer = Readonly<Record<string, unknown>>;

/** In the order of infra/sql/recipes.sql. */
export const QUESTIONS = [
  'jobs of commits',
  'failed deploys',
  'production',
  'slowest jobs',
  'missing logs',
  'flaky jobs',
  'cost',
  'largest logs',
  'failures by workflow and week',
  'queue time',
] as const;

const SHAS = new Set(['1'.repeat(40), '2'.repeat(40)]);
const FAILED = ['failure', 'timed_out'];
const NOT_RUN = new Set(['carried_over', 'not_a_job']);

/** The answers, one for each question, as DuckDB gives rows as JSON: integers of 64 bits as text. */
export async function answersOf(folder: string): Promise<readonly (readonly Answer[])[]> {
  const all = (await newestRecords(folder)).map(factsOf);
  const quarter = all.filter(({ dt }) => String(dt) >= '2026-10-01' && String(dt) <= '2026-12-31');
  const ran = quarter.filter(({ outcome }) => !NOT_RUN.has(String(outcome)));
  return [
    sorted(
      all.filter(({ head_sha }) => SHAS.has(String(head_sha))),
      ['head_sha', 'host', 'repository', 'run_id', 'run_attempt', 'job_id'],
    ).map((row) =>
      chosen(
        row,
        'host repository head_sha workflow_name run_id run_attempt job_name job_id conclusion outcome log_key log_sha256',
      ),
    ),
    sorted(
      quarter.filter(
        ({ environment, conclusion }) => environment !== null && FAILED.includes(String(conclusion)),
      ),
      ['dt', 'host', 'repository', 'job_id'],
    ).map((row) =>
      chosen(
        row,
        'dt host repository environment workflow_name job_name conclusion failed_step sender head_sha job_id',
      ),
    ),
    sorted(
      quarter.filter(({ environment }) => environment === 'production'),
      ['dt', 'host', 'job_id'],
    ).map((row) =>
      chosen(
        row,
        'dt sender host repository workflow_name job_name head_branch head_sha conclusion run_id run_attempt job_id',
      ),
    ),
    slowest(ran.filter(({ ran_seconds }) => ran_seconds !== null)),
    missing(quarter.filter(({ outcome }) => outcome !== 'archived')),
    flaky(ran.filter(({ head_sha }) => head_sha !== null)),
    cost(ran.filter(({ ran_seconds }) => ran_seconds !== null)),
    sorted(
      quarter.filter(({ log_bytes }) => log_bytes !== null),
      ['-log_bytes', 'host', 'job_id'],
    )
      .slice(0, 20)
      .map((row) =>
        chosen(
          row,
          'host repository workflow_name job_name dt job_id log_bytes stored_bytes log_lines log_key',
        ),
      ),
    byWeek(ran),
    queued(
      ran.filter(({ waited_seconds, outcome }) => waited_seconds !== null && outcome !== 'not_produced'),
    ),
  ];
}

/** The record of the highest revision of each job. */
async function newestRecords(folder: string): Promise<readonly Row[]> {
  const newest = new Map<string, Row>();
  const revisions = new Map<string, number>();
  for (const path of await readdir(join(folder, 'v1/records'), { recursive: true })) {
    const name = /^(.*)\/(\d+)(?:\.r(\d+))?\.json$/.exec(path);
    if (name === null) continue;
    const job = `${name[1]}/${name[2]}`;
    const revision = Number(name[3] ?? 1);
    if (revision < (revisions.get(job) ?? 0)) continue;
    revisions.set(job, revision);
    newest.set(job, JSON.parse(await readFile(join(folder, 'v1/records', path), 'utf8')));
  }
  return [...newest.values()];
}

function factsOf(record: Row): Row {
  const inner = (name: string, member: string): unknown => {
    const value: unknown = record[name];
    return typeof value === 'object' && value !== null ? (Reflect.get(value, member) ?? null) : null;
  };
  const ended =
    record['completed_at'] ?? record['started_at'] ?? record['created_at'] ?? record['recorded_at'];
  const seconds = (from: string, to: string): number | null => {
    const took = (Date.parse(String(record[to])) - Date.parse(String(record[from]))) / 1000;
    return took >= 0 ? took : null;
  };
  const steps: unknown = inner('job', 'steps');
  return {
    ...record,
    repository: `${String(record['owner'])}/${String(record['repo'])}`.toLowerCase(),
    run_attempt: record['run_attempt'] ?? 1,
    dt: String(ended).slice(0, 10),
    environment: inner('deployment', 'environment'),
    failed_step: Array.isArray(steps) ? Reflect.get(Object(steps[0]), 'name') : null,
    self_hosted: Array.isArray(record['labels']) && record['labels'].includes('self-hosted'),
    absence_reason: inner('absence', 'reason'),
    log_bytes: inner('log', 'bytes'),
    stored_bytes: inner('log', 'stored_bytes'),
    log_lines: inner('log', 'lines'),
    log_key: inner('log', 'key'),
    log_sha256: inner('log', 'sha256'),
    ran_seconds: seconds('started_at', 'completed_at'),
    waited_seconds: seconds('created_at', 'started_at'),
  };
}

const slowest = (rows: readonly Row[]): readonly Answer[] =>
  sorted(
    groups(rows, ['host', 'repository', 'workflow_name', 'job_name']).map(({ key, of }) => ({
      ...key,
      runs: of.length,
      mean_seconds: mean(numbers(of, 'ran_seconds')),
      longest_seconds: Math.max(...numbers(of, 'ran_seconds')),
    })),
    ['-mean_seconds', 'host', 'repository', 'workflow_name', 'job_name'],
  )
    .slice(0, 50)
    .map(asJson);

const missing = (rows: readonly Row[]): readonly Answer[] =>
  sorted(
    groups(rows, ['outcome', 'absence_reason']).map(({ key, of }) => ({
      ...key,
      without_log: of.length,
      repositories: new Set(of.map(({ repository }) => repository)).size,
      first_day: of.map(({ dt }) => String(dt)).sort()[0],
      last_day: of
        .map(({ dt }) => String(dt))
        .sort()
        .at(-1),
    })),
    ['-without_log', 'outcome', 'absence_reason'],
  ).map(asJson);

function flaky(rows: readonly Row[]): readonly Answer[] {
  const job = ['host', 'repository', 'workflow_name', 'job_name'];
  const count = (of: readonly Row[], conclusions: readonly string[]): number =>
    of.filter(({ conclusion }) => conclusions.includes(String(conclusion))).length;
  const byCommit = groups(rows, [...job, 'head_sha'])
    .map(({ key, of }) => ({ ...key, failures: count(of, FAILED), passes: count(of, ['success']) }))
    .filter(({ failures, passes }) => failures > 0 && passes > 0);
  const answers = groups(byCommit, job).map(({ key, of }) => ({
    ...key,
    flaky_commits: of.length,
    failed_times: sum(numbers(of, 'failures')),
    passed_times: sum(numbers(of, 'passes')),
  }));
  return sorted(answers, ['-flaky_commits', '-failed_times', ...job]).map(asJson);
}

const cost = (rows: readonly Row[]): readonly Answer[] =>
  sorted(
    groups(rows, ['host', 'repository', 'self_hosted']).map(({ key, of }) => ({
      ...key,
      runs: of.length,
      minutes: sum(numbers(of, 'ran_seconds').map((seconds) => Math.ceil(seconds / 60))),
    })),
    ['-minutes', 'host', 'repository', 'self_hosted'],
  ).map(asJson);

function byWeek(rows: readonly Row[]): readonly Answer[] {
  const answers = groups(
    rows.map((row) => ({ ...row, week: mondayOf(String(row['dt'])) })),
    ['week', 'host', 'repository', 'workflow_name'],
  ).map(({ key, of }) => ({
    ...key,
    runs: of.length,
    failures: of.filter(({ conclusion }) => FAILED.includes(String(conclusion))).length,
  }));
  return sorted(answers, ['week', 'host', 'repository', 'workflow_name']).map(asJson);
}

const queued = (rows: readonly Row[]): readonly Answer[] =>
  sorted(
    groups(rows, ['host', 'repository', 'self_hosted']).map(({ key, of }) => ({
      ...key,
      runs: of.length,
      mean_seconds: mean(numbers(of, 'waited_seconds')),
      longest_seconds: Math.max(...numbers(of, 'waited_seconds')),
      over_five_minutes: numbers(of, 'waited_seconds').filter((seconds) => seconds >= 300).length,
    })),
    ['-mean_seconds', 'host', 'repository', 'self_hosted'],
  ).map(asJson);

function mondayOf(day: string): string {
  const date = new Date(`${day}T00:00:00Z`);
  const sinceMonday = (date.getUTCDay() + 6) % 7;
  return new Date(date.getTime() - sinceMonday * 86_400_000).toISOString().slice(0, 10);
}

function groups(rows: readonly Row[], by: readonly string[]): { key: Row; of: Row[] }[] {
  const found = new Map<string, { key: Row; of: Row[] }>();
  for (const row of rows) {
    const key = Object.fromEntries(by.map((name) => [name, row[name] ?? null]));
    const id = JSON.stringify(key);
    const group = found.get(id) ?? { key, of: [] };
    group.of.push(row);
    found.set(id, group);
  }
  return [...found.values()];
}

/** Rows by columns, those with a minus before them downwards; null comes last. */
function sorted(rows: readonly Row[], by: readonly string[]): Row[] {
  return [...rows].sort((a, b) => {
    for (const column of by) {
      const name = column.replace('-', '');
      const order = compare(valueOf(a[name]), valueOf(b[name])) * (column.startsWith('-') ? -1 : 1);
      if (order !== 0) return order;
    }
    return 0;
  });
}

function valueOf(value: unknown): Value {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : null;
}

function compare(a: Value, b: Value): number {
  if (a === b) return 0;
  if (a === null) return 1;
  if (b === null) return -1;
  return a < b ? -1 : 1;
}

function numbers(rows: readonly Row[], column: string): number[] {
  return rows.map((row) => Number(row[column]));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function mean(values: readonly number[]): number {
  return Math.round(sum(values) / values.length);
}

function chosen(row: Row, columns: string): Answer {
  return asJson(Object.fromEntries(columns.split(' ').map((name) => [name, row[name] ?? null])));
}

/** Integers of 32 bits stay numbers. */
function asJson(row: Row): Answer {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name,
      typeof value === 'number' && name !== 'run_attempt' ? String(value) : value,
    ]),
  );
}
