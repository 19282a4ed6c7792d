import { beforeEach, expect, test } from 'vitest';
import type { JobRecord } from '../../../src/archive/record.ts';
import { runCat } from '../../../src/cli/read/cat.ts';
import { runLs } from '../../../src/cli/read/ls.ts';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import { makeArchive, makeRecord, put, storeJob, storeRecord } from '../../support/oracles/archived-jobs.ts';
import { readingDeps } from '../../support/harness/terminal-under-test.ts';
import { beginLedger, recordKeyOf } from '../../support/oracles/small-ledger.ts';

/** What reading commands say of what no digest covers. */

let store: ObjectStore;
let sealed: JobRecord;

beforeEach(async () => {
  store = await makeArchive();
  const recordedAt = '2020-01-20T18:30:00.000Z';
  sealed = await storeJob(store, makeRecord({ recorded_at: recordedAt }), 'log\n');
  const ledger = await beginLedger(store, '2020-01-20T17:00:00.000Z');
  await ledger.seal('2020-01-20T18:00:00.000Z', []);
  await ledger.seal('2020-01-20T19:00:00.000Z', [recordKeyOf(sealed)]);
  for (let hour = 20; hour < 24; hour += 1) await ledger.seal(`2020-01-20T${hour}:00:00.000Z`, []);
});

async function said(): Promise<{ ls: string; cat: string }> {
  const [ls, cat] = [readingDeps(store), readingDeps(store)];
  await runLs(ls, {});
  await runCat(cat, String(sealed.job_id), {});
  return { ls: ls.stderr.text(), cat: cat.stderr.text() };
}

test('nothing of what was sealed', async () => {
  expect(await said()).toEqual({ ls: '', cat: '' });
});

test('a planted revision by its name, whatever it says of when it was written', async () => {
  for (const [revision, recordedAt] of [
    [2, '2020-01-20T18:31:00Z'],
    [3, '2031-01-01T00:00:00Z'],
    [4, 'never'],
  ] as const) {
    const planted = { ...sealed, revision, recorded_at: recordedAt };
    await storeRecord(store, planted);
    const line = `everlog: no digest covers ${recordKeyOf(sealed).replace('.json', `.r${revision}.json`)}: `;
    const { ls, cat } = await said();
    expect(ls).toContain(line);
    expect(cat).toContain(line);
  }
});

test('a record that is not what was sealed', async () => {
  const changed: ObjectStore = {
    ...store,
    read: async (key, version) => store.read(key === recordKeyOf(sealed) ? 'v1/other.json' : key, version),
  };
  const bytes = JSON.stringify({ ...sealed, head_branch: 'other' });
  await put(store, 'v1/other.json', Buffer.from(bytes));
  const deps = readingDeps(changed);
  await runLs(deps, {});
  expect(deps.stderr.text()).toContain(`${recordKeyOf(sealed)} is not what was sealed: run everlog verify`);
});
