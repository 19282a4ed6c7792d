import { createHash } from 'node:crypto';

/** RFC 6962: what stands before a leaf and before a node, so that neither can be taken for the other. */
const LEAF = Buffer.from([0]);
const NODE = Buffer.from([1]);

/** A leaf whose audit path is wanted; the path grows from the leaf towards the root. */
export interface WantedLeaf {
  readonly index: number;
  readonly leaf: Buffer;
  readonly path: Buffer[];
}

/** A whole subtree that stands left of everything still to come. */
interface Subtree {
  readonly hash: Buffer;
  readonly leaves: number;
  readonly wanted: WantedLeaf[];
}

/**
 * A Merkle tree that is read once, leaf after leaf, and keeps only the hashes it still needs: one for each level, and the
 * paths of the leaves that are wanted.
 */
export class AuditPaths {
  readonly #subtrees: Subtree[] = [];
  #leaves = 0;

  /** Adds the next leaf; `wanted` has its path collected. */
  add(line: Uint8Array, wanted: boolean): WantedLeaf | null {
    const hash = createHash('sha256').update(LEAF).update(line).digest();
    const leaf = wanted ? { index: this.#leaves, leaf: hash, path: [] } : null;
    this.#leaves += 1;
    this.#subtrees.push({ hash, leaves: 1, wanted: leaf === null ? [] : [leaf] });
    while (this.#subtrees.at(-1)?.leaves === this.#subtrees.at(-2)?.leaves) this.#join();
    return leaf;
  }

  /** The root; every path is whole then, and nothing may be added any more. */
  end(): Buffer {
    while (this.#subtrees.length > 1) this.#join();
    return this.#subtrees[0]?.hash ?? createHash('sha256').digest();
  }

  #join(): void {
    const right = this.#subtrees.pop();
    const left = this.#subtrees.pop();
    if (left === undefined || right === undefined) throw new Error('a tree is joined of two subtrees');
    for (const { path } of left.wanted) path.push(right.hash);
    for (const { path } of right.wanted) path.push(left.hash);
    this.#subtrees.push({
      hash: createHash('sha256').update(NODE).update(left.hash).update(right.hash).digest(),
      leaves: left.leaves + right.leaves,
      wanted: [...left.wanted, ...right.wanted],
    });
  }
}
