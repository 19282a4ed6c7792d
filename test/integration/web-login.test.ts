import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { request } from 'undici';
import { readCustodies } from '../../src/archive/custody/custody.ts';
import { recordKey } from '../../src/archive/keys.ts';
import { loadConfig, type Config } from '../../src/config.ts';
import { openLog } from '../../src/logger.ts';
import { startWeb, type WebProcess } from '../../src/service/web/web.ts';
import { CLIENT_SECRET } from '../../src/simulator/api/app-registration.ts';
import type { Person } from '../../src/simulator/people.ts';
import type { Simulator } from '../../src/simulator/simulator.ts';
import { openFolderStore } from '../../src/store/folder/folder-object-store.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { makeRecord, storeJob, storeName } from '../support/oracles/archived-jobs.ts';
import { beginLedger, type SmallLedger } from '../support/oracles/small-ledger.ts';
import { makeToolFolder, runVerifyScript } from '../support/harness/bundle-under-test.ts';
import { githubSettings, openStage, type Stage } from '../support/harness/everlog-under-test.ts';
import { startRedis } from '../support/servers/redis-server.ts';

/** People log in with a simulated GitHub at two processes of the page, which share a Redis. */

const HOST = '127.0.0.1';
const JOB = '/octo-org/octo-repo/actions/runs/29679449/job/399444496';
const LOG = 'a line\n##[error]the failing line\n';
const AUDITOR: Person = { id: 99, login: 'auditor', sees: new Set() };

let stage: Stage;
let simulator: Simulator;
let store: ObjectStore;
let ledger: SmallLedger;
let pages: readonly [WebProcess, WebProcess];
let folder: string;
const written: string[] = [];

beforeAll(async () => {
  stage = openStage();
  folder = stage.folder();
  const [github, redis] = await Promise.all([stage.simulator(), startRedis()]);
  simulator = github;
  stage.defer(() => redis.stop());
  simulator.world.addInstallation({ id: 1, login: 'octo-org' });
  store = await openFolderStore({ folder: join(folder, 'archive') });
  stage.defer(() => store.close());
  ledger = await beginLedger(store, '2020-01-20T17:00:00Z');
  await seal(repository('octo-repo'), 399_444_496);
  const settings = config(redis.url);
  const log = openLog('debug', { write: (line: string) => void written.push(line) });
  pages = [await startWeb(settings, log), await startWeb(settings, log)];
  for (const page of pages) stage.defer(() => page.stop());
}, 60_000);

afterAll(() => stage.close());

function config(redisUrl: string): Config {
  return loadConfig(
    { web: true },
    {
      ...githubSettings(simulator),
      EVERLOG_ARCHIVE_URL: `file:${join(folder, 'archive')}`,
      EVERLOG_SPOOL_DIR: stage.folder(),
      EVERLOG_QUEUE_URL: redisUrl,
      EVERLOG_ALLOW_UNSAFE_QUEUE: 'true',
      EVERLOG_WEB_LISTEN: '127.0.0.1:0',
      EVERLOG_WEB_URL: 'https://logs.example',
      EVERLOG_WEB_AUTH: 'github',
      EVERLOG_WEB_SECRET: 's'.repeat(32),
      EVERLOG_WEB_AUDITORS: String(AUDITOR.id),
      EVERLOG_GITHUB_CLIENT_ID: simulator.credentials.clientId,
      EVERLOG_GITHUB_CLIENT_SECRET: CLIENT_SECRET,
    },
  );
}

/** A repository that GitHub has, with a job that the archive has. */
function repository(name: string): number {
  return simulator.world.addRepository({ owner: 'octo-org', name, installationId: 1, private: true }).id;
}

let minute = 0;

async function seal(repositoryId: number, jobId: number, repo = 'octo-repo'): Promise<void> {
  minute += 1;
  const recorded_at = `2020-01-20T18:${String(minute).padStart(2, '0')}:00Z`;
  const record = makeRecord({ host: HOST, repo, repository_id: repositoryId, job_id: jobId, recorded_at });
  await storeName(store, repositoryId, 'octo-org', repo, HOST);
  await storeJob(store, record, LOG);
  const key = recordKey(
    { host: HOST, owner: 'octo-org', repo, runId: record.run_id, runAttempt: 1, jobId },
    1,
  );
  await ledger.seal(recorded_at.replace(':00Z', ':30Z'), [key]);
}

interface Answer {
  readonly status: number;
  readonly location: string;
  readonly cookies: readonly string[];
  readonly body: Buffer;
  readonly text: string;
}

async function get(
  page: WebProcess,
  path: string,
  cookie = '',
  method: 'GET' | 'POST' = 'GET',
): Promise<Answer> {
  const { statusCode, headers, body } = await request(`${page.web.url}${path}`, {
    method,
    headers: { host: 'logs.example', ...(cookie === '' ? {} : { cookie }) },
  });
  const bytes = Buffer.from(await body.arrayBuffer());
  const cookies = [headers['set-cookie'] ?? []].flat();
  const location = String(headers['location'] ?? '');
  return { status: statusCode, location, cookies, body: bytes, text: bytes.toString('utf8') };
}

function cookieOf(cookies: readonly string[], name: string): string {
  return cookies.find((one) => one.startsWith(`${name}=`))?.split(';')[0] ?? '';
}

/** Takes somebody to GitHub and back as their browser would; gives what the page says then. */
async function comeBack(person: Person | null): Promise<Answer> {
  const [first, second] = pages;
  simulator.people.signedIn = person;
  const begun = await get(first, `/-/login/github?to=${encodeURIComponent(JOB)}`);
  const agreed = await request(begun.location, { headers: { 'user-agent': 'a browser' } });
  await agreed.body.dump();
  const back = new URL(String(agreed.headers['location']));
  expect(back.origin).toBe('https://logs.example');
  const state = cookieOf(begun.cookies, '__Host-everlog-state');
  return get(second, `${back.pathname}${back.search}`, state);
}

/** Logs somebody in; gives their cookie. */
async function login(person: Person): Promise<string> {
  const done = await comeBack(person);
  expect([done.status, done.location]).toEqual([302, JOB]);
  return cookieOf(done.cookies, '__Host-everlog');
}

function octo(...sees: readonly number[]): Person {
  return { id: 7, login: 'mona', sees: new Set(sees) };
}

function mainId(): number {
  return simulator.world.repositoryByName('octo-org', 'octo-repo')?.repository.id ?? 0;
}

test('a login that begins at one process ends at another, is known to both, and ends for both', async () => {
  const [one, other] = pages;
  const cookie = await login(octo(mainId()));
  for (const page of pages) {
    const { status, text } = await get(page, JOB, cookie);
    expect([status, text.includes('the failing line')]).toEqual([200, true]);
    expect(text).toContain('Sealed</b> in digest 1');
  }
  expect((await get(other, '/-/logout', cookie, 'POST')).status).toBe(303);
  expect((await get(one, JOB, cookie)).status).toBe(302);
});

test('who agrees to nothing is not let in', async () => {
  const { status, cookies } = await comeBack(null);
  expect([status, cookieOf(cookies, '__Host-everlog')]).toEqual([403, '']);
});

test('somebody sees what GitHub lets them, by its id: renamed, deleted, and named again by another', async () => {
  const old = repository('old-name');
  await seal(old, 501, 'old-name');
  const [page] = pages;
  const path = JOB.replace('octo-repo', 'old-name').replace('399444496', '501');
  const mona = octo(old);
  const stranger: Person = { id: 8, login: 'stranger', sees: new Set() };
  expect((await get(page, path, await login(mona))).status).toBe(200);
  const refused = await get(page, path, await login(stranger));
  expect(refused.status).toBe(404);
  expect(refused.text).toBe((await get(page, `${path}9`, await login(stranger))).text);
  // Renamed: the old address still leads there.
  simulator.world.renameRepository(old, { name: 'new-name' });
  expect((await get(page, path, await login(mona))).status).toBe(200);
  // Somebody else takes the name: to them it opens nothing, whatever they may see.
  simulator.world.deleteRepository(old);
  stranger.sees.add(
    simulator.world.addRepository({ owner: 'octo-org', name: 'old-name', installationId: 1 }).id,
  );
  expect((await get(page, path, await login(stranger))).text).toBe(refused.text);
  expect((await get(page, path, await login(mona))).status).toBe(404);
  expect((await get(page, path, await login(AUDITOR))).status).toBe(200);
});

test('GitHub’s refusal to say is nobody’s answer', async () => {
  const cookie = await login(octo(mainId()));
  const fault = simulator.faults.add({ match: { route: 'repo' }, effect: { kind: 'status', status: 502 } });
  const answers = await Promise.all(
    [JOB, JOB.replace('octo-repo', 'none')].map((path) => get(pages[0], path, cookie)),
  );
  fault.remove();
  expect(answers.map(({ status, text }) => `${status} ${text}`)[0]).toContain('502 ');
  expect(answers[0]?.text).toBe(answers[1]?.text);
  expect((await get(pages[0], JOB, cookie)).status).toBe(200);
});

test('a proof that was downloaded is checked by its own script, and who took it is written down', async () => {
  const cookie = await login(octo(mainId()));
  const { status, body } = await get(pages[0], `${JOB}/proof/bundle`, cookie);
  expect(status).toBe(200);
  const place = stage.folder();
  execFileSync('tar', ['-x', '-C', place], { input: body });
  const names = execFileSync('tar', ['-t'], { input: body }).toString().trim().split('\n');
  expect(
    names.every((name) => /^everlog-proof-399444496\/[\w./=-]+$/.test(name) && !name.includes('..')),
  ).toBe(true);
  expect(names.some((name) => name.includes('old-name'))).toBe(false);
  const tools = await makeToolFolder(join(stage.folder(), 'tools'));
  const verdict = await runVerifyScript(join(place, 'everlog-proof-399444496'), tools, ledger.key().id);
  expect([verdict.code, verdict.output]).toEqual([0, expect.stringContaining('sound: 1 entries, 2 objects')]);
  const raw = await get(pages[0], `${JOB}/raw`, cookie);
  expect(raw.text).toBe(LOG);
  const taken: unknown[] = [];
  for await (const { read } of readCustodies(store))
    if (read.ok && read.custody.action === 'download') taken.push([read.custody.who, read.custody.scope]);
  const who = { name: 'mona (7)', known_by: 'github', authenticated: true };
  expect(taken).toEqual([
    [who, { as: 'proof' }],
    [who, { as: 'raw' }],
  ]);
});

test('whoever withdraws what they agreed to is unknown to a process that did not know them', async () => {
  const mona = octo(mainId());
  const cookie = await login(mona);
  simulator.people.revoke(mona);
  // The one that let them in asks GitHub again after five minutes; the other one now.
  expect((await get(pages[0], JOB, cookie)).status).toBe(302);
});

test('neither tokens nor codes nor cookies stand in a log', () => {
  const text = written.join('\n');
  for (const secret of ['ghu_', 'code=', '__Host-everlog', CLIENT_SECRET]) expect(text).not.toContain(secret);
});

test('without a login the page is for this machine’s own names alone, whatever address people are told', async () => {
  const settings = loadConfig(
    { web: true },
    {
      EVERLOG_ARCHIVE_URL: `file:${join(folder, 'archive')}`,
      EVERLOG_QUEUE_URL: `embedded:${join(stage.folder(), 'queue')}`,
      EVERLOG_WEB_LISTEN: '127.0.0.1:0',
      EVERLOG_WEB_URL: 'https://logs.example',
    },
  );
  const page = await startWeb(settings, openLog('silent', { write: () => undefined }));
  stage.defer(() => page.stop());
  expect((await get(page, JOB)).status).toBe(421);
  const { statusCode, body } = await request(`${page.web.url}${JOB}`);
  expect([statusCode, (await body.text()).includes('the failing line')]).toEqual([200, true]);
});
