import { expect, test } from 'vitest';
import { runGrep, type GrepOptions } from '../../../src/cli/search/grep.ts';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import {
  makeAbsence,
  makeArchive,
  makeRecord,
  storeJob,
  storeRecord,
} from '../../support/oracles/archived-jobs.ts';
import { readingDeps, PIPE, SCREEN } from '../../support/harness/terminal-under-test.ts';

const ESC = '\u001b';

async function archive(): Promise<ObjectStore> {
  const store = await makeArchive();
  await storeJob(store, makeRecord({ job_id: 1 }), 'one\nnpm \u001b[31mERR\u001b[0m! a\n');
  await storeJob(
    store,
    makeRecord({
      job_id: 2,
      completed_at: '2020-02-01T00:00:00Z',
      conclusion: 'failure',
      job_name: `x${ESC}]0;t\u0007`,
    }),
    `2020-02-01T00:00:00.0000000Z   npm ERR! b${ESC}]52;c;eA==\u0007\nnpm ok\n`,
  );
  await storeRecord(store, makeAbsence('expired', { job_id: 3 }));
  return store;
}

async function grep(store: ObjectStore, pattern: string, options: GrepOptions = {}, terminal = PIPE) {
  const deps = readingDeps(store, terminal);
  const exit = await runGrep(deps, pattern, options);
  return { exit, out: deps.stdout.text(), err: deps.stderr.text() };
}

test('matches are printed, the newest job first, with what was searched and how much was found', async () => {
  expect(await grep(await archive(), 'npm ERR')).toEqual({
    exit: 0,
    out: '2:1:  npm ERR! b\n1:2:npm ERR! a\n',
    err: 'Searching 2 jobs, 85 B of text …\n2 lines in 2 jobs.\n',
  });
});

test('as JSON, a line each, with the text as it was served', async () => {
  const { out } = await grep(await archive(), 'ERR! b', { json: true });
  expect(JSON.parse(out)).toMatchObject({
    job_id: 2,
    line: 1,
    time: '2020-02-01T00:00:00.0000000Z',
    text: `  npm ERR! b${ESC}]52;c;eA==\u0007`,
    run_id: 29_679_449,
  });
});

test('jobs alone, by filter, at its letters and without regard to case', async () => {
  const store = await archive();
  expect((await grep(store, 'npm', { filesWithMatches: true })).out.trimEnd().split('\n')).toHaveLength(2);
  expect((await grep(store, 'npm', { failed: true })).out).toBe('2:1:  npm ERR! b\n2:2:npm ok\n');
  expect((await grep(store, 'NPM OK', { ignoreCase: true, fixedStrings: true })).out).toBe('2:2:npm ok\n');
});

test('nothing on a terminal acts on it', async () => {
  const { out, err } = await grep(await archive(), 'npm', { context: '1' }, SCREEN);
  expect(out + err).not.toContain(ESC);
  expect(out).toContain('octo-org/Octo-Repo · CI / x · attempt 1 · job 2\n     1:   npm ERR! b\n');
});

test('nothing found is told, and with another exit code', async () => {
  const store = await archive();
  expect(await grep(store, 'no such thing')).toMatchObject({ exit: 3, out: '' });
  const none = await grep(store, 'x', { branch: 'mian' });
  expect(none).toMatchObject({ exit: 3, out: '' });
  expect(none.err).toContain('Did you mean main?');
  expect(await grep(store, 'a(')).toMatchObject({ exit: 2, out: '' });
});

test('a log that is not what was archived is a finding', async () => {
  const store = await archive();
  const record = await storeJob(store, makeRecord({ job_id: 9 }), 'npm\n');
  if (record.log === null) throw new Error('the job has a log');
  await storeRecord(store, { ...record, revision: 2, log: { ...record.log, sha256: '0'.repeat(64) } });
  const found = await grep(store, 'npm');
  expect(found.exit).toBe(4);
  expect(found.err).toContain('NOT what was archived');
});

test('what is found stays in the order of the jobs however the reading goes', async () => {
  const store = await makeArchive();
  for (let job = 1; job <= 40; job += 1) {
    const minute = String(job).padStart(2, '0');
    const log = 'x\n'.repeat(job % 3 === 0 ? 20_000 : 1);
    await storeJob(store, makeRecord({ job_id: job, completed_at: `2020-01-20T17:${minute}:00Z` }), log);
  }
  const { out } = await grep(store, 'x', { fixedStrings: true });
  const order = [
    ...new Set(
      out
        .trimEnd()
        .split('\n')
        .map((line) => Number(line.split(':')[0])),
    ),
  ];
  expect(order).toEqual(Array.from({ length: 40 }, (_, index) => 40 - index));
});
