import { CHECKPOINTS_ROOT, DIGESTS_ROOT } from '../../../archive/keys.ts';
import type { ListedVersion, ObjectStore } from '../../../store/object-store.ts';
import type { ObjectPlace } from '../objects/object-bytes.ts';
import type { Report } from '../results.ts';

/** What stands below `ledger/`, one sequence after another, with every version. */

/** Every version of one key. */
export interface StandingObject {
  readonly key: string;
  /** Without delete markers, newest first. */
  readonly versions: readonly ListedVersion[];
  readonly deleteMarkers: number;
}

/** The folder of one digest. */
export interface DigestFolder {
  readonly sequence: number;
  /** By the name in the folder. */
  readonly files: ReadonlyMap<string, StandingObject>;
}

const DIGEST_FILE = /^ledger\/digests\/(\d{10})\/([^/]+)$/;
const NOTE = /^ledger\/checkpoints\/(\d{10})\.note$/;
const RELEVANT = /^(digest\.json|[0-9a-f]{64}\.(sig|tsr|entries\.ndjson\.gz|gaps\.ndjson))$/;
/** A digest has at most five files, and a crashed sealer leaves two or three: more are not looked at. */
const FILES_MAX = 1_000;
/** Versions of one key that are kept; one is what there should be. */
const VERSIONS_MAX = 100;

/** The folder and the note of one sequence, whichever of them there is. */
export interface LedgerPlace extends DigestFolder {
  readonly note: StandingObject | null;
}

/** Everything of each sequence, ascending. */
export async function* listLedger(store: ObjectStore): AsyncGenerator<LedgerPlace> {
  const notes = listNotes(store);
  let note = await notes.next();
  for await (const folder of listDigestFolders(store)) {
    for (; note.done !== true && note.value.sequence < folder.sequence; note = await notes.next()) {
      yield { sequence: note.value.sequence, files: new Map(), note: note.value.object };
    }
    const isOurs = note.done !== true && note.value.sequence === folder.sequence;
    yield { ...folder, note: isOurs ? note.value.object : null };
    if (isOurs) note = await notes.next();
  }
  for (; note.done !== true; note = await notes.next()) {
    yield { sequence: note.value.sequence, files: new Map(), note: note.value.object };
  }
}

/** The folders of digests, ascending. */
async function* listDigestFolders(store: ObjectStore): AsyncGenerator<DigestFolder> {
  let sequence = 0;
  let files = new Map<string, StandingObject>();
  for await (const object of listStanding(store, DIGESTS_ROOT)) {
    const [, digits, name = ''] = DIGEST_FILE.exec(object.key) ?? [];
    if (digits === undefined || Number(digits) === 0 || !RELEVANT.test(name)) continue;
    if (Number(digits) !== sequence) {
      if (files.size > 0) yield { sequence, files };
      sequence = Number(digits);
      files = new Map();
    }
    if (files.size < FILES_MAX) files.set(name, object);
  }
  if (files.size > 0) yield { sequence, files };
}

/** The notes, ascending. */
async function* listNotes(store: ObjectStore): AsyncGenerator<{ sequence: number; object: StandingObject }> {
  for await (const object of listStanding(store, CHECKPOINTS_ROOT)) {
    const [, digits] = NOTE.exec(object.key) ?? [];
    if (digits !== undefined && Number(digits) > 0) yield { sequence: Number(digits), object };
  }
}

/** Groups a listing of versions by key. */
export async function* listStanding(store: ObjectStore, prefix: string): AsyncGenerator<StandingObject> {
  let key: string | null = null;
  let versions: ListedVersion[] = [];
  let deleteMarkers = 0;
  for await (const listed of store.listVersions(prefix)) {
    if (key !== null && listed.key !== key) {
      yield { key, versions, deleteMarkers };
      versions = [];
      deleteMarkers = 0;
    }
    key = listed.key;
    if (listed.isDeleteMarker) deleteMarkers += 1;
    // Past the limit only the oldest is wanted, which comes last.
    else versions[Math.min(versions.length, VERSIONS_MAX - 1)] = listed;
  }
  if (key !== null) yield { key, versions, deleteMarkers };
}

/**
 * The version to read of an object of the ledger: the oldest, as nothing is ever overwritten and whatever came later hides it.
 * Null where every version is gone.
 */
export function originalOf({ key, versions, deleteMarkers }: StandingObject): ObjectPlace | null {
  const oldest = versions.at(-1);
  if (oldest === undefined) return null;
  return { key, versionId: versions.length > 1 || deleteMarkers > 0 ? oldest.versionId : null };
}

/** Reports what stands over an object's first version. */
export async function reportOverlays(object: StandingObject, report: Report): Promise<void> {
  const { key, versions, deleteMarkers } = object;
  if (versions.length > 1) {
    await report({ result: 'SHADOWED', key, detail: `${versions.length} versions; one was ever written` });
  }
  if (deleteMarkers > 0) {
    await report({ result: 'HIDDEN', key, detail: 'a delete marker stands on it' });
  }
}
