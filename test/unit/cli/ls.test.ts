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
  expect([deps.stdout.text(), deps.stderr.text()]).toEqual(['', 'No recorded job matches; 1 looked at.\n']);
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
      'COMPLETED         RESULT        REPOSITORY          WORKFLOW / JOB  BRANCH  ATTEMPT  SIZE     JOB ID',
      '2020-01-21 00:00  not_produced  octo-org/Octo-Repo  CI / build      main          1     –          7',
      '2020-01-20 17:44  success       octo-org/Octo-Repo  CI / build      main          1   4 B  399444496',
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
    await put(store, key, Buffer.from(JSON.stringify(record, null, 2)));
    const deps = readingDeps(store);
    await runLs(deps, { json: true });
    expect(deps.stdout.text().split('\n')).toHaveLength(2);
    expect(JSON.parse(deps.stdout.text())).toEqual(record);
  });

  test('on a terminal nothing acts on it, and the value is the same', async () => {
    const store = await makeArchive();
    const record = makeRecord({ job_name: 'a\u009b2J\u202e\u001b[2J' });
    await storeRecord(store, record);
    const deps = readingDeps(store, SCREEN);
    await runLs(deps, { json: true });
    expect(deps.stdout.text()).toMatch(/^[\x20-\x7e]+\n$/);
    expect(JSON.parse(deps.stdout.text())).toEqual(record);
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
  const bad = { owner: 'a/b', repo: 'r', sha: 'xyz', since: 'yesterday', until: '2026-02-30', limit: '0' };
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
