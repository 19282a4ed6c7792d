import type { Checksums } from './body.ts';
import { newId, S3Error } from './protocol.ts';
import type { StoredBytes } from './stored-bytes.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

export type LockMode = 'GOVERNANCE' | 'COMPLIANCE';

export interface Retention {
  mode: LockMode;
  untilMs: number;
}

export interface StoredContent {
  bytes: StoredBytes;
  /** Without quotes. */
  etag: string;
  /** Of the whole content; undefined for an object that was sent in parts, which no one hashed as a whole. */
  sha256Hex: string | undefined;
  checksums: Checksums;
  /** Content-Type and the like, `x-amz-meta-*`, storage class, encryption: given back as they came. */
  headers: Readonly<Record<string, string>>;
}

export interface ObjectVersion {
  key: string;
  /** `null` in a bucket that never had versions, as S3 calls it. */
  id: string;
  modifiedMs: number;
  /** Undefined for a delete marker. */
  content: StoredContent | undefined;
  retention: Retention | undefined;
  legalHold: boolean;
}

export interface DefaultRetention {
  mode: LockMode;
  count: number;
  unit: 'Days' | 'Years';
}

/** One bucket: every version of every key, and the rules about who may remove one. */
export class Bucket {
  readonly name: string;
  readonly createdMs: number;
  versioning: 'Off' | 'Enabled' | 'Suspended' = 'Off';
  objectLock = false;
  defaultRetention: DefaultRetention | undefined;
  /** Newest last. */
  readonly #versions = new Map<string, ObjectVersion[]>();
  /** In the order S3 lists them; kept by insertion, so that a listing between two writes costs no sort. */
  readonly #keys: string[] = [];

  constructor(name: string, nowMs: number) {
    this.name = name;
    this.createdMs = nowMs;
  }

  get keys(): readonly string[] {
    return this.#keys;
  }

  get isEmpty(): boolean {
    return this.#keys.length === 0;
  }

  /** Newest last; empty for an unknown key. */
  versionsOf(key: string): readonly ObjectVersion[] {
    return this.#versions.get(key) ?? [];
  }

  /** The newest version, which may be a delete marker. */
  newest(key: string): ObjectVersion | undefined {
    return this.versionsOf(key).at(-1);
  }

  /** The object a plain GET would give. */
  current(key: string): (ObjectVersion & { content: StoredContent }) | undefined {
    const newest = this.newest(key);
    return newest !== undefined && hasContent(newest) ? newest : undefined;
  }

  /** That version, or throws as S3 does for one that is not there. */
  version(key: string, id: string): ObjectVersion {
    const found = this.versionsOf(key).find((version) => version.id === id);
    if (found === undefined) throw new S3Error('NoSuchVersion', 'The specified version does not exist');
    return found;
  }

  /** Makes a new newest version: a delete marker if it has no content. Replaces what was there without versions. */
  add(
    key: string,
    version: Pick<ObjectVersion, 'content' | 'retention' | 'legalHold'>,
    nowMs: number,
  ): ObjectVersion {
    const added = {
      ...version,
      key,
      id: this.versioning === 'Enabled' ? newId() : 'null',
      modifiedMs: nowMs,
    };
    const before = this.#versions.get(key);
    if (before === undefined) this.#keys.splice(lowerBound(this.#keys, key), 0, key);
    const kept = (before ?? []).filter((other) => other.id !== added.id);
    for (const replaced of before ?? []) {
      if (replaced.id === added.id) void replaced.content?.bytes.discard();
    }
    this.#versions.set(key, [...kept, added]);
    return added;
  }

  /** Removes one version for good. Throws AccessDenied while a lock forbids it. */
  remove(version: ObjectVersion, mayBypassGovernance: boolean, nowMs: number): void {
    if (version.content !== undefined) refuseIfLocked(version, mayBypassGovernance, nowMs);
    const left = this.versionsOf(version.key).filter((other) => other !== version);
    void version.content?.bytes.discard();
    if (left.length > 0) {
      this.#versions.set(version.key, left);
    } else {
      this.#versions.delete(version.key);
      this.#keys.splice(lowerBound(this.#keys, version.key), 1);
    }
  }

  /** The retention a new object gets when its writer names none. */
  retentionFromDefault(nowMs: number): Retention | undefined {
    const rule = this.defaultRetention;
    if (rule === undefined) return undefined;
    const days = rule.unit === 'Days' ? rule.count : rule.count * 365;
    return { mode: rule.mode, untilMs: nowMs + days * DAY_MS };
  }
}

export function hasContent(version: ObjectVersion): version is ObjectVersion & { content: StoredContent } {
  return version.content !== undefined;
}

function refuseIfLocked(version: ObjectVersion, mayBypassGovernance: boolean, nowMs: number): void {
  const { retention, legalHold } = version;
  const retained = retention !== undefined && retention.untilMs > nowMs;
  const bypassed = mayBypassGovernance && retention?.mode === 'GOVERNANCE';
  if (legalHold || (retained && !bypassed)) {
    throw new S3Error('AccessDenied', 'Access Denied because object protected by object lock.');
  }
}

/** Throws AccessDenied where a change would weaken a lock that is still in force. */
export function refuseWeakerRetention(
  version: ObjectVersion,
  next: Retention | undefined,
  mayBypassGovernance: boolean,
  nowMs: number,
): void {
  const now = version.retention;
  if (now === undefined || now.untilMs <= nowMs) return;
  const keepsMode = next !== undefined && (now.mode === 'GOVERNANCE' || next.mode === 'COMPLIANCE');
  const isStronger =
    keepsMode && next.untilMs >= now.untilMs && (next.mode === now.mode || next.mode === 'COMPLIANCE');
  const bypassed = mayBypassGovernance && now.mode === 'GOVERNANCE';
  if (!isStronger && !bypassed) {
    throw new S3Error('AccessDenied', 'Access Denied because object protected by object lock.');
  }
}

/** The first index whose key is not before `key`, in S3's order. */
function lowerBound(keys: readonly string[], key: string): number {
  return firstIndex(keys, (candidate) => compareKeys(candidate, key) >= 0);
}

/** The first index whose key satisfies `isPast`, which must be false for all before and true for all after. */
export function firstIndex(keys: readonly string[], isPast: (key: string) => boolean): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const key = keys[middle];
    if (key === undefined || isPast(key)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** S3 lists by UTF-8 bytes. Strings compare by UTF-16 units, which differs where surrogates meet U+E000 and above. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index += 1) {
    const unitA = a.charCodeAt(index);
    const unitB = b.charCodeAt(index);
    if (unitA !== unitB) return byteRank(unitA) - byteRank(unitB);
  }
  return a.length - b.length;
}

function byteRank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
