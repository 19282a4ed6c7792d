import { createHash } from 'node:crypto';

/**
 * The Merkle tree of RFC 6962 over SHA-256, grown leaf by leaf: only the roots of its perfect subtrees are kept, one for each
 * bit set in its size, so a tree of a million leaves is 20 hashes.
 */
export interface Frontier {
  readonly size: number;
  /** Roots of the perfect subtrees, the largest (leftmost) first. 32 bytes each. */
  readonly roots: readonly Buffer[];
}

export interface MerkleTree {
  /** Adds a leaf by its hash (`leafHash`). */
  append(leaf: Buffer): void;
  /** 32 bytes; of an empty tree SHA-256 of nothing. */
  root(): Buffer;
  /** What `openMerkleTree` continues from. */
  frontier(): Frontier;
}

const LEAF = Buffer.from([0x00]);
const NODE = Buffer.from([0x01]);

/** Opens an empty tree, or one as it was when `from` was taken. */
export function openMerkleTree(from?: Frontier): MerkleTree {
  const roots = [...(from?.roots ?? [])];
  let size = from?.size ?? 0;
  return {
    append(leaf) {
      roots.push(leaf);
      size += 1;
      // Each trailing zero of the new size stands for two subtrees that have become one.
      for (let rest = size; rest % 2 === 0; rest /= 2) {
        const right = roots.pop();
        const left = roots.pop();
        if (left === undefined || right === undefined) throw new Error(`no tree of ${size} leaves`);
        roots.push(nodeHash(left, right));
      }
    },
    root() {
      const last = roots.at(-1);
      if (last === undefined) return createHash('sha256').digest();
      return roots.slice(0, -1).reduceRight((right, left) => nodeHash(left, right), last);
    },
    frontier: () => ({ size, roots: [...roots] }),
  };
}

/** Whether so many roots can be of a tree of that size. */
export function isFrontier({ size, roots }: Frontier): boolean {
  if (!Number.isSafeInteger(size) || size < 0) return false;
  const bits = size.toString(2).replaceAll('0', '').length;
  return roots.length === bits && roots.every((root) => root.byteLength === 32);
}

/** Hash of a leaf: SHA-256 of a zero byte and the leaf's bytes. */
export function leafHash(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(LEAF).update(bytes).digest();
}

function nodeHash(left: Buffer, right: Buffer): Buffer {
  return createHash('sha256').update(NODE).update(left).update(right).digest();
}
