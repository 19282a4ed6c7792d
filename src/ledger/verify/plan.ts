import { DIGESTS_ROOT, digestKey } from '../../archive/keys.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import type { Digest } from '../formats/formats.ts';
import { gunzipped, linesOf, openBytes, readBytes } from './objects/object-bytes.ts';
import { parseDigest, parseEntry } from './chain/schemas.ts';
import { EVIDENCE_ROOT, type Level } from './scope.ts';

/** What a verification will cost, guessed from the listing of the ledger and a look at a few digests. */

export interface Plan {
  readonly digests: number;
  readonly entries: number;
  /** Objects below `v1/` that will be looked at. */
  readonly objects: number;
  /** To be read, of those objects and of the ledger. */
  readonly bytes: number;
  readonly requests: number;
  /** By how long the looks took that the guess is made from. */
  readonly estimateMs: number;
}

/** Digests looked at for the guess. */
const LOOKS = 5;
/** Lines read of one entries file for the guess. */
const LINES = 200;
const LINE_BYTES_MAX = 16 * 1024;
/** Requests at once, which the guess divides the time by. */
const AT_ONCE = 16;
/** What one core hashes and decompresses of stored logs. */
const BYTES_PER_SECOND = 60 * 1024 * 1024;
/** Time of our own for one object. */
const OBJECT_MS = 0.25;
/** Digest, signature, note and entries. */
const REQUESTS_PER_DIGEST = 4;
const KEYS_PER_PAGE = 1_000;

interface Averages {
  /** Stored bytes of an entries file for one entry. */
  readonly entryBytes: number;
  readonly objectsPerEntry: number;
  /** Stored bytes below `v1/` for one entry. */
  readonly contentBytes: number;
  readonly requestMs: number;
}

/** Guesses the cost; reads the ledger's listing and up to five digests. `clockMs` measures time that passes. */
export async function planVerification(
  store: ObjectStore,
  terms: { readonly level: Level; readonly sample: number | null; readonly isBundle: boolean },
  random: () => number,
  clockMs: () => number,
): Promise<Plan> {
  let digests = 0;
  let ledgerBytes = 0;
  let entriesBytes = 0;
  const looks: number[] = [];
  for await (const { key, bytes } of store.list(DIGESTS_ROOT)) {
    ledgerBytes += bytes;
    if (key.endsWith('.entries.ndjson.gz')) entriesBytes += bytes;
    if (!key.endsWith('/digest.json')) continue;
    digests += 1;
    const sequence = Number(key.slice(DIGESTS_ROOT.length, -'/digest.json'.length));
    if (!Number.isSafeInteger(sequence) || sequence < 1) continue;
    const at = looks.length < LOOKS ? looks.length : Math.floor(random() * digests);
    if (at < LOOKS) looks[at] = sequence;
  }
  const averages = await averagesOf(store, looks, clockMs);
  if (terms.isBundle) return planOfBundle(store, digests, ledgerBytes, averages.requestMs);
  const entries = Math.round(entriesBytes / averages.entryBytes);
  const lookedAt = Math.min(entries, terms.sample ?? (terms.level === 'ledger' ? 0 : entries));
  const objects = Math.round((terms.level === 'heads' ? entries : lookedAt) * averages.objectsPerEntry);
  const readsAll = terms.level === 'bytes' || terms.sample !== null;
  const bytes = ledgerBytes + Math.round(readsAll ? lookedAt * averages.contentBytes : 0);
  const pages =
    terms.sample !== null && terms.level === 'ledger' ? objects : Math.ceil(objects / KEYS_PER_PAGE);
  const requests = digests * REQUESTS_PER_DIGEST + objects + pages;
  const waitingMs = (requests * averages.requestMs) / AT_ONCE;
  const workingMs = (bytes / BYTES_PER_SECOND) * 1_000 + (objects + entries / 10) * OBJECT_MS;
  return { digests, entries, objects, bytes, requests, estimateMs: Math.max(waitingMs, workingMs) };
}

/** A bundle has no entries files of its own, and all of its objects are looked at. */
async function planOfBundle(
  store: ObjectStore,
  digests: number,
  ledgerBytes: number,
  requestMs: number,
): Promise<Plan> {
  let objects = 0;
  let bytes = ledgerBytes;
  for await (const listed of store.list(EVIDENCE_ROOT)) {
    objects += 1;
    bytes += listed.bytes;
  }
  const requests = digests * REQUESTS_PER_DIGEST + objects;
  const workingMs = (bytes / BYTES_PER_SECOND) * 1_000 + objects * OBJECT_MS;
  const estimateMs = Math.max((requests * requestMs) / AT_ONCE, workingMs);
  return { digests, entries: objects, objects, bytes, requests, estimateMs };
}

async function averagesOf(
  store: ObjectStore,
  sequences: readonly number[],
  clockMs: () => number,
): Promise<Averages> {
  const begunMs = clockMs();
  const digests: Digest[] = [];
  for (const sequence of sequences) {
    const read = await readBytes(store, { key: digestKey(sequence), versionId: null }, 4_096);
    const parsed = read.state === 'read' ? parseDigest(read.bytes) : null;
    if (parsed?.ok === true) digests.push(parsed.value);
  }
  const requestMs = sequences.length === 0 ? 0 : (clockMs() - begunMs) / sequences.length;
  const count = digests.reduce((sum, { entries }) => sum + entries.count, 0);
  const storedBytes = digests.reduce((sum, { entries }) => sum + entries.stored_bytes, 0);
  const [largest] = digests.sort((a, b) => b.entries.count - a.entries.count);
  const content = largest === undefined ? null : await contentOf(store, largest);
  return {
    entryBytes: count === 0 ? Infinity : Math.max(1, storedBytes / count),
    objectsPerEntry: content?.objects ?? 1,
    contentBytes: content?.bytes ?? 0,
    requestMs,
  };
}

async function contentOf(
  store: ObjectStore,
  digest: Digest,
): Promise<{ objects: number; bytes: number } | null> {
  const key = `${digestKey(digest.sequence).slice(0, -'digest.json'.length)}${digest.entries.file}`;
  const opened = await openBytes(store, { key, versionId: null });
  if (opened.state !== 'open') return null;
  let [lines, objects, bytes] = [0, 0, 0];
  try {
    for await (const line of linesOf(gunzipped(opened.chunks), LINE_BYTES_MAX)) {
      const parsed = parseEntry(line);
      if (!parsed.ok) continue;
      const { log } = parsed.value;
      lines += 1;
      objects += log === undefined ? 1 : 2;
      bytes += parsed.value.bytes + (log?.bytes ?? 0);
      if (lines >= LINES) break;
    }
  } catch {
    // The verification itself will say what is wrong with this file; a guess needs no more than what could be read.
  }
  return lines === 0 ? null : { objects: objects / lines, bytes: bytes / lines };
}
