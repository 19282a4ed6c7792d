import { expect, test } from 'vitest';
import { runStats } from '../../../src/cli/search/stats.ts';
import {
  makeAbsence,
  makeArchive,
  makeRecord,
  storeJob,
  storeRecord,
} from '../../support/oracles/archived-jobs.ts';
import { readingDeps, SCREEN } from '../../support/harness/terminal-under-test.ts';

async function archive() {
  const store = await makeArchive();
  await storeJob(store, makeRecord({ job_id: 1 }), 'x'.repeat(100));
  await storeJob(store, makeRecord({ job_id: 2, conclusion: 'failure' }), 'y'.repeat(50));
  await storeRecord(
    store,
    makeAbsence('expired', {
      job_id: 3,
      repo: 'other',
      completed_at: '2020-01-21T10:00:00Z',
      started_at: null,
    }),
  );
  return store;
}

test('jobs are counted in all, by repository and by day', async () => {
  const deps = readingDeps(await archive());
  expect(await runStats(deps, { json: true })).toBe(0);
  const timed = { runner_seconds: 238, mean_seconds: 119, longest_seconds: 119 };
  const logs = { failed: 1, archived: 2, log_bytes: 150, stored_bytes: expect.any(Number) };
  const none = { failed: 0, archived: 0, log_bytes: 0, stored_bytes: 0 };
  const untimed = { runner_seconds: 0, mean_seconds: null, longest_seconds: null };
  expect(JSON.parse(deps.stdout.text())).toEqual({
    jobs: 3,
    ...logs,
    ...timed,
    repositories: [
      { repository: 'octo-org/octo-repo', jobs: 2, ...logs, ...timed },
      { repository: 'octo-org/other', jobs: 1, ...none, ...untimed },
    ],
    days: [
      { day: '2020-01-20', jobs: 2, ...logs, ...timed },
      { day: '2020-01-21', jobs: 1, ...none, ...untimed },
    ],
  });
});

test.each([60, 80, 120])('tables with bars fit a terminal of %d columns', async (columns) => {
  const deps = readingDeps(await archive(), { ...SCREEN, columns });
  expect(await runStats(deps, {})).toBe(0);
  const lines = deps.stdout.text().split('\n');
  expect(lines.filter((line) => line.length > columns)).toEqual([]);
  expect(deps.stdout.text()).toMatch(/1 \(50 %\)/);
  expect(deps.stdout.text().includes('████████████████████')).toBe(columns >= 80);
});

test('filters choose, and an empty answer is told', async () => {
  const deps = readingDeps(await archive());
  expect(await runStats(deps, { repo: 'octo-org/none', json: true })).toBe(0);
  expect(JSON.parse(deps.stdout.text())).toMatchObject({ jobs: 0, repositories: [] });
  expect(deps.stderr.text()).toContain('No job of octo-org/none is recorded.');
});
