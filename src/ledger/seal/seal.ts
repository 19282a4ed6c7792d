import { digestKey } from '../../archive/keys.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { agreedTime } from '../../store/store-clock.ts';
import { retryable } from '../../errors.ts';
import type { Log } from '../../logger.ts';
import {
  appendDigest,
  COMMIT_NOTE,
  commitNote,
  type AppendDeps,
  type Collecting,
  type OnFindings,
} from './append-digest.ts';
import { KEYS_NOTE } from './key-candidates.ts';
import { openDigestTree, type DigestTree } from './digest-tree.ts';
import { followUp } from './follow-ups.ts';
import type { DigestStorage } from '../formats/formats.ts';
import { findCut, noteSeen, type Cut } from './ledger-cut.ts';
import { openLedger, type LedgerState } from './ledger-state.ts';
import type { FinishedLines } from '../formats/line-file.ts';
import type { Accounting, Anchor, CommitsToSeal, SealNotes, Signer, TimeStamper } from '../ports.ts';
import { claimSeal, type SealClaim } from './seal-claim.ts';
import { openReport, type ReportDraft } from './report-draft.ts';
import type { SealFinding, SealReport } from '../seal-report.ts';
import { readSealed, type Standing } from '../standing-digests.ts';
import { openUntoldFindings, type UntoldFindings } from './untold-findings.ts';

export type { Accounting, Anchor, CommitsToSeal, SealNotes, Signer, TimeStamper } from '../ports.ts';
export type { SealedReport, SealReport } from '../seal-report.ts';

export interface SealDeps {
  readonly store: ObjectStore;
  readonly signer: Signer;
  readonly pending: CommitsToSeal;
  readonly accounting: Accounting;
  /** The queue's `Notes` are such. */
  readonly notes: SealNotes;
  readonly anchor: Anchor | null;
  readonly timeStamp: TimeStamper | null;
  readonly storage: {
    readonly lockMode: DigestStorage['lock_mode'];
    readonly retentionDays: number | null;
    /** In the queue's own words, up to 64 characters. */
    readonly queueDurability: string;
  };
  /** Between digests, as it is configured. */
  readonly intervalMs: number;
  /** For the entries file while it grows. */
  readonly spoolFolder: string;
  readonly now: () => Date;
  /** Cryptographic: it names the ledger. */
  readonly randomBytes: (count: number) => Uint8Array;
  readonly log: Log;
  readonly onFindings: OnFindings;
}

export interface SealOptions {
  /** Closes the ledger with this digest. */
  readonly final: boolean;
  /** Ends the work before the next effect; what was committed stays. */
  readonly signal?: AbortSignal;
  /** Entries of one digest; 200,000. */
  readonly entriesMax?: number;
}

/** Digests that one call appends: what a billion objects need. */
const DIGESTS_MAX = 10_000;
/** Sequences lost to another sealer in one call: one that wins each time does the work as well. */
const LOSSES_MAX = 10;
const HOLDER_BYTES = 12;
const STREAM_BYTES = 16;
/** Keys removed from the pending commits at once. */
const REMOVED_AT_ONCE = 1_000;
/** How far before the last window a listing begins: a pending key may come this much later than its commit. */
const LATE_COMMIT_MS = 24 * 60 * 60_000;
/** A queue that nothing sealed from for so long lists the keys' entries anew. */
const KEYS_NOTED_MS = 400 * 24 * 60 * 60_000;
/** Stands as mark while the archive is listed; no digest has this sequence. */
const LISTING_MARK = 0;

/**
 * Appends a digest to the ledger: what was committed since the last one, also when that is nothing (CONTRACT §6). More than
 * one, where one cannot hold what there is.
 * @throws EverlogError `signing_key_unknown`, `signing_key_revoked` (give up: see the message), `ledger_damaged` (give up:
 *   the archive's ledger cannot be continued), `signing_unavailable`, `ledger_busy`, `spool_unavailable`,
 *   `store_unavailable`, `clock_differs` (retry).
 */
export async function seal(deps: SealDeps, options: SealOptions): Promise<SealReport> {
  const claim = await claimSeal(deps.notes, Buffer.from(deps.randomBytes(HOLDER_BYTES)).toString('hex'));
  if (claim === null) return { outcome: 'busy' };
  try {
    return await appendAll(deps, options, claim);
  } finally {
    await claim.release();
  }
}

interface MarkedCollecting extends Collecting {
  /** The pending commits' mark as it must still be afterwards. */
  readonly mark: number;
}

async function appendAll(deps: SealDeps, options: SealOptions, claim: SealClaim): Promise<SealReport> {
  await agreedTime(deps.store, deps.now);
  const report = openReport(deps.signer.keyId);
  const untold = await openUntoldFindings(deps.notes, deps.onFindings);
  let collecting: MarkedCollecting | null = null;
  let cut: Cut | null = null;
  let losses = 0;
  for (let count = 0; count < DIGESTS_MAX;) {
    throwIfStopped(options.signal);
    const state = await openLedger(deps);
    const append = await appendDepsOf(deps, options, { claim, untold, last: state.last });
    const tree = await openDigestTree({ ...append, keys: state.keys }, state.last);
    if (state.last?.digest.final === true) return closed(deps, state.last, report, untold);
    if (collecting === null) {
      cut = await findCut(deps, state.last);
      if (cut !== null)
        report.found(await untold.remember(`cut at ${cut.finding.key}`, [cut.finding]), deps.log);
      collecting = await beginCollecting(deps, state, cut);
    }
    const current: MarkedCollecting = collecting;
    const isReplaced: boolean = cut?.isReplaced === true;
    const appended = await appendDigest(append, state, current, options, async (done) => {
      // Where another digest stood, the one that is gone says that all has to be looked at: until it has been.
      if (!isReplaced || done.stoppedAt === null) await noteSeen(deps.notes, done.standing);
      report.add(done, deps.log);
      await settle(deps, { tree, report, untold }, done);
      collecting = await withMark(deps.pending, current, done);
    });
    if (appended.outcome === 'lost') {
      losses += 1;
      collecting = null;
      if (losses >= LOSSES_MAX)
        throw retryable('ledger_busy', `other sealers were first for ${losses} sequences in a row`);
      continue;
    }
    count += 1;
    report.listed(current.listedSinceMs !== null);
    if (appended.stoppedAt !== null) continue;
    report.found(untold.earlier(), deps.log);
    await untold.told(deps.log);
    return report.sealed(appended.standing);
  }
  throw retryable('ledger_busy', `${DIGESTS_MAX} digests were appended and there is more to seal`);
}

function throwIfStopped(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw retryable('ledger_busy', 'sealing was stopped before its next digest');
}

async function appendDepsOf(
  deps: SealDeps,
  { signal }: SealOptions,
  { claim, untold, last }: { claim: SealClaim; untold: UntoldFindings; last: Standing | null },
): Promise<AppendDeps> {
  const { createOnly } = await deps.store.abilities();
  const { lockMode, retentionDays, queueDurability } = deps.storage;
  return {
    ...deps,
    claim,
    storage: {
      lock_mode: lockMode,
      retention_days: retentionDays,
      create_only: createOnly,
      queue_durability: queueDurability,
    },
    stream: last?.digest.stream ?? `everlog/${Buffer.from(deps.randomBytes(STREAM_BYTES)).toString('hex')}`,
    throwIfStopped: () => throwIfStopped(signal),
    onFound: async (where, findings) => void (await untold.remember(where, findings)),
  };
}

/** The pending commits are complete when they were last sealed with the last digest; else the archive is listed. */
async function beginCollecting(
  { store, pending, notes, now }: SealDeps,
  { last }: LedgerState,
  cut: Cut | null,
): Promise<MarkedCollecting> {
  const startedAt = now();
  const mark = await pending.mark();
  if (last !== null && mark !== null && cut === null) {
    const [committed] = await notes.noted([COMMIT_NOTE]);
    // A sealer that ended between the commit and its mark left the pending commits as they were.
    const isOurs =
      mark !== LISTING_MARK &&
      mark === last.sequence - 1 &&
      committed === commitNote(last.sequence, last.sha256);
    if (mark === last.sequence || isOurs)
      return { startedAt, base: last, listedSinceMs: null, after: null, mark };
  }
  await pending.setMark(LISTING_MARK);
  const listedSinceMs =
    cut?.isReplaced === true ? -Infinity : await listedSince(store, last, startedAt.getTime());
  return { startedAt, base: last, listedSinceMs, after: null, mark: LISTING_MARK };
}

/** Everything, unless a window has ended: until then not all that was there at the beginning is sealed. */
async function listedSince(store: ObjectStore, last: Standing | null, nowMs: number): Promise<number> {
  if (last === null) return -Infinity;
  const ended = await lastEnded(store, last, nowMs);
  if (ended === null) return -Infinity;
  const first = await readSealed(store, 1);
  if (ended.digest.window_end === first.digest.window_start) return -Infinity;
  return Date.parse(ended.digest.window_end) - LATE_COMMIT_MS;
}

/**
 * The last digest whose window has ended by now. Windows follow each other, so that after a clock had been ahead those that end
 * in the future come last: what was committed since the one before them may be in none.
 */
async function lastEnded(store: ObjectStore, last: Standing, nowMs: number): Promise<Standing | null> {
  if (Date.parse(last.digest.window_end) <= nowMs) return last;
  let ended: Standing | null = null;
  let low = 1;
  let high = last.sequence - 1;
  while (low <= high) {
    const middle = Math.floor((low + high) / 2);
    const digest = await readSealed(store, middle);
    if (Date.parse(digest.digest.window_end) <= nowMs) [ended, low] = [digest, middle + 1];
    else high = middle - 1;
  }
  return ended;
}

/** All that follows a commit. What of it does not come to pass is made up for by the next seal. */
async function settle(
  deps: SealDeps,
  { tree, report, untold }: { tree: DigestTree; report: ReportDraft; untold: UntoldFindings },
  done: { readonly standing: Standing; readonly handled: FinishedLines; readonly keysMark: string },
): Promise<void> {
  const { pending, notes } = deps;
  await tree.append(done.standing);
  await notes.note(KEYS_NOTE, done.keysMark, KEYS_NOTED_MS);
  await followedUp(deps, done.standing.sequence, report, untold);
  const keys: string[] = [];
  for await (const line of done.handled.lines()) {
    const key: unknown = JSON.parse(line);
    if (typeof key === 'string') keys.push(key);
    if (keys.length >= REMOVED_AT_ONCE) await pending.remove(keys.splice(0));
  }
  if (keys.length > 0) await pending.remove(keys);
}

/**
 * Marks the pending commits as sealed with this digest, unless what was listed is not all sealed yet. Another mark than
 * before: they were dropped meanwhile, so they stay without one and the next seal lists the archive.
 */
async function withMark(
  pending: CommitsToSeal,
  collecting: MarkedCollecting,
  { standing, stoppedAt }: { readonly standing: Standing; readonly stoppedAt: string | null },
): Promise<MarkedCollecting> {
  const next = { ...collecting, after: stoppedAt };
  const mayMark = stoppedAt === null || collecting.listedSinceMs === null;
  if (!mayMark || (await pending.mark()) !== collecting.mark) return next;
  await pending.setMark(standing.sequence);
  return { ...next, mark: standing.sequence };
}

async function closed(
  deps: SealDeps,
  last: Standing,
  report: ReportDraft,
  untold: UntoldFindings,
): Promise<SealReport> {
  const followed = await followedUp(deps, last.sequence, report, untold);
  deps.log.warn({ key: digestKey(last.sequence) }, 'the ledger is closed: nothing was added');
  const earlier = untold.earlier();
  report.found(earlier, deps.log);
  await untold.told(deps.log);
  return { outcome: 'closed', sequence: last.sequence, findings: [...followed, ...earlier] };
}

async function followedUp(
  deps: SealDeps,
  last: number,
  report: ReportDraft,
  untold: UntoldFindings,
): Promise<readonly SealFinding[]> {
  const followed = await followUp(deps, last);
  if (followed.findings.length > 0) await untold.remember('second place', followed.findings);
  report.followed(followed, deps.log);
  return followed.findings;
}
