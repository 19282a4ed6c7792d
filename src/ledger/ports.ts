import type { ObjectStore } from '../store/object-store.ts';
import type { GapLine } from './formats/formats.ts';

/** What a sealer needs of the world besides the archive. */

/** An Ed25519 key that can sign, wherever its private half is. */
export interface Signer {
  /** SHA-256 of the SPKI (DER), lower-case hex. */
  readonly keyId: string;
  /** SPKI, PEM. */
  readonly publicKeyPem: string;
  /**
   * Signs up to 4,096 bytes; answers the raw 64 bytes of the signature.
   * @throws EverlogError `signing_unavailable` (retry), `signing_refused` (give up)
   */
  sign(bytes: Uint8Array): Promise<Uint8Array>;
}

/**
 * Keys of what was committed and is in no digest yet, kept with the queue. A key may be lost or repeated. More than a
 * million of them are dropped together with the mark: the sealer then lists the archive instead.
 */
export interface CommitsToSeal {
  /** Adds keys that were written; what was announced of them is settled. */
  add(keys: readonly string[]): Promise<void>;
  /** Keys behind `after` (null: from the first), in ascending order of their UTF-8 bytes. */
  page(after: string | null, limit: number): Promise<readonly string[]>;
  /** Takes keys out, announced ones too. */
  remove(keys: readonly string[]): Promise<void>;
  /** Keys that were added. */
  count(): Promise<number>;
  /** The last sequence that was sealed with this set; null when that is not known. */
  mark(): Promise<number | null>;
  setMark(sequence: number): Promise<void>;
}

/** What the queue and reconcile know of what the archive does not hold: for digests and metrics. */
export interface Accounting {
  read(): Promise<AccountedFor>;
}

export interface AccountedFor {
  /** Everything that GitHub could tell of until then was compared with the archive; null: never yet. */
  readonly reconciledThrough: Date | null;
  /** Jobs of the archive queue that wait, run or are put off. */
  readonly pending: number;
  /** Jobs of the archive queue whose retries ran out. */
  readonly failed: number;
  /** Read as they are asked for: failed ones, dropped ones, and what reconcile found. Each job once. */
  readonly gaps: AsyncIterable<GapLine> | Iterable<GapLine>;
}

/** A part of the queue's notes: short texts that may be lost, tables that stay while the queue does, and claims. */
export interface SealNotes {
  note(name: string, text: string, keptMs: number): Promise<void>;
  noted(names: readonly string[]): Promise<readonly (string | null)[]>;
  setField(table: string, field: string, text: string | null): Promise<void>;
  fields(table: string): Promise<Readonly<Record<string, string>>>;
  claim(name: string, holder: string, keptMs: number): Promise<boolean>;
  release(name: string, holder: string): Promise<void>;
}

/** The second place for digests, signatures, notes, keys and time stamps. Nothing in it is ever overwritten or removed. */
export type Anchor = Pick<ObjectStore, 'location' | 'putIfAbsent' | 'read' | 'list'>;

/** An authority that vouches for when a hash was known (RFC 3161). */
export interface TimeStamper {
  /**
   * The DER of a TimeStampResp for a SHA-256 (32 bytes), checked to be granted and for this hash.
   * @throws EverlogError `time_stamp_unavailable` (retry)
   */
  stamp(sha256: Uint8Array): Promise<Uint8Array>;
}
