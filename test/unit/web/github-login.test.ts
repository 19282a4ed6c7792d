import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { createWeb } from '../../../src/web/app.ts';
import type { GitHubUsers } from '../../../src/github/network/users.ts';
import { memorySessions } from '../../../src/web/access/sessions.ts';
import { GitHubLogin } from '../../../src/web/access/github-login.ts';
import { makeArchive, makeRecord, storeJob } from '../../support/oracles/archived-jobs.ts';
import { webDeps } from '../../support/web/web-under-test.ts';

const JOB = '/octo-org/Octo-Repo/actions/runs/29679449/job/399444496';
const TOKEN = 'ghu_a_token_that_nobody_may_see';

async function site() {
  const store = await makeArchive();
  await storeJob(store, makeRecord(), 'a line\n');
  const asked: string[] = [];
  let [sees, user, nowMs]: [number | null, number, number] = [
    1_296_269,
    7,
    Date.parse('2026-01-01T00:00:00Z'),
  ];
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
      return sees;
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
