import { describe, expect, test } from 'vitest';
import { parseJobReference } from '../../../src/archive/job-reference.ts';

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

  test('a bare job id', () => {
    expect(parseJobReference(' 399444496 ')).toEqual({ ok: true, reference: { kind: 'id', jobId: JOB } });
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
