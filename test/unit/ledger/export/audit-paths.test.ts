import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { AuditPaths } from '../../../../src/ledger/export/audit-paths.ts';
import { treeHash } from '../../../support/oracles/small-ledger.ts';

/** RFC 6962, section 2.1.1, as it is defined there. */
function auditPath(index: number, leaves: readonly Buffer[]): Buffer[] {
  if (leaves.length <= 1) return [];
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  const [left, right] = [leaves.slice(0, split), leaves.slice(split)];
  return index < split
    ? [...auditPath(index, left), treeHash(right)]
    : [...auditPath(index - split, right), treeHash(left)];
}

test('roots and paths are those of the definition, for trees of every shape up to 70 leaves', () => {
  for (let size = 0; size <= 70; size += 1) {
    const leaves = Array.from({ length: size }, (_, at) => Buffer.from(`line ${at} of ${size}`));
    const tree = new AuditPaths();
    const wanted = leaves.map((line, at) => tree.add(line, at % 3 !== 1));
    expect(tree.end()).toEqual(treeHash(leaves));
    for (const [at, leaf] of wanted.entries()) {
      const path = { index: at, leaf: hashOf(leaves[at]), path: auditPath(at, leaves) };
      expect(leaf).toEqual(at % 3 === 1 ? null : path);
    }
  }
});

test('a large tree keeps no more than what is wanted of it', () => {
  const tree = new AuditPaths();
  const line = Buffer.from('line');
  const [first] = [tree.add(line, true)];
  for (let at = 1; at < 100_000; at += 1) tree.add(line, false);
  tree.end();
  expect(first?.path).toHaveLength(17);
});

function hashOf(line: Buffer | undefined): Buffer {
  return createHash('sha256')
    .update(Buffer.of(0))
    .update(line ?? '')
    .digest();
}
