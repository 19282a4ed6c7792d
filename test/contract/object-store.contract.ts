import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type {
  ByteRange,
  ListedObject,
  ObjectStore,
  PutBody,
  StoreAbilities,
} from '../../src/store/object-store.ts';
import {
  byBytes,
  failingStream,
  keysOf,
  largeBody,
  LOG,
  memoryGrowth,
  ODD_KEYS,
  put,
  RECORD,
  REFUSED_KEYS,
  sha256Of,
  textBody,
  textOf,
} from './object-samples.ts';
import { removalContract } from './object-removal.contract.ts';

/** One archive, empty at first; every store it opens is another client of the same objects. */
export interface Archive {
  open(): Promise<ObjectStore>;
}

export interface StoreFacts extends StoreAbilities {
  /** Whether objects can be locked. */
  readonly locks: boolean;
  readonly metadata: boolean;
  /** Whether `head` answers with the SHA-256 of the stored bytes; `either` where that is not known beforehand. */
  readonly sha256: boolean | 'either';
}

/** What a 100 MB object may add to memory: several copies of every buffer between disk and socket, not the object. */
const LARGE_GROWTH_BYTES_MAX = 48 * 1024 * 1024;
const LARGE_BYTES = 100 * 1024 * 1024;
const LONG_TEST_MS = 120_000;

/** What every adapter of the port promises. */
export function objectStoreContract(
  name: string,
  facts: StoreFacts,
  newArchive: () => Promise<Archive>,
): void {
  describe(`an object store: ${name}`, () => {
    let archive: Archive;
    let store: ObjectStore;
    const opened: ObjectStore[] = [];

    async function open(): Promise<ObjectStore> {
      const one = await archive.open();
      opened.push(one);
      return one;
    }

    beforeEach(async () => {
      archive = await newArchive();
      store = await open();
    });

    afterEach(async () => {
      await Promise.all(opened.splice(0).map(async (one) => one.close()));
    });

    test('says what it can do', async () => {
      const { createOnly, versions } = facts;
      expect(await store.abilities()).toEqual({ createOnly, versions });
      const another = await open();
      expect(await another.abilities()).toEqual({ createOnly, versions });
    });

    test('says what time it is by its own clock', async () => {
      const beforeMs = Date.now();
      const told = await store.clock();
      // An answer's date has whole seconds, and a file's time comes a moment late.
      expect(told?.getTime()).toBeGreaterThan(beforeMs - 2_000);
      expect(told?.getTime()).toBeLessThan(Date.now() + 2_000);
      expect(await keysOf(store.list(''))).toEqual([]);
    });

    test('answers a ping, also when nothing was ever stored', async () => {
      await store.ping();
      await put(store, 'a', 'b');
      await store.ping();
    });

    test('stores an object and gives it back with what is known about it', async () => {
      const before = Date.now();
      const metadata = { sha256: 'ab12', bytes: '7' };
      const body = textBody('{"a":1}');
      const created = await store.putIfAbsent('v1/a/b.json', body, { ...RECORD, metadata });
      if (created.outcome !== 'created') throw new Error('the archive was not empty');
      expect(created.versionId === null).toBe(!facts.versions);
      const head = await store.head('v1/a/b.json');
      expect(head).toMatchObject({
        key: 'v1/a/b.json',
        bytes: 7,
        versionId: created.versionId,
        metadata: facts.metadata ? metadata : {},
      });
      const hashes = { true: [body.sha256], false: [null], either: [body.sha256, null] };
      expect(hashes[`${facts.sha256}`]).toContain(head?.sha256);
      // Stores tell times in whole seconds.
      expect(head?.lastModified.getTime()).toBeGreaterThan(before - 2000);
      expect(head?.lastModified.getTime()).toBeLessThan(Date.now() + 2000);
      const read = await store.read('v1/a/b.json');
      expect(read?.head).toMatchObject({ key: 'v1/a/b.json', bytes: 7, versionId: created.versionId });
      expect(await textOf(read)).toBe('{"a":1}');
    });

    test('reads parts of an object', async () => {
      await put(store, 'parts', '0123456789');
      const part = async (range: ByteRange) => {
        const read = await store.readRange('parts', range);
        return read && { text: read.bytes.toString(), from: read.from, total: read.total };
      };
      expect(await part({ from: 0, to: 3 })).toEqual({ text: '012', from: 0, total: 10 });
      expect(await part({ from: 4, to: 5 })).toEqual({ text: '4', from: 4, total: 10 });
      expect(await part({ from: 8, to: 99 })).toEqual({ text: '89', from: 8, total: 10 });
      expect(await part({ last: 4 })).toEqual({ text: '6789', from: 6, total: 10 });
      expect(await part({ last: 99 })).toEqual({ text: '0123456789', from: 0, total: 10 });
      expect(await part({ from: 10, to: 12 })).toEqual({ text: '', from: 10, total: 10 });
      expect(await store.readRange('no parts', { from: 0, to: 1 })).toBeNull();
      await put(store, 'empty', '');
      expect(await store.readRange('empty', { last: 8 })).toMatchObject({ from: 0, total: 0 });
      for (const range of [{ from: 3, to: 3 }, { from: -1, to: 3 }, { last: 0 }, { from: 0, to: 2 ** 30 }]) {
        await expect(store.readRange('parts', range)).rejects.toThrow(/range/);
      }
    });

    test('reads parts of the very object that was read before, or nothing', async () => {
      await put(store, 'pinned', 'one object');
      const first = await store.readRange('pinned', { last: 6 });
      if (first === null) throw new Error('nothing was stored');
      const again = await store.readRange('pinned', { from: 0, to: 3 }, first.pin);
      expect(again?.bytes.toString()).toBe('one');
      expect(again?.pin).toEqual(first.pin);
      expect(await store.readRange('pinned', { from: 50, to: 51 }, first.pin)).toMatchObject({ total: 10 });
      const byEtag = { versionId: null, etag: first.pin.etag };
      expect((await store.readRange('pinned', { from: 0, to: 3 }, byEtag))?.bytes.toString()).toBe('one');
      await store.remove('pinned', first.pin.versionId, { bypassGovernance: false });
      expect(await store.readRange('pinned', { from: 0, to: 3 }, first.pin)).toBeNull();
      await put(store, 'pinned', 'quite another one');
      expect(await store.readRange('pinned', { from: 0, to: 3 }, first.pin)).toBeNull();
      expect(await store.readRange('pinned', { from: 0, to: 3 }, byEtag)).toBeNull();
      expect(await store.readRange('pinned', { from: 90, to: 91 }, byEtag)).toBeNull();
    });

    test('answers null for what is not there', async () => {
      await put(store, 'v1/deep/er.json', 'x');
      for (const key of ['missing', 'v1', 'v1/deep', 'v1/deep/e', 'v1/deep/er.json/below']) {
        expect(await store.head(key)).toBeNull();
        expect(await store.read(key)).toBeNull();
      }
    });

    test('keeps the first object of a key', async () => {
      expect(await put(store, 'k', 'first')).toBe('created');
      const before = await store.head('k');
      expect(await put(store, 'k', 'second, longer')).toBe('exists');
      expect(await put(await open(), 'k', 'third')).toBe('exists');
      expect(await put(store, 'k', 'first')).toBe('exists');
      expect(await store.head('k')).toEqual(before);
      expect(await textOf(await store.read('k'))).toBe('first');
    });

    if (facts.createOnly === 'atomic') {
      test('lets one of many writers at once create', async () => {
        const stores = [store, await open(), await open()];
        for (let round = 0; round < 5; round += 1) {
          const key = `race/${round}`;
          const texts = Array.from({ length: 12 }, (_, writer) =>
            `writer ${writer} `.repeat(100 * writer + 1),
          );
          const outcomes = await Promise.all(
            texts.map(async (text, writer) => put(stores[writer % stores.length] ?? store, key, text)),
          );
          expect(outcomes.filter((outcome) => outcome === 'created')).toHaveLength(1);
          expect(await textOf(await store.read(key))).toBe(texts[outcomes.indexOf('created')]);
        }
      });
    }

    test('never shows an object whose bytes are not those announced', async () => {
      const right = textBody('the right bytes');
      const other = textBody('OTHER right byt');
      const tooShort = textBody('short');
      const tooLong = textBody('much longer than announced');
      const wrong: PutBody[] = [
        { ...right, open: () => other.open() },
        { ...right, open: () => tooShort.open() },
        { ...right, open: () => tooLong.open() },
        { ...right, open: () => Readable.from([Buffer.from('OTHER '), Buffer.from('right byt')]) },
        { ...right, open: () => Readable.from([Buffer.from('short')]) },
        { ...right, open: () => Readable.from([Buffer.from('much longer'), Buffer.from(' than announced')]) },
        { ...right, open: () => Readable.from([]) },
        { ...right, open: failingStream },
      ];
      for (const [index, body] of wrong.entries()) {
        const key = `wrong/${index}`;
        await expect(store.putIfAbsent(key, body, RECORD)).rejects.toMatchObject({ name: 'EverlogError' });
        expect(await store.head(key)).toBeNull();
        expect(await store.putIfAbsent(key, right, RECORD)).toMatchObject({ outcome: 'created' });
      }
    });

    test('keeps odd keys letter for letter', async () => {
      for (const key of ODD_KEYS) expect([key, await put(store, key, key)]).toEqual([key, 'created']);
      for (const key of ODD_KEYS) {
        expect(await put(store, key, 'another')).toBe('exists');
        expect((await store.head(key))?.key).toBe(key);
        expect(await textOf(await store.read(key))).toBe(key);
        expect(await keysOf(store.list(key))).toEqual([key]);
      }
      expect(await keysOf(store.list('odd/'))).toEqual(ODD_KEYS.toSorted(byBytes));
    });

    test.each(REFUSED_KEYS)('refuses the key %j', async (key) => {
      const refused = { name: 'EverlogError', code: 'store_refused', remedy: { kind: 'give_up' } };
      await expect(put(store, key, 'x')).rejects.toMatchObject(refused);
      await expect(store.head(key)).rejects.toMatchObject(refused);
      await expect(store.read(key)).rejects.toMatchObject(refused);
      await expect(store.lockOf(key)).rejects.toMatchObject(refused);
      await expect(store.setLegalHold(key, null, true)).rejects.toMatchObject(refused);
      await expect(store.remove(key, null, { bypassGovernance: false })).rejects.toMatchObject(refused);
    });

    test('lists in the order of bytes, by prefix and after a key', async () => {
      const keys = [
        'a.json',
        'a/b-',
        'a/b.json',
        'a/b/c',
        'a-b',
        'a0',
        'a/ä',
        'a/\uffee',
        'a/😀',
        'B',
        'b/1',
      ];
      for (const key of keys) await put(store, key, key);
      const sorted = keys.toSorted(byBytes);
      // A folder cannot have a file and a folder of one name; no key of the archive needs that.
      const all = await listed(store);
      expect(all.map(({ key }) => key)).toEqual(sorted);
      expect(all.map(({ bytes }) => bytes)).toEqual(sorted.map((key) => Buffer.byteLength(key)));
      for (const prefix of ['a', 'a/', 'a/b', 'a/b/', 'a/b.', 'a.', 'b', 'b/1', 'zzz', 'a/zzz/', 'b/1/']) {
        const wanted = sorted.filter((key) => key.startsWith(prefix));
        for (const after of ['', 'a', 'a/b.json', 'a/b/', 'a/ä', 'a/b/c', 'zzz']) {
          const later = wanted.filter((key) => byBytes(key, after) > 0);
          const found = await keysOf(store.list(prefix, after));
          expect({ prefix, after, found }).toEqual({ prefix, after, found: later });
        }
      }
    });

    test('lists more than a page, and can be left early', { timeout: LONG_TEST_MS }, async () => {
      const keys = Array.from({ length: 1050 }, (_, index) => `many/${index % 7}/${index}.json`);
      for (let at = 0; at < keys.length; at += 50) {
        await Promise.all(keys.slice(at, at + 50).map(async (key) => put(store, key, key)));
      }
      const sorted = keys.toSorted(byBytes);
      expect(await keysOf(store.list('many/'))).toEqual(sorted);
      expect(await keysOf(store.list('many/', sorted[1019]))).toEqual(sorted.slice(1020));
      expect(await keysOf(store.list('many/', sorted[9]))).toEqual(sorted.slice(10));
      for await (const { key } of store.list('many/')) {
        expect(key).toBe(sorted[0]);
        break;
      }
      const versions: string[] = [];
      for await (const version of store.listVersions('many/')) versions.push(version.key);
      expect(versions).toEqual(sorted);
    });

    test('lists versions, or objects where there are none', async () => {
      const created = await store.putIfAbsent('v/one', textBody('1'), RECORD);
      await put(store, 'v/two', '22');
      await put(store, 'w', 'outside');
      const versions = [];
      for await (const version of store.listVersions('v/')) versions.push(version);
      expect(versions).toMatchObject([
        { key: 'v/one', bytes: 1, isLatest: true, isDeleteMarker: false },
        { key: 'v/two', bytes: 2, isLatest: true, isDeleteMarker: false },
      ]);
      if (created.outcome !== 'created') throw new Error('the archive was not empty');
      expect(versions[0]?.versionId).toBe(created.versionId);
      expect(versions.every(({ versionId }) => (versionId === null) === !facts.versions)).toBe(true);
    });

    if (facts.versions) {
      test('reads a version by its id, and null for another', async () => {
        const created = await store.putIfAbsent('v/one', textBody('1'), RECORD);
        if (created.outcome !== 'created' || created.versionId === null) throw new Error('no version came');
        expect(await textOf(await store.read('v/one', created.versionId))).toBe('1');
        expect(await store.head('v/one', created.versionId)).toMatchObject({
          versionId: created.versionId,
          bytes: 1,
        });
        const foreign = created.versionId.slice(0, -1) + (created.versionId.endsWith('a') ? 'b' : 'a');
        for (const id of [foreign, 'no such id', 'null']) {
          expect(await store.read('v/one', id)).toBeNull();
          expect(await store.head('v/one', id)).toBeNull();
        }
      });
    }

    describe('removal and locks', () => {
      removalContract(facts, () => store);
    });

    test('stores empty objects, from memory and from a stream', async () => {
      const empty = textBody('');
      expect(await put(store, 'empty/memory', '')).toBe('created');
      const streamed = { ...empty, open: () => Readable.from([]) };
      expect((await store.putIfAbsent('empty/stream', streamed, LOG)).outcome).toBe('created');
      for (const key of ['empty/memory', 'empty/stream']) {
        expect(await store.head(key)).toMatchObject({ bytes: 0 });
        expect(await textOf(await store.read(key))).toBe('');
      }
    });

    test(
      'stores 100 MB from a stream and gives it back, with flat memory',
      { timeout: LONG_TEST_MS },
      async () => {
        const body = largeBody(LARGE_BYTES);
        // The connection, the code and its buffers are there before the measurement.
        await store.putIfAbsent('warm/up', textBody('x'.repeat(3_000_000)), LOG);
        const grown = await memoryGrowth(async () => {
          expect((await store.putIfAbsent('large', body, LOG)).outcome).toBe('created');
          const read = await store.read('large');
          expect(read?.head.bytes).toBe(LARGE_BYTES);
          expect(await sha256Of(read?.body)).toBe(body.sha256);
        });
        expect(grown).toBeLessThan(LARGE_GROWTH_BYTES_MAX);
        expect(await put(store, 'large', 'small')).toBe('exists');
      },
    );

    test('can be left in the middle of reading', async () => {
      await store.putIfAbsent('left', textBody('0123456789'.repeat(500_000)), LOG);
      for (let round = 0; round < 3; round += 1) {
        const read = await store.read('left');
        for await (const _chunk of read?.body ?? []) break;
        const unread = await store.read('left');
        unread?.body.destroy();
      }
      expect((await store.head('left'))?.bytes).toBe(5_000_000);
    });
  });
}

/** All but what the store keeps for itself. */
async function listed(store: ObjectStore): Promise<ListedObject[]> {
  const objects: ListedObject[] = [];
  for await (const object of store.list('')) {
    if (!object.key.startsWith('probe/')) objects.push(object);
  }
  return objects;
}
