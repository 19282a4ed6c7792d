import { randomUUID } from 'node:crypto';
import { EverlogError, giveUp, messageOf } from '../../errors.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { bytesBody } from '../../store/put-body.ts';

/**
 * A write that failed speaks against the archive this long, unless a later one goes well: whatever can be tried again is tried
 * within five minutes. Not for ever, as a process that takes no deliveries because it is not ready would never write again.
 */
const FAILURE_COUNTS_MS = 10 * 60_000;
/** How the keys of trials begin; doctor has others. */
const PROBES = 'probe/ready-';
/** A trial takes milliseconds: what is as old as that was left by a process that was killed in one. */
const LEFT_AFTER_MS = 60 * 60_000;
/** Leftovers removed at a start; the next goes on. */
const LEFTOVERS_MAX = 1_000;
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
  let isTidied = false;
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
        if (!isTidied) await removeLeftovers(watched);
        isTidied = true;
        return;
      }
      if (failure !== null && now() - failure.atMs < FAILURE_COUNTS_MS)
        throw giveUp('store_unavailable', `the last write failed: ${failure.words}`);
    },
  };
}

async function writeAndRemove(store: ObjectStore): Promise<void> {
  const key = `${PROBES}${randomUUID()}`;
  await store.putIfAbsent(key, bytesBody(Buffer.from(PROBE_TEXT)), {
    contentType: 'text/plain',
    kind: 'other',
  });
  await store.remove(key, null, { bypassGovernance: false });
}

/** What another user has left may not be removed, which says nothing against the archive. */
async function removeLeftovers(store: ObjectStore): Promise<void> {
  const keys: string[] = [];
  for await (const { key, lastModified } of store.list(PROBES)) {
    if (Date.now() - lastModified.getTime() > LEFT_AFTER_MS) keys.push(key);
    if (keys.length >= LEFTOVERS_MAX) break;
  }
  for (const key of keys)
    await store.remove(key, null, { bypassGovernance: false }).catch((error: unknown) => {
      if (!(error instanceof EverlogError)) throw error;
    });
}
