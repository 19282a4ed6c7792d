import { curable, type EverlogError } from '../../errors.ts';
import type { KeyValueNotes, StoredNotes } from '../key-value-notes.ts';

/** The table of notes that says whose a queue is. */
export const OWNER_TABLE = 'deployment';
/** The address of whoever came first: all that the mark was before archives had ids. */
const ADDRESS_FIELD = 'archive';
const ID_FIELD = 'archive_id';
/** Before an address by which the archive of that id was reached: who cannot read ids compares these. */
const KNOWN_AT = 'archive_at ';

/** Before the address of an archive that is to get an id: who begins at once on a store that takes both objects writes the same. */
const NEXT_ID = 'archive_next ';

/** Where a queue is, for people; `prefix` is null for an embedded one. */
interface QueuePlace {
  readonly location: string;
  readonly prefix: string | null;
}

/** The id of an archive as a process knows it. */
export type KnownId =
  | { readonly kind: 'id'; readonly id: string }
  /** It has none. `hasRecords`: jobs were archived there already, so that it may have lost it. */
  | { readonly kind: 'none'; readonly hasRecords: boolean }
  /** Nobody looks, for null; else why it could not be read. */
  | { readonly kind: 'unread'; readonly why: string | null };

/** The archive that a process works for. */
export interface OwnArchive {
  /** As its configuration says, in one form. */
  readonly address: string;
  /** Reads its id. */
  readId(): Promise<KnownId>;
  /** An id that no archive has. */
  newId(): string;
  /** Gives it this id where it has none. */
  settleId(candidate: string): Promise<KnownId>;
  /** What stands in the archive of this id, for whoever lost it. */
  describe(id: string): string;
}

interface Mark {
  readonly id: string | null;
  readonly address: string | null;
  readonly knownAt: ReadonlySet<string>;
}

/**
 * Marks a queue as the one of `archive`, unless it bears a mark already: jobs that two archives' workers took from one queue
 * would end in either. A queue of a time before ids is taken over where its mark names this archive's address.
 * @throws EverlogError `queue_foreign` (give up) when it belongs to another archive, `queue_unavailable` while that is not known
 */
export async function requireOwnQueue(
  notes: Pick<StoredNotes, 'settleField' | 'setField' | 'fields'>,
  archive: OwnArchive,
  place: QueuePlace,
): Promise<void> {
  const mark = markIn(await notes.fields(OWNER_TABLE));
  const known = await archive.readId();
  demandOwn(mark, archive, known, place);
  const id = known.kind === 'none' ? await giveId(notes, archive, mark) : known;
  if (id.kind === 'id') {
    // First of all: a mark of an address alone stands for a time before ids.
    const owner = await notes.settleField(OWNER_TABLE, ID_FIELD, id.id);
    if (owner !== id.id) throw foreign({ ...mark, id: owner }, archive, place);
    if (!mark.knownAt.has(archive.address))
      await notes.setField(OWNER_TABLE, `${KNOWN_AT}${archive.address}`, '');
  }
  const address = await notes.settleField(OWNER_TABLE, ADDRESS_FIELD, archive.address);
  if (id.kind !== 'id' && mark.id === null && address !== archive.address)
    throw foreign({ ...mark, address }, archive, place);
}

async function giveId(
  notes: Pick<StoredNotes, 'settleField'>,
  archive: OwnArchive,
  { id }: Mark,
): Promise<KnownId> {
  if (id !== null) return archive.settleId(id);
  const field = `${NEXT_ID}${archive.address}`;
  return archive.settleId(await notes.settleField(OWNER_TABLE, field, archive.newId()));
}

/**
 * Looks whose mark a queue bears, and marks nothing.
 * @throws EverlogError `queue_foreign` (give up) when it belongs to another archive, `queue_unavailable` while that is not known
 */
export async function refuseForeignQueue(
  notes: Pick<KeyValueNotes, 'fields'>,
  archive: OwnArchive,
  place: QueuePlace,
): Promise<'own' | 'unmarked'> {
  const mark = markIn(await notes.fields(OWNER_TABLE));
  const isMarked = mark.id !== null || mark.address !== null;
  const known: KnownId = mark.id === null ? { kind: 'unread', why: null } : await archive.readId();
  demandOwn(mark, archive, known, place);
  return isMarked ? 'own' : 'unmarked';
}

function markIn(fields: Readonly<Record<string, string>>): Mark {
  const known = Object.keys(fields).filter((field) => field.startsWith(KNOWN_AT));
  return {
    id: fields[ID_FIELD] ?? null,
    address: fields[ADDRESS_FIELD] ?? null,
    knownAt: new Set(known.map((field) => field.slice(KNOWN_AT.length))),
  };
}

function demandOwn(mark: Mark, archive: OwnArchive, known: KnownId, place: QueuePlace): void {
  if (mark.id === null) {
    if (mark.address !== null && mark.address !== archive.address) throw foreign(mark, archive, place);
    return;
  }
  if (known.kind === 'id' && known.id === mark.id) return;
  // Who cannot read it goes by the addresses at which others read it; so does an archive that was emptied of all but its evidence,
  // or restored without the rest.
  const mayGoByAddress = known.kind === 'unread' || (known.kind === 'none' && known.hasRecords);
  if (mayGoByAddress && mark.knownAt.has(archive.address)) return;
  if (known.kind !== 'unread' || known.why === null) throw foreign(mark, archive, place);
  throw curable(
    'queue_unavailable',
    'retry',
    `whether the queue ${place.location} belongs to ${archive.address} is not known: ${known.why}`,
    'see that the archive can be read',
  );
}

function foreign(mark: Mark, archive: OwnArchive, place: QueuePlace): EverlogError {
  const { prefix } = place;
  const lost = mark.id === null ? '' : `. If it is this very archive, ${archive.describe(mark.id)}`;
  const cure =
    prefix === null
      ? 'give each archive an embedded queue of its own (EVERLOG_QUEUE_URL)'
      : `give each deployment its own EVERLOG_QUEUE_PREFIX (this one's is ${prefix}). If the queue is to become this archive's, run redis-cli DEL ${prefix}:tables:${OWNER_TABLE}`;
  return curable(
    'queue_foreign',
    'give_up',
    `the queue ${place.location} belongs to another archive, ${ownerIn(mark)}, and not to ${archive.address}: their jobs would mix`,
    `correct EVERLOG_ARCHIVE_URL, or ${cure}${lost}`,
  );
}

function ownerIn({ id, address }: Mark): string {
  if (id === null) return address ?? 'unknown';
  return address === null ? `of id ${id}` : `${address} (id ${id})`;
}
