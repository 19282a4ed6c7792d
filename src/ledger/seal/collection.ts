import { parseKey } from '../../archive/keys.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import type { Log } from '../../logger.ts';
import type { SealCandidate } from './seal-candidates.ts';
import { committedKey, readCommitted, type CommittedObject, type RunCounts } from './committed-object.ts';
import { countedOutcomes } from '../formats/digest.ts';
import { entryLine, gapLine } from '../formats/entry-line.ts';
import type { GapLine } from '../formats/formats.ts';
import type { LineFile } from '../formats/line-file.ts';
import { leafHash, type MerkleTree } from '../formats/merkle.ts';
import type { SealedKeys } from './sealed-keys.ts';
import type { SealFinding } from '../seal-report.ts';

/** Collects the entries of one digest: reads what was committed, leaves out what is sealed already, writes the rest in order. */
export interface CollectionDeps {
  readonly store: ObjectStore;
  readonly sealed: SealedKeys;
  /** When the last digest was made; -Infinity before the first. */
  readonly lastCreatedMs: number;
  readonly files: CollectionFiles;
  readonly onFinding: (finding: SealFinding) => void;
  /** Throws when the work is to end. */
  readonly throwIfStopped: () => void;
  readonly log: Log;
}

export interface CollectionFiles {
  readonly entries: LineFile;
  readonly gaps: LineFile;
  /** Keys that leave the pending commits once the digest stands, as JSON strings. */
  readonly handled: LineFile;
  readonly tree: MerkleTree;
}

export interface Collected {
  /** The last key looked at when there may be more than one digest can hold; null when all were taken. */
  readonly stoppedAt: string | null;
  readonly expected: number;
  readonly archived: number;
  readonly absent: Readonly<Record<string, number>>;
}

/** Entries of one digest: an hour of the largest archive twice over, and a file of some 20 MiB. */
export const ENTRIES_PER_DIGEST_MAX = 200_000;
/** Objects read at once: hides a store's latency, stays below its rate limits. */
const OBJECTS_IN_FLIGHT = 32;
/** Objects that are read before the first of them is written: a few MB. */
const BATCH_KEYS = 2_000;
/** Listed keys that are looked up at once, as each lookup passes over whole entries files: some 10 MB. */
const LISTED_BATCH_KEYS = 50_000;
/** By how much the clocks of sealers and stores may differ. */
const CLOCK_SKEW_MS = 5 * 60_000;
/** What lies between the time in a record and the end of its upload, at the very most. */
const UPLOAD_MS = 60 * 60_000;

/** Takes candidates, ascending, until there are no more or the digest is full. */
export async function collect(
  deps: CollectionDeps,
  candidates: AsyncIterable<SealCandidate>,
  entriesMax: number,
): Promise<Collected> {
  const tally = new RunTally();
  let room = entriesMax;
  let stoppedAt: string | null = null;
  for await (const listed of batches(candidates, LISTED_BATCH_KEYS)) {
    const unsealed = await withoutSealed(deps, listed);
    for (let at = 0; at < unsealed.length && stoppedAt === null;) {
      deps.throwIfStopped();
      const batch = unsealed.slice(at, at + Math.min(BATCH_KEYS, room));
      // Not all that is looked at gets an entry, so that a batch may leave room.
      at += batch.length;
      const written = await collectBatch(deps, batch, tally);
      room -= written.entries;
      if (room <= 0) stoppedAt = written.lastKey;
    }
    if (stoppedAt !== null) break;
  }
  return { stoppedAt, ...tally.sums() };
}

/** Candidates in batches; one that only the pending commits name ends a batch early, as its object has to be read anyway. */
async function* batches(
  candidates: AsyncIterable<SealCandidate>,
  listedMax: number,
): AsyncGenerator<readonly SealCandidate[]> {
  let batch: SealCandidate[] = [];
  let hinted = 0;
  for await (const candidate of candidates) {
    batch.push(candidate);
    if (candidate.modifiedMs === null) hinted += 1;
    if (batch.length >= listedMax || hinted >= BATCH_KEYS) {
      yield batch;
      batch = [];
      hinted = 0;
    }
  }
  if (batch.length > 0) yield batch;
}

/** Leaves out what a listing alone shows to be sealed, before anything is read. */
async function withoutSealed(
  { sealed, lastCreatedMs, files }: CollectionDeps,
  candidates: readonly SealCandidate[],
): Promise<readonly SealCandidate[]> {
  const suspects = candidates.flatMap(({ key, modifiedMs }) =>
    modifiedMs !== null && mayBeSealed(modifiedMs, lastCreatedMs)
      ? [{ key, sinceMs: modifiedMs - UPLOAD_MS - CLOCK_SKEW_MS }]
      : [],
  );
  const found = await sealed.alreadySealed(suspects);
  for (const { key, isPending } of candidates) {
    if (isPending && found.has(key)) await files.handled.append(JSON.stringify(key));
  }
  return candidates.filter(({ key }) => !found.has(key));
}

function mayBeSealed(committedMs: number, lastCreatedMs: number): boolean {
  return committedMs <= lastCreatedMs + CLOCK_SKEW_MS;
}

const NO_OBJECT: CommittedObject = { entry: null, committedMs: 0, run: null, findings: [] };

interface Read {
  readonly candidate: SealCandidate;
  readonly object: CommittedObject;
}

async function collectBatch(
  deps: CollectionDeps,
  candidates: readonly SealCandidate[],
  tally: RunTally,
): Promise<{ entries: number; lastKey: string | null }> {
  const reads = await readCandidates(deps, candidates);
  const suspects = reads.flatMap(({ candidate: { key, modifiedMs }, object: { entry, committedMs } }) => {
    // A copied archive has later times than its records.
    const isLookedUp =
      modifiedMs !== null &&
      mayBeSealed(modifiedMs, deps.lastCreatedMs) &&
      committedMs >= modifiedMs - UPLOAD_MS;
    const isSuspect = entry !== null && !isLookedUp && mayBeSealed(committedMs, deps.lastCreatedMs);
    return isSuspect ? [{ key, sinceMs: committedMs - CLOCK_SKEW_MS }] : [];
  });
  const found = await deps.sealed.alreadySealed(suspects);
  let entries = 0;
  for (const { candidate, object } of reads) {
    const { key } = candidate;
    if (candidate.isPending) await deps.files.handled.append(JSON.stringify(key));
    if (found.has(key)) continue;
    for (const finding of object.findings) {
      deps.onFinding(finding);
      const gap = gapOfFinding(finding, key);
      if (gap !== null) await deps.files.gaps.append(gapLine(gap));
    }
    if (object.entry === null) continue;
    const line = entryLine(object.entry);
    deps.files.tree.append(leafHash(Buffer.from(line)));
    await deps.files.entries.append(line);
    entries += 1;
    if (object.run !== null) tally.add(key, object.run);
  }
  return { entries, lastKey: candidates.at(-1)?.key ?? null };
}

/** Reads objects side by side; the answers are in the order of the keys. */
async function readCandidates(
  deps: CollectionDeps,
  candidates: readonly SealCandidate[],
): Promise<readonly Read[]> {
  const reads: (Read | null)[] = candidates.map(() => null);
  let next = 0;
  async function work(): Promise<void> {
    for (let index = next; index < candidates.length; index = next) {
      next += 1;
      const candidate = candidates[index];
      if (candidate === undefined) return;
      const parsed = committedKey(candidate.key);
      deps.throwIfStopped();
      const object = parsed === null ? NO_OBJECT : await readCommitted(deps.store, candidate.key, parsed);
      if (parsed === null) deps.log.warn({ key: candidate.key }, 'a key that gets no entry was passed over');
      reads[index] = { candidate, object };
    }
  }
  const workers = Array.from({ length: Math.min(OBJECTS_IN_FLIGHT, candidates.length) }, work);
  // All have ended before a failure is thrown, so that nothing goes on behind the caller's back.
  for (const result of await Promise.allSettled(workers)) {
    if (result.status === 'rejected') throw result.reason;
  }
  return reads.filter((read) => read !== null);
}

function gapOfFinding({ kind }: SealFinding, key: string): GapLine | null {
  const parsed = parseKey(key);
  if (parsed?.type !== 'record') return null;
  const { host, owner, repo, runId, runAttempt, jobId } = parsed.address;
  return {
    host,
    owner,
    repo,
    repository_id: null,
    run_id: runId,
    run_attempt: runAttempt,
    job_id: jobId,
    jobs: 1,
    reason: kind,
    since: null,
  };
}

/** Sums over run attempts. The revisions of one are neighbours in key order, and only its highest counts. */
class RunTally {
  private expected = 0;
  private archived = 0;
  private absent: Record<string, number> = {};
  private newest: { readonly attempt: string; readonly revision: number; readonly counts: RunCounts } | null =
    null;

  add(key: string, counts: RunCounts): void {
    const parsed = parseKey(key);
    if (parsed?.type !== 'run') throw new Error(`no key of a run: ${key}`);
    const attempt = JSON.stringify(parsed.address);
    const { revision } = parsed;
    if (this.newest !== null && this.newest.attempt !== attempt) this.settle();
    if (this.newest === null || revision > this.newest.revision) this.newest = { attempt, revision, counts };
  }

  sums(): { expected: number; archived: number; absent: Readonly<Record<string, number>> } {
    this.settle();
    return { expected: this.expected, archived: this.archived, absent: this.absent };
  }

  private settle(): void {
    const counts = this.newest?.counts;
    this.newest = null;
    if (counts === undefined) return;
    this.expected += counts.expected;
    this.archived += counts.archived;
    const more = counts.absent.map((outcome) => [outcome, 1] as const);
    this.absent = countedOutcomes([...Object.entries(this.absent), ...more]);
  }
}
