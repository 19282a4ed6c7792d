import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { z } from 'zod';
import { digestFolder, digestKey } from '../archive/keys.ts';
import { codeOf, EverlogError, giveUp, messageOf, retryable } from '../errors.ts';
import { readWhole, type ObjectStore } from '../store/object-store.ts';
import { parseJsonOrNull } from '../json-text.ts';
import { linesOf } from '../ledger/formats/lines.ts';

/**
 * The ledger as the index follows it: which records, runs and custody objects each digest sealed. Whether it is to be
 * believed is for `verify`; the index is no evidence.
 */

const digestFields = z.looseObject({
  sequence: z.int().positive(),
  window_end: z.iso.datetime({ offset: true }),
  entries: z.looseObject({
    file: z.string().regex(/^[0-9a-f]{64}\.entries\.ndjson\.gz$/),
    count: z.int().nonnegative(),
  }),
});

const entryFields = z.looseObject({
  type: z.string(),
  key: z.string(),
  log: z.looseObject({ key: z.string() }).optional(),
});

/** A digest that stands in the archive. */
export interface IndexedDigest {
  readonly sequence: number;
  readonly windowEnd: Date;
  readonly entriesKey: string;
  readonly count: number;
}

/** An object that a digest sealed. */
export interface IndexedEntry {
  readonly type: string;
  readonly key: string;
  /** Of an archived job. */
  readonly logKey: string | null;
}

/**
 * A digest by its sequence; null when there is none, which is where the ledger ends.
 * @throws EverlogError `object_corrupt` when it is no digest
 */
export async function readDigest(store: ObjectStore, sequence: number): Promise<IndexedDigest | null> {
  const key = digestKey(sequence);
  const found = await readWhole(store, key);
  if (found === null) return null;
  const parsed = digestFields.safeParse(parseJsonOrNull(found.bytes.toString('utf8')));
  if (!parsed.success || parsed.data.sequence !== sequence)
    throw giveUp('object_corrupt', `${key} is no digest: run \`everlog verify\``);
  const { window_end, entries } = parsed.data;
  return {
    sequence,
    windowEnd: new Date(window_end),
    entriesKey: `${digestFolder(sequence)}${entries.file}`,
    count: entries.count,
  };
}

/**
 * Everything a digest sealed, in the order of the keys. Lines that are no entries are passed over; `verify` tells of them.
 * @throws EverlogError `object_corrupt` when the entries are missing or cannot be read
 */
export async function* entriesOf(store: ObjectStore, digest: IndexedDigest): AsyncGenerator<IndexedEntry> {
  const found = await store.read(digest.entriesKey);
  if (found === null)
    throw giveUp('object_corrupt', `${digest.entriesKey} is missing: run \`everlog verify\``);
  const gunzip = createGunzip();
  // A failure of the body destroys `gunzip` with its error, which the loop then throws.
  pipeline(found.body, gunzip, () => undefined);
  try {
    for await (const line of linesOf(gunzip)) {
      const parsed = entryFields.safeParse(parseJsonOrNull(line));
      if (parsed.success)
        yield { type: parsed.data.type, key: parsed.data.key, logKey: parsed.data.log?.key ?? null };
    }
  } catch (error) {
    if (error instanceof EverlogError) throw error;
    const isDamaged = codeOf(error)?.startsWith('Z_') ?? false;
    if (isDamaged)
      throw giveUp('object_corrupt', `${digest.entriesKey} cannot be read: run \`everlog verify\``, error);
    throw retryable(
      'store_unavailable',
      `reading ${digest.entriesKey} broke off: ${messageOf(error)}`,
      error,
    );
  } finally {
    gunzip.destroy();
  }
}
