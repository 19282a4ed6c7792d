import type { Digest, LedgerEntry } from '../../formats/formats.ts';
import { leafHash, rootOfPath } from '../chain/merkle.ts';
import { linesOf, openBytes } from './object-bytes.ts';
import { parseEntry, parseInclusion } from '../chain/schemas.ts';
import type { Scope } from '../scope.ts';

/** The selected entries of a digest in a bundle: lines with their inclusion paths instead of the whole entries file. */

const LINE_BYTES_MAX = 16 * 1024;

/**
 * Gives the entries of a digest that a bundle holds, each proven to hang in the digest's tree. Lines without that proof are
 * reported and not given. A digest of which the bundle selects nothing has no such files.
 */
export async function readBundleEntries(
  scope: Scope,
  sequence: number,
  digest: Digest,
  onEntry: (entry: LedgerEntry) => Promise<void>,
): Promise<void> {
  const name = `entries/${String(sequence).padStart(10, '0')}`;
  const key = `${name}.ndjson`;
  const lines = await linesAt(scope, key);
  if (lines === null) return;
  const paths = await linesAt(scope, `${name}.paths.ndjson`);
  if (paths === null) {
    const detail = `the inclusion paths of the entries of digest ${sequence} are gone`;
    return scope.report({ result: 'MISSING', key: `${name}.paths.ndjson`, detail });
  }
  const modified = (detail: string): Promise<void> => scope.report({ result: 'MODIFIED', key, detail });
  for (let number = 1; ; number += 1) {
    const [line, path] = [await lines.next(), await paths.next()];
    if (line.done === true || path.done === true) {
      if (line.done !== true) return modified(`line ${number} has no inclusion path`);
      if (path.done !== true) return modified(`there is a path for line ${number}, and no such line`);
      if (line.value !== 'whole') await modified('it does not end with a whole line');
      return;
    }
    const entry = provenEntry(line.value, path.value, digest);
    if (typeof entry === 'string') await modified(`line ${number}: ${entry}`);
    else await onEntry(entry);
  }
}

function provenEntry(line: Buffer, pathLine: Buffer, digest: Digest): LedgerEntry | string {
  const inclusion = parseInclusion(pathLine);
  if (!inclusion.ok) return `its inclusion path is none: ${inclusion.problem}`;
  const { index, leaf, path } = inclusion.value;
  const hash = leafHash(line);
  if (hash.toString('hex') !== leaf) return 'it is not the line that its inclusion path is for';
  const { count, merkle_root: expected } = digest.entries;
  const root = rootOfPath(
    index,
    count,
    hash,
    path.map((it) => Buffer.from(it, 'hex')),
  );
  if (root?.toString('hex') !== expected) return 'its inclusion path does not lead to the digest’s root';
  const entry = parseEntry(line);
  return entry.ok ? entry.value : `it is no entry: ${entry.problem}`;
}

async function linesAt(scope: Scope, key: string): Promise<ReturnType<typeof linesOf> | null> {
  const opened = await openBytes(scope.store, { key, versionId: null });
  return opened.state === 'open' ? linesOf(opened.chunks, LINE_BYTES_MAX) : null;
}
