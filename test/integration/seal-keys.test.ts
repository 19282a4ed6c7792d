import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openFolderStore } from '../../src/store/folder/folder-object-store.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { openPemSigner } from '../../src/ledger/keys/signer.ts';
import { revokeKey, rotateKey } from '../../src/ledger/keys/signing-keys.ts';
import { seal, type SealDeps, type SealedReport } from '../../src/ledger/seal/seal.ts';
import { demandAllSealed, folderFiles, readLedger } from '../support/oracles/ledger-oracle.ts';
import { folderPut, LedgerMaker, makeKey, type MadeKey } from '../support/oracles/ledger-maker.ts';
import { findingsOf, verifyFolder } from '../support/harness/verify-under-test.ts';
import {
  atTime,
  commitJob,
  memoryQueue,
  newKeyPem,
  sealerOf,
  testFolder,
  type MemoryQueue,
} from '../support/harness/sealing-under-test.ts';

interface Site {
  readonly folder: string;
  readonly store: ObjectStore;
  readonly queue: MemoryQueue;
  readonly deps: SealDeps;
}

async function makeSite(changes: Partial<SealDeps> = {}, folder = testFolder()): Promise<Site> {
  const store = await openFolderStore({ folder });
  const queue = memoryQueue();
  return { folder, store, queue, deps: sealerOf(store, queue, changes) };
}

async function sealed(deps: SealDeps, entriesMax?: number): Promise<SealedReport> {
  const report = await seal(deps, { final: false, ...(entriesMax === undefined ? {} : { entriesMax }) });
  if (report.outcome !== 'sealed') throw new Error(`not sealed: ${report.outcome}`);
  return report;
}

function plant(folder: string, key: string, text: string): void {
  mkdirSync(dirname(join(folder, key)), { recursive: true });
  writeFileSync(join(folder, key), text);
}

/** A key in the hands of a test, from its PEM. */
function pemOf(key: MadeKey): string {
  return key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

describe('keys in the ledger', () => {
  it('are sealed once each, with their revocations, also when the queue forgets', async () => {
    const { folder, store, queue, deps } = await makeSite();
    await sealed(deps);
    const next = openPemSigner(newKeyPem());
    await rotateKey(store, { current: deps.signer, next }, new Date());
    await commitJob(store, queue, 1);
    expect(await sealed({ ...deps, signer: next })).toMatchObject({ entries: 2, findings: [] });
    await revokeKey(store, { keyId: deps.signer.keyId, signer: next, reason: 'lost', at: new Date() });
    expect(await sealed({ ...deps, signer: next })).toMatchObject({ entries: 1, findings: [] });
    queue.lose();
    expect(await sealed({ ...deps, signer: next })).toMatchObject({ entries: 0, listed: true });
    expect(await sealed({ ...deps, signer: next })).toMatchObject({ entries: 0, listed: false });
    const { digests, sealedKeys } = await demandAllSealed(folderFiles(folder));
    const first = `ledger/keys/${deps.signer.keyId}`;
    expect(sealedKeys).toEqual([`${first}.json`, `ledger/keys/${next.keyId}.json`, `${first}.revoked.json`]);
    expect(digests.flatMap(({ lines }) => lines.map(({ type }) => type))).toEqual([
      'key',
      'key',
      'record',
      'revocation',
    ]);
    expect(findingsOf(await verifyFolder(folder))).toEqual([]);
  });

  it('of a ledger of the first versions are taken in by the next digest', async () => {
    const folder = testFolder();
    const options = { archive: `file:${folder}`, startMs: Date.now() - 3 * 3_600_000 };
    const maker = new LedgerMaker(folderPut(folder), options);
    await maker.addJob(undefined, { recorded_at: new Date(maker.nowMs).toISOString() });
    await maker.seal();
    const key = await maker.addKey(makeKey());
    await maker.seal();
    await maker.seal();
    expect(findingsOf(await verifyFolder(folder))).toEqual([]);
    const { deps } = await makeSite({ signer: openPemSigner(pemOf(key)) }, folder);
    expect(await sealed(deps)).toMatchObject({ sequence: 4, entries: 2 });
    expect((await readLedger(folderFiles(folder))).sealedKeys).toHaveLength(2);
    expect(findingsOf(await verifyFolder(folder))).toEqual([]);
    rmSync(join(folder, `ledger/keys/${maker.keys[0]?.id ?? ''}.json`));
    expect(findingsOf(await verifyFolder(folder))).toContain(
      `MISSING ledger/keys/${maker.keys[0]?.id ?? ''}.json`,
    );
  });

  it('that a thief of a revoked key made get no entry, and nothing is built on what they sign', async () => {
    const { folder, store, deps } = await makeSite();
    await sealed(deps);
    const next = openPemSigner(newKeyPem());
    await rotateKey(store, { current: deps.signer, next }, new Date());
    await sealed({ ...deps, signer: next });
    const thief = openPemSigner(newKeyPem());
    const reason = 'stolen';
    await revokeKey(store, { keyId: deps.signer.keyId, signer: next, reason, at: new Date() });
    // Dated back, as if it had been made before.
    const aside = await makeSite({}, testFolder());
    for (const [key, bytes] of await keyFiles(folder)) plant(aside.folder, key, bytes);
    rmSync(join(aside.folder, `ledger/keys/${deps.signer.keyId}.revoked.json`));
    await rotateKey(aside.store, { current: deps.signer, next: thief }, new Date(Date.now() - 60_000));
    const planted = `ledger/keys/${thief.keyId}.json`;
    plant(folder, planted, (await keyFiles(aside.folder)).get(planted) ?? '');
    const report = await sealed({ ...deps, signer: next });
    expect(report.findings).toEqual([
      {
        kind: 'key_refused',
        key: planted,
        detail: expect.stringContaining('not of the line that revoked it'),
      },
    ]);
    expect((await readLedger(folderFiles(folder))).sealedKeys).not.toContain(planted);
    await expect(seal({ ...deps, signer: thief }, { final: false })).rejects.toMatchObject({
      code: 'signing_key_revoked',
    });
    expect(findingsOf(await verifyFolder(folder))).toEqual([]);
  });
});

async function keyFiles(folder: string): Promise<Map<string, string>> {
  const files = folderFiles(folder);
  const found = new Map<string, string>();
  for (const key of files.keys()) {
    if (key.startsWith('ledger/keys/')) found.set(key, (await files.bytes(key)).toString());
  }
  return found;
}

describe('what is planted behind the last digest', () => {
  it.each([
    ['a file', 'ledger/digests/9999999999/x'],
    ['garbage for a digest', 'ledger/digests/9999999999/digest.json'],
    ['garbage not far away', 'ledger/digests/0000000009/digest.json'],
    ['garbage for a note', 'ledger/checkpoints/9999999999.note'],
  ])('does not stop the sealer: %s', async (_what, key) => {
    const { folder, store, queue, deps } = await makeSite();
    for (let round = 1; round <= 3; round += 1) {
      await commitJob(store, queue, round);
      await sealed(deps);
    }
    plant(folder, key, '{}');
    expect(await sealed(deps)).toMatchObject({ sequence: 4 });
    queue.lose();
    await commitJob(store, queue, 4);
    expect(await sealed(deps)).toMatchObject({ sequence: 5, entries: 1 });
  });

  it('stops it where the next digest belongs, and is named', async () => {
    const { folder, deps } = await makeSite();
    await sealed(deps);
    plant(folder, 'ledger/digests/0000000002/digest.json', '{}');
    await expect(seal(deps, { final: false })).rejects.toMatchObject({
      code: 'ledger_damaged',
      message: expect.stringContaining('ledger/digests/0000000002/digest.json'),
    });
  });
});

it('goes on with what comes after objects that are gone, where they leave room in a digest', async () => {
  const { folder, store, queue, deps } = await makeSite();
  await sealed(deps);
  for (let job = 1; job <= 9; job += 1) await commitJob(store, queue, job);
  for (const job of [1, 2]) {
    rmSync(join(folder, `v1/records/host=github.com/owner=octo-org/repo=octo-repo/1/1/${job}.json`));
  }
  expect(await sealed(deps, 5)).toMatchObject({ entries: 7, digests: 2 });
  expect(await queue.pending.count()).toBe(0);
});

describe('clocks', () => {
  const HOUR_MS = 3_600_000;
  const shifted = (ms: number) => (): Date => new Date(Date.now() + ms);

  it.each([HOUR_MS, -HOUR_MS, 6 * 60_000])('a sealer that is %d ms from its store refuses', async (ms) => {
    const { folder, store, deps } = await makeSite();
    const wrong = { ...deps, store, now: shifted(ms) };
    await expect(seal(wrong, { final: false })).rejects.toMatchObject({
      code: 'clock_differs',
      message: expect.stringMatching(/this machine's clock says .* set the clock/),
    });
    expect(folderFiles(folder).keys()).toEqual([]);
    await sealed({ ...deps, store, now: shifted(4 * 60_000) });
  });

  it('one that was ahead for a while hides nothing: verify says so, and a queue loss is made up for', async () => {
    const { folder, store, queue, deps } = await makeSite();
    await commitJob(store, queue, 1);
    await sealed(deps);
    const ahead = shifted(400 * 24 * HOUR_MS);
    await sealed({ ...deps, now: ahead, store: atTime(store, ahead) });
    expect(findingsOf(await verifyFolder(folder))).toEqual(['GAP ledger/digests/0000000002/digest.json']);
    await commitJob(store, queue, 2);
    await sealed(deps);
    await commitJob(store, queue, 3);
    queue.lose();
    expect(await sealed(deps)).toMatchObject({ sequence: 4, entries: 1, listed: true });
    await demandAllSealed(folderFiles(folder));
    const found = await verifyFolder(folder);
    expect(findingsOf(found)).toEqual(['GAP ledger/digests/0000000004/digest.json']);
    expect(found.results.find(({ result }) => result === 'GAP')?.detail).toContain('in the future');
  });
});
