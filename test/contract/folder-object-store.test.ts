import { createHash, randomBytes, randomUUID } from 'node:crypto';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openFolderStore } from '../../src/store/folder/folder-object-store.ts';
import { bytesBody, fileBody } from '../../src/store/put-body.ts';
import { removeTemporaryFolder, spawnManaged, temporaryFolder } from '../support/processes/processes.ts';
import type { ManagedProcess } from '../support/processes/processes.ts';
import { keysOf, LOG, put, RECORD, textBody, textOf } from './object-samples.ts';

const CHILD_TIMEOUT_MS = 20_000;
const HOUR_MS = 60 * 60 * 1000;
const STORE_MODULE = new URL('../../src/store/folder/folder-object-store.ts', import.meta.url).href;
const BODY_MODULE = new URL('../../src/store/put-body.ts', import.meta.url).href;

let folder: string;
const children: ManagedProcess[] = [];

beforeEach(() => {
  folder = join(temporaryFolder(), 'archive');
});

afterEach(async () => {
  for (const child of children.splice(0)) await child.kill('SIGKILL');
  removeTemporaryFolder(join(folder, '..'));
});

function child(script: string): ManagedProcess {
  const prelude = `
    import { openFolderStore } from ${JSON.stringify(STORE_MODULE)};
    import { bytesBody } from ${JSON.stringify(BODY_MODULE)};
    const folder = ${JSON.stringify(folder)};`;
  const started = spawnManaged(process.execPath, [
    '--import=tsx',
    '--input-type=module',
    '-e',
    prelude + script,
  ]);
  children.push(started);
  return started;
}

function failingWith(code: string): () => Promise<void> {
  return async () => {
    throw Object.assign(new Error(`${code}: link`), { code });
  };
}

describe('several processes on one folder', () => {
  test('racing for the same keys: each is created once, by one of them', async () => {
    const keys = Array.from({ length: 60 }, (_, index) => `v1/race/${index % 5}/${index}.json`);
    const starts = mkdtempSync(join(folder, '..', 'starts-'));
    const names = ['a', 'b', 'c'];
    // All three stand at the start of every key, else the first process to be scheduled would win them all.
    const racers = names.map((name) =>
      child(`
        import { existsSync, writeFileSync } from 'node:fs';
        const store = await openFolderStore({ folder });
        const created = [];
        for (const [index, key] of ${JSON.stringify(keys)}.entries()) {
          const marks = ${JSON.stringify(names)}.map((racer) => ${JSON.stringify(starts)} + '/' + index + racer);
          writeFileSync(${JSON.stringify(starts)} + '/' + index + ${JSON.stringify(name)}, '');
          while (!marks.every((mark) => existsSync(mark))) await new Promise((next) => setImmediate(next));
          const body = bytesBody(Buffer.from(${JSON.stringify(name)}.repeat(10_000)));
          const { outcome } = await store.putIfAbsent(key, body, { contentType: 'text/plain', kind: 'other' });
          if (outcome === 'created') created.push(key);
        }
        console.log(JSON.stringify({ created }));`),
    );
    const winnerOf = new Map<string, string>();
    for (const [index, racer] of racers.entries()) {
      const line = await racer.waitForLine((seen) => seen.json?.['created'] !== undefined, CHILD_TIMEOUT_MS);
      const created: unknown = line.json?.['created'];
      if (!Array.isArray(created)) throw new Error('the child named no keys');
      for (const key of created) {
        expect(winnerOf.has(String(key))).toBe(false);
        winnerOf.set(String(key), 'abc'.charAt(index));
      }
    }
    expect([...winnerOf.keys()].toSorted()).toEqual(keys.toSorted());
    expect(new Set(winnerOf.values()).size).toBeGreaterThan(1);
    const store = await openFolderStore({ folder });
    for (const key of keys) {
      expect(await textOf(await store.read(key))).toBe(winnerOf.get(key)?.repeat(10_000));
    }
    expect(readdirSync(join(folder, '.tmp'))).toEqual([]);
  });

  test('a writer that is killed leaves no object, and its temp file goes after an hour', async () => {
    const writer = child(`
      import { setTimeout as delay } from 'node:timers/promises';
      import { Readable } from 'node:stream';
      const store = await openFolderStore({ folder });
      async function* endless() {
        for (;;) {
          yield Buffer.alloc(100_000);
          console.log(JSON.stringify({ wrote: 1 }));
          await delay(1);
        }
      }
      const open = () => Readable.from(endless(), { objectMode: false });
      await store.putIfAbsent('v1/logs/big', { bytes: 1e12, sha256: '', open }, { contentType: 'x', kind: 'log' });`);
    let seen = 0;
    await writer.waitForLine((line) => line.json !== undefined && (seen += 1) > 20, CHILD_TIMEOUT_MS);
    await writer.kill('SIGKILL');
    const left = readdirSync(join(folder, '.tmp'));
    expect(left).toHaveLength(1);

    const soon = await openFolderStore({ folder });
    expect(await soon.head('v1/logs/big')).toBeNull();
    expect(await soon.read('v1/logs/big')).toBeNull();
    expect(await keysOf(soon.list(''))).toEqual([]);
    expect(readdirSync(join(folder, '.tmp'))).toEqual(left);
    expect(await put(soon, 'v1/logs/big', 'small')).toBe('created');

    await openFolderStore({ folder, now: () => new Date(Date.now() + HOUR_MS + 60_000) });
    expect(readdirSync(join(folder, '.tmp'))).toEqual([]);
    expect(await keysOf(soon.list(''))).toEqual(['v1/logs/big']);
  });
});

describe('a folder', () => {
  test('is not made by reading', async () => {
    const store = await openFolderStore({ folder });
    await store.ping();
    expect(await store.head('a')).toBeNull();
    expect(await keysOf(store.list('v1/'))).toEqual([]);
    expect(() => statSync(folder)).toThrow('ENOENT');
  });

  test('is made with its objects for its own user only, and keeps nothing else', async () => {
    const store = await openFolderStore({ folder });
    await put(store, 'v1/a/b.json', 'x');
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(statSync(join(folder, 'v1/a')).mode & 0o777).toBe(0o700);
    expect(statSync(join(folder, 'v1/a/b.json')).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, 'v1/a/b.json')).nlink).toBe(1);
    expect(readdirSync(join(folder, '.tmp'))).toEqual([]);
  });

  test('leaves no temp file behind a failure', async () => {
    const store = await openFolderStore({ folder });
    const body = { ...textBody('right'), open: () => Buffer.from('wrong') };
    await expect(store.putIfAbsent('k', body, RECORD)).rejects.toMatchObject({
      code: 'object_corrupt',
      remedy: { kind: 'retry' },
    });
    expect(readdirSync(join(folder, '.tmp'))).toEqual([]);
  });

  test('without hard links is refused by name of the setting, and looked at again', async () => {
    let link = failingWith('EPERM');
    const store = await openFolderStore({ folder, hardLink: async () => link() });
    const refused = { code: 'store_unsuitable', remedy: { kind: 'give_up' } };
    await expect(store.abilities()).rejects.toMatchObject(refused);
    await expect(put(store, 'k', 'x')).rejects.toThrow('EVERLOG_ARCHIVE_URL');
    expect(readdirSync(join(folder, '.tmp'))).toEqual([]);
    link = async () => {};
    expect(await store.abilities()).toEqual({ createOnly: 'atomic', versions: false });
  });

  test.each([
    ['ENOSPC', 'store_unavailable', 'retry'],
    ['EIO', 'store_unavailable', 'retry'],
    ['EACCES', 'store_refused', 'give_up'],
    ['EROFS', 'store_refused', 'give_up'],
    ['EXDEV', 'store_refused', 'give_up'],
  ])('answers %s with %s', async (errno, code, kind) => {
    const store = await openFolderStore({ folder, hardLink: failingWith(errno) });
    await expect(put(store, 'k', 'x')).rejects.toMatchObject({ code, remedy: { kind } });
    expect(readdirSync(join(folder, '.tmp'))).toEqual([]);
  });

  test('that is a file is refused', async () => {
    const file = join(folder, '..', 'file');
    writeFileSync(file, '');
    const refused = { code: 'store_refused', remedy: { kind: 'give_up' } };
    for (const path of [file, join(file, 'below')]) {
      const store = await openFolderStore({ folder: path });
      await expect(store.ping()).rejects.toMatchObject(refused);
      await expect(put(store, 'k', 'x')).rejects.toMatchObject(refused);
    }
  });

  test('shows only its own objects', async () => {
    const store = await openFolderStore({ folder });
    await put(store, 'v1/a', 'x');
    writeFileSync(join(folder, '.DS_Store'), 'x');
    mkdirSync(join(folder, 'v1/.hidden'));
    writeFileSync(join(folder, 'v1/.hidden/file'), 'x');
    writeFileSync(join(folder, '.tmp/other'), 'x');
    symlinkSync('a', join(folder, 'v1/link'));
    symlinkSync('..', join(folder, 'v1/loop'));
    expect(await keysOf(store.list(''))).toEqual(['v1/a']);
    for (const prefix of ['.tmp/', 'v1/.hidden/', '../', '/', '/etc/', 'v1//']) {
      expect(await keysOf(store.list(prefix))).toEqual([]);
    }
    for (const key of ['.tmp/other', 'v1/.hidden/file', `v1/${'x'.repeat(256)}`]) {
      await expect(put(store, key, 'x')).rejects.toMatchObject({ code: 'store_refused' });
    }
    await expect(store.read('v1/link')).rejects.toMatchObject({ code: 'store_refused' });
    expect(await put(store, `v1/${'x'.repeat(255)}`, 'x')).toBe('created');
  });

  test('refuses an object where a folder is, and a folder where an object is', async () => {
    const store = await openFolderStore({ folder });
    await put(store, 'a/b', 'x');
    for (const key of ['a', 'a/b/c', 'a/b/c/d']) {
      await expect(put(store, key, 'x')).rejects.toMatchObject({ code: 'store_refused' });
    }
    expect(await keysOf(store.list(''))).toEqual(['a/b']);
  });

  test('keeps temp files that are being written, and files that are nobody’s of ours', async () => {
    const store = await openFolderStore({ folder });
    await put(store, 'k', 'x');
    const temporary = join(folder, '.tmp');
    const [left, fresh, foreign] = [randomUUID(), randomUUID(), 'notes.txt'];
    const longAgo = new Date(Date.now() - HOUR_MS - 60_000);
    for (const name of [left, fresh, foreign]) writeFileSync(join(temporary, name), 'x');
    for (const name of [left, foreign]) utimesSync(join(temporary, name), longAgo, longAgo);
    await openFolderStore({ folder });
    expect(readdirSync(temporary).sort()).toEqual([fresh, foreign].sort());
  });
});

describe('a body', () => {
  test('of bytes has their length and hash', async () => {
    const bytes = randomBytes(1000);
    const body = bytesBody(bytes);
    expect(body).toMatchObject({ bytes: 1000, sha256: createHash('sha256').update(bytes).digest('hex') });
    expect(body.open()).toEqual(bytes);
  });

  test('in an unlinked file can be opened again and again, also after a failure', async () => {
    const bytes = randomBytes(1_500_000);
    const path = join(folder, '..', 'spool');
    const fd = openSync(path, 'wx+');
    writeSync(fd, bytes);
    unlinkSync(path);
    try {
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      const store = await openFolderStore({ folder });
      const wrong = fileBody({ fd, bytes: bytes.length, sha256: '0'.repeat(64) });
      await expect(store.putIfAbsent('k', wrong, LOG)).rejects.toMatchObject({ code: 'object_corrupt' });
      const tooLong = fileBody({ fd, bytes: bytes.length + 1, sha256 });
      await expect(store.putIfAbsent('k', tooLong, LOG)).rejects.toMatchObject({ code: 'object_corrupt' });
      const body = fileBody({ fd, bytes: bytes.length, sha256 });
      for (const key of ['k', 'l']) {
        expect((await store.putIfAbsent(key, body, LOG)).outcome).toBe('created');
        expect(
          Buffer.from((await textOf(await store.read(key), 'latin1')) ?? '', 'latin1').equals(bytes),
        ).toBe(true);
      }
    } finally {
      closeSync(fd);
    }
  });

  test('in an empty file is empty', () => {
    expect(fileBody({ fd: -1, bytes: 0, sha256: '' }).open()).toEqual(new Uint8Array(0));
  });
});
