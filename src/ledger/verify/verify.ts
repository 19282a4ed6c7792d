import { revocationKey, signingKeyKey } from '../../archive/keys.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { giveUp, type EverlogError } from '../../errors.ts';
import {
  anchoredTo,
  judgeAnchor,
  judgeAnchoredKeys,
  readAnchor,
  unanchored,
  type Anchored,
  type AnchorSource,
} from './chain/anchor.ts';
import { Chain } from './chain/chain.ts';
import { loadKeys } from './chain/key-files.ts';
import { KeyRing } from './chain/key-ring.ts';
import { SealedKeyFiles, type KeyTerms } from './chain/sealed-key-files.ts';
import { listLedger, originalOf } from './chain/ledger-listing.ts';
import { readBytes } from './objects/object-bytes.ts';
import { Objects } from './objects/objects.ts';
import { planVerification, type Plan } from './plan.ts';
import { isFinding, type Report, type Result } from './results.ts';
import { parseDigest } from './chain/schemas.ts';
import { objectsOf, type VerifiedPart } from './selection.ts';
import { demandShape, hasEvidence, hasLedger, noLedger } from './shape.ts';
import { Meter, type Level, type Range, type Scope } from './scope.ts';
import { summarize, type Summary } from './summary.ts';
import type { GraceTerms } from './objects/uncovered.ts';
import { judgeTail, remarksOn, walkLedger, type Walked } from './objects/walk.ts';

/**
 * Checks an archive or a bundle against its own ledger. Shares no code with what writes either, beyond the formats' types;
 * reads through the store's port alone, writes nothing to it, and holds memory that does not grow with the archive.
 */

export interface VerifyOptions {
  readonly store: ObjectStore;
  /** Whether the store is an exported bundle rather than an archive. */
  readonly isBundle: boolean;
  /** Of a bundle: paths below `v1/` of what is no object there, such as links and hidden files. */
  readonly strays: AsyncIterable<string> | null;
  readonly level: Level;
  /** So many random entries at level `bytes`, and the others at `level`, which is `ledger` or `heads` then. */
  readonly sample: number | null;
  readonly range: Range;
  /** What of the archive is looked at; null: everything. */
  readonly selection: VerifiedPart | null;
  /** SHA-256 of the SPKI of the key to be believed; null: the archive's own are. */
  readonly pinnedKeyId: string | null;
  readonly anchor: AnchorSource | null;
  /** For what does not fit into memory: about 1 KB for each entry. */
  readonly temporaryFolder: string;
  readonly now: () => Date;
  /** 0 up to 1. */
  readonly random: () => number;
  readonly onPlan: (plan: Plan) => Promise<void>;
  readonly onResult: Report;
  /** Called often, with counts that go on changing. */
  readonly onProgress: (meter: Readonly<Meter>) => void;
}

/** Digests tried for a first one whose key can be told. */
const FIRST_TRIES = 10;
const DIGEST_BYTES_MAX = 4_096;
const PROGRESS_MS = 100;
/** What was written in so many intervals may be waiting for its digest. */
const GRACE_INTERVALS = 2;

/**
 * Verifies, giving each result as it is found.
 * @throws EverlogError `not_found` where there is no ledger at all, or nothing was sealed in the range or of the selection; `usage` for an anchor that
 *   is none, a bundle that is an archive, or the reverse; `spool_unavailable` where temporary files cannot be written;
 *   `store_unavailable` where the store does not answer
 */
export async function verifyLedger(options: VerifyOptions): Promise<Summary> {
  const { store, level, sample, range, isBundle } = options;
  const selected = options.selection === null ? null : objectsOf(options.selection);
  const meter = new Meter();
  const counts = new Map<string, number>();
  let findings = 0;
  const report: Report = async (result) => {
    counts.set(result.result, (counts.get(result.result) ?? 0) + 1);
    if (isFinding(result)) findings += 1;
    await options.onResult(result);
  };
  const nowMs = options.now().getTime();
  const scope: Scope = { store, isBundle, level, sample, range, selected, nowMs, report, meter };
  await demandShape(store, isBundle);
  const anchored = options.anchor === null ? null : await readAnchor(options.anchor);
  if ((anchored === null || anchoredTo(anchored) === 0) && !(await hasLedger(store))) {
    const hasRecords = !isBundle && (await hasEvidence(store));
    // Who knows the key knows that there was a ledger.
    if (options.pinnedKeyId === null || !hasRecords)
      throw giveUp('not_found', noLedger(store.location, isBundle, hasRecords));
  }
  const clockMs = (): number => options.now().getTime();
  await options.onPlan(await planVerification(store, scope, options.random, clockMs));
  const ring = await openRing(scope, options.pinnedKeyId);
  const chain = new Chain(ring, isBundle);
  if (anchored !== null) wantAnchored(chain, anchored);
  const objects = new Objects(scope, options.temporaryFolder, options.random);
  const ticking = setInterval(() => options.onProgress(meter), PROGRESS_MS);
  try {
    const keyFiles = new SealedKeyFiles(ring);
    const walked = await walkLedger(scope, chain, ring, keyFiles, objects);
    const tail = await judgeTail(scope, chain, walked);
    const judgedKeys = keyFiles.judge(keyTermsOf(scope, walked));
    meter.valid += judgedKeys.valid;
    const outside = [...judgeOutside(anchored, chain), ...judgeAnchoredKeys(anchored, ring.files)];
    const ending = [tail, judgedKeys.results, judgePin(ring), outside, remarksOn(scope, walked)].flat();
    // Where nothing was looked at, nothing can be valid; what is wrong with the ledger itself comes first.
    const isSound = findings === 0 && !ending.some(isFinding);
    if (isSound && walked.looked.digests === 0) throw nothingSealed(scope, walked);
    for (const result of ending) await report(result);
    await objects.compare(graceOf(walked));
    for await (const key of options.strays ?? []) {
      await report({ result: 'UNSEALED', key, detail: 'it is no plain file, and no digest can cover it' });
    }
    if (isBundle && walked.objects === 0) await report(NO_ENTRIES);
    const isPart = range.fromMs !== null || range.toMs !== null || selected !== null;
    if (findings === 0 && isPart && walked.looked.entries === 0) throw nothingSealed(scope, walked);
    for (const result of leftOut(scope)) await report(result);
    const anchoredSequence = anchored === null ? null : anchoredTo(anchored);
    return summarize(scope, ring, chain, walked, anchoredSequence, counts, findings);
  } finally {
    clearInterval(ticking);
    await objects.close();
  }
}

function wantAnchored(chain: Chain, { note, digest }: Anchored): void {
  if (note !== null) chain.wantRoot(note.size);
  if (digest !== null) chain.wantHash(digest.sequence);
}

/** The keys and how far they are believed; reports what is wrong with their files. */
export async function openRing(scope: Scope, pinnedKeyId: string | null): Promise<KeyRing> {
  const loaded = await loadKeys(scope.store, scope.report);
  const ring = new KeyRing(loaded, pinnedKeyId ?? (await firstKeyId(scope.store)), pinnedKeyId !== null);
  if (pinnedKeyId !== null && !loaded.keys.has(pinnedKeyId)) {
    const detail = 'there is no sound file of the key that --key names, so nothing here can be believed';
    await scope.report({ result: 'UNKNOWN_KEY', key: signingKeyKey(pinnedKeyId), detail });
  }
  for (const { key_id: keyId } of ring.plantedRevocations()) {
    const detail = 'nobody entitled to revoke this key signed it; it counts for nothing';
    await scope.report({ result: 'BAD_SIGNATURE', key: revocationKey(keyId), detail });
  }
  return ring;
}

/** A revoked key vouches for nothing any more: whoever stole it could have made all that a pin on it leads to. */
function judgePin(ring: KeyRing): Result[] {
  const { pinnedKeyId } = ring;
  const revokedAt = pinnedKeyId === null ? null : ring.revokedAt(pinnedKeyId);
  if (pinnedKeyId === null || revokedAt === null) return [];
  const detail = `the key that --key names was revoked at ${revokedAt}: ask the owner for the fingerprint of its successor`;
  return [{ result: 'REVOKED_KEY', key: signingKeyKey(pinnedKeyId), detail }];
}

async function firstKeyId(store: ObjectStore): Promise<string | null> {
  let tries = 0;
  for await (const { files } of listLedger(store)) {
    const object = files.get('digest.json');
    const original = object === undefined ? null : originalOf(object);
    if (original === null) continue;
    const read = await readBytes(store, original, DIGEST_BYTES_MAX);
    const parsed = read.state === 'read' ? parseDigest(read.bytes) : null;
    if (parsed?.ok === true) return parsed.value.key_id;
    tries += 1;
    if (tries >= FIRST_TRIES) break;
  }
  return null;
}

function judgeOutside(anchored: Anchored | null, chain: Chain): Result[] {
  if (anchored !== null) return judgeAnchor(anchored, chain);
  return [unanchored(chain.last?.sequence ?? 0, 'there is no anchor')];
}

/** An export always has some: whoever took them all out left nothing that could be sound. */
const NO_ENTRIES: Result = {
  result: 'MISSING',
  key: 'entries/',
  detail: 'the bundle has no entry of any record, so that nothing in it is proven',
};

/** What ends a verification that looked at nothing. */
function nothingSealed(
  { range, selected, store }: Scope,
  { firstDigest, lastDigest, looked }: Walked,
): EverlogError {
  const iso = (ms: number | null, open: string): string => (ms === null ? open : new Date(ms).toISOString());
  const asked = `between ${iso(range.fromMs, 'the beginning')} and ${iso(range.toMs, 'now')}`;
  const span = `the ledger of ${store.location} spans ${firstDigest?.window_start ?? '-'} to ${lastDigest?.window_end ?? '-'}`;
  const empty =
    looked.digests === 0
      ? ''
      : ` (${looked.digests} digests without entries${selected === null ? '' : ' of it'})`;
  const what = selected === null ? 'nothing' : `nothing of ${selected.words}`;
  return giveUp('not_found', `${what} was sealed ${asked}${empty}: ${span}`);
}

function graceOf({ lastDigest }: Walked): GraceTerms {
  return {
    graceMs: GRACE_INTERVALS * (lastDigest?.interval_seconds ?? 0) * 1_000,
    windowEndMs: Date.parse(lastDigest?.window_end ?? '') || 0,
  };
}

/** By the ledger's own windows, and by what a key says of itself: the times of files prove nothing. */
function keyTermsOf({ isBundle }: Scope, walked: Walked): KeyTerms {
  const { graceMs, windowEndMs } = graceOf(walked);
  return {
    lastWindowEndMs: walked.lastDigest === null ? null : windowEndMs,
    graceMs: isBundle ? -Infinity : graceMs,
  };
}

/** What the level, the sample and the range left out. */
function leftOut({ level, sample, range, selected, meter }: Scope): Result[] {
  const details: string[] = [];
  if (sample !== null) {
    details.push(
      `the bytes of ${Math.min(sample, meter.entries)} random entries of ${meter.entries} were read`,
    );
  }
  if (level === 'ledger') details.push('the listing was not compared with the ledger (level ledger)');
  if (level === 'heads')
    details.push('sizes and the store’s own hashes were compared, bytes not read (level heads)');
  if (selected !== null) details.push(`objects that are not of ${selected.words}`);
  if (range.fromMs !== null) details.push(`objects sealed before ${new Date(range.fromMs).toISOString()}`);
  if (range.toMs !== null) details.push(`objects sealed after ${new Date(range.toMs).toISOString()}`);
  return details.map((detail) => ({ result: 'NOT_CHECKED', key: 'v1/', detail }));
}
