import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { openLedgerEnd } from '../../src/service/sealing/closed-ledger.ts';
import { withSealingOutbox } from '../../src/service/sealing/sealing-outbox.ts';
import { seal } from '../../src/ledger/seal/seal.ts';
import { openFolderStore } from '../../src/store/folder/folder-object-store.ts';
import { retryable } from '../../src/errors.ts';
import { bytesBody } from '../../src/store/put-body.ts';
import { commitJob, memoryQueue, sealerOf } from '../support/harness/sealing-under-test.ts';
import { findingsOf, verifyFolder } from '../support/harness/verify-under-test.ts';
import { removeTemporaryFolder, spawnEverlog, temporaryFolder } from '../support/processes/processes.ts';

const root = temporaryFolder('everlog-closed-');
afterAll(() => removeTemporaryFolder(root));

const JSON_OBJECT = { contentType: 'application/json', kind: 'record' } as const;
const PLACE = 'host=github.com/owner=octo-org/repo=octo-repo';

test('an archive whose ledger was closed takes no logs, records, runs and custody objects, and says why', async () => {
  const folder = join(root, randomUUID());
  const store = await openFolderStore({ folder });
  const queue = memoryQueue();
  let nowMs = Date.now();
  const end = openLedgerEnd(store, () => new Date(nowMs));
  const pending = {
    add: (keys: readonly string[]) => queue.pending.add(keys),
    announce: () => Promise.resolve(),
  };
  const outbox = withSealingOutbox(store, pending, end);
  await commitJob(outbox, queue, 1);
  await seal(sealerOf(store, queue), { final: true });
  // One that looked before is sure of it within a minute.
  nowMs += 60_000;
  for (const key of [
    `v1/logs/${PLACE}/dt=2020-01-20/1-1-7.log.gz`,
    `v1/records/${PLACE}/1/1/7.json`,
    `v1/runs/${PLACE}/1/1.json`,
    'v1/custody/dt=2026-11-20/20261120T000000Z-ab.json',
  ]) {
    const put = outbox.putIfAbsent(key, bytesBody(Buffer.from('{}\n')), JSON_OBJECT);
    await expect(put).rejects.toMatchObject({
      code: 'ledger_closed',
      remedy: { kind: 'wait', until: new Date(nowMs + 15 * 60_000) },
      message: expect.stringMatching(/digest 1 closed the ledger of .*EVERLOG_ARCHIVE_URL/),
    });
    expect(await store.head(key)).toBeNull();
  }
  expect(await queue.pending.count()).toBe(0);
  expect(findingsOf(await verifyFolder(folder, { now: () => new Date(Date.now() + 1e9) }))).toEqual([]);
});

test('a store that does not say is no reason to keep a log out', async () => {
  const store = await openFolderStore({ folder: join(root, randomUUID()) });
  const away = {
    ...store,
    read: () => Promise.reject(retryable('store_unavailable', 'the store is away')),
  };
  const end = openLedgerEnd(away, () => new Date());
  await expect(end.refuseIfClosed()).resolves.toBeUndefined();
});

test('seal --final asks first: where nobody can answer it ends with 2 and changes nothing', async () => {
  const folder = join(root, randomUUID());
  const asked = spawnEverlog(['seal', '--final'], { EVERLOG_ARCHIVE_URL: folder }, { cwd: root });
  expect(await asked.exited).toMatchObject({ code: 2 });
  expect(asked.stderr()).toMatch(/Close the ledger for good\?.*give --yes/);
  expect(existsSync(folder)).toBe(false);
});
