import type { Readable } from 'node:stream';
import { gatherBytes } from '../gather-bytes.ts';

/**
 * The object store as the archive needs it. Keys are relative to the archive's prefix. Every method fails with an
 * `EverlogError`: `store_unavailable` (retry) for passing trouble, `store_refused` (give up) where the store says no.
 */
export interface ObjectStore {
  /** Where it is, for people: `s3://bucket/prefix` or `file:/path`. Holds no credentials. */
  readonly location: string;

  /** Whether a store of this kind can keep versions at all: a folder cannot, of a bucket only `abilities` knows. */
  readonly canKeepVersions: boolean;

  /**
   * Stores a whole object unless the key has one. Atomic: readers see nothing or all of it. Answers `exists` and changes nothing
   * when the key already has an object. The caller MUST NOT conclude from an error that nothing was stored.
   */
  putIfAbsent(key: string, body: PutBody, options: PutOptions): Promise<PutResult>;

  /** What is known about an object without its bytes, of its newest version unless one is named; null when there is none. */
  head(key: string, versionId?: string): Promise<ObjectHead | null>;

  /** Opens an object for reading; null when there is none. The caller MUST consume or destroy `body`. */
  read(key: string, versionId?: string): Promise<{ head: ObjectHead; body: Readable } | null>;

  /**
   * Reads a part of an object into memory, at most 64 MiB: cut off at its end, and empty behind it. Null when there is no
   * object, or none any more that `pin` names, so that parts read one after the other are of one object.
   */
  readRange(key: string, range: ByteRange, pin?: ObjectPin): Promise<RangeRead | null>;

  /** Objects whose key starts with `prefix`, in ascending order of the key's UTF-8 bytes, after `startAfter`. */
  list(prefix: string, startAfter?: string): AsyncIterable<ListedObject>;

  /** Every version and delete marker below `prefix`, newest first within a key; stores without versions list objects. */
  listVersions(prefix: string): AsyncIterable<ListedVersion>;

  /**
   * The lock on a version, the newest unless one is named; null where it has none, is missing, or the store has no locks.
   * A retention that has ended is told as long as the store remembers it.
   */
  lockOf(key: string, versionId?: string): Promise<ObjectLock | null>;

  /** Puts a legal hold on a version, the newest for null, or takes it off; `unsupported` where the store has no locks. */
  setLegalHold(
    key: string,
    versionId: string | null,
    held: boolean,
  ): Promise<'done' | 'missing' | 'unsupported'>;

  /**
   * Removes one version (or delete marker) for good; for null the object where there are no versions. Never hides an object
   * behind a delete marker. `locked`, and nothing is changed, while a lock forbids it; `bypassGovernance` asks the store to
   * pass over a governance lock, and takes the right to do so.
   */
  remove(
    key: string,
    versionId: string | null,
    options: { readonly bypassGovernance: boolean },
  ): Promise<'removed' | 'missing' | 'locked'>;

  /** Finds out, by trying where need be, what this store can do. Cached; the service calls it at start. */
  abilities(): Promise<StoreAbilities>;

  /**
   * What time it is by the store's own clock: the `Date` of an answer, or the time that a folder gives to a file just written;
   * null where the store does not say.
   */
  clock(): Promise<Date | null>;

  /** Throws unless the store answers now. Cheap, writes nothing. */
  ping(): Promise<void>;

  close(): Promise<void>;
}

/** Bytes `from` up to but not including `to`; or the last ones, all where there are fewer. */
export type ByteRange = { readonly from: number; readonly to: number } | { readonly last: number };

/** The very object that an earlier read answered with. */
export interface ObjectPin {
  /** Null where the store keeps no versions. */
  readonly versionId: string | null;
  readonly etag: string | null;
}

export interface RangeRead {
  readonly bytes: Buffer;
  /** Where `bytes` begin in the object. */
  readonly from: number;
  /** Bytes of the whole object. */
  readonly total: number;
  readonly pin: ObjectPin;
}

/** The bytes of an object, of known length and hash, which can be opened again for another try. */
export interface PutBody {
  readonly bytes: number;
  /** SHA-256 of the bytes, lower-case hex. */
  readonly sha256: string;
  /** Bytes in memory, or a new stream from the first byte. */
  open(): Uint8Array | Readable;
}

export interface PutOptions {
  readonly contentType: string;
  /** Kept where the store has user metadata; lower-case names, ASCII values. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** A log may go to its own storage class; records never do. */
  readonly kind: 'log' | 'record' | 'other';
  /** Locks the object until then instead of as the archive is set; where the store has locks and the archive a lock mode. */
  readonly retainUntil?: Date;
}

export type PutResult =
  { readonly outcome: 'created'; readonly versionId: string | null } | { readonly outcome: 'exists' };

export interface ObjectHead {
  readonly key: string;
  readonly bytes: number;
  readonly versionId: string | null;
  readonly lastModified: Date;
  /** User metadata; empty where the store has none. */
  readonly metadata: Readonly<Record<string, string>>;
  /** SHA-256 of the stored bytes by the store's own account, lower-case hex; null where it gives none. */
  readonly sha256: string | null;
}

export interface ObjectLock {
  readonly mode: 'GOVERNANCE' | 'COMPLIANCE' | null;
  readonly retainUntil: Date | null;
  readonly legalHold: boolean;
}

export interface ListedObject {
  readonly key: string;
  readonly bytes: number;
  readonly lastModified: Date;
}

export interface ListedVersion extends ListedObject {
  readonly versionId: string | null;
  readonly isLatest: boolean;
  readonly isDeleteMarker: boolean;
}

export interface StoreAbilities {
  /** `atomic`: the store itself refuses a second object; `checked`: looked up before writing, so two writers can race. */
  readonly createOnly: 'atomic' | 'checked';
  /** Whether objects keep versions. */
  readonly versions: boolean;
}

/** What one object may have: S3 takes no more in one PUT, and an object that needs more is not stored. */
export const OBJECT_BYTES_MAX = 5 * 1024 ** 3;

/** Largest part that is read into memory: what a reader merges into one request stays far below. */
export const RANGE_BYTES_MAX = 64 * 1024 * 1024;

/** Largest object that is read into memory whole: records are a few KB, a job with hundreds of steps stays under 1 MiB. */
const WHOLE_OBJECT_BYTES_MAX = 16 * 1024 * 1024;

/**
 * Reads a small object whole, its newest version unless one is named; null when there is none.
 * @throws Error when it is larger than 16 MiB: nothing Everlog reads whole is.
 */
export async function readWhole(
  store: ObjectStore,
  key: string,
  versionId?: string,
): Promise<{ head: ObjectHead; bytes: Buffer } | null> {
  const found = await store.read(key, versionId);
  if (found === null) return null;
  const tooLarge = (): Error => new Error(`object ${key} is too large to be read whole`);
  return { head: found.head, bytes: await gatherBytes(found.body, WHOLE_OBJECT_BYTES_MAX, tooLarge) };
}

/** Where a range begins and ends in an object of `total` bytes. @throws Error for a range that is none or over 64 MiB */
export function boundsOf(range: ByteRange, total: number): { readonly from: number; readonly to: number } {
  checkRange(range);
  if ('last' in range) return { from: Math.max(0, total - range.last), to: total };
  return { from: Math.min(range.from, total), to: Math.min(range.to, total) };
}

/** Refuses what no caller may ask for: a broken invariant. */
export function checkRange(range: ByteRange): void {
  const [from, to] = 'last' in range ? [0, range.last] : [range.from, range.to];
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from < 0 || to <= from) {
    throw new Error(`not a range of bytes: ${from} to ${to}`);
  }
  if (to - from > RANGE_BYTES_MAX) throw new Error(`a range over ${RANGE_BYTES_MAX} bytes`);
}
