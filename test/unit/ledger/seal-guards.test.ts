import { expect, test } from 'vitest';
import { seal, type SealDeps } from '../../../src/ledger/seal/seal.ts';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import { makeArchive } from '../../support/oracles/archived-jobs.ts';
import { commitJob, memoryQueue, sealerOf } from '../../support/harness/sealing-under-test.ts';

/** What is looked at last before a digest stands. */

async function openSealer(): Promise<{ readonly store: ObjectStore; readonly deps: SealDeps }> {
  const store = await makeArchive();
  const queue = memoryQueue();
  await commitJob(store, queue, 1);
  return { store, deps: sealerOf(store, queue) };
}

async function digestsIn(store: ObjectStore): Promise<number> {
  let count = 0;
  for await (const { key } of store.list('ledger/digests/')) if (key.endsWith('/digest.json')) count += 1;
  return count;
}

test('a signature that does not hold commits nothing', async () => {
  const { store, deps } = await openSealer();
  // A key's own file is signed as well, and judged by itself.
  await seal(deps, { final: false });
  const signer = { ...deps.signer, sign: () => Promise.resolve(Buffer.alloc(64, 7)) };
  await expect(seal({ ...deps, signer }, { final: false })).rejects.toMatchObject({
    code: 'signing_unavailable',
  });
  expect(await digestsIn(store)).toBe(1);
});

test('a sealer whose right another has taken meanwhile commits nothing', async () => {
  const { store, deps } = await openSealer();
  let claims = 0;
  const notes = { ...deps.notes, claim: () => Promise.resolve((claims += 1) === 1) };
  await expect(seal({ ...deps, notes }, { final: false })).rejects.toMatchObject({ code: 'ledger_busy' });
  expect(await digestsIn(store)).toBe(0);
  expect(await seal(deps, { final: false })).toMatchObject({ outcome: 'sealed', sequence: 1, entries: 2 });
});
