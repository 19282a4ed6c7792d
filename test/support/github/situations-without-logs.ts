import { randomBytes } from 'node:crypto';
import { JOB_LOG_BYTES_MAX } from './situations-with-logs.ts';
import type { Scene, Situation } from './scene.ts';

/** Situations in which there is no log, or not yet, or none that may be had. */

const DAY_MS = 86_400_000;
const BLOB_NOT_FOUND = {
  kind: 'status',
  status: 404,
  headers: { 'content-type': 'application/xml' },
  body: '\uFEFF<?xml version="1.0" encoding="utf-8"?><Error><Code>BlobNotFound</Code></Error>',
} as const;

function status(code: number, body = '{"message":"Resource not accessible by integration"}') {
  return { kind: 'status', status: code, body } as const;
}

function jobWith(about: Parameters<Scene['job']>[0]): Situation['arrange'] {
  return (scene) => scene.job(about);
}

const withLog = jobWith({ log: 'there it is\n' });
const withoutLog = jobWith({ log: null });

/** An account's installation that is gone: a repository there is out of the App's sight. */
function accountWithoutApp(world: Scene['host']['simulator']['world']): number {
  const { id } = world.addInstallation({ login: 'others' });
  world.setInstallation(id, 'deleted');
  return id;
}

/** A job of attempt 1 and what attempt 2 announces of it; gives the second. */
function rerun(scene: Scene, second: Parameters<Scene['job']>[0]): number {
  const { world } = scene.host.simulator;
  const runId = scene.run();
  const same = {
    runId,
    name: 'test (a, b)',
    completedAtMs: Date.now() - 600_000,
    runner: { id: 5, name: 'five' },
  };
  world.addJob({ ...same, log: 'it ran once\n' });
  world.addJob({ runId, name: 'another job', log: 'x\n' });
  world.rerun(runId);
  return world.addJob({ ...same, runAttempt: 2, log: null, ...second }).facts.id;
}

function firstOf(scene: Scene, jobId: number): number {
  const { world } = scene.host.simulator;
  return world.jobsOf(world.job(jobId).facts.run_id)[0]?.facts.id ?? 0;
}

const NEVER_RAN: readonly Situation[] = [
  {
    name: 'a job that was skipped',
    api: '200',
    log: 'not asked',
    job: 'skipped, no steps, no runner',
    arrange: jobWith({ conclusion: 'skipped' }),
    ends: 'not_produced',
    tries: 1,
    spends: { token: 1, job: 1 },
    says: { absence: { api_status: 200, log_status: null, tries: 0 } },
  },
  {
    name: 'a job that was cancelled before a runner took it',
    api: '200',
    log: 'not asked',
    job: 'cancelled, no steps, no runner',
    arrange: jobWith({ conclusion: 'cancelled', runner: null }),
    ends: 'not_produced',
    tries: 1,
    spends: { token: 1, job: 1 },
  },
  {
    name: 'a job that no runner took, in the words of another product',
    api: '200',
    log: 'not asked',
    job: 'failure, runner 0 and ""',
    arrange: jobWith({ conclusion: 'failure', runner: null, extra: { runner_id: 0, runner_name: '' } }),
    ends: 'not_produced',
    tries: 1,
    spends: { token: 1, job: 1 },
  },
  {
    name: 'a check run that GitHub does not know as a job',
    api: '404',
    log: 'not asked',
    job: 'failure, labels []',
    arrange: jobWith({ conclusion: 'failure', runner: null, labels: [] }),
    meanwhile(scene, id) {
      scene.fault('job', id, status(404));
      scene.host.simulator.world.setUnlisted(id, true);
    },
    ends: 'not_a_job',
    tries: 1,
    spends: { token: 1, job: 1, run_jobs: 1 },
    says: { details_source: 'webhook', absence: { api_status: 404 } },
  },
  {
    name: 'a check run that GitHub shows as a job',
    api: '200',
    log: 'not asked',
    job: 'success, labels []',
    arrange: jobWith({ conclusion: 'success', runner: null, labels: [] }),
    ends: 'not_a_job',
    tries: 1,
    spends: { token: 1, job: 1 },
  },
];

const REruns: readonly Situation[] = [
  {
    name: 'a copy that a re-run carried over',
    api: '302',
    log: '404 BlobNotFound',
    job: 'attempt 2, same name and times',
    arrange: (scene) => rerun(scene, {}),
    ends: 'carried_over',
    tries: 1,
    spends: { token: 1, job: 1, logs: 1, blob: 1, run_jobs: 1 },
    check(scene, id, record) {
      if (record.absence?.['of_job_id'] !== firstOf(scene, id)) throw new Error('it points at another job');
    },
  },
  {
    name: 'a carried-over copy whose log the API does not know',
    api: '404',
    log: 'not asked',
    job: 'attempt 2, same name and times',
    arrange: (scene) => rerun(scene, { logState: 'hidden' }),
    ends: 'carried_over',
    tries: 1,
    spends: { token: 1, job: 1, logs: 1, run_jobs: 1 },
  },
  {
    name: 'a carried-over copy whose log is there all the same',
    api: '302',
    log: '200',
    job: 'attempt 2, same name and times',
    arrange: (scene) => rerun(scene, { log: 'it ran once\n' }),
    ends: 'archived',
    tries: 1,
    spends: { token: 1, job: 1, logs: 1, blob: 1 },
  },
  {
    name: 'a job that ran again and lost its log',
    api: '302 each time',
    log: '404 each time',
    job: 'attempt 2, other times',
    arrange: (scene) => rerun(scene, { completedAtMs: Date.now() - 60_000 }),
    ends: 'unavailable',
    tries: 3,
    spends: { token: 1, job: 3, logs: 3, blob: 3, run_jobs: 3 },
  },
];

const MISSING: readonly Situation[] = [
  {
    name: 'a proxy answers 404 with its page for a while',
    api: '404 with HTML, then 302',
    log: '200',
    job: 'success',
    arrange: withLog,
    meanwhile(scene, id) {
      const page = { ...status(404, '<html>no route</html>'), headers: { 'content-type': 'text/html' } };
      scene.fault('job', id, page, 2);
      scene.fault('logs', id, page, 2);
      scene.fault('blob', id, page, 1);
    },
    ends: 'archived',
    tries: 6,
    spends: { token: 1, job: 6, logs: 4, blob: 2 },
  },
  {
    name: 'a gateway forbids everything for a while',
    api: '403 with JSON that is not GitHub’s, then 302',
    log: '200',
    job: 'success',
    arrange: withLog,
    meanwhile: (scene, id) => scene.fault('job', id, status(403, '{"error":"blocked by policy"}'), 3),
    ends: 'archived',
    tries: 4,
    spends: { token: 1, job: 4, logs: 1, blob: 1 },
  },
  {
    name: 'an IP allow list',
    api: '403 in GitHub’s words',
    log: 'not asked',
    job: 'success',
    arrange: withLog,
    meanwhile(scene, id) {
      const said =
        '{"message":"Although you appear to have the correct authorization credentials, the `octo-org` organization has an IP allow list enabled, and your IP address is not permitted to access this resource."}';
      scene.fault('job', id, status(403, said));
      scene.fault('logs', id, status(403, said));
    },
    ends: 'forbidden',
    tries: 3,
    spends: { token: 1, job: 3 },
    says: {
      absence: {
        api_status: 403,
        reason:
          "GitHub gives no access to the log: the organisation's IP allow list does not have this service's address",
      },
    },
  },
  {
    name: 'a log that is late',
    api: '302 each time',
    log: '404, 404, 200',
    job: 'success',
    arrange: withLog,
    meanwhile: (scene, id) => scene.fault('blob', id, BLOB_NOT_FOUND, 2),
    ends: 'archived',
    tries: 3,
    spends: { token: 1, job: 3, logs: 3, blob: 3 },
  },
  {
    name: 'a log that never comes',
    api: '302 each time',
    log: '404 each time',
    job: 'success',
    arrange: withoutLog,
    ends: 'unavailable',
    tries: 3,
    spends: { token: 1, job: 3, logs: 3, blob: 3 },
    says: { absence: { api_status: 302, log_status: 404, tries: 3 } },
  },
  {
    name: 'a log that never comes of a cancelled job that had begun',
    api: '302 each time',
    log: '404 each time',
    job: 'cancelled, with steps',
    arrange: jobWith({ conclusion: 'cancelled', log: null }),
    ends: 'unavailable',
    tries: 3,
    spends: { token: 1, job: 3, logs: 3, blob: 3 },
  },
  {
    name: 'a log that the API does not know',
    api: '404 each time',
    log: 'not asked',
    job: 'success',
    arrange: jobWith({ logState: 'hidden' }),
    ends: 'unavailable',
    tries: 3,
    spends: { token: 1, job: 3, logs: 3 },
  },
  {
    name: 'a log that GitHub has deleted',
    api: '410',
    log: 'not asked',
    job: 'success',
    arrange: jobWith({ logState: 'expired' }),
    ends: 'expired',
    tries: 1,
    spends: { token: 1, job: 1, logs: 1 },
    says: { absence: { api_status: 410, log_status: null, tries: 1 } },
  },
  {
    name: 'a log that GitHub has deleted, while the API version nears its end',
    api: '410 with Sunset to come',
    log: 'not asked',
    job: 'success',
    arrange: withLog,
    meanwhile(scene, id) {
      const sunset = new Date(Date.now() + 30 * DAY_MS).toUTCString();
      scene.fault('logs', id, { ...status(410, '{"message":"Server Error"}'), headers: { sunset } });
    },
    ends: 'expired',
    tries: 1,
    spends: { token: 1, job: 1, logs: 1 },
  },
  {
    name: 'a log that the log host has deleted',
    api: '302',
    log: '410',
    job: 'success',
    arrange: withLog,
    meanwhile: (scene, id) => scene.fault('blob', id, status(410, '<Error/>')),
    ends: 'expired',
    tries: 1,
    spends: { token: 1, job: 1, logs: 1, blob: 1 },
    says: { absence: { api_status: 302, log_status: 410, tries: 1 } },
  },
  {
    name: 'a missing log of a job past retention',
    api: '302',
    log: '404',
    job: '100 days old',
    arrange: jobWith({ log: null, completedAtMs: Date.now() - 100 * DAY_MS }),
    ends: 'expired',
    tries: 1,
    spends: { token: 1, job: 1, logs: 1, blob: 1 },
  },
  {
    name: 'a missing log of a job that is no longer new',
    api: '302, 302',
    log: '404, 404',
    job: 'two days old',
    arrange: jobWith({ log: null, completedAtMs: Date.now() - 2 * DAY_MS }),
    ends: 'unavailable',
    tries: 2,
    spends: { token: 1, job: 2, logs: 2, blob: 2 },
  },
  {
    name: 'a run that was deleted',
    api: '404, repository 200',
    log: 'not asked',
    job: 'gone',
    arrange: withLog,
    meanwhile(scene, id) {
      const { world } = scene.host.simulator;
      world.deleteRun(world.job(id).facts.run_id);
    },
    ends: 'unavailable',
    tries: 3,
    spends: { token: 1, job: 3, logs: 3, repo: 3, run: 1, runs: 1 },
    says: { details_source: 'webhook', conclusion: 'success', absence: { api_status: 404, tries: 3 } },
  },
  {
    name: 'a log that came after it was given up',
    api: '302 each time',
    log: '404 ×3; later 200',
    job: 'success',
    arrange: withoutLog,
    later: (scene, id) => scene.host.simulator.world.setLog(id, 'late, but there\n'),
    ends: 'archived',
    tries: 1,
    spends: { job: 1, logs: 1, blob: 1 },
    says: { revision: 2, fetch: { http_status: 200 } },
  },
];

const NO_ACCESS: readonly Situation[] = [
  {
    name: 'a repository that was taken from the installation',
    api: '404, repository 404',
    log: 'not asked',
    job: 'out of sight',
    arrange: withLog,
    meanwhile(scene) {
      scene.repository.installationId = accountWithoutApp(scene.host.simulator.world);
    },
    ends: 'forbidden',
    tries: 3,
    spends: { token: 1, job: 3, logs: 3, repo: 3, repo_installation: 1 },
    says: { absence: { api_status: 404 } },
  },
  {
    name: 'a repository that was taken while the delivery serves as details',
    api: '404 (log), repository 404',
    log: 'not asked',
    job: 'out of sight',
    only: ['github.com', 'ghe.com'],
    arrange: withLog,
    async meanwhile(scene) {
      const { world, rateLimits } = scene.host.simulator;
      await scene.archiveAnother();
      rateLimits.setRemaining(scene.installationId, 7_000);
      await scene.archiveAnother();
      scene.repository.installationId = accountWithoutApp(world);
    },
    ends: 'forbidden',
    tries: 3,
    spends: { logs: 3, repo: 3, repo_installation: 1 },
    says: { details_source: 'webhook' },
  },
  {
    name: 'job and log are forbidden',
    api: '403 without rate headers',
    log: 'not asked',
    job: 'success',
    arrange: withLog,
    meanwhile(scene, id) {
      scene.fault('job', id, status(403));
      scene.fault('logs', id, status(403));
    },
    ends: 'forbidden',
    tries: 3,
    spends: { token: 1, job: 3 },
    says: { absence: { api_status: 403, log_status: null } },
  },
  {
    name: 'the log alone is forbidden; later it is not',
    api: '200, 403; later 302',
    log: 'later 200',
    job: 'success',
    arrange: withLog,
    meanwhile: (scene, id) => scene.fault('logs', id, status(403), 3),
    later: () => undefined,
    ends: 'archived',
    tries: 1,
    spends: { job: 1, logs: 1, blob: 1 },
    says: { revision: 2 },
  },
  {
    name: 'the repository is blocked for legal reasons',
    api: '451',
    log: 'not asked',
    job: 'success',
    arrange: withLog,
    meanwhile(scene, id) {
      scene.fault('job', id, status(451, '{"message":"Repository access blocked"}'));
      scene.fault('logs', id, status(451, '{"message":"Repository access blocked"}'));
    },
    ends: 'forbidden',
    tries: 3,
    spends: { token: 1, job: 3, logs: 3 },
    says: { absence: { api_status: 451 } },
  },
  {
    name: 'an installation that is suspended',
    api: 'token 403',
    log: 'not asked',
    job: 'success',
    arrange: withLog,
    meanwhile: (scene) => scene.host.simulator.world.setInstallation(scene.installationId, 'suspended'),
    ends: 'put_off',
    tries: 1,
    spends: { token: 1 },
    reason: /suspended/,
  },
  {
    name: 'an installation that is suspended while its token is good',
    api: '403 "suspended"',
    log: 'not asked',
    job: 'success',
    arrange: withLog,
    async meanwhile(scene) {
      await scene.archiveAnother();
      scene.host.simulator.world.setInstallation(scene.installationId, 'suspended');
    },
    ends: 'put_off',
    tries: 1,
    spends: { job: 1 },
    reason: /suspended/,
  },
  {
    name: 'an installation that was deleted',
    api: 'token 404',
    log: 'not asked',
    job: 'success',
    arrange: withLog,
    meanwhile: (scene) => scene.host.simulator.world.setInstallation(scene.installationId, 'deleted'),
    ends: 'forbidden',
    tries: 3,
    spends: { token: 3, repo_installation: 1 },
    says: { details_source: 'webhook', absence: { api_status: 404 } },
  },
  {
    name: 'an installation that was deleted while its token was good',
    api: '401, token 404',
    log: 'not asked',
    job: 'success',
    arrange: withLog,
    async meanwhile(scene) {
      await scene.archiveAnother();
      scene.host.simulator.world.setInstallation(scene.installationId, 'deleted');
    },
    ends: 'forbidden',
    tries: 3,
    spends: { job: 1, token: 3, repo_installation: 1 },
  },
];

const TOO_LARGE: readonly Situation[] = [
  {
    name: 'a log larger than is allowed',
    api: '302',
    log: '200',
    job: 'success',
    arrange: jobWith({ log: Buffer.alloc(JOB_LOG_BYTES_MAX + 1, 'x\n') }),
    ends: 'too_large',
    tries: 1,
    spends: { token: 1, job: 1, logs: 1, blob: 1 },
    says: { absence: { reason: expectText('EVERLOG_JOB_LOG_MAX_BYTES'), api_status: 302, log_status: 200 } },
  },
];

/** Says what a text must hold; vitest's matchers compare it by `asymmetricMatch`. */
function expectText(part: string): { asymmetricMatch(value: unknown): boolean } {
  return { asymmetricMatch: (value) => typeof value === 'string' && value.includes(part) };
}

export const SITUATIONS_WITHOUT_LOGS: readonly Situation[] = [
  ...NEVER_RAN,
  ...REruns,
  ...MISSING,
  ...NO_ACCESS,
  ...TOO_LARGE,
];

export const SPOOL_BYTES_MAX = 2 * 1024 * 1024;

/** With a spool of `SPOOL_BYTES_MAX`, where compressed logs must fit. */
export const SITUATIONS_WITH_A_SMALL_SPOOL: readonly Situation[] = [
  {
    name: 'a log that cannot fit into the spool',
    api: '302',
    log: '200',
    job: 'success',
    arrange: jobWith({ log: randomBytes(SPOOL_BYTES_MAX + 64 * 1024) }),
    ends: 'too_large',
    tries: 1,
    spends: { token: 1, job: 1, logs: 1, blob: 1 },
    says: { absence: { reason: expectText('EVERLOG_SPOOL_MAX_BYTES') } },
  },
  {
    name: 'a long log that fits into the spool once compressed',
    api: '302',
    log: '200',
    job: 'success',
    arrange: jobWith({ log: Buffer.alloc(SPOOL_BYTES_MAX + 64 * 1024, 'one line\n') }),
    ends: 'archived',
    tries: 1,
    spends: { token: 1, job: 1, logs: 1, blob: 1 },
  },
];
