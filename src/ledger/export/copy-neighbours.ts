import { checkpointKey, digestFolder, digestKey } from '../../archive/keys.ts';
import { readWhole, type ObjectStore } from '../../store/object-store.ts';
import type { BundleFolder } from './bundle/bundle-folder.ts';
import type { StoredDigest } from './digests.ts';

/** `digest.json` is at most 4,096 bytes, and what stands beside it is smaller still; what is larger is none of it. */
const FILE_BYTES_MAX = 64 * 1024;
/** Signatures and time stamps copied of one digest: it has one of each, and a crash leaves a few. */
const FILES_MAX = 16;
/** Bad digests that go along with their neighbours; of more, the first show it as well. */
const BAD_MAX = 1_000;
const VOUCHERS = /^(digest\.json|[0-9a-f]{64}\.(sig|tsr))$/;

/**
 * Copies the digests before and after those that cover something, and those that are not believed with theirs, as they stand,
 * without entries: so that a bundle shows by itself what the ledger has on either side, and what is wrong with it.
 * @throws EverlogError where the store does not answer or the bundle cannot be written.
 */
export async function copyNeighbours(
  store: ObjectStore,
  folder: BundleFolder,
  covering: readonly StoredDigest[],
  bad: ReadonlySet<number>,
): Promise<void> {
  if (covering.length === 0) return;
  const present = new Set(covering.map(({ sequence }) => sequence));
  const middle = [...present, ...[...bad].slice(0, BAD_MAX)];
  const wanted = new Set(middle.flatMap((sequence) => [sequence - 1, sequence, sequence + 1]));
  for (const sequence of wanted) {
    if (sequence >= 1 && !present.has(sequence)) await copyDigest(store, folder, sequence);
  }
}

async function copyDigest(store: ObjectStore, folder: BundleFolder, sequence: number): Promise<void> {
  const root = digestFolder(sequence);
  const keys: string[] = [];
  for await (const { key } of store.list(root)) {
    if (VOUCHERS.test(key.slice(root.length)) && keys.length < FILES_MAX) keys.push(key);
  }
  // Where the digest itself is gone, what is left of it vouches for nothing.
  if (!keys.includes(digestKey(sequence))) return;
  for (const key of [...keys, checkpointKey(sequence)]) await copySmall(store, folder, key);
}

/** Copies a file of the ledger; answers whether it is there and of a size that such a file has. */
export async function copySmall(store: ObjectStore, folder: BundleFolder, key: string): Promise<boolean> {
  const bytes = (await store.head(key))?.bytes ?? Infinity;
  const found = bytes > FILE_BYTES_MAX ? null : await readWhole(store, key);
  if (found !== null) await folder.write(key, found.bytes);
  return found !== null;
}
