import { createHash } from 'node:crypto';

/** RFC 6962 trees, for checking: a root from leaves one after another in memory that grows with the logarithm of their number. */

const LEAF = Buffer.of(0);
const NODE = Buffer.of(1);
/** A tree of 2^53 leaves is 53 high; no honest path is longer. */
const PATH_NODES_MAX = 53;

/** Hash of a leaf. */
export function leafHash(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(LEAF).update(bytes).digest();
}

/** A tree that grows by leaves on the right. */
export class GrowingTree {
  /** Roots of the complete subtrees that the leaves so far make up, largest first. */
  readonly #subtrees: { readonly hash: Buffer; readonly leaves: number }[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Adds the hash of a leaf. */
  add(leaf: Buffer): void {
    this.#size += 1;
    let added = { hash: leaf, leaves: 1 };
    for (;;) {
      const last = this.#subtrees.at(-1);
      if (last === undefined || last.leaves !== added.leaves) break;
      this.#subtrees.pop();
      added = { hash: nodeHash(last.hash, added.hash), leaves: last.leaves * 2 };
    }
    this.#subtrees.push(added);
  }

  /** The root of what was added so far; of no leaves, the hash of nothing. */
  root(): Buffer {
    let root: Buffer | null = null;
    for (const { hash } of this.#subtrees.toReversed()) root = root === null ? hash : nodeHash(hash, root);
    return root ?? createHash('sha256').digest();
  }
}

/**
 * The root that an inclusion path leads to; null when the path cannot belong to leaf `index` (from 0) of a tree of `size`
 * leaves. RFC 9162, 2.1.3.2.
 */
export function rootOfPath(
  index: number,
  size: number,
  leaf: Buffer,
  path: readonly Buffer[],
): Buffer | null {
  if (!Number.isSafeInteger(index) || index < 0 || index >= size || path.length > PATH_NODES_MAX) return null;
  let node = index;
  let last = size - 1;
  let hash = leaf;
  for (const sibling of path) {
    if (last === 0) return null;
    if (node % 2 === 1 || node === last) {
      hash = nodeHash(sibling, hash);
      while (node % 2 === 0 && node !== 0) {
        node = Math.floor(node / 2);
        last = Math.floor(last / 2);
      }
    } else {
      hash = nodeHash(hash, sibling);
    }
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 ? hash : null;
}

function nodeHash(left: Buffer, right: Buffer): Buffer {
  return createHash('sha256').update(NODE).update(left).update(right).digest();
}
