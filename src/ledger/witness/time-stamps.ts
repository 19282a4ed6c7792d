import { DIGESTS_ROOT, digestFolder, digestTimeStampKey, sequenceOfDigestKey } from '../../archive/keys.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { bytesBody } from '../../store/put-body.ts';
import { copyToAnchorIfAbsent } from './anchor.ts';
import type { Anchor, TimeStamper } from '../ports.ts';
import type { SealFinding } from '../seal-report.ts';
import { readSealed } from '../standing-digests.ts';

/** Digests that are stamped late; older ones are vouched for by what follows them. */
const LATE_STAMPS_MAX = 24;

/**
 * Stores the time stamps that are missing beside the last digests, oldest first.
 * @throws EverlogError `time_stamp_unavailable`, `store_unavailable` (retry)
 */
export async function stampDigests(
  deps: { readonly store: ObjectStore; readonly anchor: Anchor | null; readonly timeStamp: TimeStamper },
  last: number,
): Promise<readonly SealFinding[]> {
  const { store, anchor, timeStamp } = deps;
  const first = Math.max(1, last - LATE_STAMPS_MAX + 1);
  const stamped = await stampedBetween(store, first, last);
  const findings: SealFinding[] = [];
  for (let sequence = first; sequence <= last; sequence += 1) {
    if (stamped.has(sequence)) continue;
    const { sha256 } = await readSealed(store, sequence);
    const stamp = await timeStamp.stamp(Buffer.from(sha256, 'hex'));
    const key = digestTimeStampKey(sequence, sha256);
    await store.putIfAbsent(key, bytesBody(stamp), {
      contentType: 'application/timestamp-reply',
      kind: 'other',
    });
    // What was copied before has its stamp by itself; the last is copied with it.
    if (anchor !== null && sequence < last)
      findings.push(...(await copyToAnchorIfAbsent(store, anchor, key)));
  }
  return findings;
}

async function stampedBetween(store: ObjectStore, first: number, last: number): Promise<ReadonlySet<number>> {
  const stamped = new Set<number>();
  const before = digestFolder(first).slice(0, -1);
  for await (const { key } of store.list(DIGESTS_ROOT, before)) {
    const sequence = sequenceOfDigestKey(key);
    if (sequence !== null && sequence > last) break;
    if (sequence !== null && key.endsWith('.tsr')) stamped.add(sequence);
  }
  return stamped;
}
