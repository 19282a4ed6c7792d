import { expect, test } from 'vitest';
import { readCustodies } from '../../../src/archive/custody/custody.ts';
import { giveUp } from '../../../src/errors.ts';
import { openLog } from '../../../src/logger.ts';
import { openViewNotes } from '../../../src/service/web/view-notes.ts';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import type { View } from '../../../src/web/site.ts';
import { makeArchive, makeRecord } from '../../support/oracles/archived-jobs.ts';

const log = openLog('silent', { write: () => undefined });

function view(kind: View['kind'], name: string, key: string): View {
  return { kind, reader: { name, knownBy: 'github', readsAll: false }, record: makeRecord(), key };
}

async function noted(store: ObjectStore): Promise<string[]> {
  const told: string[] = [];
  for await (const { read } of readCustodies(store)) {
    if (!read.ok) throw new Error(read.problem);
    const { action, who, objects, scope } = read.custody;
    const keys = objects.map(({ key }) => key).join(' ');
    told.push(`${who.name} (${who.known_by}) ${action} ${JSON.stringify(scope)} ${keys}`);
  }
  return told.sort();
}

test('views of pages are written together by reader, downloads at once', async () => {
  const store = await makeArchive();
  const notes = openViewNotes(store, log);
  await notes.note(view('page', 'mona', 'a'));
  await notes.note(view('page', 'mona', 'b'));
  await notes.note(view('page', 'other', 'a'));
  await notes.note(view('page', 'mona', 'a'));
  expect(await noted(store)).toEqual([]);
  await notes.note(view('raw', 'mona', 'c'));
  expect(await noted(store)).toEqual(['mona (github) download {"as":"raw"} c']);
  await notes.close();
  expect(await noted(store)).toEqual([
    'mona (github) download {"as":"raw"} c',
    'mona (github) view {"as":"page"} a b',
    'other (github) view {"as":"page"} a',
  ]);
});

test('what cannot be written down is not shown, and views that were are not forgotten', async () => {
  const archive = await makeArchive();
  let isDown = true;
  const store: ObjectStore = {
    ...archive,
    putIfAbsent: async (...put) => {
      if (isDown) throw giveUp('store_refused', 'not allowed');
      return archive.putIfAbsent(...put);
    },
  };
  const notes = openViewNotes(store, log);
  await expect(notes.note(view('download', 'mona', 'c'))).rejects.toMatchObject({ code: 'store_refused' });
  // So many fill a batch, which is then tried.
  for (let at = 0; at < 500; at += 1) await notes.note(view('page', 'mona', String(at % 3)));
  await expect(notes.note(view('page', 'other', 'x'))).rejects.toMatchObject({ code: 'store_unavailable' });
  await expect(notes.note(view('page', 'mona', 'y'))).rejects.toMatchObject({ code: 'store_unavailable' });
  isDown = false;
  await notes.note(view('page', 'other', 'z'));
  await notes.close();
  expect(await noted(archive)).toEqual([
    'mona (github) view {"as":"page"} 0 1 2',
    'other (github) view {"as":"page"} z',
  ]);
});
