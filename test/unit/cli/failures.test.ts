import { expect, test } from 'vitest';
import { runFailures, type FailuresOptions } from '../../../src/cli/search/failures.ts';
import type { JobRecord } from '../../../src/archive/record.ts';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import {
  makeAbsence,
  makeArchive,
  makeRecord,
  type RecordChanges,
  storeJob,
  storeRecord,
} from '../../support/oracles/archived-jobs.ts';
import { readingDeps, PIPE, SCREEN } from '../../support/harness/terminal-under-test.ts';

const ESC = '\u001b';
const DAY = '2020-05-31';
const STEPS = [
  {
    number: 1,
    name: 'Set up job',
    conclusion: 'success',
    started_at: `${DAY}T22:00:00Z`,
    completed_at: `${DAY}T22:00:01Z`,
  },
  {
    number: 2,
    name: `Run ${ESC}[2Jtests`,
    conclusion: 'failure',
    started_at: `${DAY}T22:00:02Z`,
    completed_at: `${DAY}T22:00:09Z`,
  },
];
const LOG = [
  `${DAY}T22:00:00.0000000Z set up`,
  ...[1, 2, 3].map((n) => `${DAY}T22:00:0${n + 1}.0000000Z   test ${n}${ESC}]52;c;eA==\u0007`),
].join('\r\n');

function job(id: number, at: string, changes: RecordChanges): JobRecord {
  return makeRecord({ job_id: id, run_id: id * 10, completed_at: at, ...changes });
}

async function archive(): Promise<ObjectStore> {
  const store = await makeArchive();
  const failed = { conclusion: 'failure', job: { steps: STEPS } };
  await storeJob(store, job(1, '2020-05-01T00:00:00Z', failed), LOG);
  await storeJob(store, job(2, '2020-05-20T00:00:00Z', {}), 'fine\n');
  await storeJob(store, job(3, '2020-05-28T00:00:00Z', { ...failed, head_sha: 'abcdef0123'.repeat(4) }), LOG);
  await storeJob(store, job(4, '2020-05-31T22:00:09Z', { ...failed, run_attempt: 2 }), LOG);
  await storeRecord(
    store,
    makeAbsence('expired', {
      ...job(5, '2020-06-01T01:00:00Z', { conclusion: 'timed_out', job_name: 'lint' }),
      outcome: 'expired',
    }),
  );
  return store;
}

async function failures(options: FailuresOptions, terminal = PIPE, address?: string) {
  const deps = readingDeps(await archive(), terminal);
  const exit = await runFailures(deps, options, address);
  return { exit, out: deps.stdout.text(), err: deps.stderr.text() };
}

test('the last day’s failures, each with its last lines and since when', async () => {
  const { exit, out, err } = await failures({ lines: '2' });
  expect({ exit, err }).toEqual({ exit: 0, err: '' });
  expect(out.split('\n\n')).toEqual([
    expect.stringContaining('octo-org/Octo-Repo · CI / lint'),
    [
      'octo-org/Octo-Repo · CI / build · attempt 2',
      '  failure · main · f83a356 · 2020-05-31 22:00 UTC · run 40 · job 4',
      '  failing since abcdef0, attempt 1 of run 30 (2020-05-28 00:00 UTC), 2 times',
      '  step 2 Run tests, from line 3:',
      '      test 2',
      '      test 3',
    ].join('\n'),
    '',
  ]);
  expect(out).toContain('No log: GitHub had deleted it');
});

test('as JSON', async () => {
  const { out } = await failures({ json: true, lines: '1' });
  const [lint, build] = out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lint).toMatchObject({
    job_id: 5,
    run_id: 50,
    step: null,
    lines: [],
    failing_since: { failures: 1 },
  });
  expect(build).toMatchObject({
    job_id: 4,
    run_id: 40,
    step: `Run ${ESC}[2Jtests`,
    step_number: 2,
    lines: [`  test 3${ESC}]52;c;eA==\u0007`],
    first_line: 4,
    failing_since: { run_id: 30, run_attempt: 1, failures: 2 },
  });
});

test('nothing acts on a terminal', async () => {
  const { out } = await failures({ since: '2020-01-01' }, SCREEN);
  expect(out.replaceAll(`${ESC}[0m`, '')).not.toContain(ESC);
});

test('a time, a number of jobs, and an address', async () => {
  expect((await failures({ since: '2020-04-01', json: true })).out.trimEnd().split('\n')).toHaveLength(4);
  const limited = await failures({ since: '2020-04-01', limit: '1', json: true });
  expect(limited).toMatchObject({ exit: 0, err: '… and 3 more; --limit shows them.\n' });
  const run = await failures({ json: true }, PIPE, 'octo-org/octo-repo/actions/runs/10');
  expect(JSON.parse(run.out)).toMatchObject({ job_id: 1 });
});

test('no failure is told as such, and an unknown branch with those that exist', async () => {
  expect(await failures({ since: '2020-06-01 09:00' })).toMatchObject({
    exit: 0,
    out: '',
    err: 'No recorded job failed since 2020-06-01 09:00 UTC; 5 looked at.\n',
  });
  expect((await failures({ branch: 'master' })).err).toContain('There is: main (5)');
  expect(await failures({ limit: '0', lines: 'x', repo: '/' })).toMatchObject({ exit: 2, out: '' });
});
