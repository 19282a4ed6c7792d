import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { digestFolder, digestKey } from '../../../src/archive/keys.ts';
import { giveUp } from '../../../src/errors.ts';
import { lookUpCoverage } from '../../../src/ledger/coverage.ts';
import type { JobIndex } from '../../../src/index/job-index.ts';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import { loopbackAccess } from '../../../src/web/access/access.ts';
import { createWeb } from '../../../src/web/app.ts';
import type { WebDeps } from '../../../src/web/site.ts';
import { makeArchive, put } from '../../support/oracles/archived-jobs.ts';
import { webDeps } from '../../support/web/web-under-test.ts';

const HASH = '0'.repeat(64);
/** Also the root of a tree that has no leaf. */
const OF_NOTHING = createHash('sha256').digest('hex');
const HOUR_MS = 60 * 60_000;

interface Told {
  readonly intervalSeconds?: number;
  readonly gaps?: readonly string[];
}

/** Puts a digest that says what the page of days reads; whether it is signed is not looked at there. */
async function putDigest(
  store: ObjectStore,
  sequence: number,
  endMs: number,
  told: Told = {},
): Promise<void> {
  const lines = told.gaps?.map((reason) =>
    JSON.stringify({
      host: 'github.com',
      owner: 'o',
      repo: 'r',
      run_id: 1,
      job_id: 2,
      jobs: 1,
      reason,
      since: null,
    }),
  );
  const text = Buffer.from(`${lines?.join('\n') ?? ''}\n`);
  const sha256 = createHash('sha256').update(text).digest('hex');
  const file = `${sha256}.gaps.ndjson`;
  if (lines !== undefined) await put(store, `${digestFolder(sequence)}${file}`, text);
  const gaps = lines === undefined ? null : { file, sha256, count: lines.length };
  const entries = {
    file: `${HASH}.entries.ndjson.gz`,
    sha256: OF_NOTHING,
    bytes: 0,
    stored_sha256: HASH,
    stored_bytes: 0,
    count: 0,
    merkle_root: OF_NOTHING,
  };
  const digest = {
    schema: 'everlog.digest/v1',
    sequence,
    window_end: new Date(endMs).toISOString(),
    interval_seconds: told.intervalSeconds ?? 3_600,
    key_id: HASH,
    entries,
    completeness: {
      reconciled_through: null,
      expected: 2,
      archived: 1,
      absent: { expired: 1 },
      pending: 0,
      failed: 0,
      gaps,
    },
  };
  await put(store, digestKey(sequence), Buffer.from(JSON.stringify(digest)));
}

function asking(store: ObjectStore, now: string, changes: Partial<WebDeps> = {}) {
  const app = createWeb(webDeps(store, { now: () => new Date(now), ...changes }));
  return async (path: string): Promise<{ status: number; text: string }> => {
    const answer = await app.fetch(new Request(`http://logs.example${path}`), {});
    const text = (await answer.text()).replaceAll(/<[^>]*>/g, ' ').replaceAll(/\s+/g, ' ');
    return { status: answer.status, text };
  };
}

describe('completeness by day', () => {
  async function days(): Promise<ObjectStore> {
    const store = await makeArchive();
    const start = Date.parse('2026-11-20T00:00:00Z');
    // Every hour of one day, and none of the two after it; what was missing in between is not at its end.
    for (let hour = 1; hour <= 24; hour += 1)
      await putDigest(store, hour, start + hour * HOUR_MS, hour === 12 ? { gaps: ['early', 'late'] } : {});
    await putDigest(store, 25, start + 73 * HOUR_MS, { gaps: ['not <b>found</b>'] });
    return store;
  }

  test('sums what the digests say, and says of which days none says anything', async () => {
    const { text } = await asking(await days(), '2026-11-24T00:30:00Z')('/-/days');
    expect(text).toContain('2026-11-24 No digest yet.');
    expect(text).toContain('2026-11-23 1 digest 2 1 1 expired 0 0 1 never yet');
    expect(text).toContain('2026-11-22 No digest was made, so nothing is known of its gaps.');
    expect(text).toContain('2026-11-21 No digest was made, so nothing is known of its gaps.');
    expect(text).toContain('2026-11-20 24 digests 48 24 24 expired 0 0 0 never yet');
    expect(text).not.toContain('2026-11-19');
    expect(text).not.toContain('left out');
  });

  test('tells the gaps of a day’s last digest, whatever the day had before', async () => {
    const ask = asking(await days(), '2026-11-24T00:30:00Z');
    expect((await ask('/-/days/2026-11-20')).text).toContain(
      'As digest 24 says: 0 entries. No job was known',
    );
    const late = (await ask('/-/days/2026-11-23')).text;
    expect(late).toContain('As digest 25 says: one entry.');
    expect(late).toContain('github.com/o/r 1 2 1 not &#60;b&#62;found');
    for (const day of ['2026-11-19', '2026-11-21', '2026-11-24', '2026-02-31', 'x'])
      expect([day, (await ask(`/-/days/${day}`)).status]).toEqual([day, 404]);
  });

  test('is told to nobody who may not read all', async () => {
    const access = {
      ...loopbackAccess('me'),
      readerOf: async () => ({ name: 'mona (7)', knownBy: 'github' as const, readsAll: false }),
    };
    const ask = asking(await days(), '2026-11-24T00:30:00Z', { access });
    for (const path of ['/-/days', '/-/days/2026-11-23']) expect((await ask(path)).status).toBe(404);
  });

  test('says that a list of gaps which is not the digest’s is not shown', async () => {
    const store = await days();
    const tampered: ObjectStore = {
      ...store,
      read: async (key, version) => store.read(key.endsWith('.gaps.ndjson') ? digestKey(1) : key, version),
      readRange: async (key, ...rest) =>
        store.readRange(key.endsWith('.gaps.ndjson') ? digestKey(1) : key, ...rest),
    };
    const { text } = await asking(tampered, '2026-11-24T00:30:00Z')('/-/days/2026-11-23');
    expect(text).toContain('one entry. They cannot be shown.');
    expect(text).toContain('not the file that the digest names');
  });
});

test('of more digests than a page reads, the older days are left out', async () => {
  const store = await makeArchive();
  // At half an hour, thirty days would have 1,440.
  const told = { intervalSeconds: 1_800 };
  await putDigest(store, 1, Date.parse('2026-11-02T01:00:00Z'), told);
  await putDigest(store, 2, Date.parse('2026-11-20T01:00:00Z'), told);
  const { text } = await asking(store, '2026-11-21T07:00:00Z')('/-/days');
  expect(text).toContain('2026-11-20 1 digest');
  expect(text).not.toContain('2026-11-02');
  expect(text).toContain('older days are left out');
});

describe('charts', () => {
  test('say how far the index reaches, and that there are none where it cannot be used', async () => {
    const store = await makeArchive();
    const none = async function* (): AsyncGenerator<never> {};
    const index: JobIndex = {
      search: none,
      byCommits: none,
      stats: none,
      coverage: { indexedThrough: 1, sealedThrough: 2, completeUntil: new Date('2026-11-23T11:00:00Z') },
      meter: { requests: 0, bytes: 0 },
    };
    const opened = { index, close: async () => undefined };
    const good = asking(store, '2026-11-24T00:30:00Z', { openIndex: async () => opened });
    expect((await good('/-/days')).text).toContain('Through the index: complete until 2026-11-23 11:00 UTC.');
    const bad = asking(store, '2026-11-24T00:30:00Z', {
      openIndex: async () => {
        throw giveUp('object_corrupt', 'the index is damaged');
      },
    });
    const answer = await bad('/-/days');
    expect([answer.status, answer.text.includes('No charts: the index is damaged.')]).toEqual([200, true]);
  });
});

test('what may stand in a digest that cannot be read is not called unsealed', async () => {
  const key = 'v1/records/x.json';
  const shown = [{ key, bytes: Buffer.from('{}'), writtenAt: '2026-11-20T00:30:00Z' }];
  const unknown = { hasLedger: true, uncovered: [], notLookedFor: [key] };
  const store = await makeArchive();
  await putDigest(store, 1, Date.parse('2026-11-20T01:00:00Z'));
  // Its entries are missing.
  expect(await lookUpCoverage(store, shown)).toMatchObject(unknown);
  await put(store, `${digestFolder(1)}${HASH}.entries.ndjson.gz`, gzipSync(''));
  expect(await lookUpCoverage(store, shown)).toMatchObject({ uncovered: [key], notLookedFor: [] });
  await put(store, digestKey(2), Buffer.from('{'));
  expect(await lookUpCoverage(store, shown)).toMatchObject(unknown);
  const other = await makeArchive();
  await put(other, digestKey(1), Buffer.from('{'));
  expect(await lookUpCoverage(other, shown)).toMatchObject(unknown);
});
