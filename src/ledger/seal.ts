import type { ObjectStore } from '../archive/object-store.ts';
import type { Log } from '../log.ts';
import type { DigestStorage } from './formats.ts';
import type { Accounting, Anchor, PendingCommits, SealNotes, Signer, TimeStamper } from './ports.ts';

export type {
  AccountedFor,
  Accounting,
  Anchor,
  PendingCommits,
  SealNotes,
  Signer,
  TimeStamper,
} from './ports.ts';

export interface SealDeps {
  readonly store: ObjectStore;
  readonly signer: Signer;
  readonly pending: PendingCommits;
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
}

export interface SealOptions {
  /** Closes the ledger with this digest. */
  readonly final: boolean;
  /** Ends the work before the next effect; what was committed stays. */
  readonly signal?: AbortSignal;
}

/** What became of a seal. */
export type SealReport =
  | SealedReport
  /** Another sealer is at work: nothing was done. */
  | { readonly outcome: 'busy' }
  /** The ledger was closed with this digest: nothing was added. */
  | { readonly outcome: 'closed'; readonly sequence: number };

export interface SealedReport {
  readonly outcome: 'sealed';
  /** Of the last digest. More than one is appended where one cannot hold what there is to seal. */
  readonly sequence: number;
  readonly digests: number;
  /** SHA-256 of the last `digest.json`. */
  readonly sha256: string;
  readonly keyId: string;
  readonly final: boolean;
  /** Whether the archive was listed, because the pending commits were not known to be complete. */
  readonly listed: boolean;
  /** Entries of all digests appended. */
  readonly entries: number;
  /** Lines of all gaps files, those of findings too. */
  readonly gaps: number;
  readonly findingCount: number;
  /** The first 1,000. */
  readonly findings: readonly Finding[];
  readonly anchor: FollowUp;
  readonly timeStamps: FollowUp;
}

/** What the store says otherwise than the record. */
export interface Finding {
  readonly kind:
    /** The store has no log where the record names one. */
    | 'log_missing'
    /** Size, hash or version of the stored log is another than recorded. */
    | 'log_differs'
    /** A committed object is gone before it was sealed. */
    | 'object_missing'
    /** A record or run object that is none, or belongs under another key. */
    | 'object_unreadable'
    /** The second place has other bytes under the same key. */
    | 'anchor_differs';
  readonly key: string;
  readonly detail: string;
}

/** How far work that may come later has come. */
export type FollowUp =
  | { readonly state: 'off' }
  | { readonly state: 'complete' }
  /** Made up for by a later seal. */
  | { readonly state: 'behind'; readonly problem: string };

/**
 * Appends a digest to the ledger: what was committed since the last one, also when that is nothing (CONTRACT §6).
 * @throws EverlogError `signing_key_unknown`, `signing_key_revoked` (give up: see the message), `ledger_damaged` (give up:
 *   the archive's ledger cannot be continued), `signing_unavailable`, `store_unavailable` (retry).
 */
export function seal(deps: SealDeps, options: SealOptions): Promise<SealReport> {
  return Promise.reject(
    new Error(`sealing ${deps.store.location} ${options.final ? 'for good ' : ''}is not built`),
  );
}
