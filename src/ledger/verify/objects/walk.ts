import { checkpointKey, digestFolder, digestKey, digestSignatureKey } from '../../../archive/keys.ts';
import type { Digest, LedgerEntry } from '../../formats/formats.ts';
import { inOrder } from '../bounded-work.ts';
import { readBundleEntries } from './bundle-entries.ts';
import type { Chain } from '../chain/chain.ts';
import { noteKeyOf, readDigestFacts, type DigestFacts } from '../chain/digest-facts.ts';
import { checkGaps, readEntries, readUnvouchedEntries } from './entries.ts';
import type { KeyRing } from '../chain/key-ring.ts';
import { listLedger } from '../chain/ledger-listing.ts';
import type { SealedKeyFiles } from '../chain/sealed-key-files.ts';
import { isSignedBy, parseCheckpoint } from '../chain/note.ts';
import type { SealedEntry } from './contents.ts';
import { digestsNamed, type Result } from '../results.ts';
import { promisesWith, retentionProblem, type RetentionPromise } from './retention.ts';
import { overlaps, type Scope } from '../scope.ts';

/** Sequences read ahead of the one that is judged. */
const AHEAD = 16;

/** What the walk along the digests leaves to be judged at its end. */
export interface Walked {
  /** The first that could be read. */
  readonly firstDigest: Digest | null;
  /** The last that is believed; where none is, the last that could be read. */
  readonly lastDigest: Digest | null;
  /** The highest sequence that a note of a believed key vouches for; 0: none. */
  readonly notedTo: number;
  /** Where the archive was when digests were written, if elsewhere than now; the newest such place. */
  readonly formerPlace: { readonly archive: string; readonly sequence: number } | null;
  readonly timeStamps: number;
  /** Ids of the keys that digests name. */
  readonly keyIds: ReadonlySet<string>;
  readonly looked: LookedAt;
  /** Entries of records, runs and custody objects, whatever the range and the selection ask for; of what comes before it at level `ledger` none. */
  readonly objects: number;
}

/** What the ledger's entries are handed to, one after another. */
export interface EntryTaker {
  take(sealed: SealedEntry, isAsked: boolean): Promise<void>;
}

/** The part of the ledger that the range asks for, and of its entries those of the selection. */
export interface LookedAt {
  readonly digests: number;
  readonly entries: number;
  /** Start of the first window and end of the last, RFC 3339; null where there is none. */
  readonly from: string | null;
  readonly to: string | null;
}

/** By how much clocks of sealers and verifiers may differ. */
const CLOCK_SKEW_MS = 5 * 60_000;
/** Different keys that a summary names; a forger could make one for each digest. */
const KEY_IDS_MAX = 1_000;

/** Walks along the digests, judges each and its files, and hands their entries on. */
export async function walkLedger(
  scope: Scope,
  chain: Chain,
  ring: KeyRing,
  keyFiles: SealedKeyFiles,
  objects: EntryTaker,
): Promise<Walked> {
  let firstDigest: Digest | null = null;
  let lastDigest: Digest | null = null;
  let lastBelieved = false;
  let notedTo = 0;
  let formerPlace: Walked['formerPlace'] = null;
  let timeStamps = 0;
  let noteless: DigestFacts | null = null;
  const keyIds = new Set<string>();
  let promises: readonly RetentionPromise[] = [];
  const looked: Looked = { digests: 0, entries: 0, from: null, to: null };
  let taken = 0;
  const counting: EntryTaker = {
    take: (sealed, isAsked) => {
      taken += 1;
      return objects.take(sealed, isAsked);
    },
  };
  const places = listLedger(scope.store);
  for await (const facts of inOrder(places, AHEAD, (place) => readDigestFacts(scope, place))) {
    notedTo = Math.max(notedTo, notedBy(facts, ring));
    if (facts.bytes === null) continue;
    // A note that is missing is made up for by the next seal, so only of the last digest it may be on its way.
    if (noteless !== null) await reportMissingNote(scope, noteless);
    noteless = facts.note === null ? facts : null;
    const { results, believed, damaged } = chain.judge(facts);
    scope.meter.digests += 1;
    if (results.length === 0) scope.meter.valid += 1;
    for (const result of results) await scope.report(result);
    for (const name of facts.place.files.keys()) if (name.endsWith('.tsr')) timeStamps += 1;
    const { digest } = facts;
    if (damaged || digest === null) {
      await readDamaged(scope, facts, objects);
      continue;
    }
    firstDigest ??= digest;
    // What a damaged or forged digest says of itself is worth nothing beside one that is believed.
    if (believed || !lastBelieved) lastDigest = digest;
    lastBelieved ||= believed;
    if (keyIds.size < KEY_IDS_MAX) keyIds.add(digest.key_id);
    const pinned = scope.isBundle || digest.archive === scope.store.location;
    if (!pinned && believed) formerPlace = { archive: digest.archive, sequence: digest.sequence };
    if (believed) promises = promisesWith(promises, digest.storage, Date.parse(digest.window_end));
    const judged = {
      facts,
      digest,
      believed,
      pinned: pinned && !scope.isBundle,
      promises,
      atMs: chain.latestCreatedMs,
    };
    await readContents(scope, judged, keyFiles, counting, looked);
  }
  if (noteless !== null && isSettled(scope, noteless.digest)) await reportMissingNote(scope, noteless);
  return { firstDigest, lastDigest, notedTo, formerPlace, timeStamps, keyIds, looked, objects: taken };
}

interface JudgedDigest {
  readonly facts: DigestFacts;
  readonly digest: Digest;
  readonly believed: boolean;
  readonly pinned: boolean;
  /** Of all believed digests up to this one. */
  readonly promises: readonly RetentionPromise[];
  /** Not before it was made. */
  readonly atMs: number;
}

type Looked = { -readonly [Name in keyof LookedAt]: LookedAt[Name] };

async function readContents(
  scope: Scope,
  judged: JudgedDigest,
  keyFiles: SealedKeyFiles,
  objects: EntryTaker,
  looked: Looked,
): Promise<void> {
  const { facts, digest, believed, pinned, atMs } = judged;
  const endMs = Date.parse(digest.window_end);
  // What was written in the range may be sealed, and its removal told of, at any time after; what was sealed before has to be
  // known where everything that stands there is compared with the ledger, and where a key was revoked.
  const isBefore = scope.range.fromMs !== null && endMs < scope.range.fromMs;
  if (isBefore && !scope.isBundle && scope.level === 'ledger' && !keyFiles.decidesBelief) return;
  const inRange = overlaps(scope.range, Date.parse(digest.window_start), endMs);
  if (inRange) {
    looked.digests += 1;
    looked.from ??= digest.window_start;
    looked.to = digest.window_end;
  }
  const { sequence } = facts;
  const onEntry = async (entry: LedgerEntry): Promise<void> => {
    const { selected } = scope;
    const isAsked = inRange && (selected === null || selected.has(entry.key));
    if (isAsked) looked.entries += 1;
    scope.meter.entries = looked.entries;
    if (keyFiles.take(entry, { sequence, believed, atMs })) return;
    await objects.take({ entry, sequence, believed, promises: judged.promises, pinned }, isAsked);
  };
  if (scope.isBundle) return readBundleEntries(scope, sequence, digest, onEntry);
  await checkGaps(scope, facts, digest);
  await readEntries(scope, facts, digest, onEntry);
  if (inRange && believed) await checkLocks(scope, facts, digest);
}

/**
 * The entries of a digest that is damaged: nothing vouches for them, but what they name was known to the ledger, and the
 * damage to the digest is enough said.
 */
async function readDamaged(scope: Scope, facts: DigestFacts, objects: EntryTaker): Promise<void> {
  const { selected, range } = scope;
  const isWhole = range.fromMs === null && range.toMs === null;
  const { sequence } = facts;
  await readUnvouchedEntries(scope, facts, async (entry) => {
    const sealed = { entry, sequence, believed: false, promises: [], pinned: false };
    await objects.take(sealed, isWhole && (selected === null || selected.has(entry.key)));
  });
}

/** The ledger's own files are promised the same retention as what they seal. */
async function checkLocks(scope: Scope, facts: DigestFacts, digest: Digest): Promise<void> {
  if (digest.storage.lock_mode === 'none') return;
  // Written by the sealer itself, under the setting that the digest names.
  const own = promisesWith([], digest.storage, Date.parse(digest.window_end));
  const signature = digestSignatureKey(facts.sequence, facts.sha256);
  const names = ['digest.json', signature.slice(signature.lastIndexOf('/') + 1), digest.entries.file];
  const standing = names.map((name) => facts.place.files.get(name));
  for (const object of [...standing, facts.place.note ?? undefined]) {
    const version = object?.versions.at(-1);
    if (version === undefined) continue;
    const place = { key: version.key, versionId: version.versionId };
    const detail = await retentionProblem(scope, own, place, version.lastModified);
    if (detail !== null) await scope.report({ result: 'RETENTION_SHORT', key: version.key, detail });
  }
}

function notedBy(facts: DigestFacts, ring: KeyRing): number {
  const note = facts.note === null ? null : parseCheckpoint(facts.note);
  if (note === null || facts.bytes !== null) return 0;
  return ring.believedKeys().some((key) => isSignedBy(note, key)) ? note.size : 0;
}

async function reportMissingNote(scope: Scope, facts: DigestFacts): Promise<void> {
  if (scope.isBundle) return;
  const detail = `the checkpoint of digest ${facts.sequence} is gone`;
  await scope.report({ result: 'MISSING', key: noteKeyOf(facts), detail });
}

function isSettled(scope: Scope, digest: Digest | null): boolean {
  if (digest === null) return false;
  return scope.nowMs - Date.parse(digest.created_at) > 2 * digest.interval_seconds * 1_000;
}

/** What the end of the walk says by itself: notes without digests, and the clock. */
export async function judgeTail(scope: Scope, chain: Chain, walked: Walked): Promise<Result[]> {
  const last = chain.last?.sequence ?? 0;
  const key = digestKey(last + 1);
  // Digests and notes are listed side by side, so that of a digest sealed meanwhile the note alone may have been seen.
  const isNew = walked.notedTo > last && (await scope.store.head(digestKey(walked.notedTo))) !== null;
  if (walked.notedTo > last && !isNew) {
    const missing = digestsNamed(last + 1, walked.notedTo);
    const detail = `${missing} stood here once: ${checkpointKey(walked.notedTo)} was signed`;
    return [{ result: 'TRUNCATED', key, detail }];
  }
  const { lastDigest } = walked;
  if (chain.last === null && !scope.isBundle) {
    const detail =
      'what a ledger has sealed stands here, and there is no digest: the whole ledger was removed';
    return [{ result: 'TRUNCATED', key, detail }];
  }
  if (lastDigest === null || scope.isBundle) return [];
  if (Date.parse(lastDigest.window_end) > scope.nowMs + CLOCK_SKEW_MS) return [inTheFuture(lastDigest)];
  if (lastDigest.final || scope.range.toMs !== null) return [];
  const sinceMs = scope.nowMs - Date.parse(lastDigest.window_end);
  // Digests after it that are there, and not believed, have their own results.
  const intervals = sinceMs / (lastDigest.interval_seconds * 1_000) - Math.max(0, last - lastDigest.sequence);
  if (intervals <= 2) return [];
  const detail = `digest ${last} is the last, and its window ended at ${lastDigest.window_end}, ${Math.floor(intervals)} intervals ago: digests were removed, or nothing has sealed since`;
  return [{ result: 'TRUNCATED', key, detail }];
}

/** As windows follow each other, the last ends latest. Until that moment no clock can tell what was cut off behind it. */
function inTheFuture({ sequence, window_end: end }: Digest): Result {
  const detail = `its window ends at ${end}, in the future: the sealer's clock was wrong, or this one's is, and whether later digests were removed cannot be told by it`;
  return { result: 'GAP', key: digestKey(sequence), detail };
}

/** Says of a bundle which digests it leaves out, and of an archive where it was before. */
export function remarksOn(scope: Scope, walked: Walked): Result[] {
  const results: Result[] = [];
  const { formerPlace, timeStamps, lastDigest } = walked;
  if (formerPlace !== null) {
    const detail = `sealed as ${formerPlace.archive}, up to digest ${formerPlace.sequence}: versions were not compared with those sealed there`;
    results.push({ result: 'RELOCATED', key: digestKey(formerPlace.sequence), detail });
  }
  if (timeStamps > 0) {
    const detail = `${timeStamps} time stamps (*.tsr): check them with openssl ts -verify and the authority’s certificate`;
    results.push({ result: 'NOT_CHECKED', key: 'ledger/digests/', detail });
  }
  if (scope.isBundle && lastDigest !== null && lastDigest.storage.lock_mode !== 'none') {
    const key = digestFolder(lastDigest.sequence);
    results.push({ result: 'NOT_CHECKED', key, detail: 'retention: the copies in a bundle have no locks' });
  }
  return results;
}
