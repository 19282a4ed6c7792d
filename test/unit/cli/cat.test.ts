import { describe, expect, test } from 'vitest';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import { runCat } from '../../../src/cli/read/cat.ts';
import type { CatOptions } from '../../../src/cli/read/cat.ts';
import {
  makeAbsence,
  makeArchive,
  makeRecord,
  put,
  storeJob,
  storeRecord,
} from '../../support/oracles/archived-jobs.ts';
import { captureStream, PIPE, readingDeps, SCREEN } from '../../support/harness/terminal-under-test.ts';
import type { Terminal } from '../../../src/cli/terminal/terminal.ts';

const ESC = '\u001b';
const RUN = 'https://github.com/octo-org/Octo-Repo/actions/runs/29679449';
const JOB = `${RUN}/job/399444496`;
const LOG = `\ufeff2020-01-20T17:42:40.1000000Z set up\r\n2020-01-20T17:42:41.1000000Z ${ESC}[31mred${ESC}[0m${ESC}]0;x\u0007\n2020-01-20T17:42:42.0000000Z ##[error]no`;
const STEPS = [
  {
    number: 1,
    name: 'Set up job',
    conclusion: 'success',
    started_at: '2020-01-20T17:42:40Z',
    completed_at: '2020-01-20T17:42:40Z',
  },
  {
    number: 2,
    name: `Run ${ESC}[2Jtests`,
    conclusion: 'failure',
    started_at: '2020-01-20T17:42:41Z',
    completed_at: '2020-01-20T17:42:42Z',
  },
  {
    number: 3,
    name: 'Report',
    conclusion: 'skipped',
    started_at: '2020-01-20T17:42:42Z',
    completed_at: '2020-01-20T17:42:42Z',
  },
];
const RECORD = makeRecord({ conclusion: 'failure', job: { steps: STEPS } });

async function cat(store: ObjectStore, target: string, options: CatOptions = {}, terminal: Terminal = PIPE) {
  const deps = readingDeps(store, terminal);
  const exit = await runCat(deps, target, options);
  return { exit, out: deps.stdout.text(), err: deps.stderr.text(), bytes: deps.stdout.bytes() };
}

async function archiveWithLog(): Promise<ObjectStore> {
  const store = await makeArchive();
  await storeJob(store, RECORD, LOG);
  return store;
}

describe('a log', () => {
  test.each([JOB, '399444496', RUN])('is printed for %s, harmless and with nothing else', async (target) => {
    expect(await cat(await archiveWithLog(), target)).toMatchObject({
      exit: 0,
      out: '2020-01-20T17:42:40.1000000Z set up\r\n2020-01-20T17:42:41.1000000Z red\n2020-01-20T17:42:42.0000000Z ##[error]no',
      err: '',
    });
  });

  test('is printed raw byte for byte', async () => {
    const { bytes } = await cat(await archiveWithLog(), JOB, { raw: true });
    expect(bytes.equals(Buffer.from(LOG))).toBe(true);
  });

  test('has a header and a verdict on a terminal, on standard error', async () => {
    const { out, err } = await cat(await archiveWithLog(), JOB, {}, { ...SCREEN, color: true });
    expect(out).toContain(`${ESC}[31mred${ESC}[0m\n`);
    expect(err).toContain('octo-org/Octo-Repo · CI / build');
    expect(err).toContain('main f83a356604ae · 2020-01-20 17:44 UTC, 1 m 59 s · ');
    expect(err).toContain('verified ✓ SHA-256 ');
  });

  test('of nothing is a log', async () => {
    const store = await makeArchive();
    await storeJob(store, makeRecord(), '');
    expect(await cat(store, JOB)).toMatchObject({ exit: 0, out: '', err: '' });
  });
});

describe('a part of a log', () => {
  test.each<[string, string, CatOptions, string]>([
    ['a step', JOB, { step: '1' }, '2020-01-20T17:42:40.1000000Z set up\r\n'],
    ['the step in the address', `${JOB}#step:1:1`, {}, '2020-01-20T17:42:40.1000000Z set up\r\n'],
    [
      'failed steps',
      JOB,
      { failed: true },
      '2020-01-20T17:42:41.1000000Z red\n2020-01-20T17:42:42.0000000Z ##[error]no',
    ],
    ['lines', JOB, { lines: '3-' }, '2020-01-20T17:42:42.0000000Z ##[error]no'],
    [
      'lines rather than the step in the address',
      `${JOB}#step:1:1`,
      { lines: '3-3' },
      '2020-01-20T17:42:42.0000000Z ##[error]no',
    ],
    ['a step by its name', JOB, { step: 'SET up' }, '2020-01-20T17:42:40.1000000Z set up\r\n'],
    ['the last lines', JOB, { tail: '1' }, '2020-01-20T17:42:42.0000000Z ##[error]no'],
    ['the last line of a step', JOB, { step: '2', tail: '1' }, '2020-01-20T17:42:42.0000000Z ##[error]no'],
    [
      'more last lines than there are',
      JOB,
      { step: '1', tail: '9' },
      '2020-01-20T17:42:40.1000000Z set up\r\n',
    ],
    ['no stamps', JOB, { timestamps: false }, 'set up\r\nred\n##[error]no'],
    ['lines of a step', JOB, { step: '2', lines: '1-2' }, '2020-01-20T17:42:41.1000000Z red\n'],
  ])('%s', async (_name, target, options, out) => {
    expect(await cat(await archiveWithLog(), target, options)).toMatchObject({ exit: 0, out });
  });

  test('the line an address points at is told', async () => {
    expect((await cat(await archiveWithLog(), `${JOB}#step:2:2`)).err).toBe(
      'The line pointed at is line 3 of the log.\n',
    );
  });

  test('a line that the address points at and the step does not have is told', async () => {
    expect((await cat(await archiveWithLog(), `${JOB}#step:2:9`)).err).toBe(
      'The address points at line 9 of the step, which has fewer.\n',
    );
  });

  test('a name that several steps bear', async () => {
    const answer = await cat(await archiveWithLog(), JOB, { step: 'r' });
    expect(answer).toMatchObject({ exit: 2, out: '' });
    expect(answer.err).toContain(
      'Several steps are called r; name one by its number:\n  2 Run tests (failure)\n  3 Report',
    );
  });

  test('lines as JSON', async () => {
    const { out } = await cat(await archiveWithLog(), JOB, { json: true, lines: '3' });
    expect(JSON.parse(out)).toEqual({
      line: 3,
      step: 2,
      time: '2020-01-20T17:42:42.0000000Z',
      text: '##[error]no',
    });
  });

  test.each<[string, CatOptions, number, string]>([
    [
      'a step that is not there',
      { step: '9' },
      3,
      'The job has no step 9. Its steps:\n  1 Set up job (success)\n  2 Run tests (failure)\n',
    ],
    ['lines that are not there', { lines: '4-' }, 3, 'No such line: the log has 3.\n'],
    [
      'a step that printed nothing',
      { step: '3' },
      0,
      'No line of the log falls within step 3 Report (skipped)',
    ],
  ])('%s', async (_name, options, exit, message) => {
    const answer = await cat(await archiveWithLog(), JOB, options);
    expect(answer).toMatchObject({ exit, out: '' });
    expect(answer.err).toContain(message);
  });

  test('steps of a job that has none', async () => {
    const store = await makeArchive();
    await storeJob(store, makeRecord(), LOG);
    expect(await cat(store, JOB, { failed: true })).toMatchObject({ exit: 3, out: '' });
  });

  test('failed steps of a job that did not fail', async () => {
    const store = await makeArchive();
    await storeJob(store, makeRecord({ job: { steps: STEPS.slice(0, 1) } }), LOG);
    expect(await cat(store, JOB, { failed: true })).toMatchObject({
      exit: 0,
      out: '',
      err: 'No step failed: the job ended with success.\n',
    });
  });
});

test.each([
  ['not_produced', 'never ran'],
  ['not_a_job', 'check run'],
  ['carried_over', 'see job 12'],
  ['unavailable', 'last looked for at 2020-01-20 23:45 UTC, answer 404'],
  ['expired', 'deleted'],
  ['forbidden', 'did not allow'],
  ['too_large', 'larger'],
  [`new${ESC}[2J`, 'recorded as "new"'],
])('a job that ended as %s has its reason told', async (outcome, words) => {
  const store = await makeArchive();
  const { absence, ...record } = makeAbsence(outcome);
  if (absence === null) throw new Error('an absence has its account');
  await storeRecord(store, {
    ...record,
    absence: { ...absence, ...(outcome === 'carried_over' ? { of_job_id: 12 } : {}) },
  });
  const answer = await cat(store, JOB);
  expect(answer).toMatchObject({ exit: 3, out: '' });
  expect(answer.err).toMatch(/^No log: /);
  expect(answer.err).toContain(words);
});

describe('an address that several jobs match', () => {
  test('has them listed to choose from', async () => {
    const store = await makeArchive();
    await storeJob(store, RECORD, LOG);
    await storeJob(store, makeRecord({ job_id: 7, job_name: `x${ESC}[2J` }), LOG);
    const answer = await cat(store, RUN);
    expect(answer).toMatchObject({ exit: 2, out: '' });
    expect(answer.err).toContain('2 jobs match; choose one with: everlog cat JOB_ID');
    expect(answer.err).toContain('399444496');
    expect(answer.err).not.toContain(ESC);
  });

  test('means the one that has a log, or the step pointed at', async () => {
    const store = await makeArchive();
    await storeJob(store, RECORD, LOG);
    await storeRecord(store, makeAbsence('not_produced', { job_id: 7 }));
    expect(await cat(store, RUN, { raw: true })).toMatchObject({ exit: 0, out: LOG });
    await storeJob(store, makeRecord({ job_id: 8 }), 'other');
    expect(await cat(store, RUN, { raw: true })).toMatchObject({ exit: 2 });
    expect(await cat(store, `${RUN}#step:1:1`)).toMatchObject({
      exit: 0,
      out: expect.stringContaining('set up'),
    });
    expect(await cat(store, `${RUN}#summary-8`)).toMatchObject({ exit: 0, out: 'other' });
  });

  test('that is a run has each failed job of its newest attempt printed under a heading, with --failed', async () => {
    const store = await makeArchive();
    await storeJob(store, RECORD, LOG);
    await storeJob(store, makeRecord({ job_id: 6, conclusion: 'success' }), 'good\n');
    await storeJob(store, { ...RECORD, job_id: 7, job_name: `x${ESC}[2J`, run_attempt: 2 }, LOG);
    await storeJob(store, { ...RECORD, job_id: 8, run_attempt: 2 }, LOG);
    await storeRecord(
      store,
      makeAbsence('unavailable', { job_id: 9, run_attempt: 2, conclusion: 'failure' }),
    );
    for (const target of [RUN, '29679449', 'octo-org/octo-repo/actions/runs/29679449']) {
      const answer = await cat(store, target, { failed: true, timestamps: false });
      expect(answer.exit).toBe(3);
      expect(answer.out).toBe(
        [
          '==> CI / x · attempt 2 · job 7 · failure <==\nred\n##[error]no\n',
          '==> CI / build · attempt 2 · job 8 · failure <==\nred\n##[error]no\n',
        ].join(''),
      );
      expect(answer.err).toMatch(/^CI \/ build \(job 9\): No log: /);
    }
    const json = await cat(store, RUN, { failed: true, json: true });
    expect(
      json.out
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toMatchObject([
      { job_id: 7, line: 2 },
      { job_id: 7, line: 3 },
      { job_id: 8, line: 2 },
      { job_id: 8, line: 3 },
    ]);
  });

  test('that is a run without a failed job has that told', async () => {
    const store = await makeArchive();
    for (const job_id of [6, 7]) await storeJob(store, makeRecord({ job_id }), 'good\n');
    expect(await cat(store, RUN, { failed: true })).toMatchObject({
      exit: 0,
      out: '',
      err: 'No job failed in attempt 1 of run 29679449: 2 jobs recorded.\n',
    });
  });

  test('and none has a log', async () => {
    const store = await makeArchive();
    for (const job_id of [7, 8]) await storeRecord(store, makeAbsence('expired', { job_id }));
    expect(await cat(store, RUN)).toMatchObject({ exit: 3, out: '' });
  });
});

describe('what is not there', () => {
  test('is told with where it was looked for and how to go on', async () => {
    const answer = await cat(await makeArchive(), JOB);
    expect(answer).toMatchObject({ exit: 3, out: '' });
    expect(answer.err).toBe(
      [
        'Not recorded in this archive: job 399444496, run 29679449 of github.com/octo-org/Octo-Repo.',
        'Looked below v1/records/host=github.com/owner=octo-org/repo=octo-repo/29679449/',
        'To look in every repository: everlog cat 399444496',
        '',
      ].join('\n'),
    );
    expect(await cat(await makeArchive(), '399444496')).toMatchObject({ exit: 3 });
  });

  test('bad words and options are reported at once', async () => {
    const answer = await cat(await makeArchive(), 'nonsense', {
      step: 'two',
      tail: '0',
      failed: true,
      lines: '5-2',
      raw: true,
      json: true,
    });
    expect(answer).toMatchObject({ exit: 2, out: '' });
    expect(answer.err.trimEnd().split('\n')).toHaveLength(5);
  });
});

describe('an archive that was changed', () => {
  test('has the log printed and the difference told', async () => {
    const store = await makeArchive();
    const record = await storeJob(store, RECORD, LOG);
    const log = record.log;
    if (log === null) throw new Error('the job has a log');
    await storeRecord(store, { ...record, revision: 2, log: { ...log, sha256: '0'.repeat(64) } });
    const answer = await cat(store, JOB, {}, SCREEN);
    expect(answer.exit).toBe(4);
    expect(answer.out).toContain('set up');
    expect(answer.err).toContain(log.key);
    expect(answer.err).not.toContain('verified');
  });

  test('has an unreadable record named', async () => {
    const store = await makeArchive();
    const key = 'v1/records/host=github.com/owner=octo-org/repo=octo-repo/29679449/1/399444496.json';
    await put(store, key, Buffer.from('{}'));
    const answer = await cat(store, JOB);
    expect(answer).toMatchObject({ exit: 4, out: '' });
    expect(answer.err).toContain(key);
  });
});

test('a reader that goes away ends it quietly', async () => {
  const store = await makeArchive();
  await storeJob(store, RECORD, 'line of text\n'.repeat(100_000));
  const deps = readingDeps(store, PIPE, captureStream(1));
  expect(await runCat(deps, JOB, {})).toBe(0);
  expect(deps.stderr.text()).toBe('');
});
