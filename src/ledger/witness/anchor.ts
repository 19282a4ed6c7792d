import {
  checkpointKey,
  digestKey,
  digestSignatureKey,
  digestTimeStampKey,
  SIGNING_KEYS_ROOT,
} from '../../archive/keys.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { bytesBody } from '../../store/put-body.ts';
import { readObject } from '../object-facts.ts';
import type { Anchor } from '../ports.ts';
import type { SealFinding } from '../seal-report.ts';
import { findLastNote, readSealed } from '../standing-digests.ts';

/**
 * The second place: digests, signatures, time stamps, notes and keys under the same keys, so that whoever rules the archive
 * cannot take its last digests away unnoticed.
 */

/** Sequences copied in one go where the second place is new or was away: some minutes' work. */
const COPIES_MAX = 1_000;
/** Every object that is copied is small; one that is larger is none of ours. */
const OBJECT_BYTES_MAX = 1024 * 1024;

/** What came of copying. */
export interface AnchorReport {
  /** Everything up to it stands in the second place. */
  readonly through: number;
  readonly findings: readonly SealFinding[];
}

/** The last sequence that stands whole in the second place: its note is copied last. */
export async function anchoredThrough(anchor: Anchor, hint: number): Promise<number> {
  return findLastNote(anchor, hint);
}

/**
 * Copies what is missing up to `last`, in order, at most 1,000 sequences. Nothing there is overwritten: an object that
 * differs is a finding, and copying stops at it.
 */
export async function copyToAnchor(store: ObjectStore, anchor: Anchor, last: number): Promise<AnchorReport> {
  const through = await anchoredThrough(anchor, last);
  const findings: SealFinding[] = await anchorKeys(store, anchor);
  if (through > 0) findings.push(...(await compared(store, anchor, checkpointKey(Math.min(through, last)))));
  let done = Math.min(through, last);
  const goal = Math.min(last, done + COPIES_MAX);
  while (findings.length === 0 && done < goal) {
    findings.push(...(await copySequence(store, anchor, done + 1)));
    if (findings.length === 0) done += 1;
  }
  return { through: done, findings };
}

/** Copies one object, such as a time stamp that came late. */
export async function copyToAnchorIfAbsent(
  store: ObjectStore,
  anchor: Anchor,
  key: string,
): Promise<readonly SealFinding[]> {
  const found = await readObject(store, key, OBJECT_BYTES_MAX);
  if (found === null) return [];
  if (found.content === null) return [differs(key, 'it is too large to be copied')];
  const type = key.endsWith('.json') ? 'application/json' : 'application/octet-stream';
  const put = await anchor.putIfAbsent(key, bytesBody(found.content), {
    contentType: key.endsWith('.note') ? 'text/plain' : type,
    kind: 'other',
  });
  if (put.outcome === 'created') return [];
  const standing = await readObject(anchor, key, OBJECT_BYTES_MAX);
  if (standing?.sha256 === found.sha256) return [];
  return [differs(key, `${anchor.location} has other bytes: it may hold another ledger`)];
}

async function copySequence(
  store: ObjectStore,
  anchor: Anchor,
  sequence: number,
): Promise<readonly SealFinding[]> {
  const { sha256 } = await readSealed(store, sequence);
  const keys = [
    digestSignatureKey(sequence, sha256),
    digestKey(sequence),
    digestTimeStampKey(sequence, sha256),
    // Last, as it says that the others are there.
    checkpointKey(sequence),
  ];
  for (const key of keys) {
    const findings = await copyToAnchorIfAbsent(store, anchor, key);
    if (findings.length > 0) return findings;
  }
  return [];
}

async function anchorKeys(store: ObjectStore, anchor: Anchor): Promise<SealFinding[]> {
  const there = new Set<string>();
  for await (const { key } of anchor.list(SIGNING_KEYS_ROOT)) there.add(key);
  const findings: SealFinding[] = [];
  for await (const { key } of store.list(SIGNING_KEYS_ROOT)) {
    if (!there.has(key)) findings.push(...(await copyToAnchorIfAbsent(store, anchor, key)));
  }
  return findings;
}

async function compared(store: ObjectStore, anchor: Anchor, key: string): Promise<readonly SealFinding[]> {
  const [ours, theirs] = await Promise.all([
    readObject(store, key, OBJECT_BYTES_MAX),
    readObject(anchor, key, OBJECT_BYTES_MAX),
  ]);
  if (ours === null || theirs === null || ours.sha256 === theirs.sha256) return [];
  return [differs(key, `${anchor.location} has another note: it may hold another ledger`)];
}

function differs(key: string, detail: string): SealFinding {
  return { kind: 'anchor_differs', key, detail };
}
