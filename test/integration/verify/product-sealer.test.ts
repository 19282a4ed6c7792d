import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openFolderStore } from '../../../src/store/folder/folder-object-store.ts';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import { seal, type SealDeps } from '../../../src/ledger/seal/seal.ts';
import { seededRandom } from '../../../src/simulator/random.ts';
import {
  accounted,
  commitJob,
  memoryQueue,
  sealerOf,
  testFolder,
  type MemoryQueue,
} from '../../support/harness/sealing-under-test.ts';
import {
  fileAt,
  findingsOf,
  oneOf,
  verifyFolder,
  withFlippedBit,
} from '../../support/harness/verify-under-test.ts';

/** What the product seals, the verifier believes; and what is changed afterwards, it finds. */

interface Sealed {
  readonly folder: string;
  readonly store: ObjectStore;
  readonly queue: MemoryQueue;
  readonly deps: SealDeps;
  readonly anchor: ObjectStore;
}

async function sealedArchive(): Promise<Sealed> {
  const folder = testFolder();
  const [store, anchor] = [
    await openFolderStore({ folder }),
    await openFolderStore({ folder: testFolder() }),
  ];
  const queue = memoryQueue();
  const gap = { host: 'github.com', owner: 'octo-org', repo: 'octo-repo', repository_id: 1, run_id: 2 };
  const gaps = [{ ...gap, run_attempt: 1, job_id: 9, jobs: 1, reason: 'failed', since: null }];
  const deps = sealerOf(store, queue, { anchor, accounting: accounted(gaps) });
  for (let digest = 0; digest < 3; digest += 1) {
    for (let job = 1; job <= 12; job += 1) await commitJob(store, queue, digest * 12 + job);
    await seal(deps, { final: false });
  }
  await seal(deps, { final: false });
  return { folder, store, queue, deps, anchor };
}

test('what the sealer wrote is valid, and its anchor vouches for all of it', async () => {
  const { folder, deps, anchor } = await sealedArchive();
  const pinnedKeyId = deps.signer.keyId;
  const { lines, summary } = await verifyFolder(folder, {
    pinnedKeyId,
    anchor: { kind: 'store', store: anchor },
  });
  expect(lines).toEqual([]);
  // Four digests with entries and gaps, 36 records, 24 logs, and the key.
  expect(summary).toMatchObject({ result: 'VALID', last_sequence: 4, anchored_sequence: 4, entries: 37 });
  expect(summary.results).toEqual({ VALID: 4 * 3 + 36 + 24 + 1 });

  await seal(deps, { final: true });
  const closed = await verifyFolder(folder, { now: () => new Date(Date.now() + 1e9) });
  expect(closed.summary).toMatchObject({ findings: 0, final: true });
});

test('a bit of any file that it sealed or wrote is found', async () => {
  const { folder, store, deps } = await sealedArchive();
  const keys: string[] = [];
  for (const root of ['v1/', 'ledger/']) for await (const { key } of store.list(root)) keys.push(key);
  const random = seededRandom(1);
  for (let count = 0; count < 40; count += 1) {
    const key = oneOf(keys, random);
    const file = fileAt(folder, key);
    file.write(withFlippedBit(file.bytes, random));
    const findings = findingsOf(await verifyFolder(folder, { pinnedKeyId: deps.signer.keyId }));
    // A damaged key file takes every digest by that key with it.
    expect(findings.some((finding) => finding.endsWith(` ${key}`))).toBe(true);
    file.restore();
  }
});

test('a log that was gone when its record was sealed is missing', async () => {
  const { folder, store, queue, deps } = await sealedArchive();
  await commitJob(store, queue, 100);
  const logs: string[] = [];
  for await (const { key } of store.list('v1/logs/')) if (key.includes('-100.')) logs.push(key);
  for (const key of logs) rmSync(join(folder, key));
  await seal(deps, { final: false });
  expect(findingsOf(await verifyFolder(folder))).toEqual(logs.map((key) => `MISSING ${key}`));
});
