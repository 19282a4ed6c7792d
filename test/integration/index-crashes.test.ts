import { expect, test } from 'vitest';
import { rebuiltKey, throughKey } from '../../src/archive/index-keys.ts';
import { scanRecords } from '../../src/archive/find/scan-records.ts';
import { openJobIndex } from '../../src/index/job-index.ts';
import { readThrough } from '../../src/index/through.ts';
import { rowKey } from '../../src/index/unindexed.ts';
import { compactIndex } from '../../src/index/write/compact.ts';
import { indexLedger } from '../../src/index/write/indexer.ts';
import { rebuildIndex } from '../../src/index/write/rebuild.ts';
import { indexStatus } from '../../src/index/write/status.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { bytesBody } from '../../src/store/put-body.ts';
import { tmpdir } from 'node:os';
import { collect, makeArchive } from '../support/oracles/archived-jobs.ts';
import { RandomArchive } from '../support/oracles/random-archive.ts';
import { beginLedger } from '../support/oracles/small-ledger.ts';
import { indexerDeps, noProblem } from '../support/harness/index-under-test.ts';

const LONG_TEST_MS = 240_000;
const LATER = new Date('2027-01-15T00:00:00Z');

class Killed extends Error {}

/** A store whose process is killed at its nth change: before it takes effect, or right after, by turns. */
function killedAt(store: ObjectStore, change: number): ObjectStore {
  let changes = 0;
  const dying = async <T>(work: () => Promise<T>): Promise<T> => {
    changes += 1;
    if (changes > change) throw new Killed();
    if (changes < change) return work();
    if (change % 2 === 0) await work();
    throw new Killed();
  };
  return {
    ...store,
    putIfAbsent: (key, body, options) => dying(() => store.putIfAbsent(key, body, options)),
    remove: (key, version, options) => dying(() => store.remove(key, version, options)),
  };
}

/** What one side waits for and the other opens. */
function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open: () => open() };
}

async function sealedArchive(seed: number, digests: number): Promise<ObjectStore> {
  const archive = await makeArchive();
  const world = new RandomArchive(archive, seed);
  const ledger = await beginLedger(archive, '2026-10-28T00:00:00Z');
  for (let digest = 1; digest <= digests; digest += 1) {
    const keys: string[] = [];
    for (let run = 0; run < 6; run += 1) keys.push(...(await world.addRun()));
    await ledger.seal(`2026-11-06T0${digest}:00:00Z`, keys.sort());
  }
  return archive;
}

async function everyJob(archive: ObjectStore): Promise<string[]> {
  const found = await collect(scanRecords(archive, {}, { limit: 10_000, onProblem: noProblem }));
  return found.map(({ key }) => key);
}

/** Null where there is no index, or one that does not say how far it reaches yet: then commands read the records. */
async function answerOf(archive: ObjectStore, index: ObjectStore): Promise<string[] | null> {
  const opened = await openJobIndex({ archive, index, onProblem: noProblem }).catch((error: unknown) => {
    if (!String(error).includes('says how far it reaches')) throw error;
    return null;
  });
  if (opened === null) return null;
  return (await collect(opened.search({}))).map((hit) => rowKey(hit));
}

test(
  'a kill at any change of an indexer, a compaction or a rebuild loses no row and doubles none',
  async () => {
    const archive = await sealedArchive(11, 4);
    const truth = await everyJob(archive);
    const deps = await indexerDeps(archive);
    const compaction = { now: LATER, all: true };
    let kills = 0;
    const works = [
      (index: ObjectStore) => indexLedger({ ...deps, index }),
      (index: ObjectStore) => compactIndex({ index, spoolDir: tmpdir() }, compaction),
      (index: ObjectStore) => rebuildIndex({ ...deps, index }, { now: () => LATER }),
    ];
    for (const work of works) {
      for (let change = 1; ; change += 1) {
        try {
          await work(killedAt(deps.index, change));
          break;
        } catch (error) {
          if (!(error instanceof Killed)) throw error;
          kills += 1;
        }
        // Without an index commands read the records.
        expect((await answerOf(archive, deps.index)) ?? truth).toEqual(truth);
      }
      expect(await answerOf(archive, deps.index)).toEqual(truth);
    }
    expect(kills).toBeGreaterThan(30);
  },
  LONG_TEST_MS,
);

test(
  'indexers and compactions at once, with readers: no row lost or doubled',
  async () => {
    const archive = await sealedArchive(12, 5);
    const truth = await everyJob(archive);
    for (let world = 0; world < 5; world += 1) {
      const deps = await indexerDeps(archive);
      const done = new AbortController();
      const compactions = async (): Promise<void> => {
        while (!done.signal.aborted)
          await compactIndex({ index: deps.index, spoolDir: tmpdir() }, { now: LATER, all: true });
      };
      let answers = 0;
      const reader = async (): Promise<void> => {
        while (!done.signal.aborted) {
          const answer = await answerOf(archive, deps.index);
          if (answer === null) continue;
          answers += 1;
          expect(answer).toEqual(truth);
        }
      };
      const writers = Promise.all([indexLedger(deps), indexLedger(deps)]).finally(() => {
        done.abort();
      });
      await Promise.all([writers, compactions(), compactions(), reader(), reader()]);
      await compactIndex({ index: deps.index, spoolDir: tmpdir() }, { now: LATER, all: true });
      expect(await answerOf(archive, deps.index)).toEqual(truth);
      expect(answers).toBeGreaterThan(0);
      const { files, days, behind } = await indexStatus(archive, deps.index);
      expect({ behind, hasDays: days !== null }).toEqual({ behind: 0, hasDays: true });
      // One file for each day and month: all was merged.
      expect(files).toBeLessThanOrEqual(14);
    }
  },
  LONG_TEST_MS,
);

test(
  'an index that is made anew while an indexer is at work is whole, and is no index until then',
  async () => {
    const archive = await sealedArchive(15, 4);
    const truth = await everyJob(archive);
    const deps = await indexerDeps(archive);
    const rebuildDone = gate();
    const marking = gate();
    /** Waits with its third mark until the rebuild is through with what it found. */
    const slow: ObjectStore = {
      ...deps.index,
      putIfAbsent: async (key, body, options) => {
        if (key !== throughKey(3)) return deps.index.putIfAbsent(key, body, options);
        marking.open();
        await rebuildDone.opened;
        return deps.index.putIfAbsent(key, body, options);
      },
    };
    const indexing = indexLedger({ ...deps, index: slow });
    await marking.opened;
    let removedParts = 0;
    const meanwhile: unknown[] = [];
    const rebuilding: ObjectStore = {
      ...deps.index,
      remove: async (key, version, options) => {
        if (key.startsWith('jobs/')) removedParts += 1;
        return deps.index.remove(key, version, options);
      },
      putIfAbsent: async (key, body, options) => {
        // The old index is gone and nothing new is there yet: now the mark comes that says that all is.
        if (key === rebuiltKey(0)) {
          rebuildDone.open();
          await indexing;
          meanwhile.push((await readThrough(deps.index))?.sequence);
          meanwhile.push(await openJobIndex({ archive, index: deps.index, onProblem: noProblem }));
          meanwhile.push((await indexLedger(deps)).digests);
        }
        return deps.index.putIfAbsent(key, body, options);
      },
    };
    expect(await rebuildIndex({ ...deps, index: rebuilding }, { now: () => LATER })).toMatchObject({
      through: 4,
      digests: 4,
    });
    expect(removedParts).toBeGreaterThan(0);
    // The mark is there and no index, and another indexer does nothing.
    expect(meanwhile).toEqual([3, null, 0]);
    expect(await answerOf(archive, deps.index)).toEqual(truth);
    expect(await collect(deps.index.list('rebuild'))).toEqual([]);
  },
  LONG_TEST_MS,
);

test(
  'a lost index is made anew with the same answers, with and without a ledger',
  async () => {
    const archive = await sealedArchive(13, 3);
    const truth = await everyJob(archive);
    const deps = await indexerDeps(archive);
    // What a rebuild before this one may have left says nothing of this one.
    const left = { contentType: 'application/json', kind: 'other' } as const;
    await deps.index.putIfAbsent(rebuiltKey(2), bytesBody(Buffer.from('{}')), left);
    const sealed = await rebuildIndex(deps, { now: () => LATER });
    expect(sealed).toMatchObject({ through: 3, digests: 3 });
    expect(await answerOf(archive, deps.index)).toEqual(truth);

    const unsealed = await makeArchive();
    const world = new RandomArchive(unsealed, 14);
    for (let run = 0; run < 20; run += 1) await world.addRun();
    const without = await indexerDeps(unsealed);
    expect(await openJobIndex({ ...without, onProblem: noProblem })).toBeNull();
    for (let again = 0; again < 2; again += 1) {
      expect(await rebuildIndex(without, { now: () => LATER })).toMatchObject({ through: 0, digests: 0 });
      expect(await answerOf(unsealed, without.index)).toEqual(await everyJob(unsealed));
    }
  },
  LONG_TEST_MS,
);
