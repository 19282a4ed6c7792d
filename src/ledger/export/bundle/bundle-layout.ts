/**
 * Where things are in a bundle. What an archive has too (`ledger/…`, `v1/…`) stands under the archive's own key; the rest is
 * named here.
 */

/** The selected lines of a digest's entries file, byte for byte, in their order there. */
export function entryLinesPath(sequence: number): string {
  return `entries/${sequenceInName(sequence)}.ndjson`;
}

/** One `PathLine` for each line of `entryLinesPath`. */
export function auditPathsPath(sequence: number): string {
  return `entries/${sequenceInName(sequence)}.paths.ndjson`;
}

/** How an entry line hangs in the tree of its digest (RFC 6962); hashes in lower-case hex. */
export interface PathLine {
  /** Of the line in the digest's whole entries file, from 0. */
  readonly index: number;
  /** SHA-256 of a zero byte and the line without its line feed. */
  readonly leaf: string;
  /** From the leaf's neighbour up to below the root. */
  readonly path: readonly string[];
}

function sequenceInName(sequence: number): string {
  return String(sequence).padStart(10, '0');
}
