/**
 * The ledger's formats (CONTRACT §6), as types alone: what writes them and what verifies them share nothing else. Field
 * order is the order in the files. Hashes are SHA-256 in lower-case hex unless said otherwise; times are RFC 3339 in UTC.
 */

/** One line of an entries file: an object of the archive that was committed since the last digest. */
export interface LedgerEntry {
  readonly type: 'record' | 'run' | 'custody' | 'key' | 'revocation';
  readonly key: string;
  /** Null where the store keeps no versions. */
  readonly version_id: string | null;
  readonly bytes: number;
  readonly sha256: string;
  /** The stored log of an archived job. */
  readonly log?: EntryLog;
}

export interface EntryLog {
  readonly key: string;
  readonly version_id: string | null;
  readonly bytes: number;
  readonly sha256: string;
}

/** `digest.json`: at most 4,096 bytes, so that a key management service can sign it whole. */
export interface Digest {
  readonly schema: 'everlog.digest/v1';
  /** Names the ledger: the checkpoint's origin and key name. */
  readonly stream: string;
  /** From 1, without gaps. */
  readonly sequence: number;
  /** The end of the previous digest's window; the first begins with its ledger. */
  readonly window_start: string;
  readonly window_end: string;
  readonly created_at: string;
  readonly interval_seconds: number;
  /** Whether the ledger ends here. */
  readonly final: boolean;
  /** Where the archive was when this was written: `s3://bucket/prefix` or `file:/path`. */
  readonly archive: string;
  readonly entries: DigestEntries;
  readonly completeness: Completeness;
  readonly storage: DigestStorage;
  readonly previous: { readonly sequence: number; readonly sha256: string } | null;
  /** SHA-256 of the signing key's SPKI (DER). */
  readonly key_id: string;
  readonly algorithm: 'Ed25519';
}

export interface DigestEntries {
  /** Name in the digest's folder: `<stored_sha256>.entries.ndjson.gz`. */
  readonly file: string;
  /** Of the uncompressed lines, as `bytes`. */
  readonly sha256: string;
  readonly bytes: number;
  /** Of the file. */
  readonly stored_sha256: string;
  readonly stored_bytes: number;
  readonly count: number;
  /** RFC 6962, over the lines without their line feeds; hex. */
  readonly merkle_root: string;
}

/** What is known to be missing. Counts of jobs are of the run attempts that this digest seals. */
export interface Completeness {
  /** Everything that GitHub could tell of until then was compared with the archive; null: never yet. */
  readonly reconciled_through: string | null;
  readonly expected: number;
  readonly archived: number;
  /** By outcome. */
  readonly absent: Readonly<Record<string, number>>;
  /** Jobs that wait in the queue or run. */
  readonly pending: number;
  /** Jobs whose retries ran out. */
  readonly failed: number;
  readonly gaps: {
    /** Name in the digest's folder: `<stored_sha256>.gaps.ndjson`. */
    readonly file: string;
    readonly sha256: string;
    readonly stored_sha256: string;
    readonly count: number;
  } | null;
}

/** One line of a gaps file: a job, or jobs of a repository, known to be missing. */
export interface GapLine {
  readonly host: string;
  readonly owner: string | null;
  readonly repo: string | null;
  readonly repository_id: number | null;
  readonly run_id: number | null;
  readonly run_attempt: number | null;
  /** Null: jobs of this repository that were counted, not named. */
  readonly job_id: number | null;
  /** 1 where `job_id` names it. */
  readonly jobs: number;
  readonly reason: string;
  readonly since: string | null;
}

export interface DigestStorage {
  readonly lock_mode: 'none' | 'GOVERNANCE' | 'COMPLIANCE' | 'bucket';
  readonly retention_days: number | null;
  /** `atomic`: the store itself refuses a second object; `checked`: looked up before writing. */
  readonly create_only: 'atomic' | 'checked';
  readonly queue_durability: string;
}

/** `ledger/keys/<key_id>.json`. */
export interface KeyObject {
  readonly schema: 'everlog.key/v1';
  readonly key_id: string;
  readonly algorithm: 'Ed25519';
  /** SPKI, PEM. */
  readonly public_key: string;
  readonly not_before: string;
  /** The key before this one; null for a ledger's first. */
  readonly previous_key_id: string | null;
  /**
   * Ed25519 over `keyStatement`, base64: by the previous key (absent for the first), and by this key itself, so that either
   * vouches for the other.
   */
  readonly signatures: readonly { readonly key_id: string; readonly signature: string }[];
}

/** `ledger/keys/<key_id>.revoked.json`. Signed by the key itself or by a later one of the same ledger. */
export interface RevocationObject {
  readonly schema: 'everlog.key-revocation/v1';
  readonly key_id: string;
  /** Digests made by this key at or after this moment are not to be believed. */
  readonly revoked_at: string;
  readonly reason: string;
  readonly signature: { readonly key_id: string; readonly signature: string };
}
