import { describe, expect, it } from 'vitest';
import { checkpointKey } from '../../../src/archive/keys.ts';
import { findLastNote } from '../../../src/ledger/standing-digests.ts';

/** Listings of notes 1 to `last`, counted. */
function notesUpTo(last: number) {
  let listings = 0;
  return {
    listings: () => listings,
    async *list(prefix: string, startAfter = '') {
      listings += 1;
      await Promise.resolve();
      for (let sequence = 1; sequence <= last; sequence += 1) {
        const key = checkpointKey(sequence);
        if (key.startsWith(prefix) && key > startAfter) yield { key, bytes: 1, lastModified: new Date(0) };
      }
    },
  };
}

describe('findLastNote', () => {
  it('finds the last, whatever the hint', async () => {
    for (const last of [0, 1, 2, 3, 7, 8, 9, 100, 1_000]) {
      for (const hint of [0, 1, last - 1, last, last + 1, 5_000]) {
        const store = notesUpTo(last);
        expect(await findLastNote(store, hint), `${last} of hint ${hint}`).toBe(last);
      }
    }
  });

  it('asks for few listings: two where the hint is right, some tens where there is none', async () => {
    const known = notesUpTo(2_000);
    await findLastNote(known, 2_000);
    expect(known.listings()).toBe(2);
    const unknown = notesUpTo(2_000);
    await findLastNote(unknown, 0);
    expect(unknown.listings()).toBeLessThan(60);
  });
});
