import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { folderPut, LedgerMaker, makeKey, type MadeKey } from '../../../support/oracles/ledger-maker.ts';
import { temporaryFolder } from '../../../support/processes/processes.ts';
import { fileAt, findingsOf, verifyFolder } from '../../../support/harness/verify-under-test.ts';

const HOUR_MS = 3_600_000;

interface Rotated {
  readonly folder: string;
  readonly maker: LedgerMaker;
  readonly keys: readonly [MadeKey, MadeKey, MadeKey, MadeKey];
}

/** Four keys, two digests by each. */
async function rotatedThrice(): Promise<Rotated> {
  const folder = temporaryFolder();
  const maker = new LedgerMaker(folderPut(folder), {
    archive: `file:${folder}`,
    startMs: Date.now() - 9 * HOUR_MS,
  });
  const next = async (): Promise<MadeKey> => {
    const key = await maker.addKey(makeKey());
    for (let digest = 0; digest < 2; digest += 1) {
      await maker.addJob();
      await maker.seal();
    }
    return key;
  };
  return { folder, maker, keys: [await next(), await next(), await next(), await next()] };
}

test('three rotations: whichever key is pinned, all are believed', async () => {
  const { folder, keys } = await rotatedThrice();
  for (const pinned of [null, ...keys]) {
    const verified = await verifyFolder(folder, { pinnedKeyId: pinned?.id ?? null });
    expect(findingsOf(verified)).toEqual([]);
    const believed = verified.summary.keys.map(({ key_id, believed_by }) => [key_id, believed_by]);
    const by = (key: MadeKey): string =>
      pinned === null ? 'archive' : key === pinned ? 'pinned' : 'rotation';
    expect(believed).toEqual(keys.map((key) => [key.id, by(key)]));
    expect(verified.summary.key_pinned).toBe(pinned !== null);
  }
});

test('a revoked key: what it signed before stands, what it signed after is flagged', async () => {
  const { folder, maker, keys } = await rotatedThrice();
  const [, stolen] = keys;
  await maker.revoke(stolen, maker.nowMs);
  expect(findingsOf(await verifyFolder(folder, { pinnedKeyId: keys[0].id }))).toEqual([]);

  const late = await maker.seal({ key: stolen });
  const verified = await verifyFolder(folder, { pinnedKeyId: keys[0].id });
  expect(findingsOf(verified)).toEqual([`REVOKED_KEY ${late.key}`]);
  expect(verified.summary.keys.find(({ key_id }) => key_id === stolen.id)?.revoked_at).toBe(
    new Date(maker.nowMs - HOUR_MS).toISOString(),
  );
});

test('a revoked key cannot date its digests back: they follow later ones', async () => {
  const { folder, maker, keys } = await rotatedThrice();
  const [, stolen] = keys;
  const revokedMs = maker.nowMs - HOUR_MS / 2;
  await maker.revoke(stolen, revokedMs);
  const created = new Date(revokedMs - HOUR_MS).toISOString();
  const late = await maker.seal({ key: stolen, changes: { created_at: created } });
  expect(findingsOf(await verifyFolder(folder, { pinnedKeyId: keys[3].id }))).toContain(
    `REVOKED_KEY ${late.key}`,
  );
});

test('a key that only a revoked key vouches for is not believed', async () => {
  const folder = temporaryFolder();
  const maker = new LedgerMaker(folderPut(folder), {
    archive: `file:${folder}`,
    startMs: Date.now() - 5 * HOUR_MS,
  });
  const first = await maker.addKey();
  await maker.seal();
  await maker.revoke(first, maker.nowMs - 1, first);
  await maker.addKey(makeKey());
  const late = await maker.seal();
  expect(findingsOf(await verifyFolder(folder, { pinnedKeyId: first.id }))).toContain(
    `UNKNOWN_KEY ${late.key}`,
  );
});

test('a revocation that nobody entitled signed counts for nothing, and is told', async () => {
  const { folder, maker, keys } = await rotatedThrice();
  const [first] = keys;
  await maker.revoke(first, 0, makeKey());
  const planted = `ledger/keys/${first.id}.revoked.json`;
  expect(findingsOf(await verifyFolder(folder))).toEqual([`BAD_SIGNATURE ${planted}`]);

  const other = await rotatedThrice();
  // An earlier key cannot revoke a later one.
  await other.maker.revoke(other.keys[2], 0, other.keys[0]);
  const findings = findingsOf(await verifyFolder(other.folder));
  expect(findings).toEqual([`BAD_SIGNATURE ledger/keys/${other.keys[2].id}.revoked.json`]);
});

test('a key file that was planted beside the others signs nothing that is believed', async () => {
  const { folder, maker } = await rotatedThrice();
  const planted = makeKey();
  const apart = new LedgerMaker(folderPut(folder), { archive: `file:${folder}`, startMs: 0 });
  await apart.addKey(planted);
  const digest = await maker.seal({ key: planted });
  expect(findingsOf(await verifyFolder(folder))).toEqual([`UNKNOWN_KEY ${digest.key}`]);
});

test('a key is not believed before it was made', async () => {
  const { folder, maker } = await rotatedThrice();
  const created = new Date(maker.nowMs - 5 * HOUR_MS).toISOString();
  maker.nowMs += 20 * HOUR_MS;
  await maker.addKey(makeKey());
  maker.nowMs -= 20 * HOUR_MS;
  const digest = await maker.seal({ changes: { created_at: created } });
  expect(findingsOf(await verifyFolder(folder))).toEqual([`UNKNOWN_KEY ${digest.key}`]);
});

test('a key file that is damaged or gone takes its digests with it', async () => {
  const { folder, keys } = await rotatedThrice();
  const key = `ledger/keys/${keys[3].id}.json`;
  const digests = ['7', '8'].map((it) => `UNKNOWN_KEY ledger/digests/000000000${it}/digest.json`);
  const file = fileAt(folder, key);
  file.write(Buffer.from(file.bytes.toString().replace('"algorithm":"Ed25519"', '"algorithm":"none"')));
  expect(findingsOf(await verifyFolder(folder))).toEqual([`MODIFIED ${key}`, ...digests].sort());
  rmSync(join(folder, key));
  expect(findingsOf(await verifyFolder(folder))).toEqual(digests);
});
