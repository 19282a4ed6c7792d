import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { retryable } from '../../../src/errors.ts';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import { createWeb } from '../../../src/web/app.ts';
import type { GitHubUsers } from '../../../src/github/network/users.ts';
import { memorySessions } from '../../../src/web/access/sessions.ts';
import { GitHubLogin } from '../../../src/web/access/github-login.ts';
import { makeArchive, makeRecord, storeJob } from '../../support/oracles/archived-jobs.ts';
import { webDeps } from '../../support/web/web-under-test.ts';

const JOB = '/octo-org/Octo-Repo/actions/runs/29679449/job/399444496';
const TOKEN = 'ghu_a_token_that_nobody_may_see';

async function site() {
  const archive = await makeArchive();
  await storeJob(archive, makeRecord(), 'a line\n');
  const reads: string[] = [];
  const store: ObjectStore = {
    ...archive,
    readRange: (key, ...rest) => (reads.push(key), archive.readRange(key, ...rest)),
    read: (key, ...rest) => (reads.push(key), archive.read(key, ...rest)),
    list: (prefix, ...rest) => (reads.push(prefix), archive.list(prefix, ...rest)),
  };
  const asked: string[] = [];
  let [sees, user, nowMs]: [number | null, number, number] = [
    1_296_269,
    7,
    Date.parse('2026-01-01T00:00:00Z'),
  ];
  let [isRevoked, isSilent] = [false, false];
  const said = <T>(answer: T): T => {
    if (isSilent) throw retryable('github_unavailable', 'GitHub says nothing');
    return answer;
  };
  let challenge = '';
  const users: GitHubUsers = {
    authorizeUrl(request) {
      challenge = request.challenge;
      return `https://github.com/login/oauth/authorize?state=${request.state}&redirect_uri=${request.redirectUrl}`;
    },
    async exchange(code, verifier) {
      const isOurs = createHash('sha256').update(verifier).digest('base64url') === challenge;
      return code === 'good' && isOurs ? { token: TOKEN, id: user, login: 'mona' } : null;
    },
    async repositoryId(token, owner, repo) {
      expect(token).toBe(TOKEN);
      asked.push(`${owner}/${repo}`);
      return said(sees);
    },
    async seesRepository(token, id) {
      expect(token).toBe(TOKEN);
      asked.push(String(id));
      return said(id === sees);
    },
    async holder(token) {
      expect(token).toBe(TOKEN);
      return said(isRevoked ? null : user);
    },
  };
  const access = new GitHubLogin(users, {
    url: 'https://logs.example',
    secret: 's'.repeat(32),
    auditors: new Set([99]),
    host: 'github.com',
    sessions: memorySessions(),
    now: () => new Date(nowMs),
  });
  const app = createWeb(
    webDeps(store, {
      access,
      login: access.routes,
      hosts: () => ['logs.example'],
      now: () => new Date(nowMs),
    }),
  );
  const get = (path: string, cookie = '') => ask(path, { cookie });
  const post = (path: string, cookie: string, from: string) =>
    ask(path, { cookie, 'sec-fetch-site': from }, 'POST');
  const ask = async (path: string, sent: Record<string, string>, method = 'GET') => {
    const headers = { host: 'logs.example', ...sent };
    const incoming = { rawHeaders: Object.entries(headers).flat(), socket: { remoteAddress: '127.0.0.1' } };
    const answer = await app.fetch(new Request(`https://logs.example${path}`, { method, headers }), {
      incoming,
    });
    const cookies = answer.headers.getSetCookie();
    return {
      status: answer.status,
      location: answer.headers.get('location') ?? '',
      cookies,
      body: await answer.text(),
    };
  };
  const login = async (): Promise<string> => {
    const begun = await get('/-/login/github');
    const state = new URL(begun.location).searchParams.get('state') ?? '';
    const done = await get(`/-/login/done?code=good&state=${state}`, begun.cookies[0]?.split(';')[0]);
    expect([done.status, done.location]).toEqual([302, '/']);
    const session = done.cookies.find((one) => one.startsWith('__Host-everlog=')) ?? '';
    expect(session).toMatch(/; Path=\/; HttpOnly; SameSite=Lax; Secure$/);
    return session.split(';')[0] ?? '';
  };
  return {
    get,
    post,
    login,
    asked,
    reads,
    store: archive,
    revoke: () => (isRevoked = true),
    silence: () => (isSilent = true),
    sees: (id: number | null) => (sees = id),
    is: (id: number) => (user = id),
    pass: (ms: number) => (nowMs += ms),
  };
}

test('somebody unknown is sent to log in, and then reads what their token may read, asked once in five minutes', async () => {
  const page = await site();
  expect(await page.get(JOB)).toMatchObject({
    status: 302,
    location: `/-/login?to=${encodeURIComponent(JOB)}`,
  });
  const cookie = await page.login();
  const shown = await page.get(JOB, cookie);
  expect(shown.status).toBe(200);
  expect(shown.body).not.toContain(TOKEN);
  await page.get(JOB, cookie);
  expect(page.asked).toEqual(['octo-org/Octo-Repo']);
});

test('access that was withdrawn ends within five minutes, and a name that somebody else bears now opens nothing', async () => {
  const page = await site();
  const cookie = await page.login();
  expect((await page.get(JOB, cookie)).status).toBe(200);
  page.sees(null);
  page.pass(5 * 60_000 + 1);
  expect((await page.get(JOB, cookie)).status).toBe(404);
  page.sees(555);
  page.pass(61_000);
  expect((await page.get(JOB, cookie)).status).toBe(404);
});

test('auditors read what GitHub no longer has', async () => {
  const page = await site();
  page.sees(null);
  page.is(99);
  expect((await page.get(JOB, await page.login())).status).toBe(200);
});

test('a login that did not begin here, is forged, or is late is refused', async () => {
  const page = await site();
  const begun = await page.get('/-/login/github');
  const state = new URL(begun.location).searchParams.get('state') ?? '';
  const cookie = begun.cookies[0]?.split(';')[0] ?? '';
  for (const [query, sent] of [
    [`code=good&state=${state}`, ''],
    ['code=good&state=other', cookie],
    [`code=bad&state=${state}`, cookie],
    [`code=good&state=${state}`, `${cookie}x`],
  ]) {
    expect((await page.get(`/-/login/done?${query ?? ''}`, sent)).status).toBe(403);
  }
  page.pass(11 * 60_000);
  expect((await page.get(`/-/login/done?code=good&state=${state}`, cookie)).status).toBe(403);
  expect((await page.get(JOB, '__Host-everlog=guess')).status).toBe(302);
});

test('a session ends after eight hours', async () => {
  const page = await site();
  const cookie = await page.login();
  page.pass(8 * 60 * 60_000 + 1);
  expect((await page.get(JOB, cookie)).status).toBe(302);
});

describe('after a login', () => {
  test('people come back to the page they asked for', async () => {
    const page = await site();
    const asked = await page.get(`${JOB}?line=3`);
    const offered = await page.get(asked.location);
    expect(offered.body).toContain(`/-/login/github?to=${encodeURIComponent(`${JOB}?line=3`)}`);
    const begun = await page.get(`/-/login/github?to=${encodeURIComponent(`${JOB}?line=3`)}`);
    const state = new URL(begun.location).searchParams.get('state') ?? '';
    const done = await page.get(`/-/login/done?code=good&state=${state}`, begun.cookies[0]?.split(';')[0]);
    expect(done.location).toBe(`${JOB}?line=3`);
  });

  test.each([
    '//evil.example',
    '/\\evil.example',
    'https://evil.example/',
    'javascript:alert(1)',
    '/a\nb',
    '/-/login?to=/',
    `/${'x'.repeat(3_000)}`,
  ])('nobody is led to %s', async (to) => {
    const page = await site();
    const begun = await page.get(`/-/login/github?to=${encodeURIComponent(to)}`);
    const state = new URL(begun.location).searchParams.get('state') ?? '';
    const done = await page.get(`/-/login/done?code=good&state=${state}`, begun.cookies[0]?.split(';')[0]);
    expect([done.status, done.location]).toEqual([302, '/']);
    expect((await page.get(`/-/login?to=${encodeURIComponent(to)}`)).body).toContain(
      '/-/login/github?to=%2F"',
    );
  });

  test('somebody leaves by their own hand alone, and is unknown then', async () => {
    const page = await site();
    const cookie = await page.login();
    expect((await page.post('/-/logout', cookie, 'cross-site')).status).toBe(403);
    expect((await page.get(JOB, cookie)).status).toBe(200);
    expect((await page.post('/-/logout', cookie, 'same-origin')).status).toBe(303);
    expect((await page.get(JOB, cookie)).status).toBe(302);
  });

  test('a session that stands twice in the cookies is nobody’s', async () => {
    const page = await site();
    const cookie = await page.login();
    expect((await page.get(JOB, `${cookie}; ${cookie.replace(/=.*/, '=other')}`)).status).toBe(302);
  });
});

describe('who may not see a repository', () => {
  test('is answered without a look into the archive, whatever it holds', async () => {
    const page = await site();
    page.sees(null);
    const cookie = await page.login();
    await page.get('/nobody/none/actions/runs/1/job/2', cookie);
    page.reads.length = 0;
    const answers = [];
    for (const path of [
      JOB,
      `${JOB}/raw`,
      `${JOB}/proof/bundle`,
      '/octo-org/Octo-Repo',
      '/octo-org/Octo-Repo?failed=1',
      '/octo-org/Octo-Repo/commit/f83a356',
      '/nobody/none/actions/runs/1/job/2',
      '/-/h/other.example/octo-org/Octo-Repo/actions/runs/1',
    ]) {
      const { status, body } = await page.get(path, cookie);
      answers.push(`${status} ${body}`);
    }
    expect(new Set(answers).size).toBe(1);
    expect(answers[0]).toContain('404 ');
    expect(page.reads).toEqual([]);
    // Names are asked for once; ids that the archive alone knows, never.
    expect(page.asked).toEqual(['nobody/none', 'octo-org/Octo-Repo']);
  });

  test('learns nothing from GitHub’s silence: what is there and what is not are answered alike', async () => {
    const page = await site();
    const cookie = await page.login();
    page.silence();
    const answers = await Promise.all(
      [JOB, '/nobody/none/actions/runs/1/job/2'].map((path) => page.get(path, cookie)),
    );
    expect(answers.map(({ status }) => status)).toEqual([502, 502]);
    expect(answers[0]?.body).toBe(answers[1]?.body);
    expect(answers[0]?.body).toContain('GitHub does not answer');
  });

  test('learns nothing of a repository whose name is theirs by now, not even how much there is', async () => {
    const page = await site();
    page.sees(555);
    const cookie = await page.login();
    const missing = await page.get('/octo-org/Octo-Repo/actions/runs/1/job/2', cookie);
    expect(missing.status).toBe(404);
    for (const path of [
      JOB,
      '/octo-org/Octo-Repo',
      '/octo-org/Octo-Repo?branch=main',
      '/octo-org/Octo-Repo?failed=1',
    ])
      expect([path, await page.get(path, cookie)]).toEqual([path, missing]);
    // Not by the number of jobs that match either.
    const [some, none] = [
      await page.get('/?owner=octo-org', cookie),
      await page.get('/?owner=other-org', cookie),
    ];
    expect(some.body.replaceAll('octo-org', '')).toBe(none.body.replaceAll('other-org', ''));
  });
});

test('a session ends within five minutes of its token, and an auditor’s too', async () => {
  for (const user of [7, 99]) {
    const page = await site();
    page.is(user);
    const cookie = await page.login();
    expect((await page.get(JOB, cookie)).status).toBe(200);
    page.revoke();
    page.pass(5 * 60_000 + 1);
    expect(await page.get(JOB, cookie)).toMatchObject({ status: 302 });
  }
});

test('auditors read on while GitHub does not answer', async () => {
  const page = await site();
  page.is(99);
  const cookie = await page.login();
  page.silence();
  page.pass(5 * 60_000 + 1);
  expect((await page.get(JOB, cookie)).status).toBe(200);
});

test('a yes ends five minutes after it was asked for, however often it was used', async () => {
  const page = await site();
  const cookie = await page.login();
  expect((await page.get('/', cookie)).body).toContain(JOB);
  page.pass(4 * 60_000);
  expect((await page.get(JOB, cookie)).status).toBe(200);
  page.sees(null);
  page.pass(4 * 60_000);
  await page.get(JOB, cookie);
  page.pass(61_000);
  expect((await page.get('/', cookie)).body).not.toContain(JOB);
  expect((await page.get(JOB, cookie)).status).toBe(404);
});

test('a login ends the session that was there before it', async () => {
  const page = await site();
  const earlier = await page.login();
  const begun = await page.get('/-/login/github', earlier);
  const state = new URL(begun.location).searchParams.get('state') ?? '';
  const sent = `${earlier}; ${begun.cookies[0]?.split(';')[0] ?? ''}`;
  const done = await page.get(`/-/login/done?code=good&state=${state}`, sent);
  const [later = ''] = done.cookies.find((one) => one.startsWith('__Host-everlog='))?.split(';') ?? [];
  expect(later).not.toBe(earlier);
  expect((await page.get(JOB, later)).status).toBe(200);
  expect((await page.get(JOB, earlier)).status).toBe(302);
});
