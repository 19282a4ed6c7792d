import { describe, expect, test } from 'vitest';
import { serializeRecord } from '../../../src/archive/record.ts';
import { runLs } from '../../../src/cli/read/ls.ts';
import {
  makeAbsence,
  makeArchive,
  makeRecord,
  put,
  storeJob,
  storeRecord,
} from '../../support/oracles/archived-jobs.ts';
import { captureStream, readingDeps, SCREEN } from '../../support/harness/terminal-under-test.ts';

const CLEAR = '\r\u001b[2K';

test('an archive without records is said to be empty, on standard error', async () => {
  const deps = readingDeps(await makeArchive());
  expect(await runLs(deps, {})).toBe(0);
  expect([deps.stdout.text(), deps.stderr.text()]).toEqual([
    '',
    expect.stringContaining('No job is recorded yet in file:'),
  ]);
});

test('filters that nothing passes are said to be so', async () => {
  const store = await makeArchive();
  await storeRecord(store, makeRecord());
  const deps = readingDeps(store);
  expect(await runLs(deps, { branch: 'none' })).toBe(0);
  expect([deps.stdout.text(), deps.stderr.text()]).toEqual([
    '',
    'No recorded job matches; 1 looked at.\nNo job has the branch none. There is: main (1)\n',
  ]);
});

test('jobs stand in a table, newest first', async () => {
  const store = await makeArchive();
  await storeJob(store, makeRecord(), 'log\n');
  await storeRecord(
    store,
    makeAbsence('not_produced', { job_id: 7, conclusion: 'skipped', completed_at: '2020-01-21T00:00:00Z' }),
  );
  const deps = readingDeps(store, SCREEN);
  expect(await runLs(deps, {})).toBe(0);
  expect(deps.stdout.text()).toBe(
    [
      'COMPLETED (UTC)   RESULT        REPOSITORY          WORKFLOW / JOB  BRANCH  SHA      ATTEMPT  SIZE       RUN     JOB ID',
      '2020-01-21 00:00  not_produced  octo-org/Octo-Repo  CI / build      main    f83a356        1     –  29679449          7',
      '2020-01-20 17:44  success       octo-org/Octo-Repo  CI / build      main    f83a356        1   4 B  29679449  399444496',
      '',
    ].join('\n'),
  );
  expect(deps.stderr.text()).toBe('');
});

describe('as JSON', () => {
  test('a record is given byte for byte as it is stored, its newest revision', async () => {
    const store = await makeArchive();
    await storeRecord(store, makeAbsence('unavailable'));
    const newest = makeRecord({ revision: 2, job_name: 'büild', job: { z: 1, a: '\u202e' } });
    await storeRecord(store, newest);
    const deps = readingDeps(store);
    expect(await runLs(deps, { json: true })).toBe(0);
    expect(deps.stdout.bytes()).toEqual(serializeRecord(newest));
  });

  test('a record that somebody wrote over several lines is still one line', async () => {
    const store = await makeArchive();
    const record = makeRecord({ job_id: 9 });
    const key = 'v1/records/host=github.com/owner=octo-org/repo=octo-repo/29679449/1/9.json';
    const pretty = JSON.stringify(JSON.parse(serializeRecord(record).toString()), null, 2);
    await put(store, key, Buffer.from(pretty));
    const deps = readingDeps(store);
    await runLs(deps, { json: true });
    expect(deps.stdout.text().split('\n')).toHaveLength(2);
    expect(JSON.parse(deps.stdout.text())).toEqual(JSON.parse(pretty));
  });

  test('on a terminal nothing acts on it, and the value is the same', async () => {
    const store = await makeArchive();
    const record = makeRecord({ job_name: 'a\u009b2J\u202e\u001b[2J' });
    await storeRecord(store, record);
    const deps = readingDeps(store, SCREEN);
    await runLs(deps, { json: true });
    expect(deps.stdout.text()).toMatch(/^[\x20-\x7e]+\n$/);
    expect(JSON.parse(deps.stdout.text())).toEqual(JSON.parse(serializeRecord(record).toString()));
  });
});

test('a limit is kept and mentioned', async () => {
  const store = await makeArchive();
  for (const job_id of [1, 2, 3]) await storeRecord(store, makeRecord({ job_id }));
  const deps = readingDeps(store, SCREEN);
  expect(await runLs(deps, { limit: '2' })).toBe(0);
  expect(deps.stdout.text().trimEnd().split('\n')).toHaveLength(3);
  expect(deps.stderr.text()).toBe('The newest 2; --limit shows more.\n');
});

test('every bad option is reported at once', async () => {
  const deps = readingDeps(await makeArchive());
  const bad = { owner: 'a/b', repo: 'r', sha: 'xyz', since: 'tomorrow', until: '2026-02-30', limit: '0' };
  expect(await runLs(deps, bad)).toBe(2);
  for (const option of Object.keys(bad)) expect(deps.stderr.text()).toContain(`--${option} `);
});

test('a range that ends before it begins is refused, and an ending day is included', async () => {
  const store = await makeArchive();
  await storeRecord(store, makeRecord());
  expect(await runLs(readingDeps(store), { since: '2020-01-21', until: '2020-01-20' })).toBe(2);
  const deps = readingDeps(store);
  await runLs(deps, { since: '2020-01-20', until: '2020-01-20' });
  expect(deps.stdout.text()).toContain('399444496');
});

test('a record that cannot be read is named, and is a finding', async () => {
  const store = await makeArchive();
  await storeRecord(store, makeRecord());
  const key = 'v1/records/host=github.com/owner=octo-org/repo=octo-repo/1/1/2.json';
  await put(store, key, Buffer.from('\u001b[2J'));
  const deps = readingDeps(store);
  expect(await runLs(deps, {})).toBe(4);
  expect(deps.stdout.text()).toContain('399444496');
  expect(deps.stderr.text()).toBe(`everlog: cannot read ${key}: not UTF-8 JSON\n`);
});

test('a reader that goes away ends it quietly', async () => {
  const store = await makeArchive();
  for (const job_id of [1, 2, 3]) await storeRecord(store, makeRecord({ job_id }));
  const deps = readingDeps(store, SCREEN, captureStream(1));
  expect(await runLs(deps, { json: true })).toBe(0);
  expect(deps.stderr.text()).toBe('');
});

test('waiting shows progress on a terminal, and takes it away again', async () => {
  const store = await makeArchive();
  for (const job_id of [1, 2, 3]) await storeRecord(store, makeRecord({ job_id }));
  let nowMs = Date.parse('2020-06-01T00:00:00Z');
  const slow = { now: () => new Date((nowMs += 1_500)) };
  const onScreen = { ...readingDeps(store, SCREEN), ...slow };
  await runLs(onScreen, {});
  expect(onScreen.stderr.text()).toBe(
    `${CLEAR}1 records read${CLEAR}2 records read${CLEAR}3 records read${CLEAR}`,
  );
  const inPipe = { ...readingDeps(store), ...slow };
  await runLs(inPipe, {});
  expect(inPipe.stderr.text()).toBe('');
});

describe('what people have instead of filters', () => {
  async function archiveOfRuns() {
    const store = await makeArchive();
    await storeRecord(store, makeRecord({ job_id: 1, job_name: 'build (20)', conclusion: 'failure' }));
    await storeRecord(store, makeRecord({ job_id: 2, job_name: 'build-docs', run_attempt: 2 }));
    await storeRecord(store, makeRecord({ job_id: 3, run_id: 7, workflow_name: 'Deploy', sender: 'Mona' }));
    const run = {
      schema: 'everlog.run/v1',
      outcome: 'accounted',
      revision: 1,
      supersedes: null,
      host: 'github.com',
      owner: 'octo-org',
      repo: 'octo-repo',
      repository_id: 1_296_269,
      run_id: 7,
      run_attempt: 1,
      expected: [3],
      archived: [3],
      absent: [],
      complete: true,
      run: {
        event: 'push',
        path: '.github/workflows/deploy.yml',
        actor: { login: 'hubot' },
        pull_requests: [{ number: 12 }, { number: 'x' }],
      },
    };
    const key = 'v1/runs/host=github.com/owner=octo-org/repo=octo-repo/7/1.json';
    await put(store, key, Buffer.from(JSON.stringify(run)));
    return store;
  }

  test.each<[string, Parameters<typeof runLs>[1], string | undefined, number[]]>([
    ['a run', { run: '7' }, undefined, [3]],
    ['a job by its name', { job: 'build', run: '29679449' }, undefined, [1]],
    ['an attempt', { attempt: '2' }, undefined, [2]],
    ['what failed', { failed: true }, undefined, [1]],
    ['an event', { event: 'push' }, undefined, [3]],
    ['a person', { actor: 'mona' }, undefined, [3]],
    ['who started the run', { actor: 'HUBOT' }, undefined, [3]],
    ['a pull request', { pr: '12' }, undefined, [3]],
    ['a workflow by its file', { workflow: 'deploy.yml' }, undefined, [3]],
    ['the address of a run', {}, 'https://github.com/octo-org/Octo-Repo/actions/runs/7', [3]],
    ['the address of an attempt', {}, 'octo-org/Octo-Repo/actions/runs/29679449/attempts/2', [2]],
    ['the address of a job', {}, 'https://github.com/octo-org/Octo-Repo/actions/runs/29679449/job/2', [2]],
    ['the address of a pull request', {}, 'https://github.com/octo-org/Octo-Repo/pull/12', [3]],
    ['the address of a commit', { job: 'build-docs' }, 'github.com/octo-org/Octo-Repo/commit/f83a356', [2]],
    ['the address of a repository', { owner: 'octo-org' }, 'octo-org/octo-repo', [3, 2, 1]],
    ['a bare id', {}, '7', [3]],
    ['a branch as git names it', { branch: 'refs/heads/main', failed: true }, undefined, [1]],
  ])('%s', async (_name, options, address, jobs) => {
    const deps = readingDeps(await archiveOfRuns());
    expect(await runLs(deps, { ...options, json: 'job_id' }, address)).toBe(0);
    expect(
      deps.stdout
        .text()
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line).job_id),
    ).toEqual(jobs);
  });

  test.each<[Parameters<typeof runLs>[1], string]>([
    [
      { conclusion: 'fail' },
      'No job has the conclusion fail. Did you mean failure? There are: success (2), failure (1)',
    ],
    [{ workflow: 'ci' }, 'No job has the workflow ci. Did you mean CI? There are: CI (2), Deploy (1)'],
    [{ branch: 'mian' }, 'No job has the branch mian. Did you mean main? There is: main (3)'],
    [
      { repo: 'octo-org/octo-rep' },
      'No job of octo-org/octo-rep is recorded. Did you mean octo-org/octo-repo?',
    ],
    [{ owner: 'octo' }, 'No job of octo is recorded. Did you mean octo-org? There is: octo-org'],
  ])('%j is told with what exists', async (options, words) => {
    const deps = readingDeps(await archiveOfRuns());
    expect(await runLs(deps, options)).toBe(0);
    expect(deps.stdout.text()).toBe('');
    expect(deps.stderr.text()).toContain(words);
  });

  test('members are chosen, also those within others', async () => {
    const deps = readingDeps(await archiveOfRuns());
    await runLs(deps, { run: '7', json: 'job_id,fetch.source,none' });
    expect(deps.stdout.text()).toBe('{"job_id":3,"fetch.source":"webhook","none":null}\n');
    expect(await runLs(deps, { json: 'Job Id' })).toBe(2);
  });
});
