import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import {
  adoptLog,
  commitAbsence,
  commitErasure,
  commitLog,
  draftFrom,
  type Commit,
  type ReadyLog,
} from '../../../src/archive/commit.ts';
import { logKey, recordKey } from '../../../src/archive/keys.ts';
import { retryable } from '../../../src/errors.ts';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import { bytesBody } from '../../../src/store/put-body.ts';
import {
  makeAbsence,
  makeArchive,
  addressOf,
  makeRecord,
  put,
  storeRecord,
} from '../../support/oracles/archived-jobs.ts';
import { scratchStore } from '../../support/oracles/scratch-store.ts';

/** What a crash leaves of a commit is taken up where it stands, whatever stands before it, and nothing else is. */

const RECORD = makeRecord();
const ADDRESS = addressOf(RECORD);
const DT = '2020-01-20';
const COMMIT: Commit = { address: ADDRESS, dt: DT, draft: draftFrom(RECORD), prior: null };
const LOG_BYTES_MAX = 1_000;
const GARBAGE = Buffer.from('no gzip at all');

function ready(text: string, level = 6): ReadyLog {
  const bytes = Buffer.from(text);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const body = bytesBody(gzipSync(bytes, { level }));
  return { body, sha256, bytes: bytes.length, lines: text.split('\n').length - 1, points: null };
}

const LOG = ready('one\ntwo\n');
const key = (revision: number): string => logKey(ADDRESS, DT, revision);

async function planted(...objects: readonly Buffer[]): Promise<ObjectStore> {
  const store = await makeArchive();
  for (const [index, bytes] of objects.entries()) await put(store, key(index + 1), bytes);
  return store;
}

async function keysOf(store: ObjectStore): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key: one } of store.list('v1/')) keys.push(one);
  return keys;
}

const gzipOf = (log: ReadyLog): Buffer =>
  Buffer.from(gzipSync(Buffer.from('one\ntwo\n'), { level: log.bytes % 9 }));

/** Ends at the nth step, which takes place or does not; nothing after it does. */
function endingAt(store: ObjectStore, nth: number, takesPlace: boolean) {
  let steps = 0;
  async function step<T>(work: () => Promise<T>): Promise<T> {
    steps += 1;
    if (steps < nth) return work();
    if (steps === nth && takesPlace) await work();
    throw retryable('store_unavailable', 'ended');
  }
  const ending: ObjectStore = {
    ...store,
    putIfAbsent: (...args) => step(() => store.putIfAbsent(...args)),
    read: (...args) => step(() => store.read(...args)),
    head: (...args) => step(() => store.head(...args)),
  };
  return { store: ending, steps: () => steps };
}

describe('a log that a crash left', () => {
  test.each([0, 1, 3])('is adopted behind %i objects that are none', async (before) => {
    const objects = Array.from({ length: before }, () => GARBAGE);
    const store = await planted(...objects, gzipOf(LOG));
    const adoption = await adoptLog(store, COMMIT, LOG_BYTES_MAX);
    expect(adoption).toMatchObject({
      outcome: 'adopted',
      committed: {
        key: recordKey(ADDRESS, 1),
        written: true,
        record: {
          outcome: 'archived',
          fetch: { source: 'adopted' },
          log: { key: key(before + 1), sha256: LOG.sha256, bytes: 8, lines: 2 },
        },
      },
    });
  });

  test('is adopted behind records of its absence', async () => {
    const store = await planted(GARBAGE, gzipOf(LOG));
    await storeRecord(store, makeAbsence('unavailable', {}));
    const record = makeAbsence('unavailable', {});
    const prior = { key: recordKey(ADDRESS, 1), address: ADDRESS, revision: 1, record };
    expect(await adoptLog(store, { ...COMMIT, prior }, LOG_BYTES_MAX)).toMatchObject({
      outcome: 'adopted',
      committed: { revision: 2, record: { supersedes: prior.key, log: { key: key(2) } } },
    });
  });

  test.each([
    ['garbage before it', [GARBAGE], null],
    ['an absence before it', [], makeAbsence('unavailable', {})],
  ])('is evidence beside what GitHub serves now, with %s', async (_name, objects, absence) => {
    const store = await planted(...objects, gzipOf(LOG));
    if (absence !== null) await storeRecord(store, absence);
    const prior =
      absence === null
        ? null
        : { key: recordKey(ADDRESS, 1), address: ADDRESS, revision: 1, record: absence };
    const served = ready('served now\n');
    const committed = await commitLog(store, { ...COMMIT, prior }, served, LOG_BYTES_MAX);
    const left = objects.length + 1;
    expect(committed).toMatchObject({
      revision: absence === null ? 2 : 3,
      record: { log: { key: key(left + 1) } },
    });
    expect(committed.record.supersedes).toBe(recordKey(ADDRESS, committed.revision - 1));
  });

  test('is not adopted by a job that has its log, nor told to be absent', async () => {
    const store = await planted(gzipOf(LOG));
    const first = await adoptLog(store, COMMIT, LOG_BYTES_MAX);
    if (first.outcome !== 'adopted') throw new Error('not adopted');
    const prior = { ...first.committed, address: ADDRESS };
    expect(await adoptLog(store, { ...COMMIT, prior }, LOG_BYTES_MAX)).toMatchObject({
      committed: { key: prior.key, written: false },
    });
    expect(await commitLog(store, { ...COMMIT, prior }, LOG, LOG_BYTES_MAX)).toMatchObject({
      written: false,
    });
    const absent = { ...COMMIT, prior, draft: draftFrom(makeAbsence('too_large', {})) };
    expect(await commitAbsence(store, absent)).toMatchObject({ key: prior.key, written: false });
    expect(await keysOf(store)).toEqual([key(1), recordKey(ADDRESS, 1)]);
  });
});

describe('what is no log of the job', () => {
  test.each([
    ['bytes behind the gzip', Buffer.concat([gzipSync('a log\n'), Buffer.alloc(200_000)])],
    ['half of it', gzipSync('a log\n').subarray(0, 15)],
    ['nothing', Buffer.alloc(0)],
  ])('is not adopted: %s', async (_name, bytes) => {
    expect(await adoptLog(await planted(bytes), COMMIT, LOG_BYTES_MAX)).toEqual({
      outcome: 'nothing',
      tooLargeKey: null,
    });
  });

  test.each([{ sha256: ready('another\n').sha256 }, { bytes: '9' }])(
    'is not adopted: it was stored as another, by %j',
    async (metadata) => {
      const store = await planted(gzipOf(LOG));
      const tagged: ObjectStore = {
        ...store,
        read: async (one) => {
          const found = await store.read(one);
          return found === null ? null : { ...found, head: { ...found.head, metadata } };
        },
      };
      expect(await adoptLog(tagged, COMMIT, LOG_BYTES_MAX)).toMatchObject({ outcome: 'nothing' });
    },
  );

  test('is named where it unpacks to more than a log may have, and what stands behind it is adopted', async () => {
    const large = gzipSync(Buffer.alloc(LOG_BYTES_MAX + 1, 0x0a));
    const store = await planted(large);
    expect(await adoptLog(store, COMMIT, LOG_BYTES_MAX)).toEqual({ outcome: 'nothing', tooLargeKey: key(1) });
    await put(store, key(2), gzipOf(LOG));
    expect(await adoptLog(scratchStore(store), COMMIT, LOG_BYTES_MAX)).toMatchObject({
      committed: { record: { log: { key: key(2) } } },
    });
    // Nothing stored is lost: where more is allowed it is the job's log.
    expect(await adoptLog(store, COMMIT, LOG_BYTES_MAX + 1)).toMatchObject({
      committed: { record: { log: { key: key(1), bytes: LOG_BYTES_MAX + 1 } } },
    });
  });

  test('where records belong is passed over so often and no more, by who archives and who erases', async () => {
    const full = scratchStore(await makeArchive());
    for (let revision = 1; revision <= 102; revision += 1)
      await put(full, recordKey(ADDRESS, revision), GARBAGE);
    const refused = { code: 'object_corrupt', remedy: { kind: 'give_up' } };
    await expect(commitLog(full, COMMIT, LOG, LOG_BYTES_MAX)).rejects.toMatchObject(refused);
    const prior = { key: recordKey(ADDRESS, 1), address: ADDRESS, revision: 1, record: RECORD };
    await expect(commitErasure(full, prior, draftFrom)).rejects.toMatchObject(refused);
  });

  test('is looked at so often and no more', async () => {
    const store = await planted(GARBAGE);
    let looks = 0;
    const full: ObjectStore = {
      ...store,
      putIfAbsent: () => Promise.resolve({ outcome: 'exists' }),
      read: () => {
        looks += 1;
        return store.read(key(1));
      },
    };
    expect(await adoptLog(full, COMMIT, LOG_BYTES_MAX)).toMatchObject({ outcome: 'nothing' });
    expect(looks).toBe(100);
    await expect(commitLog(full, COMMIT, LOG, LOG_BYTES_MAX)).rejects.toMatchObject({
      code: 'object_corrupt',
      remedy: { kind: 'give_up' },
    });
  });
});

describe.each([
  ['which takes place', true],
  ['which does not', false],
])('a crash at any step, %s', (_name, takesPlace) => {
  test.each([
    ['GitHub serves the log again', true],
    ['GitHub no longer has it', false],
  ])('leaves one copy of the log and one record, where %s', async (_how, isServed) => {
    const base = await planted(GARBAGE, GARBAGE);
    for (let nth = 1, ended = true; ended; nth += 1) {
      const store = scratchStore(base);
      const first = endingAt(store, nth, takesPlace);
      ended = await commitLog(first.store, COMMIT, LOG, LOG_BYTES_MAX).then(
        () => false,
        () => true,
      );
      // The second try crashes as well, before or after the same step.
      const again = async (on: ObjectStore): Promise<unknown> =>
        isServed
          ? commitLog(on, COMMIT, ready('one\ntwo\n', 1), LOG_BYTES_MAX)
          : adoptLog(on, COMMIT, LOG_BYTES_MAX);
      await again(endingAt(store, nth, !takesPlace).store).catch(() => undefined);
      await again(store);
      const wasStored = isServed || (await store.head(key(3))) !== null;
      expect([nth, await keysOf(store)]).toEqual([
        nth,
        wasStored ? [key(1), key(2), key(3), recordKey(ADDRESS, 1)].sort() : [key(1), key(2)].sort(),
      ]);
    }
  });

  test('adopts what was left and stores what is served, where they differ', async () => {
    const base = await planted(GARBAGE, gzipOf(LOG));
    const served = ready('served now\n');
    for (let nth = 1, ended = true; ended; nth += 1) {
      const store = scratchStore(base);
      const first = endingAt(store, nth, takesPlace);
      ended = await commitLog(first.store, COMMIT, served, LOG_BYTES_MAX).then(
        () => false,
        () => true,
      );
      // The handler finds the record that stands by then.
      const head = await store.head(recordKey(ADDRESS, 1));
      const adopted = head === null ? null : await adoptLog(store, COMMIT, LOG_BYTES_MAX);
      const prior = adopted?.outcome === 'adopted' ? { ...adopted.committed, address: ADDRESS } : null;
      const second = await commitLog(store, { ...COMMIT, prior }, served, LOG_BYTES_MAX);
      expect([nth, second.revision, second.record.log?.key]).toEqual([nth, 2, key(3)]);
      expect((await keysOf(store)).sort()).toEqual(
        [key(1), key(2), key(3), recordKey(ADDRESS, 1), recordKey(ADDRESS, 2)].sort(),
      );
    }
  });
});
