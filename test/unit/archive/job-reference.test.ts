import { describe, expect, test } from 'vitest';
import { parseAddress, parseJobReference } from '../../../src/archive/find/job-reference.ts';

const PLACE = {
  kind: 'place',
  host: 'github.com',
  owner: 'octo-org',
  repo: 'Octo-Repo',
  runId: null,
  attempt: null,
  jobId: null,
  step: null,
  line: null,
};
const [RUN, JOB] = [29_679_449, 399_444_496];

describe('what may be pasted', () => {
  test.each([
    ['https://github.com/octo-org/Octo-Repo/actions/runs/29679449/job/399444496', { runId: RUN, jobId: JOB }],
    ['github.com/octo-org/Octo-Repo/actions/runs/29679449/job/399444496', { runId: RUN, jobId: JOB }],
    [
      '  <https://GitHub.com/octo-org/Octo-Repo/actions/runs/29679449/jobs/399444496>\n',
      { runId: RUN, jobId: JOB },
    ],
    [
      'https://www.github.com/octo-org/Octo-Repo/actions/runs/29679449/job/399444496?pr=7',
      { runId: RUN, jobId: JOB },
    ],
    [
      'https://github.com/octo-org/Octo-Repo/actions/runs/29679449/job/399444496#step:5:120',
      { runId: RUN, jobId: JOB, step: 5, line: 120 },
    ],
    [
      'https://github.com/octo-org/Octo-Repo/actions/runs/29679449/job/399444496#step:5',
      { runId: RUN, jobId: JOB, step: 5 },
    ],
    ['https://github.com/octo-org/Octo-Repo/actions/runs/29679449', { runId: RUN }],
    ['https://github.com/octo-org/Octo-Repo/actions/runs/29679449/', { runId: RUN }],
    ['https://github.com/octo-org/Octo-Repo/actions/runs/29679449/workflow', { runId: RUN }],
    [
      'https://github.com/octo-org/Octo-Repo/actions/runs/29679449#summary-399444496',
      { runId: RUN, jobId: JOB },
    ],
    ['https://github.com/octo-org/Octo-Repo/actions/runs/29679449/attempts/2', { runId: RUN, attempt: 2 }],
    [
      'https://github.com/octo-org/Octo-Repo/actions/runs/29679449/attempts/2/job/399444496',
      { runId: RUN, attempt: 2, jobId: JOB },
    ],
    ['https://github.com/octo-org/Octo-Repo/runs/399444496', { jobId: JOB }],
    [
      'https://github.com/octo-org/Octo-Repo/runs/399444496?check_suite_focus=true#step:3:1',
      { jobId: JOB, step: 3, line: 1 },
    ],
    ['https://github.com/octo-org/Octo-Repo/commit/f83a356/checks/399444496/logs', { jobId: JOB }],
    ['https://github.com/octo-org/Octo-Repo/pull/7/checks?check_run_id=399444496', { jobId: JOB }],
    ['https://api.github.com/repos/octo-org/Octo-Repo/actions/jobs/399444496', { jobId: JOB }],
    ['https://api.github.com/repos/octo-org/Octo-Repo/actions/jobs/399444496/logs', { jobId: JOB }],
    ['https://api.github.com/repos/octo-org/Octo-Repo/check-runs/399444496', { jobId: JOB }],
    [
      'https://api.github.com/repos/octo-org/Octo-Repo/actions/runs/29679449/attempts/2/jobs',
      { runId: RUN, attempt: 2 },
    ],
    [
      'https://api.github.com/repos/octo-org/Octo-Repo/actions/runs/29679449/jobs?per_page=100',
      { runId: RUN },
    ],
    [
      'https://api.Octo.ghe.com/repos/octo-org/Octo-Repo/actions/jobs/399444496',
      { host: 'octo.ghe.com', jobId: JOB },
    ],
    ['https://octo.ghe.com/octo-org/Octo-Repo/actions/runs/29679449', { host: 'octo.ghe.com', runId: RUN }],
    [
      'https://ghes.example:8443/api/v3/repos/octo-org/Octo-Repo/actions/jobs/399444496/logs',
      { host: 'ghes.example', jobId: JOB },
    ],
    [
      'http://127.0.0.1:4010/octo-org/Octo-Repo/actions/runs/29679449/job/399444496',
      { host: '127.0.0.1', runId: RUN, jobId: JOB },
    ],
    [
      'https://github.com/repos/actions/actions/runs/29679449',
      { owner: 'repos', repo: 'actions', runId: RUN },
    ],
  ])('%s', (text, expected) => {
    expect(parseJobReference(text)).toEqual({ ok: true, reference: { ...PLACE, ...expected } });
  });

  test.each([
    [' 399444496 ', null],
    ['GitHub.com/399444496', 'github.com'],
    ['ghes.example:8443/399444496', 'ghes.example'],
  ])('the bare id %j', (text, host) => {
    expect(parseJobReference(text)).toEqual({ ok: true, reference: { kind: 'id', host, id: JOB } });
  });

  test.each([
    [
      'octo-org/Octo-Repo/actions/runs/29679449/job/399444496#step:5:1',
      { runId: RUN, jobId: JOB, step: 5, line: 1 },
    ],
    ['octo-org/Octo-Repo/actions/runs/29679449?step=5&line=7', { runId: RUN, step: 5, line: 7 }],
    ['octo-org/Octo-Repo/runs/399444496', { jobId: JOB }],
  ])('an address without a host: %s', (text, expected) => {
    expect(parseJobReference(text)).toEqual({ ok: true, reference: { ...PLACE, host: null, ...expected } });
  });
});

describe('what jobs are run for', () => {
  const CODE = { host: 'github.com', owner: 'octo-org', repo: 'Octo-Repo', sha: null, number: null };
  test.each([
    [
      'https://github.com/octo-org/Octo-Repo/commit/F83A3561',
      { kind: 'commit', sha: 'f83a3561' },
      '--sha f83a3561',
    ],
    ['https://github.com/octo-org/Octo-Repo/pull/7/checks', { kind: 'pull', number: 7 }, '--pr 7'],
    ['https://github.com/octo-org/Octo-Repo', { kind: 'repository' }, 'octo-org/Octo-Repo'],
    ['octo-org/Octo-Repo', { kind: 'repository', host: null }, 'octo-org/Octo-Repo'],
    [
      'https://github.com/octo-org/Octo-Repo/actions/workflows/ci.yml',
      { kind: 'repository' },
      'octo-org/Octo-Repo',
    ],
  ])('%s is read, and its jobs are listed by another command', (text, expected, told) => {
    expect(parseAddress(text)).toEqual({ ok: true, address: { ...CODE, ...expected } });
    const refused = parseJobReference(text);
    expect(refused).toMatchObject({ ok: false });
    expect(JSON.stringify(refused)).toContain(`everlog ls --repo octo-org/Octo-Repo`);
    expect(JSON.stringify(refused)).toContain(told);
  });
});

test.each([
  [''],
  ['octo-org/Octo-Repo'],
  ['0'],
  ['99999999999999999999'],
  ['-1'],
  ['https://github.com'],
  ['https://github.com/octo-org/Octo-Repo'],
  ['https://github.com/octo-org/Octo-Repo/actions'],
  ['https://github.com/octo-org/Octo-Repo/actions/runs/0'],
  ['https://github.com/octo-org/Octo-Repo/actions/runs/abc'],
  ['https://github.com/octo-org/Octo-Repo/actions/runs/99999999999999999999/job/1'],
  ['https://github.com/..%2f/Octo-Repo/actions/runs/1/job/2'],
  ['https://github.com/octo%2Forg/Octo-Repo/actions/runs/1/job/2'],
  ['https://github.com/octo-org/Octo-Repo/pull/7/checks'],
  ['ftp://github.com/octo-org/Octo-Repo/actions/runs/1'],
  ['javascript:alert(1)'],
  [`https://github.com/octo-org/Octo-Repo/actions/runs/1?${'x'.repeat(3_000)}`],
])('%j is refused with what would do', (text) => {
  const parsed = parseJobReference(text);
  expect(parsed).toMatchObject({ ok: false });
  expect(JSON.stringify(parsed)).toContain('https://github.com/OWNER/REPO/actions/runs/RUN/job/JOB');
});
