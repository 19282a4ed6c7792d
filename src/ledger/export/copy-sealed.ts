import { parseKey } from '../../archive/keys.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import type { LedgerEntry } from '../formats/formats.ts';
import type { BundleFolder } from './bundle/bundle-folder.ts';

/** How an object stands in the archive, against what was sealed of it. */
export type CopyState = 'sealed' | 'differs' | 'missing';

export interface CopiedEntry {
  readonly object: CopyState;
  /** Null where the entry names no log. */
  readonly log: CopyState | null;
  readonly bytes: number;
}

/**
 * Copies a sealed object, and the log it names, into the bundle: the very versions that were sealed, byte for byte, also where
 * they are not what was sealed. Nothing is left out quietly, and nothing made good.
 * @throws EverlogError where the store does not answer or the bundle cannot be written.
 */
export async function copySealed(
  store: ObjectStore,
  folder: BundleFolder,
  entry: LedgerEntry,
): Promise<CopiedEntry> {
  const object = await copy(store, folder, entry);
  if (entry.log === undefined) return { object: object.standing, log: null, bytes: object.bytes };
  // Only a ledger under test names something else: it is not for an export to fetch it.
  const isLog = parseKey(entry.log.key)?.type === 'log';
  const log = isLog ? await copy(store, folder, entry.log) : ({ standing: 'missing', bytes: 0 } as const);
  return { object: object.standing, log: log.standing, bytes: object.bytes + log.bytes };
}

async function copy(
  store: ObjectStore,
  folder: BundleFolder,
  sealed: Pick<LedgerEntry, 'key' | 'version_id' | 'bytes' | 'sha256'>,
): Promise<{ standing: CopyState; bytes: number }> {
  const found = await store.read(sealed.key, sealed.version_id ?? undefined);
  if (found === null) return { standing: 'missing', bytes: 0 };
  const { bytes, sha256 } = await folder.copy(sealed.key, found.body);
  const isSame = bytes === sealed.bytes && sha256 === sealed.sha256;
  return { standing: isSame ? 'sealed' : 'differs', bytes };
}
