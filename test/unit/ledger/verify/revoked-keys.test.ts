import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ListedVersion, ObjectStore } from '../../../../src/store/object-store.ts';
import { openFolderStore } from '../../../../src/store/folder/folder-object-store.ts';
import type { VerifyOptions } from '../../../../src/ledger/verify/verify.ts';
import { folderPut, LedgerMaker, makeKey, type MadeKey } from '../../../support/oracles/ledger-maker.ts';
import { temporaryFolder } from '../../../support/processes/processes.ts';
import { fileAt, findingsOf, verifyFolder, verifyStore } from '../../../support/harness/verify-under-test.ts';

const HOUR_MS = 3_600_000;

interface Made {
  readonly folder: string;
  readonly maker: LedgerMaker;
  readonly first: MadeKey;
}

/** What is found when the clock stands at the end of the last window. */
async function found(
  folder: string,
  maker: LedgerMaker,
  changes: Partial<VerifyOptions> = {},
): Promise<string[]> {
  return findingsOf(await verifyFolder(folder, { now: () => new Date(maker.nowMs), ...changes }));
}

/** A ledger whose first key has sealed two digests. */
async function begun(sealsKeys: boolean): Promise<Made> {
  const folder = temporaryFolder();
  const startMs = Date.now() - 8 * HOUR_MS;
  const maker = new LedgerMaker(folderPut(folder), { archive: `file:${folder}`, startMs, sealsKeys });
  const first = await maker.addKey();
  await maker.addJob();
  await maker.seal();
  await maker.seal();
  return { folder, maker, first };
}

/** A successor of a stolen key, signed by it, that says that it began `agoMs` ago; the ledger's own key stays the last. */
async function addThief(maker: LedgerMaker, stolen: MadeKey, agoMs: number): Promise<MadeKey> {
  const own = [...maker.keys];
  const nowMs = maker.nowMs;
  maker.nowMs -= agoMs;
  const thief = await maker.addKey(makeKey(), stolen);
  maker.nowMs = nowMs;
  maker.keys.splice(0, maker.keys.length, ...own);
  return thief;
}

describe.each([
  ['with entries of keys', true],
  ['of the first versions', false],
])('in a ledger %s, after a key was revoked', (_name, sealsKeys) => {
  test('a successor that its thief dates back is not believed, and the line of the revoker is', async () => {
    const { folder, maker, first } = await begun(sealsKeys);
    await maker.addKey(makeKey());
    await maker.seal();
    await maker.revoke(first, maker.nowMs - HOUR_MS / 2);
    await maker.seal();
    expect(await found(folder, maker)).toEqual([]);
    const thief = await addThief(maker, first, 3 * HOUR_MS);
    const digest = await maker.seal({ key: thief });
    const findings = await found(folder, maker);
    expect(findings.filter((line) => line.startsWith('UNKNOWN_KEY'))).toEqual([`UNKNOWN_KEY ${digest.key}`]);
  });

  test('a successor counts although the revocation is dated before it was made, if it is the revoker', async () => {
    const { folder, maker, first } = await begun(sealsKeys);
    await maker.addKey(makeKey());
    await maker.revoke(first, maker.nowMs - HOUR_MS / 2);
    await maker.seal();
    // The digest that the revoked key made after that moment is the only one not believed.
    const second = `REVOKED_KEY ${maker.digests[1]?.key ?? ''}`;
    expect(await found(folder, maker)).toEqual([second]);
  });

  test('of a key that revoked itself the first successor to sign is believed, and no later one', async () => {
    const { folder, maker, first } = await begun(sealsKeys);
    await maker.addKey(makeKey());
    maker.nowMs += HOUR_MS;
    await maker.revoke(first, maker.nowMs, first);
    maker.nowMs -= HOUR_MS;
    await maker.seal();
    expect(await found(folder, maker)).toEqual([]);
    const thief = await addThief(maker, first, 3 * HOUR_MS);
    const digest = await maker.seal({ key: thief });
    expect(await found(folder, maker)).toContain(`UNKNOWN_KEY ${digest.key}`);
  });
});

test('a successor that was sealed before its predecessor was revoked stays believed', async () => {
  const { folder, maker, first } = await begun(true);
  const other = await addThief(maker, first, 0);
  await maker.seal();
  await maker.addKey(makeKey());
  await maker.seal();
  await maker.revoke(first, maker.nowMs - HOUR_MS / 2);
  await maker.seal();
  await maker.addJob();
  await maker.seal({ key: other });
  expect(await found(folder, maker)).toEqual([]);
  const fromMs = maker.nowMs - HOUR_MS / 2;
  const range = { fromMs, toMs: null };
  expect(await found(folder, maker, { range })).toEqual([]);
  // Also where nothing else needs what was sealed before the range.
  expect(await found(folder, maker, { range, level: 'ledger' })).toEqual([]);
});

test('a successor that was sealed by itself was not sealed before', async () => {
  const { folder, maker, first } = await begun(true);
  await maker.addKey(makeKey());
  await maker.seal();
  const thief = await addThief(maker, first, 5 * HOUR_MS);
  const own = await maker.seal({ key: thief });
  const next = await maker.seal({ key: thief });
  await maker.revoke(first, maker.nowMs + 1);
  await maker.seal();
  const findings = await found(folder, maker);
  expect(findings).toContain(`UNKNOWN_KEY ${own.key}`);
  expect(findings).toContain(`UNKNOWN_KEY ${next.key}`);
});

test('a successor that was sealed after the moment of the revocation was not sealed before', async () => {
  const { folder, maker, first } = await begun(true);
  const thief = await addThief(maker, first, 5 * HOUR_MS);
  await maker.addKey(makeKey());
  await maker.seal();
  const stolen = await maker.seal({ key: thief });
  await maker.revoke(first, maker.nowMs - 2 * HOUR_MS - 1);
  await maker.seal();
  expect(await found(folder, maker)).toContain(`UNKNOWN_KEY ${stolen.key}`);
});

test('a key that follows another without its signature is not believed', async () => {
  const { folder, maker, first } = await begun(false);
  const stranger = makeKey();
  const apart = new LedgerMaker(folderPut(folder), { archive: '', startMs: maker.nowMs - 2 * HOUR_MS });
  // Signed by another key under the predecessor's name.
  await apart.addKey(stranger, { ...makeKey(), id: first.id });
  const digest = await maker.seal({ key: stranger });
  expect(await found(folder, maker)).toEqual([`UNKNOWN_KEY ${digest.key}`]);
  expect(await found(folder, maker, { pinnedKeyId: first.id })).toEqual([`UNKNOWN_KEY ${digest.key}`]);
});

describe('files of keys and revocations', () => {
  test('are missed by the ledger that sealed them', async () => {
    const { folder, maker, first } = await begun(true);
    await maker.addKey(makeKey());
    await maker.revoke(first, maker.nowMs + 1);
    await maker.seal();
    expect(await found(folder, maker)).toEqual([]);
    for (const key of [`ledger/keys/${first.id}.revoked.json`, `ledger/keys/${first.id}.json`]) {
      const file = fileAt(folder, key);
      file.remove();
      expect(await found(folder, maker, { level: 'ledger' })).toContain(`MISSING ${key}`);
      file.write(Buffer.from(file.bytes.toString().replace('}\n', ',"more":1}\n')));
      expect(await found(folder, maker, { level: 'ledger' })).toContain(`MODIFIED ${key}`);
      file.restore();
    }
  });

  test('are missed by the anchor that holds them, also where no digest sealed them', async () => {
    const { folder, maker, first } = await begun(false);
    await maker.addKey(makeKey());
    await maker.seal();
    await maker.revoke(first, maker.nowMs + 1);
    const copy = temporaryFolder();
    cpSync(join(folder, 'ledger'), join(copy, 'ledger'), { recursive: true });
    const anchor = { kind: 'store', store: await openFolderStore({ folder: copy }) } as const;
    expect(await found(folder, maker, { anchor })).toEqual([]);
    const key = `ledger/keys/${first.id}.revoked.json`;
    rmSync(join(folder, key));
    expect(await found(folder, maker, { anchor })).toEqual([`MISSING ${key}`]);
  });

  test('are unsealed where others have entries, once their turn has come', async () => {
    const { folder, maker } = await begun(true);
    const apart = new LedgerMaker(folderPut(folder), { archive: '', startMs: maker.nowMs });
    const planted = await apart.addKey(makeKey());
    await maker.seal();
    await maker.seal();
    expect(await found(folder, maker)).toEqual([]);
    await maker.seal();
    expect(await found(folder, maker)).toEqual([`UNSEALED ledger/keys/${planted.id}.json`]);
  });

  test('are not unsealed in the ledgers of the first versions', async () => {
    const { folder, maker } = await begun(false);
    for (let digest = 0; digest < 4; digest += 1) await maker.seal();
    expect(await found(folder, maker)).toEqual([]);
  });

  test('end in an error that says what to do where there are more than any ledger has', async () => {
    const { folder, maker } = await begun(false);
    const store = await openFolderStore({ folder });
    const listed: ListedVersion[] = [];
    for await (const version of store.listVersions('ledger/keys/')) listed.push(version);
    const [own] = listed;
    if (own === undefined) throw new Error('the ledger has no key');
    const planted: ObjectStore = {
      ...store,
      async *listVersions(prefix) {
        yield* store.listVersions(prefix);
        if (prefix !== 'ledger/keys/') return;
        for (let file = 0; file < 10_000; file += 1)
          yield { ...own, key: `ledger/keys/${file.toString(16).padStart(64, '0')}.json` };
      },
      read: (key, version) =>
        key.startsWith('ledger/keys/') ? Promise.resolve(null) : store.read(key, version),
    };
    const verified = verifyStore(planted, { now: () => new Date(maker.nowMs) });
    await expect(verified).rejects.toMatchObject({
      code: 'ledger_damaged',
      message: expect.stringMatching(/more than 10,000 files below ledger\/keys\/.*take the planted ones/),
    });
  });
});
