import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { ListedObject, ObjectStore } from '../../../src/store/object-store.ts';
import { loopbackAccess, type Access, type Reader } from '../../../src/web/access/access.ts';
import { memorySessions, Sessions, type SessionPlace } from '../../../src/web/access/sessions.ts';
import { createTerminalSanitiser } from '../../../src/log/terminal-sanitiser.ts';
import { createWeb } from '../../../src/web/app.ts';
import { escapeHtml } from '../../../src/web/html.ts';
import { takesGzip } from '../../../src/web/compression.ts';
import { lineToHtml } from '../../../src/web/log/ansi.ts';
import { pacedStream } from '../../../src/web/log/paced-stream.ts';
import { sourceLinks } from '../../../src/web/log/source-links.ts';
import { Turns } from '../../../src/web/turns.ts';
import { makeArchive, makeRecord, storeJob, storeName } from '../../support/oracles/archived-jobs.ts';
import { NOTHING_KNOWN, webDeps } from '../../support/web/web-under-test.ts';

const JOB = '/octo-org/Octo-Repo/actions/runs/29679449/job/399444496';
const SECRET = 's'.repeat(32);

const isTheirs = async (
  _reader: Reader,
  { owner, repo }: { owner: string; repo: string },
): Promise<boolean> => `${owner}/${repo}`.toLowerCase() === 'octo-org/octo-repo';

/** Somebody who may read `octo-org/octo-repo` and nothing else. */
const SOMEBODY: Access = {
  login: null,
  readerOf: async () => ({ name: 'mona (7)', knownBy: 'github', readsAll: false }),
  maySee: isTheirs,
  mayRead: isTheirs,
};

/** What asks a page, as Node's server would. */
function asking(deps: Parameters<typeof createWeb>[0]) {
  const app = createWeb(deps);
  return async (path: string, headers: Record<string, string> = {}) => {
    const incoming = { rawHeaders: Object.entries(headers).flat(), socket: { remoteAddress: '127.0.0.1' } };
    const request = new Request(`http://logs.example${path}`, { headers });
    const answer = await app.fetch(request, { incoming });
    return { status: answer.status, body: await answer.text() };
  };
}

function counting(store: ObjectStore): { store: ObjectStore; lists: string[] } {
  const lists: string[] = [];
  const list = (prefix: string, startAfter?: string): AsyncIterable<ListedObject> => {
    lists.push(prefix);
    return store.list(prefix, startAfter);
  };
  return { store: { ...store, list }, lists };
}

async function archive(): Promise<ObjectStore> {
  const store = await makeArchive();
  await storeJob(store, makeRecord(), 'a line\n');
  await storeName(store, 1_296_269, 'octo-org', 'octo-repo');
  return store;
}

describe('addresses that nobody has', () => {
  test('cost one listing each at most, whatever they name', async () => {
    const { store, lists } = counting(await archive());
    const ask = asking(webDeps(store, { access: SOMEBODY }));
    await ask(JOB);
    const paths = Array.from({ length: 10_000 }, (_, at) => {
      const kinds = [
        `/octo-org/Octo-Repo/actions/runs/${at + 1}`,
        `/octo-org/Octo-Repo/actions/runs/29679449/job/${at + 1}`,
        `/nobody-${at}/none/actions/runs/1/job/2`,
        `/nobody-${at}/none`,
        `/nobody-${at}/none/commit/f83a356`,
        `/-/h/host-${at}.example/a/b/actions/runs/1`,
      ];
      return kinds[at % kinds.length] ?? '';
    });
    // A thousand of each kind would show no more than some of them.
    const asked = paths.slice(0, 600);
    const before = lists.length;
    for (const path of asked) expect([path, (await ask(path)).status]).toEqual([path, 404]);
    expect(lists.length - before).toBeLessThanOrEqual(asked.length);
  });
});

describe('who may read some repositories', () => {
  test('learns the names of no others, nor where the archive is, nor what waits', async () => {
    const store = await archive();
    await storeJob(store, makeRecord({ owner: 'secret-org', repo: 'plans', job_id: 8, run_id: 9 }), 'x\n');
    const status = async () => ({ ...NOTHING_KNOWN, archive: 's3://secret-bucket/x' });
    const ask = asking(webDeps(store, { access: SOMEBODY, status }));
    for (const path of [
      '/',
      '/-/status',
      '/-/days',
      '/-/days/2020-01-20',
      '/-/go?u=8',
      '/?owner=secret-org',
    ]) {
      const { body, status: answered } = await ask(path);
      expect([path, answered < 500]).toEqual([path, true]);
      expect([path, /secret|plans/.exec(body.replace('name="owner" value="secret-org"', ''))]).toEqual([
        path,
        null,
      ]);
    }
  });
});

describe('sessions', () => {
  const session = { token: 'ghu_nobody_may_see', id: 7, login: 'mona', untilMs: Date.parse('2026-01-02') };
  const now = (): Date => new Date('2026-01-01');

  function spied(): { place: SessionPlace; kept: Map<string, string> } {
    const kept = new Map<string, string>();
    const place: SessionPlace = {
      read: async (name) => kept.get(name) ?? null,
      keep: async (name, text) => void kept.set(name, text),
      remove: async (name) => void kept.delete(name),
    };
    return { place, kept };
  }

  test('are known to every process of one secret, and end for all of them', async () => {
    const { place } = spied();
    const [one, other] = [new Sessions(place, SECRET, now), new Sessions(place, SECRET, now)];
    const id = await one.begin(session);
    expect(await other.find(id)).toEqual(session);
    await other.end(id);
    expect(await one.find(id)).toBeNull();
  });

  test('are kept where neither their ids nor their tokens can be read, moved or changed', async () => {
    const { place, kept } = spied();
    const sessions = new Sessions(place, SECRET, now);
    const [id, victim] = [await sessions.begin({ ...session, login: 'eve' }), await sessions.begin(session)];
    const text = JSON.stringify([...kept]);
    for (const secret of [id, victim, session.token, 'mona']) expect(text).not.toContain(secret);
    expect(Buffer.from([...kept.values()].join(''), 'base64').toString('latin1')).not.toContain(
      session.token,
    );
    // Somebody who can write there puts one session in the place of another, or changes it.
    const [first = '', second = ''] = [...kept.keys()];
    const [mine = '', theirs = ''] = [...kept.values()];
    kept.set(first, theirs);
    expect(await sessions.find(id)).toBeNull();
    const bytes = Buffer.from(mine, 'base64');
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    kept.set(first, bytes.toString('base64'));
    expect(await sessions.find(id)).toBeNull();
    kept.set(second, '{}');
    expect(await sessions.find(victim)).toBeNull();
    expect(await new Sessions(place, 'x'.repeat(32), now).find(id)).toBeNull();
  });

  test('end when they are over', async () => {
    let at = now();
    const sessions = new Sessions(memorySessions(), SECRET, () => at);
    const id = await sessions.begin(session);
    at = new Date(session.untilMs);
    expect(await sessions.find(id)).toBeNull();
  });
});

describe('a slow reader', () => {
  test('costs one chunk, and is let go when it takes nothing for long', async () => {
    let [given, closed] = [0, 0];
    async function* chunks(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) {
          given += 1;
          yield new Uint8Array(1_024);
        }
      } finally {
        closed += 1;
      }
    }
    let ended = 0;
    const onEnd = async (): Promise<void> => void (ended += 1);
    const stream = pacedStream(chunks(), { signal: new AbortController().signal, idleMs: 20, onEnd });
    const reader = stream.getReader();
    await reader.read();
    await expect.poll(() => closed, { timeout: 8_000 }).toBe(1);
    expect([given, ended]).toEqual([1, 1]);
    await expect(reader.read()).rejects.toThrow('takes nothing');
  });

  test('that went before it took anything holds nothing', async () => {
    const gone = new AbortController();
    let ended = 0;
    async function* chunks(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(1);
    }
    pacedStream(chunks(), { signal: gone.signal, onEnd: () => void (ended += 1) });
    gone.abort();
    await expect.poll(() => ended).toBe(1);
  });

  test('that goes gives back what it held', async () => {
    let closed = 0;
    async function* chunks(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield new Uint8Array(1);
      } finally {
        closed += 1;
      }
    }
    const reader = pacedStream(chunks(), { signal: new AbortController().signal }).getReader();
    await reader.read();
    await reader.cancel();
    expect(closed).toBe(1);
  });
});

describe('turns', () => {
  const mona: Reader = { name: 'mona (7)', knownBy: 'github', readsAll: false };
  const other: Reader = { ...mona, name: 'other (8)' };
  const LIMITS = { atOnce: 2, waiting: 30, ofOneReader: 30 };

  test('let costly work be done by a few at once, and not be begun for who has gone', async () => {
    const turns = new Turns(LIMITS);
    let [atWork, most, done] = [0, 0, 0];
    const work = async (): Promise<void> => {
      atWork += 1;
      most = Math.max(most, atWork);
      await nextTurn();
      atWork -= 1;
      done += 1;
    };
    const gone = AbortSignal.abort();
    const all = Array.from({ length: 20 }, (_, at) =>
      turns.take(mona, work, at % 2 === 0 ? undefined : gone),
    );
    const ends = await Promise.allSettled(all);
    expect(ends.filter(({ status }) => status === 'rejected')).toHaveLength(10);
    expect([most, done]).toEqual([2, 10]);
    // Those that were not begun have given their turns back.
    await Promise.all([turns.take(mona, work), turns.take(mona, work), turns.take(mona, work)]);
    expect([most, done]).toEqual([2, 13]);
  });

  test('send away whom too many wait before, and who has too many of them', async () => {
    const turns = new Turns({ atOnce: 1, waiting: 2, ofOneReader: 2 });
    const giveBack = await turns.begin(mona);
    const waits = turns.begin(mona);
    await expect(turns.begin(mona)).rejects.toMatchObject({ code: 'web_busy' });
    const others = turns.begin(other);
    await expect(turns.begin(other)).rejects.toMatchObject({ code: 'web_busy' });
    giveBack();
    giveBack();
    (await waits)();
    (await others)();
    (await turns.begin(mona))();
  });

  test('are left at once by who goes while waiting', async () => {
    const turns = new Turns({ atOnce: 1, waiting: 1, ofOneReader: 5 });
    const giveBack = await turns.begin(mona);
    const leaving = new AbortController();
    const waits = turns.begin(mona, leaving.signal);
    leaving.abort();
    await expect(waits).rejects.toThrow('nobody waits');
    const next = turns.begin(other);
    giveBack();
    (await next)();
  });
});

describe('places in the source', () => {
  const link = sourceLinks('https://github.com/o/r', 'f83a');
  test.each([
    ['src/a.ts:12', 'https://github.com/o/r/blob/f83a/src/a.ts#L12'],
    ['(./test/b.test.ts:3:9)', 'https://github.com/o/r/blob/f83a/test/b.test.ts#L3'],
    ['at /home/runner/work/r/r/lib/x.py:7', 'https://github.com/o/r/blob/f83a/lib/x.py#L7'],
  ])('%s', (text, href) => {
    expect(link(text)).toContain(`<a href="${href}">`);
  });

  test.each([
    'https://evil.example/a/b.ts:3',
    '//evil.example/a.ts:2',
    '../../../a/b.ts:1',
    'a/../b.ts:1',
    'javascript:alert(1)//a/b.ts:1',
    '12:30:45',
    'node_modules/x/y.js:1',
    `${'a/'.repeat(2_000)}b.ts:1`,
  ])('no link in %s', (text) => {
    expect(link(text)).not.toContain('<a ');
  });

  test('takes no longer for text that is made to take long', () => {
    const startMs = performance.now();
    for (const part of ['a', 'a.', 'a/', 'a-', '@', 'a:1'])
      link(part.repeat(Math.floor(2_000 / part.length)));
    expect(performance.now() - startMs).toBeLessThan(1_000);
  });
});

test('another site may not have this page searched for it', async () => {
  const ask = asking(webDeps(await archive(), { access: loopbackAccess('me') }));
  const from = (site: string) => ({ 'sec-fetch-site': site });
  expect((await ask(`${JOB}?q=a`, from('cross-site'))).status).toBe(403);
  expect((await ask(`${JOB}?q=a`, from('same-origin'))).status).toBe(200);
});

test('a line of plain text is shown as the filter would leave it', () => {
  for (let code = 0x20; code < 0x7f; code += 1) {
    const line = Buffer.from(`a${String.fromCharCode(code)}b`);
    const filter = createTerminalSanitiser({ color: true });
    const left = Buffer.concat([filter.push(line), filter.end()]).toString('utf8');
    expect(lineToHtml(line)).toBe(escapeHtml(left));
  }
});

test.each([
  ['gzip', true],
  ['br, GZIP;q=0.5', true],
  ['gzip ; q=0', false],
  ['gzip;q=0.000', false],
  ['br', false],
  ['', false],
  ['x-gzip', false],
  [`gzip${' '.repeat(15_000)}x`, false],
])('%s takes gzip: %s', (header, takes) => {
  const startMs = performance.now();
  expect(takesGzip(header)).toBe(takes);
  expect(performance.now() - startMs).toBeLessThan(100);
});

describe('names that somebody else chose', () => {
  const EVIL = 'main\u202egpj.exe\u2066 \u200e\u061c\u001b[31mred\u001b]8;;javascript:x\u0007\u0085\u0000';

  test('turn nothing around on any page, and hide nothing', async () => {
    const store = await makeArchive();
    const steps = [{ number: 1, name: EVIL, conclusion: 'failure', started_at: null, completed_at: null }];
    const record = makeRecord({
      job_name: EVIL,
      workflow_name: EVIL,
      head_branch: EVIL,
      runner_name: EVIL,
      conclusion: EVIL,
      job: { steps },
    });
    await storeJob(store, record, 'a line\n');
    const ask = asking(webDeps(store));
    const run = JOB.replace(/\/job.*/, '');
    for (const path of [JOB, `${JOB}/proof`, `${JOB}?q=line`, run, '/', '/octo-org/octo-repo']) {
      const { status, body } = await ask(path);
      expect([path, status]).toEqual([path, 200]);
      const acting = body.replaceAll(/[\n\t]/g, '').match(/[\p{Cf}\p{Cc}]/u);
      expect([path, acting]).toEqual([path, null]);
      expect(body).toContain('maingpj.exe');
    }
  });

  test('stand in the form as they were typed, to find what is really called so', async () => {
    const ask = asking(webDeps(await archive()));
    const name = '\u{1f469}\u200d\u{1f4bb} "build"';
    const { body } = await ask(`/?job=${encodeURIComponent(name)}`);
    expect(body).toContain('value="\u{1f469}\u200d\u{1f4bb} &#34;build&#34;"');
  });
});
