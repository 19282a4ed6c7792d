import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openFolderStore } from '../../../src/store/folder/folder-object-store.ts';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import { isFinding, type Result } from '../../../src/ledger/verify/results.ts';
import type { Summary } from '../../../src/ledger/verify/summary.ts';
import { verifyLedger, type VerifyOptions } from '../../../src/ledger/verify/verify.ts';

/** The verifier in this process, on a store or a folder. */

export interface Verified {
  readonly results: readonly Result[];
  readonly summary: Summary;
  /** Each result as `WORD key`, sorted. */
  readonly lines: readonly string[];
}

/** Verifies with everything checked unless `changes` say otherwise; without a pinned key and an anchor. */
export async function verifyStore(
  store: ObjectStore,
  changes: Partial<VerifyOptions> = {},
): Promise<Verified> {
  const results: Result[] = [];
  const summary = await verifyLedger({
    store,
    isBundle: false,
    strays: null,
    level: 'bytes',
    sample: null,
    range: { fromMs: null, toMs: null },
    selection: null,
    pinnedKeyId: null,
    anchor: null,
    temporaryFolder: tmpdir(),
    now: () => new Date(),
    random: Math.random,
    onPlan: async () => {},
    onResult: async (result) => void results.push(result),
    onProgress: () => undefined,
    ...changes,
  });
  return { results, summary, lines: results.map(({ result, key }) => `${result} ${key}`).sort() };
}

/** The same of an archive in a folder. */
export async function verifyFolder(folder: string, changes: Partial<VerifyOptions> = {}): Promise<Verified> {
  const store = await openFolderStore({ folder });
  try {
    return await verifyStore(store, changes);
  } finally {
    await store.close();
  }
}

/** The findings among the results, as `WORD key`, sorted. */
export function findingsOf({ results }: Verified): string[] {
  return results
    .filter(isFinding)
    .map(({ result, key }) => `${result} ${key}`)
    .sort();
}

/** A file of an archive in a folder, with its first bytes to go back to. */
export interface TamperedFile {
  readonly path: string;
  write(bytes: Uint8Array): void;
  remove(): void;
  restore(): void;
}

/** Takes hold of a file that a test is going to damage. */
export function fileAt(folder: string, key: string): TamperedFile & { readonly bytes: Buffer } {
  const path = join(folder, key);
  const bytes = readFileSync(path);
  return {
    path,
    bytes,
    write: (other) => writeFileSync(path, other),
    remove: () => rmSync(path),
    restore: () => writeFileSync(path, bytes),
  };
}

/** The bytes with one bit turned over. */
export function withFlippedBit(bytes: Uint8Array, random: () => number): Buffer {
  const flipped = Buffer.from(bytes);
  const at = Math.floor(random() * flipped.length);
  flipped[at] = (flipped[at] ?? 0) ^ (1 << Math.floor(random() * 8));
  return flipped;
}

/** One of these, at random. */
export function oneOf<T>(items: readonly T[], random: () => number): T {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new Error('there is nothing to choose from');
  return item;
}
