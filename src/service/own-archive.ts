import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ARCHIVE_ID_KEY, archiveIdText, readArchiveId, settleArchiveId } from '../archive/archive-id.ts';
import { RECORDS_ROOT } from '../archive/keys.ts';
import type { Config } from '../config.ts';
import { archiveIdentity } from '../config/archive-url.ts';
import { EverlogError, messageOf } from '../errors.ts';
import type { KnownId, OwnArchive } from '../queue/health/belonging.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { openArchive } from './archive.ts';

/** An archive that has not answered by then is taken for one that does not: whoever asks goes on by its address. */
const ANSWER_MS = 2_000;
/** While it does not answer it is asked again at this pace, and those who look at the queue do not wait for it each time. */
const ASK_AGAIN_MS = 10_000;

/**
 * The configured archive, to be compared with a queue's mark. Its id is read when it is first asked for, and stays known. Reads
 * nothing where `reads` is false: a receiver has no rights to an archive.
 */
export function ownArchive(
  config: Config,
  { reads }: { readonly reads: boolean },
  now: () => number = () => performance.now(),
): OwnArchive {
  let id: string | null = null;
  let hasRecords = false;
  let refused: { readonly atMs: number; readonly why: string } | null = null;
  const know = async (look: (store: ObjectStore) => Promise<string | null>): Promise<KnownId> => {
    if (!reads) return { kind: 'unread', why: null };
    if (refused !== null && now() - refused.atMs < ASK_AGAIN_MS) return { kind: 'unread', why: refused.why };
    try {
      id ??= await withStore(config, async (store) => {
        const found = await look(store);
        hasRecords = found === null && (await holdsRecords(store));
        return found;
      });
    } catch (error) {
      if (!(error instanceof EverlogError)) throw error;
      refused = { atMs: now(), why: messageOf(error) };
      return { kind: 'unread', why: refused.why };
    }
    return id === null ? { kind: 'none', hasRecords } : { kind: 'id', id };
  };
  return {
    address: archiveIdentity(config.archive),
    readId: () => know(readArchiveId),
    newId: () => randomUUID(),
    settleId: (candidate) => know((store) => settleArchiveId(store, candidate)),
    describe: (lost) => `put ${archiveIdText(lost).trim()} there as ${ARCHIVE_ID_KEY}`,
  };
}

async function holdsRecords(store: ObjectStore): Promise<boolean> {
  for await (const _ of store.list(RECORDS_ROOT)) return true;
  return false;
}

async function withStore<T>(config: Config, look: (store: ObjectStore) => Promise<T>): Promise<T> {
  const store = await openArchive(config, config.archive);
  const late = new AbortController();
  try {
    const looking = look(store);
    // What comes of it later nobody hears.
    looking.catch(() => undefined);
    return await Promise.race([looking, tooLate(store.location, late.signal)]);
  } finally {
    late.abort();
    await store.close();
  }
}

async function tooLate(location: string, signal: AbortSignal): Promise<never> {
  await sleep(ANSWER_MS, undefined, { signal });
  throw new EverlogError(
    'store_unavailable',
    { kind: 'retry' },
    `${location} did not answer within ${ANSWER_MS} ms`,
  );
}
