import { parseCustody, type Custody, type StoredCustody } from './custody-format.ts';
import { CUSTODY_ROOT, custodyKey, parseKey } from '../keys.ts';
import { readWhole, type ObjectStore } from '../../store/object-store.ts';
import { bytesBody } from '../../store/put-body.ts';

/** Writes and reads the objects that say who did what to the evidence. They are committed like records, and sealed. */

/** A custody object without what committing it decides. */
export type CustodyDraft = Omit<Custody, 'schema' | 'id' | 'at'>;

export interface CustodyDeps {
  readonly now: () => Date;
  /** At least 16 hex digits, never the same twice. */
  readonly randomHex: () => string;
}

/** Objects named in one custody object at most, but for those of a last job; more are divided over several. */
export const CUSTODY_OBJECTS_MAX = 500;
/** Custody objects read at once: enough to hide a store's latency. */
const READ_IN_FLIGHT_MAX = 16;

/** Writes a custody object; answers its key once it is stored. */
export async function commitCustody(
  store: ObjectStore,
  draft: CustodyDraft,
  deps: CustodyDeps,
): Promise<{ readonly key: string; readonly custody: Custody }> {
  const at = deps.now().toISOString();
  const id = `${at.replaceAll(/[-:.]/g, '')}-${deps.randomHex()}`;
  const { action, who, reason, scope, objects, result, archiver } = draft;
  const custody: Custody = {
    schema: 'everlog.custody/v1',
    id,
    action,
    at,
    who,
    reason,
    case: draft.case,
    scope,
    objects,
    result,
    archiver,
  };
  const key = custodyKey(at.slice(0, 10), id);
  // The id is random: an object that is there already is this one, of a try whose answer was lost.
  await store.putIfAbsent(key, bytesBody(Buffer.from(`${JSON.stringify(custody)}\n`)), {
    contentType: 'application/json',
    kind: 'other',
  });
  return { key, custody };
}

/** Every custody object, oldest first; null for one that cannot be read as such. */
export async function* readCustodies(
  store: ObjectStore,
): AsyncGenerator<{ readonly key: string; readonly custody: StoredCustody | null }> {
  let keys: string[] = [];
  for await (const { key } of store.list(CUSTODY_ROOT)) {
    if (parseKey(key)?.type !== 'custody') continue;
    keys.push(key);
    if (keys.length < READ_IN_FLIGHT_MAX) continue;
    yield* await readAll(store, keys);
    keys = [];
  }
  yield* await readAll(store, keys);
}

async function readAll(
  store: ObjectStore,
  keys: readonly string[],
): Promise<{ key: string; custody: StoredCustody | null }[]> {
  return Promise.all(
    keys.map(async (key) => {
      const found = await readWhole(store, key);
      return { key, custody: found === null ? null : parseCustody(found.bytes) };
    }),
  );
}
