/** What became of a seal. */
export type SealReport =
  | SealedReport
  /** Another sealer is at work: nothing was done. */
  | { readonly outcome: 'busy' }
  | ClosedReport;

/** The ledger was closed with this digest: nothing was added. */
export interface ClosedReport {
  readonly outcome: 'closed';
  readonly sequence: number;
  /** What earlier seals found that failed before they could tell. */
  readonly findings: readonly SealFinding[];
}

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
  /** The first 1,000, and before them whatever tells of a ledger that was cut. */
  readonly findings: readonly SealFinding[];
  readonly anchor: FollowUp;
  readonly timeStamps: FollowUp;
}

/** What the store may say otherwise than it should. */
export const FINDING_KINDS = [
  /** The store has no log where the record names one. */
  'log_missing',
  /** Size, hash or version of the stored log is another than recorded. */
  'log_differs',
  /** A committed object is gone before it was sealed. */
  'object_missing',
  /** An object that is not what its key says, or belongs under another. */
  'object_unreadable',
  /** An earlier digest's entries cannot be read. */
  'entries_unreadable',
  /** A key or revocation that nobody entitled signed, or a successor of a revoked key by somebody else than its revoker. */
  'key_refused',
  /** Something below the ledger that is not of it, and stands where only its later digests will. */
  'planted',
  /** Digests that this queue saw committed are gone: the ledger was cut short, and goes on from what is left of it. */
  'ledger_cut',
  /** The second place has other bytes under the same key. */
  'anchor_differs',
] as const;

export interface SealFinding {
  readonly kind: (typeof FINDING_KINDS)[number];
  readonly key: string;
  readonly detail: string;
}

/** How far work that may come later has come. */
export type FollowUp =
  | { readonly state: 'off' }
  | { readonly state: 'complete' }
  /** Made up for by a later seal. */
  | { readonly state: 'behind'; readonly problem: string };

/** Findings that a report holds; the others are counted. */
export const FINDINGS_REPORTED_MAX = 1_000;
