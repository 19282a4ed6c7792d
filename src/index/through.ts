import { z } from 'zod';
import { sequenceOfThroughKey, THROUGH_ROOT, throughKey } from '../archive/index-keys.ts';
import { giveUp } from '../errors.ts';
import { readWhole, type ObjectStore } from '../store/object-store.ts';
import { bytesBody } from '../store/put-body.ts';
import { parseJsonOrNull } from '../json-text.ts';

const throughFields = z.looseObject({
  schema: z.literal('everlog.index/v1'),
  through: z.int().nonnegative(),
  recorded_through: z.iso.datetime().nullable(),
});

/** How far the index has come. */
export interface Through {
  /** All ledger entries up to this sequence are in its parts; 0: none, or the archive was read without a ledger. */
  readonly sequence: number;
  /** What was recorded until then is in it: the end of that digest's window; null before the first. */
  readonly recordedThrough: Date | null;
}

/**
 * How far the index has come; null where there is no index, also while it is being made anew.
 * @throws EverlogError `object_corrupt`; where the store does not answer
 */
export async function readThrough(store: ObjectStore): Promise<Through | null> {
  let last: number | null = null;
  for await (const { key } of store.list(THROUGH_ROOT)) last = sequenceOfThroughKey(key) ?? last;
  if (last === null) return null;
  const key = throughKey(last);
  const found = await readWhole(store, key);
  // Removed because a later one was written, or the index is being made anew.
  if (found === null) return readThrough(store);
  const parsed = throughFields.safeParse(parseJsonOrNull(found.bytes));
  if (!parsed.success || parsed.data.through !== last) {
    const message = `${key} is damaged, or of another version of Everlog: run \`everlog index rebuild\``;
    throw giveUp('object_corrupt', message);
  }
  const { recorded_through: time } = parsed.data;
  return { sequence: last, recordedThrough: time === null ? null : new Date(time) };
}

/** Says that every entry up to this sequence is indexed. Parts MUST have been stored before. */
export async function writeThrough(store: ObjectStore, through: Through): Promise<void> {
  const recorded_through = through.recordedThrough?.toISOString() ?? null;
  const document = { schema: 'everlog.index/v1', through: through.sequence, recorded_through };
  const body = bytesBody(Buffer.from(`${JSON.stringify(document)}\n`));
  await store.putIfAbsent(throughKey(through.sequence), body, {
    contentType: 'application/json',
    kind: 'other',
  });
}
