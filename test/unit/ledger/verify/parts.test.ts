import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { inOrder, openBoundedWork } from '../../../../src/ledger/verify/bounded-work.ts';
import { openDiskGroupBy } from '../../../../src/ledger/verify/objects/disk-group-by.ts';
import { GrowingTree, leafHash, rootOfPath } from '../../../../src/ledger/verify/chain/merkle.ts';
import { parseCheckpoint } from '../../../../src/ledger/verify/chain/note.ts';
import { BadGzip, gunzipped, linesOf } from '../../../../src/ledger/verify/objects/object-bytes.ts';
import { auditPath, treeHash } from '../../../support/oracles/ledger-maker.ts';
import { temporaryFolder } from '../../../support/processes/processes.ts';

describe('Merkle trees', () => {
  const leaves = Array.from({ length: 70 }, (_, index) => Buffer.from(`leaf ${index}`));

  test('have the roots of RFC 6962, at every size', () => {
    const tree = new GrowingTree();
    expect(tree.root().toString('hex')).toBe(createHash('sha256').digest('hex'));
    for (const [index, leaf] of leaves.entries()) {
      tree.add(leafHash(leaf));
      expect(tree.root()).toEqual(treeHash(leaves.slice(0, index + 1)));
    }
  });

  test('have the inclusion paths of RFC 6962, and no others', () => {
    for (let size = 1; size <= leaves.length; size += 1) {
      const some = leaves.slice(0, size);
      const root = treeHash(some);
      for (const [index, leaf] of some.entries()) {
        const path = auditPath(index, some);
        expect(rootOfPath(index, size, leafHash(leaf), path)).toEqual(root);
        expect(rootOfPath((index + 1) % size, size, leafHash(leaf), path)?.equals(root) ?? false).toBe(
          size === 1,
        );
        expect(rootOfPath(index, size, leafHash(leaf), [...path, root])).toBeNull();
      }
    }
    expect(rootOfPath(5, 5, leafHash(Buffer.of(1)), [])).toBeNull();
    expect(rootOfPath(-1, 5, leafHash(Buffer.of(1)), [])).toBeNull();
  });
});

describe('checkpoint notes', () => {
  const root = Buffer.alloc(32, 7).toString('base64');
  const signature = `\u2014 everlog/1 ${Buffer.alloc(68).toString('base64')}\n`;

  test('are read with any number of signatures and further lines', () => {
    const note = parseCheckpoint(Buffer.from(`everlog/1\n12\n${root}\nmore\n\n${signature}${signature}`));
    expect(note).toMatchObject({ origin: 'everlog/1', size: 12, signatures: [{}, {}] });
    expect(note?.text.toString()).toBe(`everlog/1\n12\n${root}\nmore\n`);
  });

  test.each([
    '',
    `everlog/1\n12\n${root}\n`,
    `everlog/1\n012\n${root}\n\n${signature}`,
    `everlog/1\n-1\n${root}\n\n${signature}`,
    `everlog/1\n12\n${root.slice(4)}\n\n${signature}`,
    `everlog/1\n12\n${root}\n\n- everlog/1 AAAA\n`,
    `everlog/1\n12\n${root}\n\n${signature.trimEnd()}`,
    `\n12\n${root}\n\n${signature}`,
  ])('are none where they are otherwise: %j', (text) => {
    expect(parseCheckpoint(Buffer.from(text))).toBeNull();
  });
});

describe('buckets on disk', () => {
  const parse = (value: unknown): number => Number(value);

  test('give every row of a group together, and leave no file behind', async () => {
    const folder = temporaryFolder();
    const buckets = openDiskGroupBy(folder, parse);
    const adding: Promise<void>[] = [];
    for (let row = 0; row < 30_000; row += 1) adding.push(buckets.add(`group\n${row % 10_000}`, row));
    await Promise.all(adding);
    expect(readdirSync(folder)).toEqual([]);
    const seen = new Map<string, readonly number[]>();
    for await (const groups of buckets.groups()) {
      for (const [group, rows] of groups) {
        expect(seen.has(group)).toBe(false);
        seen.set(group, rows);
      }
    }
    await buckets.close();
    expect(seen.size).toBe(10_000);
    expect(seen.get('group\n77')?.toSorted((a, b) => a - b)).toEqual([77, 10_077, 20_077]);
  });

  test('are divided again where one would not fit into memory', async () => {
    const buckets = openDiskGroupBy(temporaryFolder(), parse, 1_000);
    const rows = 5_000;
    for (let row = 0; row < rows; row += 1) await buckets.add(`group ${row}`, row);
    let groups = 0;
    let most = 0;
    for await (const some of buckets.groups()) {
      groups += some.size;
      most = Math.max(most, some.size);
    }
    await buckets.close();
    expect(groups).toBe(rows);
    // A row measures about twenty bytes.
    expect(most).toBeLessThan(60);
  });
});

describe('bounded work', () => {
  test('runs so many tasks at once, and tells the first failure', async () => {
    const work = openBoundedWork(3);
    let running = 0;
    let most = 0;
    for (let task = 0; task < 20; task += 1) {
      await work.add(async () => {
        running += 1;
        most = Math.max(most, running);
        await new Promise(setImmediate);
        running -= 1;
      });
    }
    await work.drain();
    expect(most).toBe(3);
    await work.add(() => Promise.reject(new Error('first')));
    await expect(work.drain()).rejects.toThrow('first');
    await expect(work.add(() => Promise.resolve())).rejects.toThrow('first');
  });

  test('ahead of its turn keeps its order, and fails when its turn comes', async () => {
    async function* numbers(): AsyncGenerator<number> {
      for (let number = 0; number < 10; number += 1) yield number;
    }
    const got: number[] = [];
    const halves = inOrder(numbers(), 4, async (number) => {
      for (let turn = number; turn < 10; turn += 1) await Promise.resolve();
      if (number === 8) throw new Error('eight');
      return number / 2;
    });
    const reading = async (): Promise<void> => {
      for await (const half of halves) got.push(half);
    };
    await expect(reading()).rejects.toThrow('eight');
    expect(got).toEqual([0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5]);
  });
});

describe('reading what anybody may have written', () => {
  async function* chunks(...texts: (string | Buffer)[]): AsyncGenerator<Buffer> {
    for (const text of texts) yield Buffer.from(text);
  }
  async function linesIn(source: AsyncIterable<Buffer>, bytesMax: number): Promise<string[]> {
    const lines = linesOf(source, bytesMax);
    const got: string[] = [];
    for (;;) {
      const line = await lines.next();
      got.push(line.value.toString());
      if (line.done === true) return got;
    }
  }

  test('lines are cut anywhere, have a longest length, and end with a line feed', async () => {
    expect(await linesIn(chunks('a', 'b\n\nc', '\n'), 10)).toEqual(['ab', '', 'c', 'whole']);
    expect(await linesIn(chunks('ab\ncd'), 10)).toEqual(['ab', 'cut']);
    expect(await linesIn(chunks('ab\n', 'x'.repeat(11)), 10)).toEqual(['ab', 'too_long']);
    expect(await linesIn(chunks('x'.repeat(11), '\n'), 10)).toEqual(['too_long']);
  });

  test('a bomb can be left at any time, and damage is told as such', async () => {
    const bomb = gzipSync(Buffer.alloc(50_000_000));
    let bytes = 0;
    for await (const chunk of gunzipped(chunks(bomb))) {
      bytes += chunk.length;
      if (bytes > 100_000) break;
    }
    expect(bytes).toBeLessThan(200_000);
    const reading = async (): Promise<void> => {
      for await (const chunk of gunzipped(chunks(bomb.subarray(0, 100), 'and nonsense')))
        bytes += chunk.length;
    };
    await expect(reading()).rejects.toBeInstanceOf(BadGzip);
  });
});
