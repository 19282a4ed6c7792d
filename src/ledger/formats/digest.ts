import { z } from 'zod';
import type { Digest } from './formats.ts';

/** `digest.json` as bytes, and back. */

/** What a key management service signs at once, so what a digest may measure. */
export const DIGEST_BYTES_MAX = 4096;
/** Room for where the archive is: the rest of a digest takes less than 2,048 bytes. */
const LOCATION_BYTES_MAX = 1024;
const QUEUE_DURABILITY_CHARS_MAX = 64;
/** Outcomes are a dozen words; a run object that names more was not written by Everlog. */
const OUTCOMES_MAX = 16;
/** What cutting may leave of a character outside the first plane. */
const HALF_A_PAIR = /[\uD800-\uDBFF]$/;
const OUTCOME = /^[a-z][a-z_]{0,31}$/;
/** Where outcomes are counted that are none. */
const OTHER_OUTCOME = 'other';

/**
 * The bytes of a digest: one line of compact JSON and a line feed, members in the format's order, at most 4,096 bytes
 * whatever it counts: a location too long for that is cut and ends in `…`.
 */
export function serializeDigest(digest: Digest): Buffer {
  const bytes = Buffer.from(`${JSON.stringify(orderedDigest(digest))}\n`);
  if (bytes.byteLength > DIGEST_BYTES_MAX) throw new Error(`a digest of ${bytes.byteLength} bytes`);
  return bytes;
}

function orderedDigest(digest: Digest): Digest {
  const { entries, completeness, storage, previous } = digest;
  return {
    schema: digest.schema,
    stream: digest.stream,
    sequence: digest.sequence,
    window_start: digest.window_start,
    window_end: digest.window_end,
    created_at: digest.created_at,
    interval_seconds: digest.interval_seconds,
    final: digest.final,
    archive: fittingLocation(digest.archive),
    entries: {
      file: entries.file,
      sha256: entries.sha256,
      bytes: entries.bytes,
      stored_sha256: entries.stored_sha256,
      stored_bytes: entries.stored_bytes,
      count: entries.count,
      merkle_root: entries.merkle_root,
    },
    completeness: {
      reconciled_through: completeness.reconciled_through,
      expected: completeness.expected,
      archived: completeness.archived,
      absent: countedOutcomes(Object.entries(completeness.absent)),
      pending: completeness.pending,
      failed: completeness.failed,
      gaps: completeness.gaps,
    },
    storage: {
      lock_mode: storage.lock_mode,
      retention_days: storage.retention_days,
      create_only: storage.create_only,
      queue_durability: storage.queue_durability.slice(0, QUEUE_DURABILITY_CHARS_MAX),
    },
    previous,
    key_id: digest.key_id,
    algorithm: digest.algorithm,
  };
}

/** Adds counts up by outcome, in order of the names; what is no outcome's name, and one too many, counts as `other`. */
export function countedOutcomes(counts: Iterable<readonly [string, number]>): Record<string, number> {
  const sums = new Map<string, number>();
  for (const [outcome, count] of counts) {
    const isNamed = OUTCOME.test(outcome) && (sums.has(outcome) || sums.size < OUTCOMES_MAX);
    const name = isNamed ? outcome : OTHER_OUTCOME;
    sums.set(name, (sums.get(name) ?? 0) + count);
  }
  return Object.fromEntries([...sums].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function fittingLocation(location: string): string {
  if (jsonBytes(location) <= LOCATION_BYTES_MAX) return location;
  let kept = location.slice(0, LOCATION_BYTES_MAX);
  // A character measures up to six bytes in JSON, so few steps lead below the limit.
  while (jsonBytes(`${kept}…`) > LOCATION_BYTES_MAX) kept = kept.slice(0, Math.floor(kept.length * 0.9));
  return `${kept.replace(HALF_A_PAIR, '')}…`;
}

function jsonBytes(text: string): number {
  return Buffer.byteLength(JSON.stringify(text));
}

/** What a sealer reads of a digest that it continues. */
export type StandingDigest = z.infer<typeof standingSchema>;

const standingSchema = z.looseObject({
  schema: z.literal('everlog.digest/v1'),
  stream: z.string().regex(/^everlog\/[0-9a-f]{32}$/),
  sequence: z.int().positive(),
  window_start: z.iso.datetime(),
  window_end: z.iso.datetime(),
  created_at: z.iso.datetime(),
  final: z.boolean(),
  entries: z.looseObject({ file: z.string(), count: z.int().nonnegative() }),
  previous: z.object({ sequence: z.number(), sha256: z.string() }).nullable(),
  key_id: z.string().regex(/^[0-9a-f]{64}$/),
});

/** Reads a digest that stands in the archive; null where it is none. */
export function parseStandingDigest(bytes: Uint8Array): StandingDigest | null {
  if (bytes.byteLength > DIGEST_BYTES_MAX) return null;
  try {
    return standingSchema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
  } catch {
    return null;
  }
}
