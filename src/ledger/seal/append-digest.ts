import { createPublicKey, verify } from 'node:crypto';
import { digestFolder, digestKey, digestSignatureKey } from '../../archive/keys.ts';
import { compareKeys } from '../../store/object-key.ts';
import type { ObjectStore, PutBody } from '../../store/object-store.ts';
import { bytesBody } from '../../store/put-body.ts';
import { giveUp, retryable } from '../../errors.ts';
import type { Log } from '../../logger.ts';
import { listedCandidates, pendingCandidates, type SealCandidate } from './seal-candidates.ts';
import { keyCandidates, KEYS_NOTE, type KeyCandidates } from './key-candidates.ts';
import { collect, ENTRIES_PER_DIGEST_MAX, type Collected, type CollectionFiles } from './collection.ts';
import { appendGaps, draftDigest, finishFiles, type DigestFiles, type DigestFrame } from './digest-draft.ts';
import { parseStandingDigest, serializeDigest } from '../formats/digest.ts';
import type { Digest } from '../formats/formats.ts';
import type { LedgerState } from './ledger-state.ts';
import { openLineFile, type LineFile } from '../formats/line-file.ts';
import { openMerkleTree } from '../formats/merkle.ts';
import type { Accounting, CommitsToSeal, SealNotes, Signer } from '../ports.ts';
import type { SealClaim } from './seal-claim.ts';
import type { SealFinding } from '../seal-report.ts';
import { openSealedKeys } from './sealed-keys.ts';
import { readSealed, sha256Hex, type Standing } from '../standing-digests.ts';

/** Makes one digest and commits it: entries, gaps and signature first, then `digest.json`, which only one sealer can create. */
export interface AppendDeps {
  readonly store: ObjectStore;
  readonly signer: Signer;
  readonly pending: CommitsToSeal;
  readonly accounting: Accounting;
  readonly notes: SealNotes;
  readonly storage: Digest['storage'];
  readonly intervalMs: number;
  readonly spoolFolder: string;
  readonly now: () => Date;
  readonly randomBytes: (count: number) => Uint8Array;
  readonly log: Log;
  readonly claim: SealClaim;
  readonly stream: string;
  readonly throwIfStopped: () => void;
  /** Keeps what was found before the digest stands, after which it is not looked at again; `where` is as in `OnFindings`. */
  readonly onFound: (where: string, findings: readonly SealFinding[]) => Promise<void>;
}

/**
 * Told of findings before the digest that first shows them stands, so that a sealer which ends in between loses none. `where` is
 * the same for those that are told of again.
 */
export type OnFindings = (where: string, count: number) => Promise<void>;

/** What is being sealed, over as many digests as it takes. */
export interface Collecting {
  readonly startedAt: Date;
  /** The last digest when it began: those made since hold lower keys. */
  readonly base: Standing | null;
  /** Since when what was written is listed; null where the pending commits are known to be complete. */
  readonly listedSinceMs: number | null;
  /** The last key that is sealed or left out. */
  readonly after: string | null;
}

export type Appended =
  | {
      readonly outcome: 'appended';
      readonly standing: Standing;
      /** The last key looked at where more may wait; null where nothing does. */
      readonly stoppedAt: string | null;
      readonly entries: number;
      readonly gaps: number;
      readonly findings: readonly SealFinding[];
      readonly handled: DigestFiles['handled'];
      /** Of the keys and revocations that are all sealed with it; see `KEYS_NOTE`. */
      readonly keysMark: string;
    }
  /** Another sealer committed this sequence. */
  | { readonly outcome: 'lost' };

/** Says which digest the pending commits were last sealed with, in case that nobody comes to say so afterwards. */
export const COMMIT_NOTE = 'ledger-commit';
const COMMIT_KEPT_MS = 400 * 24 * 60 * 60_000;
const FILE_NAME_BYTES = 12;

/**
 * Appends the next digest. `whenCommitted` is called once it stands and before its temp files are gone.
 * @throws EverlogError `ledger_damaged` where a store that does not refuse a second object let another sealer overwrite ours
 */
export async function appendDigest(
  deps: AppendDeps,
  state: LedgerState,
  collecting: Collecting,
  options: { readonly final: boolean; readonly entriesMax?: number },
  whenCommitted: (appended: Extract<Appended, { outcome: 'appended' }>) => Promise<void>,
): Promise<Appended> {
  const files = await openFiles(deps);
  try {
    const findings: SealFinding[] = [];
    const entriesMax = options.entriesMax ?? ENTRIES_PER_DIGEST_MAX;
    const keys = keyCandidates(state.keys, deps.signer.keyId, deps.stream);
    findings.push(...keys.findings);
    const collected = await collectInto(deps, files, keys, collecting, entriesMax, (finding) =>
      findings.push(finding),
    );
    const { gaps, ...known } = await deps.accounting.read();
    const isLast = collected.stoppedAt === null;
    // Gaps are of the ledger, not of one digest: those that are followed by another at once need not repeat them.
    if (isLast) await appendGaps(files.gaps, gaps);
    const finished = await finishFiles(files);
    const frame = frameOf(deps, state, collecting, { isLast, final: options.final && isLast });
    const bytes = serializeDigest(draftDigest(frame, finished, collected, known));
    if (findings.length > 0) await deps.onFound(`digest ${(state.last?.sequence ?? 0) + 1}`, findings);
    const standing = await commit(deps, frame, finished, bytes);
    if (standing === null) return { outcome: 'lost' };
    const appended = {
      outcome: 'appended',
      standing,
      stoppedAt: collected.stoppedAt,
      entries: finished.entries.count,
      gaps: finished.gaps?.count ?? 0,
      findings,
      handled: finished.handled,
      keysMark: keys.mark,
    } as const;
    await whenCommitted(appended);
    return appended;
  } finally {
    await Promise.all([files.entries.close(), files.gaps.close(), files.handled.close()]);
  }
}

async function openFiles({ spoolFolder, randomBytes }: AppendDeps): Promise<CollectionFiles> {
  const unique = Buffer.from(randomBytes(FILE_NAME_BYTES)).toString('hex');
  const opened: LineFile[] = [];
  async function open(name: string, gzip: boolean): Promise<LineFile> {
    const file = await openLineFile(spoolFolder, { name: `${name}-${unique}`, gzip });
    opened.push(file);
    return file;
  }
  try {
    const entries = await open('entries', true);
    const gaps = await open('gaps', false);
    const handled = await open('handled', false);
    return { entries, gaps, handled, tree: openMerkleTree() };
  } catch (error) {
    await Promise.all(opened.map((file) => file.close()));
    throw error;
  }
}

async function collectInto(
  deps: AppendDeps,
  files: CollectionFiles,
  keys: KeyCandidates,
  { base, listedSinceMs, after }: Collecting,
  entriesMax: number,
  onFinding: (finding: SealFinding) => void,
): Promise<Collected> {
  const { store, pending, notes, log, throwIfStopped } = deps;
  // Those that were sealed with the last digest by this queue's account are not looked for in the ledger again.
  const [sealedMark] = listedSinceMs === null ? await notes.noted([KEYS_NOTE]) : [];
  const unsealed = sealedMark === keys.mark ? [] : keys.candidates.filter((one) => isBehind(one, after));
  const committed =
    listedSinceMs === null
      ? pendingCandidates(pending, after)
      : listedCandidates(store, pending, { sinceMs: listedSinceMs, after });
  const candidates = inTurn(unsealed, committed);
  const sealed = openSealedKeys(store, base, onFinding);
  const lastCreatedMs = base === null ? -Infinity : Date.parse(base.digest.created_at);
  const collection = { store, sealed, lastCreatedMs, files, onFinding, throwIfStopped, log };
  return collect(collection, candidates, entriesMax);
}

/** Keys of the archive's `ledger/` come before all of `v1/`. */
async function* inTurn(
  first: readonly SealCandidate[],
  rest: AsyncIterable<SealCandidate>,
): AsyncGenerator<SealCandidate> {
  yield* first;
  yield* rest;
}

function isBehind({ key }: SealCandidate, after: string | null): boolean {
  return after === null || compareKeys(key, after) > 0;
}

/** A window ends when what it holds was asked for; one that cannot hold it all does not move on. Time never goes back. */
function frameOf(
  deps: AppendDeps,
  { last, key }: LedgerState,
  { startedAt }: Collecting,
  { isLast, final }: { readonly isLast: boolean; readonly final: boolean },
): DigestFrame {
  const windowStart = last === null ? startedAt : new Date(last.digest.window_end);
  const windowEnd = isLast ? latestTime(startedAt, windowStart) : windowStart;
  const createdAt = latestTime(
    deps.now(),
    windowEnd,
    new Date(key.notBefore),
    ...(last === null ? [] : [new Date(last.digest.created_at)]),
  );
  const { stream, intervalMs, storage } = deps;
  const archive = deps.store.location;
  const keyId = deps.signer.keyId;
  return {
    stream,
    previous: last,
    windowStart,
    windowEnd,
    createdAt,
    intervalMs,
    final,
    archive,
    storage,
    keyId,
  };
}

function latestTime(...times: readonly Date[]): Date {
  return new Date(Math.max(...times.map((time) => time.getTime())));
}

/** Answers null when another sealer was first. */
async function commit(
  deps: AppendDeps,
  frame: DigestFrame,
  files: DigestFiles,
  bytes: Buffer,
): Promise<Standing | null> {
  const { store, signer, notes, claim } = deps;
  const sequence = (frame.previous?.sequence ?? 0) + 1;
  const folder = digestFolder(sequence);
  const sha256 = sha256Hex(bytes);
  const signature = await signer.sign(bytes);
  if (!verify(null, bytes, createPublicKey(signer.publicKeyPem), signature))
    throw retryable('signing_unavailable', `the signature of key ${signer.keyId} does not hold`);
  await putDigestFile(store, folder + files.entriesName, files.entries.body, 'application/gzip');
  if (files.gaps !== null)
    await putDigestFile(store, folder + files.gapsName, files.gaps.body, 'application/x-ndjson');
  await putDigestFile(
    store,
    digestSignatureKey(sequence, sha256),
    bytesBody(signature),
    'application/octet-stream',
  );
  deps.throwIfStopped();
  await claim.confirm();
  await notes.note(COMMIT_NOTE, commitNote(sequence, sha256), COMMIT_KEPT_MS);
  const key = digestKey(sequence);
  const outcome = await putDigestFile(store, key, bytesBody(bytes), 'application/json');
  const digest = parseStandingDigest(bytes);
  if (digest === null) throw new Error('a digest that cannot be read back');
  const ours: Standing = { sequence, bytes, sha256, digest };
  if (outcome === 'created' && deps.storage.create_only === 'atomic') return ours;
  const standing = await readSealed(store, sequence);
  if (standing.sha256 === sha256) return ours;
  if (outcome === 'exists') return null;
  throw giveUp(
    'ledger_damaged',
    `two sealers wrote ${key} at once, which this store does not refuse: run one sealer only, and \`everlog verify\``,
  );
}

/** What is noted before a digest's commit. */
export function commitNote(sequence: number, sha256: string): string {
  return `${sequence} ${sha256}`;
}

async function putDigestFile(
  store: ObjectStore,
  key: string,
  body: PutBody,
  contentType: string,
): Promise<'created' | 'exists'> {
  return (await store.putIfAbsent(key, body, { contentType, kind: 'other' })).outcome;
}
