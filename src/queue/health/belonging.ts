import { curable, type EverlogError } from '../../errors.ts';
import type { KeyValueNotes, StoredNotes } from '../key-value-notes.ts';

/** The table of notes that says whose a queue is. */
export const OWNER_TABLE = 'deployment';
const FIELD = 'archive';

/** Where a queue is, for people; `prefix` is null for an embedded one. */
interface QueuePlace {
  readonly location: string;
  readonly prefix: string | null;
}

/**
 * Marks a queue as the one of `archive`, unless it bears a mark already: jobs that two archives' workers took from one queue
 * would end in either. A queue of a time before the mark is taken over by who comes first.
 * @throws EverlogError `queue_foreign` (give up) when it belongs to another archive
 */
export async function requireOwnQueue(
  notes: Pick<StoredNotes, 'settleField'>,
  archive: string,
  place: QueuePlace,
): Promise<void> {
  const owner = await notes.settleField(OWNER_TABLE, FIELD, archive);
  if (owner !== archive) throw foreign(owner, archive, place);
}

/**
 * Looks whose mark a queue bears, and marks nothing.
 * @throws EverlogError `queue_foreign` (give up) when it belongs to another archive
 */
export async function refuseForeignQueue(
  notes: Pick<KeyValueNotes, 'fields'>,
  archive: string,
  place: QueuePlace,
): Promise<'own' | 'unmarked'> {
  const owner = (await notes.fields(OWNER_TABLE))[FIELD];
  if (owner === undefined) return 'unmarked';
  if (owner !== archive) throw foreign(owner, archive, place);
  return 'own';
}

function foreign(owner: string, archive: string, place: QueuePlace): EverlogError {
  const cure =
    place.prefix === null
      ? 'give each archive an embedded queue of its own (EVERLOG_QUEUE_URL)'
      : `give each deployment its own EVERLOG_QUEUE_PREFIX (this one's is ${place.prefix}). If the archive itself was moved, run redis-cli HDEL ${place.prefix}:tables:${OWNER_TABLE} ${FIELD}`;
  return curable(
    'queue_foreign',
    'give_up',
    `the queue ${place.location} belongs to another archive, ${owner}, and not to ${archive}: their jobs would mix`,
    `correct EVERLOG_ARCHIVE_URL, or ${cure}`,
  );
}
