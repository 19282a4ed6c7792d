import { randomUUID } from 'node:crypto';
import { giveUp, messageOf } from '../../errors.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { bytesBody } from '../../store/put-body.ts';

/**
 * A write that failed speaks against the archive this long, unless a later one goes well: whatever can be tried again is tried
 * within five minutes. Not for ever, as a process that takes no deliveries because it is not ready would never write again.
 */
const FAILURE_COUNTS_MS = 10 * 60_000;
const PROBE_TEXT = 'everlog wrote this to see whether it can\n';

export interface WatchedArchive {
  /** The archive, to be written through. */
  readonly store: ObjectStore;
  /**
   * Rejects, in the store's own words, unless the archive can be listed and its last write went well. A folder is written to
   * at once; a bucket is not, as under its default lock each probe would stay for years.
   */
  ready(): Promise<void>;
}

/** Watches how the writes to an archive end. */
export function watchWrites(
  store: ObjectStore,
  canBeTried: boolean,
  now: () => number = () => performance.now(),
): WatchedArchive {
  let failure: { readonly atMs: number; readonly words: string } | null = null;
  const watched: ObjectStore = {
    ...store,
    async putIfAbsent(key, body, options) {
      try {
        const put = await store.putIfAbsent(key, body, options);
        failure = null;
        return put;
      } catch (error) {
        failure = { atMs: now(), words: messageOf(error) };
        throw error;
      }
    },
  };
  return {
    store: watched,
    async ready() {
      await store.ping();
      if (canBeTried) {
        await writeAndRemove(watched);
        return;
      }
      if (failure !== null && now() - failure.atMs < FAILURE_COUNTS_MS)
        throw giveUp('store_unavailable', `the last write failed: ${failure.words}`);
    },
  };
}

async function writeAndRemove(store: ObjectStore): Promise<void> {
  const key = `probe/ready-${randomUUID()}`;
  await store.putIfAbsent(key, bytesBody(Buffer.from(PROBE_TEXT)), {
    contentType: 'text/plain',
    kind: 'other',
  });
  await store.remove(key, null, { bypassGovernance: false });
}
