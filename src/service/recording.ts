import { randomBytes } from 'node:crypto';
import { openLedgerEnd } from './sealing/closed-ledger.ts';
import { withSealingOutbox } from './sealing/sealing-outbox.ts';
import type { Custody } from '../archive/custody/custody-format.ts';
import type { ObjectStore } from '../store/object-store.ts';
import type { QueueControl } from '../control/requests.ts';
import { actingUser } from './actor.ts';
import { readVersion } from './version.ts';

/** What a command needs that writes to the evidence: who does it, and an archive whose commits the sealer is told of. */
export interface Recording {
  readonly store: ObjectStore;
  readonly who: Custody['who'];
  readonly version: string;
  readonly now: () => Date;
  readonly randomHex: () => string;
}

const RANDOM_BYTES = 8;

/** Wraps the archive for a command that commits records or custody objects. */
export function openRecording(store: ObjectStore, queue: Pick<QueueControl, 'pending'>): Recording {
  return {
    store: withSealingOutbox(
      store,
      queue.pending,
      openLedgerEnd(store, () => new Date()),
    ),
    who: actingUser(),
    version: readVersion(),
    now: () => new Date(),
    randomHex: () => randomBytes(RANDOM_BYTES).toString('hex'),
  };
}
