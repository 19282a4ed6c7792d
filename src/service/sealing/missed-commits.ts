import { CUSTODY_ROOT } from '../../archive/keys.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import type { KeyValueNotes } from '../../queue/key-value-notes.ts';
import type { PendingCommits } from '../../queue/pending-commits.ts';

/** Commits that are missing among the pending ones, found before a seal. */
export interface MissedCommitsDeps {
  readonly store: Pick<ObjectStore, 'head' | 'list'>;
  readonly pending: Pick<PendingCommits, 'announcedBefore' | 'add' | 'remove'>;
  readonly notes: Pick<KeyValueNotes, 'note' | 'noted'>;
  readonly now: () => Date;
}

/** Whoever announced an object this long ago has written it or died: a small object is stored or given up in minutes. */
const ANNOUNCED_MS = 15 * 60_000;
const PAGE_KEYS = 500;
/** When custody objects were last listed. */
const LISTED_NOTE = 'custody-listed';
/** Clocks of the store and of this machine, and writes that were under way. */
const OVERLAP_MS = 15 * 60_000;
const DAY_MS = 24 * 60 * 60_000;
/** Where nothing is noted, the archive's own listing (a set without a mark) finds what is older. */
const FIRST_LOOK_MS = 2 * DAY_MS;
const NOTE_KEPT_MS = 365 * DAY_MS;

/** Adds what was committed and not added: of writers that died, and of commands that reached the archive alone. */
export async function addMissedCommits(deps: MissedCommitsDeps): Promise<void> {
  await settleAnnounced(deps);
  await addCustody(deps);
}

/** What was announced long ago was committed or not: the archive says which. */
async function settleAnnounced({ store, pending, now }: MissedCommitsDeps): Promise<void> {
  const before = new Date(now().getTime() - ANNOUNCED_MS);
  for (;;) {
    const keys = await pending.announcedBefore(before, PAGE_KEYS);
    for (const key of keys) {
      if ((await store.head(key)) === null) await pending.remove([key]);
      else await pending.add([key]);
    }
    if (keys.length < PAGE_KEYS) return;
  }
}

/** Custody objects are few, and some commands that write them need no queue: their days are listed. */
async function addCustody({ store, pending, notes, now }: MissedCommitsDeps): Promise<void> {
  const startedAt = now();
  const [noted] = await notes.noted([LISTED_NOTE]);
  const lastMs =
    noted === undefined || noted === null ? startedAt.getTime() - FIRST_LOOK_MS : Date.parse(noted);
  // A clock was ahead when that was noted: what it would have found since, nobody looked for.
  if (lastMs > startedAt.getTime() + OVERLAP_MS) await addAllCustody({ store, pending });
  const since = new Date(Math.min(lastMs, startedAt.getTime()) - OVERLAP_MS);
  for (let dayMs = floorDay(since); dayMs <= startedAt.getTime() + OVERLAP_MS; dayMs += DAY_MS) {
    const day = new Date(dayMs).toISOString().slice(0, 10);
    for await (const { key, lastModified } of store.list(`${CUSTODY_ROOT}dt=${day}/`))
      if (lastModified >= since) await pending.add([key]);
  }
  await notes.note(LISTED_NOTE, startedAt.toISOString(), NOTE_KEPT_MS);
}

async function addAllCustody({
  store,
  pending,
}: Pick<MissedCommitsDeps, 'store' | 'pending'>): Promise<void> {
  for await (const { key } of store.list(CUSTODY_ROOT)) await pending.add([key]);
}

function floorDay(moment: Date): number {
  return Math.floor(moment.getTime() / DAY_MS) * DAY_MS;
}
