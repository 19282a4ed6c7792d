import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import { loopbackAccess, proxyAccess, type Access } from '../../../src/web/access/access.ts';
import { createWeb } from '../../../src/web/app.ts';
import type { View } from '../../../src/web/site.ts';
import {
  makeAbsence,
  makeArchive,
  makeRecord,
  type RecordChanges,
  put,
  storeJob,
  storeRecord,
} from '../../support/oracles/archived-jobs.ts';
import { webDeps } from '../../support/web/web-under-test.ts';

const ESC = '\u001b';
const JOB = '/octo-org/Octo-Repo/actions/runs/29679449/job/399444496';
const STEPS = [
  {
    number: 1,
    name: 'Set up <b>job</b>',
    conclusion: 'success',
    started_at: '2020-01-20T17:42:40Z',
    completed_at: '2020-01-20T17:42:41Z',
  },
  {
    number: 2,
    name: 'Run tests',
    conclusion: 'failure',
    started_at: '2020-01-20T17:42:42Z',
    completed_at: '2020-01-20T17:42:49Z',
  },
];
const HOSTILE = [
  '<script>alert(1)</script>',
  `<img src=x onerror="alert('1')">`,
  `${ESC}]8;;javascript:alert(1)${ESC}\\click${ESC}]8;;${ESC}\\`,
  `${ESC}]52;c;eA==\u0007 clip`,
  `\u202etxt.exe \u2066x`,
  `${ESC}[31;1mred${ESC}[0m plain ${ESC}[38;2;255;0;0mtrue${ESC}[m ${ESC}[48;5;300mbad`,
  '10%\r20%\r100%',
  '"><a href=//evil>',
];
const LOG = [
  '2020-01-20T17:42:40.0000000Z set up',
  ...HOSTILE.map((text) => `2020-01-20T17:42:43.0000000Z ${text}`),
  '2020-01-20T17:42:44.0000000Z ##[group]A <i>group</i>',
  '2020-01-20T17:42:44.0000000Z inside',
  '2020-01-20T17:42:45.0000000Z ##[endgroup]',
  '2020-01-20T17:42:46.0000000Z ##[error]Process completed with exit code 1.',
].join('\n');

interface Site {
  readonly store: ObjectStore;
  readonly views: View[];
  get(
    path: string,
    headers?: Record<string, string>,
    init?: RequestInit,
  ): Promise<{ status: number; body: string; headers: Headers }>;
}

async function site(access: Access = loopbackAccess('me'), remoteAddress = '127.0.0.1'): Promise<Site> {
  const store = await makeArchive();
  const views: View[] = [];
  const app = createWeb(
    webDeps(store, {
      access,
      hosts: () => ['logs.example'],
      noteView: async (view) => {
        views.push(view);
      },
    }),
  );
  return {
    store,
    views,
    async get(path, headers = {}, init = {}) {
      const sent = { host: 'logs.example', ...headers };
      const incoming = { rawHeaders: Object.entries(sent).flat(), socket: { remoteAddress } };
      const answer = await app.fetch(new Request(`http://logs.example${path}`, { ...init, headers: sent }), {
        incoming,
      });
      return { status: answer.status, body: await answer.text(), headers: answer.headers };
    },
  };
}

const RECORD: RecordChanges = { conclusion: 'failure', job: { steps: STEPS } };

async function withJob(access?: Access, remoteAddress?: string): Promise<Site> {
  const made = await site(access, remoteAddress);
  await storeJob(made.store, makeRecord(RECORD), LOG);
  return made;
}

describe('a log', () => {
  test('stands whole in the page at GitHub’s own path, its failed step open, and nothing in it acts', async () => {
    const { status, body, headers } = await (await withJob()).get(JOB);
    expect(status).toBe(200);
    expect(body).toContain(
      '<details class="step ok" id="step-1"><summary><span>1 · Set up &#60;b&#62;job&#60;/b&#62;</span>',
    );
    expect(body).toContain('<details class="step bad" id="step-2" open>');
    expect(body).toContain(
      '<div id="L2" data-n="2" data-t="2020-01-20T17:42:43.0000000Z">&#60;script&#62;alert(1)&#60;/script&#62;</div>',
    );
    expect(body).toContain('<span class="f1 b">red</span> plain <span class="f196">true</span> bad');
    expect(body).toContain('100% <small>(3 updates)</small>');
    expect(body).toContain('class="error">Process completed with exit code 1.</div>');
    for (const active of [
      '<script>',
      '<img src=x',
      '<a href=//evil',
      ESC,
      '\u202e',
      '\u0007',
      'style=',
      'javascript:alert',
    ])
      expect(body.replace('<script src="/-/script.js" defer></script>', '')).not.toContain(active);
    expect(headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(headers.get('cache-control')).toBe('private, no-store');
    // Every element that is opened is closed.
    expect(body.match(/<details/g)?.length).toBe(body.match(/<\/details>/g)?.length);
    expect(body.match(/<div/g)?.length).toBe(body.match(/<\/div>/g)?.length);
  });

  test('of a job that is not in the ledger is said to prove nothing', async () => {
    expect((await (await withJob()).get(JOB)).body).toContain('stands in no digest yet');
  });

  test('that is not what was archived is told, and nothing of it is shown', async () => {
    const made = await site();
    const record = await storeJob(made.store, makeRecord(RECORD), LOG);
    if (record.log === null) throw new Error('the job has a log');
    await storeRecord(made.store, { ...record, revision: 2, log: { ...record.log, sha256: '0'.repeat(64) } });
    const { status, body } = await made.get(JOB);
    expect(status).toBe(502);
    expect(body).toContain('Not what was archived:');
    expect(body).not.toContain('set up');
  });

  test('of 30,000 lines is shown by windows, at its last error first', async () => {
    const made = await site();
    const lines = Array.from({ length: 30_000 }, (_, n) =>
      n === 20_999 ? '##[error]here' : `line ${n + 1}`,
    );
    await storeJob(made.store, makeRecord(), lines.join('\n'));
    const { body } = await made.get(JOB);
    expect(body).toContain('id="L21000"');
    expect(body).toContain('Lines 20,001 to 22,000 of 30,000');
    expect(body.match(/id="L\d+"/g)).toHaveLength(2_000);
    const other = await made.get(`${JOB}?line=3`);
    expect(other.body).toContain('id="L1"');
    expect((await made.get(`${JOB}?line=99999999`)).body).toContain('id="L30000"');
  });

  test('is searched at its letters with a true count, a hundred hits to a page', async () => {
    const made = await site();
    await storeJob(made.store, makeRecord(), 'a <b>needle</b>\n'.repeat(250));
    const { body } = await made.get(`${JOB}?q=NEEDLE%3C%2Fb`);
    expect(body).toContain('250 lines hold');
    expect(body).toContain('page 1 of 3');
    expect(body).not.toContain('<b>needle');
    expect((await made.get(`${JOB}?q=needle&page=3`)).body.match(/data-n=/g)).toHaveLength(50);
    expect(await made.get(`${JOB}?q=needle`, { 'sec-fetch-site': 'cross-site' })).toMatchObject({
      status: 403,
    });
  });

  test('is given byte for byte, and each look is written down before it', async () => {
    const made = await withJob();
    for (const kind of ['raw', 'download'] as const) {
      const { body, headers } = await made.get(`${JOB}/${kind}`);
      expect(createHash('sha256').update(body).digest('hex')).toBe(
        createHash('sha256').update(LOG).digest('hex'),
      );
      expect(headers.get('content-type')).toBe('text/plain; charset=utf-8');
      expect(headers.get('content-security-policy')).toBe("default-src 'none'; sandbox");
    }
    await made.get(JOB);
    expect(made.views.map(({ kind }) => kind)).toEqual(['raw', 'download', 'page']);
  });
});

describe('addresses', () => {
  test.each([
    [`https://github.com${JOB}#step:2:1`, `${JOB}?step=2#step:2:1`],
    [`https://github.com${JOB}`, JOB],
    ['399444496', JOB],
    ['29679449', '/octo-org/Octo-Repo/actions/runs/29679449'],
    [
      'octo-org/Octo-Repo/actions/runs/29679449/attempts/1',
      '/octo-org/Octo-Repo/actions/runs/29679449/attempts/1',
    ],
    ['https://github.com/octo-org/Octo-Repo/pull/7', '/octo-org/Octo-Repo/pull/7'],
    ['f83a356604ae', '/?sha=f83a356604ae'],
    ['https://ghes.example/o/r/actions/runs/5', '/-/h/ghes.example/o/r/actions/runs/5'],
  ])('%s leads to %s', async (pasted, target) => {
    const { status, headers } = await (await withJob()).get(`/-/go?u=${encodeURIComponent(pasted)}`);
    expect([status, headers.get('location')]).toEqual([303, target]);
  });

  test.each(['//evil.example', 'https://evil.example', 'javascript:alert(1)', '\\\\evil', 'x'.repeat(5_000)])(
    'the box leads nowhere else: %s',
    async (pasted) => {
      const { headers } = await (await withJob()).get(`/-/go?u=${encodeURIComponent(pasted)}`);
      expect(headers.get('location') ?? '').not.toMatch(/^(https?:)?\/\/|javascript|\\/);
    },
  );

  test('lists lead to runs, jobs, commits and repositories', async () => {
    const made = await withJob();
    await storeRecord(made.store, makeAbsence('expired', { job_id: 7, run_attempt: 2 }));
    for (const path of [
      '/',
      '/octo-org/Octo-Repo',
      '/octo-org/octo-repo/commit/f83a356',
      '/octo-org/Octo-Repo/actions/runs/29679449',
    ]) {
      const { status, body } = await made.get(path);
      expect(status).toBe(200);
      expect(body).toContain(JOB);
    }
    expect((await made.get('/octo-org/Octo-Repo/actions/runs/29679449')).body).toContain(
      'No log: GitHub had deleted it',
    );
    expect((await made.get('/-/status')).body).toContain('not known here');
    expect((await made.get(`${JOB}/proof`)).body).toContain('everlog export');
  });
});

describe('who may look', () => {
  test('another name for this machine is refused, and so is anything but reading', async () => {
    const made = await withJob();
    expect(await made.get('/', { host: 'evil.example' })).toMatchObject({ status: 421 });
    expect(await made.get('/', {}, { method: 'POST' })).toMatchObject({ status: 405 });
  });

  test('what is refused and what is not there cannot be told apart', async () => {
    const nobody: Access = { ...loopbackAccess('me'), mayRead: async () => false };
    const made = await withJob(nobody);
    const refused = await made.get(JOB);
    const missing = await made.get('/octo-org/none/actions/runs/1/job/2');
    expect(refused.status).toBe(404);
    expect([missing.status, missing.body]).toEqual([refused.status, refused.body]);
    expect((await made.get('/')).body).not.toContain(JOB);
    expect((await made.get('/-/go?u=399444496')).body).toBe(refused.body);
    expect(made.views).toEqual([]);
  });

  const RULES = { cidrs: ['10.0.0.7/32'], header: 'X-Forwarded-User', secret: 's'.repeat(32) };
  const GOOD = { 'x-forwarded-user': 'mona', 'x-everlog-proxy-secret': 's'.repeat(32) };
  test.each<[string, string, Record<string, string>, number]>([
    ['the proxy', '::ffff:10.0.0.7', GOOD, 200],
    ['another address', '10.0.0.8', GOOD, 401],
    ['a forwarded address', '10.0.0.8', { ...GOOD, 'x-forwarded-for': '10.0.0.7' }, 401],
    ['a wrong secret', '10.0.0.7', { ...GOOD, 'x-everlog-proxy-secret': 'x' }, 401],
    ['no user', '10.0.0.7', { 'x-everlog-proxy-secret': 's'.repeat(32) }, 401],
    ['two users', '10.0.0.7', { ...GOOD, 'X-Forwarded-User': 'admin' }, 401],
  ])('%s', async (_name, remoteAddress, headers, status) => {
    const made = await withJob(proxyAccess(RULES), remoteAddress);
    const app = await made.get(JOB, headers).catch((error: unknown) => error);
    expect(app).toMatchObject({ status });
  });
});

test('garbage in the archive ends in a page, not in a stack', async () => {
  const made = await site();
  await put(
    made.store,
    'v1/records/host=github.com/owner=octo-org/repo=octo-repo/29679449/1/399444496.json',
    Buffer.from('{'),
  );
  const { status, body } = await made.get(JOB);
  expect(status).toBe(502);
  expect(body).toContain('It cannot be read');
});
