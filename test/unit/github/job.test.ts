import { describe, expect, test } from 'vitest';
import { looksLikeCheckRun, neverRan, parseJob, type GitHubJob } from '../../../src/github/job.ts';
import { JsonText } from '../../../src/json-text.ts';

function jobOf(about: string): GitHubJob {
  const json = JsonText.read(`{"id":1,"run_id":2${about}}`)?.json;
  const parsed = json === undefined ? null : parseJob(json);
  if (parsed?.ok !== true) throw new Error(parsed === null ? 'no JSON' : parsed.problem);
  return parsed.job;
}

describe('what is not of its type', () => {
  test.each([
    ['labels', '["a",null]'],
    ['runner_id', '""'],
    ['runner_id', '9007199254740993'],
    ['run_attempt', '"1"'],
    ['run_attempt', '0'],
    ['workflow_name', '7'],
    ['conclusion', '{}'],
    ['completed_at', '"0001-01-01T00:00:00Z"'],
    ['completed_at', '"1970-01-01T00:00:00Z"'],
    ['completed_at', '"+275760-09-13T00:00:00Z"'],
    ['completed_at', '1579542279'],
    ['steps', '"none"'],
  ] as const)('%s %s is null', (name, value) => {
    expect(jobOf(`,"${name}":${value}`)[name]).toBeNull();
  });
});

describe('that a job never ran', () => {
  test.each(['', ',"runner_id":0', ',"runner_id":null,"runner_name":""', ',"runner_id":"","steps":[]'])(
    'is known where it had no step and no runner: {%s}',
    (about) => {
      expect(neverRan(jobOf(about))).toBe(true);
    },
  );

  test.each([
    ',"runner_id":9007199254740993',
    ',"runner_id":"5"',
    ',"runner_name":{}',
    ',"steps":{"0":{}}',
    ',"steps":"three"',
  ])('is not concluded from what cannot be read: {%s}', (about) => {
    expect(neverRan(jobOf(about))).toBe(false);
  });

  test('labels say nothing of, but keep a job from being taken for a check run', () => {
    const odd = jobOf(',"labels":["a",null]');
    expect([neverRan(odd), looksLikeCheckRun(odd)]).toEqual([true, false]);
    expect(looksLikeCheckRun(jobOf(',"labels":[]'))).toBe(true);
  });
});
