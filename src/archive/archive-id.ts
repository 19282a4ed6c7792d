import { z } from 'zod';
import { giveUp } from '../errors.ts';
import { readWhole, type ObjectStore } from '../store/object-store.ts';
import { bytesBody } from '../store/put-body.ts';

/** Written once per archive, and no evidence: it says which archive this is, wherever it is and however it is reached. */
export const ARCHIVE_ID_KEY = 'probe/archive.json';
const SCHEMA = 'everlog.archive/v1';
const archiveId = z.object({ schema: z.literal(SCHEMA), id: z.uuid() });

/** What the object of an archive with this id holds. */
export function archiveIdText(id: string): string {
  return `${JSON.stringify({ schema: SCHEMA, id })}\n`;
}

/**
 * The id of an archive; null where it has none yet.
 * @throws EverlogError `object_corrupt` (give up) for an object that holds none, and what the store throws
 */
export async function readArchiveId(store: ObjectStore): Promise<string | null> {
  const found = await readWhole(store, ARCHIVE_ID_KEY);
  if (found === null) return null;
  const id = idIn(found.bytes.toString('utf8'));
  if (id === null) throw giveUp('object_corrupt', `${ARCHIVE_ID_KEY} does not hold the id of an archive`);
  return id;
}

/**
 * Gives an archive `candidate` for its id, unless it has one; answers the one that it has then. Of two that do so at once in a
 * store that refuses a second object, both answer the first's.
 */
export async function settleArchiveId(store: ObjectStore, candidate: string): Promise<string> {
  const body = bytesBody(Buffer.from(archiveIdText(candidate)));
  await store.putIfAbsent(ARCHIVE_ID_KEY, body, { contentType: 'application/json', kind: 'other' });
  const settled = await readArchiveId(store);
  if (settled === null) throw giveUp('object_corrupt', `${ARCHIVE_ID_KEY} is gone as soon as it was written`);
  return settled;
}

function idIn(text: string): string | null {
  try {
    const parsed = archiveId.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data.id : null;
  } catch {
    return null;
  }
}
