import { randomBytes } from 'node:crypto';
import { commitCustody, CUSTODY_OBJECTS_MAX, type CustodyDraft } from '../../archive/custody/custody.ts';
import { messageOf } from '../../errors.ts';
import type { Log } from '../../logger.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import type { View } from '../../web/site.ts';
import { readVersion } from '../version.ts';

/** Writes down who looked at what. */
export interface ViewNotes {
  /** Resolves when a raw view or download is stored; a view of a page waits for its batch, and is resolved at once. */
  note(view: View): Promise<void>;
  /** Writes what still waits. */
  close(): Promise<void>;
}

/** How long views of pages wait to be written together: an object, and an entry in the ledger, for each would be too many. */
const BATCH_MS = 60_000;
const RANDOM_BYTES = 8;

/** Notes views as custody objects, which the sealer finds by their days: views of pages one object a minute and reader. */
export function openViewNotes(store: ObjectStore, log: Log): ViewNotes {
  const version = readVersion();
  const deps = { now: () => new Date(), randomHex: () => randomBytes(RANDOM_BYTES).toString('hex') };
  let waiting = new Map<string, View[]>();
  const write = async (action: 'view' | 'download', views: readonly View[]): Promise<void> => {
    const [first] = views;
    if (first === undefined) return;
    await commitCustody(store, draftOf(action, first, views, version), deps);
  };
  const flush = async (): Promise<void> => {
    const batches = waiting;
    waiting = new Map();
    for (const views of batches.values()) {
      await write('view', views).catch((error: unknown) => {
        log.error({ error: messageOf(error), views: views.length }, 'views could not be written down');
      });
    }
  };
  const timer = setInterval(() => void flush(), BATCH_MS);
  timer.unref();
  return {
    async note(view) {
      if (view.kind !== 'page') return write('download', [view]);
      const reader = `${view.reader.knownBy} ${view.reader.name}`;
      const views = waiting.get(reader) ?? [];
      views.push(view);
      waiting.set(reader, views);
      if (views.length >= CUSTODY_OBJECTS_MAX) await flush();
    },
    async close() {
      clearInterval(timer);
      await flush();
    },
  };
}

function draftOf(
  action: 'view' | 'download',
  { reader, kind }: View,
  views: readonly View[],
  version: string,
): CustodyDraft {
  const keys = [...new Set(views.map(({ key }) => key))];
  return {
    action,
    who: { name: reader.name, known_by: reader.knownBy, authenticated: reader.knownBy !== 'loopback' },
    reason: null,
    case: null,
    scope: { as: kind },
    objects: keys.map((key) => ({ key, version_id: null, sha256: null })),
    result: { views: views.length },
    archiver: { name: 'everlog', version },
  };
}
