import { parseCustody, type Custody, type ParsedCustody } from './custody-format.ts';
import { CUSTODY_ROOT, custodyKey, parseKey } from '../keys.ts';
import { readWhole, type ListedObject, type ObjectStore } from '../../store/object-store.ts';
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

/** Larger objects are none: one names at most a few thousand objects. */
const CUSTODY_BYTES_MAX = 16 * 1024 * 1024;

/** Every custody object, of a day (`YYYY-MM-DD`) and later where one is given, oldest first, also those that cannot be read as such. */
export async function* readCustodies(
  store: ObjectStore,
  fromDay?: string,
  isWanted: (key: string) => boolean = () => true,
): AsyncGenerator<{ readonly key: string; readonly read: ParsedCustody }> {
  let batch: ListedObject[] = [];
  // `dt=2026-11-20` sorts before everything in that day's folder.
  const after = fromDay === undefined ? undefined : `${CUSTODY_ROOT}dt=${fromDay}`;
  for await (const listed of store.list(CUSTODY_ROOT, after)) {
    if (parseKey(listed.key)?.type !== 'custody' || !isWanted(listed.key)) continue;
    batch.push(listed);
    if (batch.length < READ_IN_FLIGHT_MAX) continue;
    yield* await readCustodyObjects(store, batch);
    batch = [];
  }
  yield* await readCustodyObjects(store, batch);
}

async function readCustodyObjects(
  store: ObjectStore,
  objects: readonly ListedObject[],
): Promise<{ key: string; read: ParsedCustody }[]> {
  const none = (problem: string): ParsedCustody => ({ ok: false, problem, hold: null });
  return Promise.all(
    objects.map(async ({ key, bytes }) => {
      if (bytes > CUSTODY_BYTES_MAX) return { key, read: none(`it has ${bytes} bytes`) };
      const found = await readWhole(store, key);
      return { key, read: found === null ? none('it is gone') : parseCustody(found.bytes, key) };
    }),
  );
}
