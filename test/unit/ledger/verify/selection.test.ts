import { expect, test } from 'vitest';
import { objectsOf, type VerifiedPart } from '../../../../src/ledger/verify/selection.ts';

const APP = 'host=github.com/owner=octo-org/repo=app/';
const job: VerifiedPart = { kind: 'job', host: 'GitHub.com', jobId: 3 };
const run: VerifiedPart = { kind: 'run', host: null, runId: 1 };
const repository: VerifiedPart = { kind: 'repository', host: null, owner: 'Octo-Org', repo: 'App' };

test.each<[string, readonly VerifiedPart[]]>([
  [`v1/records/${APP}1/2/3.json`, [job, run, repository]],
  [`v1/records/${APP}1/2/3.r2.json`, [job, run, repository]],
  [`v1/records/${APP}1/2/3.json.bak`, [job, run, repository]],
  [`v1/records/${APP}1/2/33.json`, [run, repository]],
  [`v1/records/${APP}11/2/3.json`, [job, repository]],
  ['v1/records/host=github.com/owner=octo-org/repo=former/1/2/3.json', [job, run]],
  ['v1/records/host=github.com/owner=octo-org/repo=app.net/4/2/5.json', []],
  ['v1/records/host=ghe.example/owner=octo-org/repo=app/1/2/3.json', [run, repository]],
  ['v1/records/host=githubxcom/owner=octo-org/repo=other/4/2/3.json', []],
  [`v1/logs/${APP}dt=2026-11-20/1-2-3.log.gz`, [job, run, repository]],
  [`v1/logs/${APP}dt=2026-11-20/1-2-33.log.gz`, [run, repository]],
  [`v1/logs/${APP}dt=2026-11-20/11-2-3.log.gz`, [job, repository]],
  [`v1/runs/${APP}1/2.json`, [run, repository]],
  [`v1/runs/${APP}11/2.json`, [repository]],
  ['v1/custody/dt=2026-11-20/1-2-3.json', []],
  ['ledger/keys/3.json', []],
])('%s', (key, selections) => {
  expect([job, run, repository].filter((it) => objectsOf(it).has(key))).toEqual(selections);
  for (const it of selections)
    expect(objectsOf(it).prefixes.some((prefix) => key.startsWith(prefix))).toBe(true);
});

test('what removes anything is needed, and of a repository the records of its runs under other names', () => {
  const needed = (key: string): VerifiedPart[] =>
    [job, run, repository].filter((it) => objectsOf(it).needs(key));
  expect(needed('v1/custody/dt=2026-11-20/a.json')).toEqual([job, run, repository]);
  expect(needed('v1/records/host=github.com/owner=octo-org/repo=former/1/2/3.json')).toEqual([repository]);
  expect(needed('v1/runs/host=github.com/owner=octo-org/repo=former/1/2.json')).toEqual([]);
});
