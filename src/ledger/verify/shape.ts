import { CUSTODY_ROOT, DIGESTS_ROOT, RECORDS_ROOT, RUNS_ROOT } from '../../archive/keys.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { giveUp } from '../../errors.ts';
import { listLedger } from './chain/ledger-listing.ts';

/** What stands at a place that is to be verified, as far as its names tell. */

type Listing = Pick<ObjectStore, 'list' | 'location'>;

const BUNDLE_PATHS = /^entries\/\d{10}\.paths\.ndjson$/;

/**
 * Refuses an archive that is given as a bundle, and the reverse: of either the other's files would be missing, or not looked at.
 * @throws EverlogError `usage` with the option that is right
 */
export async function demandShape(store: Listing, isBundle: boolean): Promise<void> {
  const hasPaths = await some(store, 'entries/', (key) => BUNDLE_PATHS.test(key));
  if (hasPaths === isBundle) return;
  const hasEntries = await some(store, DIGESTS_ROOT, (key) => key.endsWith('.entries.ndjson.gz'));
  if (isBundle && hasEntries) {
    throw giveUp('usage', `--bundle: ${store.location} is an archive, no bundle: give it with --archive`);
  }
  if (!isBundle && !hasEntries) {
    throw giveUp(
      'usage',
      `--archive: ${store.location} is a bundle, no archive: give its folder with --bundle`,
    );
  }
}

/** Whether a digest or a checkpoint stands there. */
export async function hasLedger(store: ObjectStore): Promise<boolean> {
  for await (const { files, note } of listLedger(store)) {
    if (files.has('digest.json') || note !== null) return true;
  }
  return false;
}

/** Whether anything stands there that a ledger seals. */
export async function hasEvidence(store: Listing): Promise<boolean> {
  for (const root of [RECORDS_ROOT, RUNS_ROOT, CUSTODY_ROOT])
    if (await some(store, root, () => true)) return true;
  return false;
}

/** What is said where there is no ledger, and nothing can be claimed. */
export function noLedger(location: string, isBundle: boolean, hasRecords: boolean): string {
  if (isBundle) return `${location} is no bundle: there is no ledger/digests/ in it`;
  const yet = 'the first digest is written by everlog up, everlog work or everlog seal';
  if (!hasRecords) return `there is no Everlog archive at ${location}, or it has no ledger yet: ${yet}`;
  return `${location} has no ledger yet: ${yet}. Give --key with the key that you know of, and a ledger that was removed is told`;
}

async function some(store: Listing, root: string, isMeant: (key: string) => boolean): Promise<boolean> {
  for await (const { key } of store.list(root)) if (isMeant(key)) return true;
  return false;
}
