import { randomBytes } from 'node:crypto';
import { commitCustody, CUSTODY_OBJECTS_MAX, type CustodyDraft } from '../../archive/custody/custody.ts';
import { messageOf, retryable } from '../../errors.ts';
import type { Log } from '../../logger.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import type { Reader } from '../../web/access/access.ts';
import type { View } from '../../web/site.ts';
import { readVersion } from '../version.ts';

/** Writes down who looked at what. */
export interface ViewNotes {
  /**
   * Resolves when a raw view or download is stored; a view of a page waits for its batch, and is resolved at once.
   * @throws EverlogError where it cannot be written down, and so may not be shown: of pages, while the batches of those
   *   before cannot be written
   */
  note(view: View): Promise<void>;
  /** Writes what still waits. */
  close(): Promise<void>;
}

/** Views of pages by one reader that are not written yet: by the keys of the records, in the order of the views. */
interface Batch {
  readonly reader: Reader;
  readonly keys: string[];
}

/** How long views of pages wait to be written together: an object, and an entry in the ledger, for each would be too many. */
const BATCH_MS = 60_000;
const RANDOM_BYTES = 8;

/** Notes views as custody objects, which the sealer finds by their days: views of pages one object a minute and reader. */
export function openViewNotes(store: ObjectStore, log: Log): ViewNotes {
  const version = readVersion();
  const deps = { now: () => new Date(), randomHex: () => randomBytes(RANDOM_BYTES).toString('hex') };
  let waiting = new Map<string, Batch>();
  let isFailing = false;
  let writing: Promise<void> | null = null;
  const write = async (action: 'view' | 'download', kind: View['kind'], batch: Batch): Promise<void> => {
    await commitCustody(store, viewDraft(action, kind, batch, version), deps);
  };
  const batchOf = (reader: Reader): Batch => {
    const who = `${reader.knownBy} ${reader.name}`;
    const known = waiting.get(who) ?? { reader, keys: [] };
    waiting.set(who, known);
    return known;
  };
  const writeAll = async (): Promise<void> => {
    const batches = [...waiting.values()];
    waiting = new Map();
    let failure: unknown = null;
    for (const { reader, keys } of batches) {
      // What could not be written waits again: somebody has seen these pages.
      if (failure === null)
        await write('view', 'page', { reader, keys }).catch((error: unknown) => (failure = error));
      if (failure !== null) batchOf(reader).keys.unshift(...keys);
    }
    isFailing = failure !== null;
    if (isFailing) log.error({ error: messageOf(failure) }, 'views could not be written down');
  };
  const flush = (): Promise<void> => {
    writing ??= writeAll().finally(() => (writing = null));
    return writing;
  };
  const timer = setInterval(() => void flush(), BATCH_MS);
  timer.unref();
  return {
    async note({ kind, reader, key }) {
      if (kind !== 'page') return write('download', kind, { reader, keys: [key] });
      if (isFailing) await flush();
      if (isFailing)
        throw retryable('store_unavailable', 'who looks at pages cannot be written down, so none is shown');
      const { keys } = batchOf(reader);
      keys.push(key);
      if (keys.length >= CUSTODY_OBJECTS_MAX) await flush();
    },
    async close() {
      clearInterval(timer);
      // One that is under way does not know of the last views.
      await writing;
      await flush();
    },
  };
}

function viewDraft(
  action: 'view' | 'download',
  kind: View['kind'],
  { reader, keys }: Batch,
  version: string,
): CustodyDraft {
  return {
    action,
    who: { name: reader.name, known_by: reader.knownBy, authenticated: reader.knownBy !== 'loopback' },
    reason: null,
    case: null,
    scope: { as: kind },
    objects: [...new Set(keys)].map((key) => ({ key, version_id: null, sha256: null })),
    result: { views: keys.length },
    archiver: { name: 'everlog', version },
  };
}
