import { parseKey } from '../../archive/keys.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import type { LedgerEnd } from './closed-ledger.ts';
import type { PendingCommits } from '../../queue/pending-commits.ts';

/**
 * The archive for whoever commits to it: each record, run and custody object that is written is announced before and added to
 * what waits for its digest afterwards. A store that has the object already counts, too: an earlier try may have written it
 * and died.
 *
 * Where the ledger was closed, nothing is written that no digest would ever cover.
 *
 * An announcement that fails holds nothing up. An addition that fails is the caller's trouble like any other: the next try finds
 * the object and adds it.
 */
export function withSealingOutbox(
  store: ObjectStore,
  pending: Pick<PendingCommits, 'announce' | 'add'>,
  end: LedgerEnd,
): ObjectStore {
  return {
    ...store,
    async putIfAbsent(key, body, options) {
      if (key.startsWith(EVIDENCE_ROOT)) await end.refuseIfClosed();
      if (!isSealed(key)) return store.putIfAbsent(key, body, options);
      await pending.announce([key]).catch(() => undefined);
      const put = await store.putIfAbsent(key, body, options);
      await pending.add([key]);
      return put;
    },
  };
}

const EVIDENCE_ROOT = 'v1/';

/** Logs are sealed with their records, and names are not sealed. */
function isSealed(key: string): boolean {
  const type = parseKey(key)?.type;
  return type === 'record' || type === 'run' || type === 'custody';
}
