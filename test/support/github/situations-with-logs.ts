import { gzipSync } from 'node:zlib';
import { answerOf } from '../servers/scripted-log-host.ts';
import type { Scene, Situation } from './scene.ts';

/** Situations in which there is a log, whatever stands in the way. */

const ONCE: Situation['spends'] = { token: 1, job: 1, logs: 1, blob: 1 };
export const JOB_LOG_BYTES_MAX = 3 * 1024 * 1024;
const PLAIN = { 'content-type': 'text/plain' };
const FORBIDDEN = answerOf('403 Forbidden', { 'content-type': 'application/xml' }, Buffer.from('<Error/>'));

function served(scene: Scene, jobId: number, headers: Readonly<Record<string, string>> = PLAIN): Buffer {
  return answerOf('200 OK', headers, scene.bytesOf(jobId));
}

function withLog(about: Parameters<Scene['job']>[0] = {}): Situation['arrange'] {
  return (scene) => scene.job({ log: `log of ${scene.host.name}\nthe end`, ...about });
}

function status(code: number): { kind: 'status'; status: number } {
  return { kind: 'status', status: code };
}

const JOBS: readonly (readonly [string, Parameters<Scene['job']>[0]])[] = [
  ['success', {}],
  ['failure', { conclusion: 'failure' }],
  ['cancelled while it ran', { conclusion: 'cancelled' }],
  ['timed out', { conclusion: 'timed_out' }],
  ['a conclusion that nobody knows yet', { extra: { conclusion: 'half_done' } }],
  ['an empty log', { log: '' }],
  ['a runner but no steps', { steps: [], runner: { id: 7, name: 'lost' } }],
  ['steps but no runner', { extra: { runner_id: null, runner_name: null } }],
  ['old GHES members', { omitted: ['workflow_name', 'head_branch', 'created_at', 'run_attempt'] }],
];

const PLAIN_CASES = JOBS.map(([job, about]): Situation => {
  const arrange = withLog(about);
  return { name: job, api: '302', log: '200', job, arrange, ends: 'archived', tries: 1, spends: ONCE };
});

/** Trouble with the API that passes. */
const API_TROUBLE: readonly Situation[] = [
  {
    name: 'every part fails once with 5xx',
    api: '500, 502, then fine',
    log: '503, then fine',
    job: 'success',
    arrange: withLog(),
    meanwhile(scene, id) {
      scene.fault('job', id, status(500), 1);
      scene.fault('logs', id, status(502), 1);
      scene.fault('blob', id, status(503), 1);
    },
    ends: 'archived',
    tries: 4,
    spends: { token: 1, job: 4, logs: 3, blob: 2 },
  },
  {
    name: 'connections are reset',
    api: 'reset, then fine',
    log: 'reset, then fine',
    job: 'success',
    arrange: withLog(),
    meanwhile(scene, id) {
      scene.fault('job', id, { kind: 'reset' }, 1);
      scene.fault('blob', id, { kind: 'reset' }, 1);
    },
    ends: 'archived',
    tries: 3,
    spends: { token: 1, job: 3, logs: 2, blob: 2 },
  },
  {
    name: 'the token was revoked',
    api: '401, then fine',
    log: '200',
    job: 'success',
    arrange: withLog(),
    meanwhile: (scene, id) => scene.fault('job', id, status(401), 1),
    ends: 'archived',
    tries: 1,
    spends: { token: 2, job: 2, logs: 1, blob: 1 },
  },
  {
    name: 'two tokens in a row are refused',
    api: '401, 401, then fine',
    log: '200',
    job: 'success',
    arrange: withLog(),
    meanwhile: (scene, id) => scene.fault('job', id, status(401), 2),
    ends: 'archived',
    tries: 2,
    spends: { token: 2, job: 3, logs: 1, blob: 1 },
  },
  {
    name: 'the hour is spent',
    api: '403, remaining 0',
    log: '200',
    job: 'success',
    arrange: withLog(),
    meanwhile(scene, id) {
      const reset = String(Math.floor(Date.now() / 1000) + 2);
      const headers = {
        'x-ratelimit-limit': '15000',
        'x-ratelimit-remaining': '0',
        'x-ratelimit-reset': reset,
      };
      scene.fault('job', id, { kind: 'status', status: 403, headers }, 1);
    },
    ends: 'archived',
    // Once for the refusal, once when the window begins anew, and once more if the jitter was not over by then.
    tries: [2, 3],
    spends: { token: 1, job: 2, logs: 1, blob: 1 },
  },
  {
    name: 'too many requests, try after a second',
    api: '429 retry-after',
    log: '200',
    job: 'success',
    arrange: withLog(),
    meanwhile(scene, id) {
      scene.fault('logs', id, { kind: 'status', status: 429, headers: { 'retry-after': '1' } }, 1);
    },
    ends: 'archived',
    tries: [2, 3],
    spends: { token: 1, job: 2, logs: 2, blob: 1 },
  },
  {
    name: 'a secondary limit with retry-after',
    api: '403 retry-after',
    log: '200',
    job: 'success',
    arrange: withLog(),
    meanwhile(scene, id) {
      scene.fault('job', id, { kind: 'status', status: 403, headers: { 'retry-after': '1' } }, 1);
    },
    ends: 'archived',
    tries: [2, 3],
    spends: { token: 1, job: 2, logs: 1, blob: 1 },
  },
  {
    name: 'a secondary limit without a hint',
    api: '403 "secondary rate limit"',
    log: 'not asked',
    job: 'success',
    arrange: withLog(),
    meanwhile(scene, id) {
      const body = '{"message":"You have exceeded a secondary rate limit"}';
      scene.fault('job', id, { kind: 'status', status: 403, body }, 1);
    },
    ends: 'put_off',
    tries: 1,
    spends: { token: 1, job: 1 },
    reason: /rate/,
  },
  {
    name: 'the repository was renamed',
    api: '301, then fine',
    log: '200',
    job: 'success',
    arrange: withLog(),
    meanwhile: (scene) =>
      scene.host.simulator.world.renameRepository(scene.repository.id, { name: 'renamed' }),
    ends: 'archived',
    tries: 1,
    spends: { token: 1, job: 2, logs: 2, blob: 1 },
    says: { repo: 'Repo' },
  },
  {
    name: 'the API still calls the job running',
    api: '200 in_progress, then fine',
    log: '200',
    job: 'in_progress',
    arrange: withLog(),
    meanwhile(scene, id) {
      const running = JSON.stringify({ id, run_id: 1, status: 'in_progress', conclusion: null, steps: [] });
      scene.fault('job', id, { kind: 'status', status: 200, body: running }, 1);
    },
    ends: 'archived',
    tries: 2,
    spends: { token: 1, job: 2, logs: 1, blob: 1 },
  },
  {
    name: 'the version of the API was retired',
    api: '410 with Sunset, then fine',
    log: '200',
    job: 'success',
    arrange: withLog(),
    meanwhile(scene, id) {
      const headers = { sunset: 'Sun, 01 Nov 2026 00:00:00 GMT' };
      scene.fault('logs', id, { kind: 'status', status: 410, headers }, 1);
    },
    ends: 'archived',
    tries: 2,
    spends: { token: 1, job: 2, logs: 2, blob: 1 },
  },
  {
    name: 'less than half of the hour is left',
    api: '302 (one call)',
    log: '200',
    job: 'success',
    only: ['github.com', 'ghe.com'],
    arrange: withLog(),
    async meanwhile(scene) {
      await scene.archiveAnother();
      scene.host.simulator.rateLimits.setRemaining(scene.installationId, 7_000);
      await scene.archiveAnother();
    },
    ends: 'archived',
    tries: 1,
    spends: { logs: 1, blob: 1 },
    says: { details_source: 'webhook', job_sha256: null },
  },
  {
    name: 'more than half of the hour is left',
    api: '200, 302 (two calls)',
    log: '200',
    job: 'success',
    only: ['github.com', 'ghe.com'],
    arrange: withLog(),
    meanwhile: (scene) => scene.archiveAnother(),
    ends: 'archived',
    tries: 1,
    spends: { job: 1, logs: 1, blob: 1 },
    says: { details_source: 'api' },
  },
];

/** What a log host answers beside the log. */
const LOG_HOST_TROUBLE: readonly Situation[] = [
  {
    name: 'a link has expired',
    api: '302, 302',
    log: '403, then a new link 200',
    job: 'success',
    arrange: withLog(),
    meanwhile(scene, id) {
      scene.link(id, 1, FORBIDDEN);
      scene.link(id, 2, served(scene, id));
    },
    ends: 'archived',
    tries: 1,
    spends: { token: 1, job: 1, logs: 2, blob: 2 },
    check(scene, id) {
      const numbers = scene.followed(id).map((target) => target.replace(/^.*\/(\d)\?.*$/, '$1'));
      if (numbers.join() !== '1,2') throw new Error(`links followed: ${numbers.join()}`);
    },
  },
  {
    name: 'three links in a row are refused',
    api: '302 four times',
    log: '403, 401, 403, then 200',
    job: 'success',
    arrange: withLog(),
    meanwhile(scene, id) {
      scene.link(id, 1, FORBIDDEN);
      scene.link(id, 2, answerOf('401 Unauthorized', {}));
      scene.link(id, 3, FORBIDDEN);
      scene.link(id, 4, served(scene, id));
    },
    ends: 'archived',
    tries: 2,
    spends: { token: 1, job: 2, logs: 4, blob: 4 },
    check(scene, id) {
      if (new Set(scene.followed(id)).size !== 4) throw new Error('a link was used twice');
    },
  },
  ...['application/xml', 'text/html; charset=utf-8', 'application/problem+json'].map((type): Situation => ({
    name: `a page of ${type} under status 200`,
    api: '302, 302',
    log: `200 ${type}, then 200`,
    job: 'success',
    arrange: withLog(),
    meanwhile(scene, id) {
      scene.link(id, 1, answerOf('200 OK', { 'content-type': type }, Buffer.from('<Error>Busy</Error>')));
    },
    ends: 'archived',
    tries: 2,
    spends: { token: 1, job: 2, logs: 2, blob: 2 },
  })),
  {
    name: 'the log endpoint answers 200 itself',
    api: '200, then 302',
    log: '200',
    job: 'success',
    arrange: withLog(),
    meanwhile: (scene, id) => scene.fault('logs', id, { kind: 'status', status: 200, body: 'a log?' }, 1),
    ends: 'archived',
    tries: 2,
    spends: { token: 1, job: 2, logs: 2, blob: 1 },
  },
  {
    name: 'an encoding that was not asked for',
    api: '302, 302',
    log: '200 br, then 200',
    job: 'success',
    arrange: withLog(),
    meanwhile: (scene, id) => scene.link(id, 1, served(scene, id, { ...PLAIN, 'content-encoding': 'br' })),
    ends: 'archived',
    tries: 2,
    spends: { token: 1, job: 2, logs: 2, blob: 2 },
  },
  {
    name: 'gzip on the way',
    api: '302',
    log: '200 gzip',
    job: 'success',
    arrange: withLog(),
    meanwhile(scene, id) {
      const headers = { ...PLAIN, 'content-encoding': 'gzip' };
      scene.link(id, 1, answerOf('200 OK', headers, gzipSync(scene.bytesOf(id))));
    },
    ends: 'archived',
    tries: 1,
    spends: ONCE,
  },
  {
    name: 'a body of unstated length',
    api: '302',
    log: '200 until close',
    job: 'success',
    arrange: withLog(),
    meanwhile(scene, id) {
      const head = Buffer.from('HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n');
      scene.link(id, 1, Buffer.concat([head, scene.bytesOf(id)]));
    },
    ends: 'archived',
    tries: 1,
    spends: ONCE,
    says: { fetch: { possibly_truncated: true } },
  },
  {
    name: 'an append blob that was never sealed',
    api: '302',
    log: '200 AppendBlob',
    job: 'success',
    arrange: withLog({ sealed: false }),
    ends: 'archived',
    tries: 1,
    spends: ONCE,
    says: { fetch: { possibly_truncated: true } },
  },
  {
    name: 'an append blob that was sealed',
    api: '302',
    log: '200 AppendBlob sealed',
    job: 'success',
    arrange: withLog({ log: { sizeBytes: 2_200_000 } }),
    ends: 'archived',
    tries: 1,
    spends: ONCE,
    says: { fetch: { possibly_truncated: false } },
  },
  {
    name: 'three hops of redirects',
    api: '302',
    log: '302, 307, 302, 200',
    job: 'success',
    arrange: withLog(),
    meanwhile(scene, id) {
      const place = `${scene.links.origin}/${scene.host.name}/${id}`;
      const hop = (code: string, to: number): Buffer =>
        answerOf(code, { location: `${place}/${to}?sig=hop` });
      scene.link(id, 1, hop('302 Found', 2));
      scene.links.answers.set(`/${scene.host.name}/${id}/2`, hop('307 Temporary Redirect', 3));
      scene.links.answers.set(`/${scene.host.name}/${id}/3`, hop('302 Found', 4));
      scene.links.answers.set(`/${scene.host.name}/${id}/4`, served(scene, id));
    },
    ends: 'archived',
    tries: 1,
    spends: { token: 1, job: 1, logs: 1, blob: 4 },
  },
  {
    name: 'a link without end',
    api: '302, 302',
    log: '302 to itself, then 200',
    job: 'success',
    arrange: withLog(),
    meanwhile(scene, id) {
      const itself = `${scene.links.origin}/${scene.host.name}/${id}/1?sig=loop`;
      scene.link(id, 1, answerOf('302 Found', { location: itself }));
    },
    ends: 'archived',
    tries: 2,
    spends: { token: 1, job: 2, logs: 2, blob: 5 },
  },
  {
    name: 'a log host that nobody allowed',
    api: '302',
    log: 'not asked',
    job: 'success',
    arrange: withLog(),
    meanwhile(scene, id) {
      scene.fault('logs', id, { kind: 'redirect', location: 'http://logs.example.net/log?sig=secret' });
    },
    ends: 'failed',
    tries: 1,
    spends: { token: 1, job: 1, logs: 1 },
    reason: /logs\.example\.net is not known.*EVERLOG_GITHUB_LOG_HOSTS/,
  },
  {
    name: 'a log as large as is allowed',
    api: '302',
    log: '200',
    job: 'success',
    arrange: withLog({ log: Buffer.alloc(JOB_LOG_BYTES_MAX, 'x\n') }),
    ends: 'archived',
    tries: 1,
    spends: ONCE,
  },
];

export const SITUATIONS_WITH_LOGS: readonly Situation[] = [
  ...PLAIN_CASES,
  ...API_TROUBLE,
  ...LOG_HOST_TROUBLE,
];
